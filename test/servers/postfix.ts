import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '../e2e/binary.ts'
import { freePort } from '../e2e/nginx.ts'
import type { Certificate } from './certificates.ts'
import { findMissing } from './process.ts'

/** Why no Postfix can be started here; where skips are forbidden the tests fail instead. */
export function findMissingPostfix(): string | false {
  if (!process.env.DEADPOOL_TEST_NO_SKIP && process.getuid?.() !== 0) return 'Postfix starts for root only'
  return findMissing('postfix', 'postfix')
}

/** A real Postfix, of which only the SMTP server is there. */
export interface Postfix {
  port: number
  pid: number
  stop(): Promise<void>
}

export interface PostfixOptions {
  tls?: Certificate
  /** Further lines of main.cf. */
  settings?: string[]
}

export async function startPostfix({ tls, settings = [] }: PostfixOptions = {}): Promise<Postfix> {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-postfix-'))
  // Its own user goes in and out.
  chmodSync(folder, 0o755)
  const port = await freePort()
  for (const name of ['config', 'queue', 'own']) mkdirSync(join(folder, name))
  chownSync(join(folder, 'own'), Number(execFileSync('id', ['-u', 'postfix'], { encoding: 'utf8' })), 0)
  const secure = tls
    ? [`smtpd_tls_cert_file = ${tls.cert}`, `smtpd_tls_key_file = ${tls.key}`, 'smtpd_tls_security_level = may']
    : []
  const main = [
    'compatibility_level = 3.6',
    `queue_directory = ${folder}/queue`,
    `data_directory = ${folder}/own`,
    'maillog_file = /dev/stdout',
    'inet_interfaces = 127.0.0.1',
    'inet_protocols = ipv4',
    'myhostname = mail.example.org',
    'mydestination =',
    'local_recipient_maps =',
    'alias_maps =',
    ...secure,
    ...settings,
  ]
  writeFileSync(join(folder, 'config/main.cf'), `${main.join('\n')}\n`)
  writeFileSync(
    join(folder, 'config/master.cf'),
    `127.0.0.1:${port} inet n - n - - smtpd
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`,
  )
  const logFile = openSync(join(folder, 'log'), 'a')
  const child = spawn('postfix', ['-c', join(folder, 'config'), 'start-fg'], {
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
    // It opens /dev/stdout, which a pipe of Node cannot be.
    stdio: ['ignore', logFile, logFile],
  })
  closeSync(logFile)
  const readLog = () => readFileSync(join(folder, 'log'), 'utf8')
  const gone = new Promise((resolve) => child.once('close', resolve))
  const readPid = () => Number(readFileSync(join(folder, 'queue/pid/master.pid'), 'utf8'))
  const kill = () => {
    try {
      process.kill(readPid(), 'SIGTERM')
    } catch {
      // It did not come that far.
    }
    child.kill('SIGTERM')
  }
  process.once('exit', kill)

  async function stop(): Promise<void> {
    kill()
    await gone
    process.removeListener('exit', kill)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }

  try {
    await waitFor('Postfix', () => {
      if (child.exitCode !== null) throw new Error(`it ended at once:\n${readLog()}`)
      // It listens by then.
      return readLog().includes('daemon started')
    })
  } catch (error) {
    await stop()
    throw error
  }
  return { port, pid: readPid(), stop }
}
