import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { waitFor } from '../e2e/binary.ts'
import { freePort } from '../e2e/nginx.ts'
import type { Certificate } from './certificates.ts'

const SCRIPTS = '/usr/lib/rabbitmq/bin'

/** Why no RabbitMQ can be started here; where skips are forbidden the tests fail instead. */
export function findMissingRabbitmq(): string | false {
  if (process.env.DEADPOOL_TEST_NO_SKIP || existsSync(`${SCRIPTS}/rabbitmq-server`)) return false
  return 'RabbitMQ is missing: apt-get install rabbitmq-server'
}

/** A real RabbitMQ with its management plugin, a node of its own. */
export interface Rabbitmq {
  port: number
  managementUrl: string
  /** Where it speaks TLS, if it was given a certificate. */
  tlsPort: number
  pid: number
  /** What it wrote to its log so far. */
  log(): string
  /** Runs `rabbitmqctl`. */
  control(...args: string[]): Promise<string>
  /** Asks its management API as the administrator. */
  manage(method: string, path: string, body?: unknown): Promise<void>
  pause(): void
  resume(): void
  stop(): Promise<void>
}

/** Starts RabbitMQ on free ports of 127.0.0.1; takes about five seconds. `tls` is copied, for it runs as its own user. */
export async function startRabbitmq({ tls }: { tls?: Certificate } = {}): Promise<Rabbitmq> {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-rabbitmq-'))
  const [port, management, tlsPort, epmdPort, distribution] = await Promise.all(Array.from({ length: 5 }, freePort))
  if (!port || !management || !tlsPort || !epmdPort || !distribution) throw new Error('no free ports')
  const path = (name: string) => join(folder, name)
  for (const name of ['mnesia', 'log', 'home']) mkdirSync(path(name))
  if (tls) for (const key of ['ca', 'cert', 'key'] as const) copyFileSync(tls[key], path(`${key}.pem`))
  writeFileSync(path('enabled_plugins'), '[rabbitmq_management].')
  writeFileSync(path('rabbitmq.conf'), formatConfig({ port, management, tlsPort, folder, isSecure: tls !== undefined }))
  const owned = [
    '.',
    'mnesia',
    'log',
    'home',
    'enabled_plugins',
    'rabbitmq.conf',
    ...(tls ? ['ca.pem', 'cert.pem', 'key.pem'] : []),
  ]
  chmodSync(folder, 0o755)
  const prefix = giveAway(owned.map(path))
  const env = {
    PATH: process.env.PATH,
    HOME: path('home'),
    RABBITMQ_NODENAME: `deadpool-${port}@localhost`,
    RABBITMQ_MNESIA_BASE: path('mnesia'),
    RABBITMQ_LOG_BASE: path('log'),
    RABBITMQ_PID_FILE: path('mnesia/pid'),
    RABBITMQ_CONFIG_FILE: path('rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: path('enabled_plugins'),
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
  }
  const run = (program: string, args: string[], more: NodeJS.ProcessEnv = {}) => {
    const [first = program, ...rest] = [...prefix, program, ...args]
    return spawn(first, rest, { cwd: path('home'), env: { ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] })
  }
  // Started here and not by Erlang, whose daemon would outlive it.
  const epmd = run('epmd', ['-port', String(epmdPort), '-address', '127.0.0.1'])
  // With ALLOW_INPUT the script becomes the server instead of starting it, and its id is the server's.
  const server = run(`${SCRIPTS}/rabbitmq-server`, ['-noinput'], {
    RABBITMQ_ALLOW_INPUT: '1',
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 1:1 +sbwt none',
  })
  let log = ''
  for (const stream of [server.stdout, server.stderr]) stream?.on('data', (text) => (log += text))
  epmd.stdout?.resume()
  epmd.stderr?.resume()
  const kill = () => void [server, epmd].map((child) => child.kill('SIGKILL'))
  process.once('exit', kill)
  const managementUrl = `http://127.0.0.1:${management}`

  async function stop(): Promise<void> {
    await Promise.all([end(server), end(epmd)])
    process.off('exit', kill)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }

  async function control(...args: string[]): Promise<string> {
    const [first = '', ...rest] = [...prefix, `${SCRIPTS}/rabbitmqctl`, '--quiet', ...args]
    return (await promisify(execFile)(first, rest, { cwd: path('home'), env })).stdout
  }

  async function manage(method: string, asked: string, body?: unknown): Promise<void> {
    const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
    const headers = { authorization, connection: 'close' }
    const text = body === undefined ? null : JSON.stringify(body)
    const response = await fetch(managementUrl + asked, { method, headers, body: text })
    if (!response.ok) throw new Error(`${method} ${asked}: ${response.status} ${await response.text()}`)
  }

  try {
    await waitFor(
      'RabbitMQ',
      () => {
        if (server.exitCode !== null) throw new Error(`it ended at once:\n${log}`)
        return log.includes('Server startup complete')
      },
      60_000,
    )
  } catch (error) {
    await stop()
    throw error
  }
  const pid = server.pid ?? 0
  const pause = () => void server.kill('SIGSTOP')
  const resume = () => void server.kill('SIGCONT')
  return { port, managementUrl, tlsPort, pid, log: () => log, control, manage, pause, resume, stop }
}

interface Config {
  port: number
  management: number
  tlsPort: number
  folder: string
  isSecure: boolean
}

function formatConfig({ port, management, tlsPort, folder, isSecure }: Config): string {
  const plain = `listeners.tcp.1 = 127.0.0.1:${port}
management.tcp.ip = 127.0.0.1
management.tcp.port = ${management}
disk_free_limit.absolute = 1MB
collect_statistics_interval = 500
log.file = false
log.console = true
log.console.level = info
`
  if (!isSecure) return plain
  return `${plain}listeners.ssl.1 = 127.0.0.1:${tlsPort}
ssl_options.cacertfile = ${folder}/ca.pem
ssl_options.certfile = ${folder}/cert.pem
ssl_options.keyfile = ${folder}/key.pem
`
}

/** Lets the package's own user have the files when this is root, and gives the command that becomes that user. */
function giveAway(paths: string[]): string[] {
  if (process.getuid?.() !== 0) return []
  const [uid, gid] = ['-u', '-g'].map((flag) =>
    Number(spawnSync('id', [flag, 'rabbitmq'], { encoding: 'utf8' }).stdout),
  )
  for (const path of paths) chownSync(path, uid ?? 0, gid ?? 0)
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups']
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}
