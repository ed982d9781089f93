import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mysql from 'mysql2'
import { waitFor } from '../e2e/binary.ts'
import { freePort } from '../e2e/nginx.ts'
import type { Certificate } from './certificates.ts'

const SERVER = '/usr/sbin/mariadbd'
const GALERA = '/usr/lib/galera/libgalera_smm.so'

/** Why no MariaDB can be started here; where skips are forbidden the tests fail instead. */
export function findMissingMariadb(): string | false {
  if (process.env.DEADPOOL_TEST_NO_SKIP || existsSync(SERVER)) return false
  return 'MariaDB is missing: apt-get install mariadb-server'
}

/** The same of Galera, which MariaDB's package recommends. */
export function findMissingGalera(): string | false {
  if (process.env.DEADPOOL_TEST_NO_SKIP || existsSync(GALERA)) return findMissingMariadb()
  return 'Galera is missing: apt-get install galera-4'
}

export interface MariadbOptions {
  /** Further options of the server, as `name: value`. */
  settings?: Record<string, string | number>
  tls?: Certificate
  /** Runs it as the only node of a Galera cluster. */
  isGalera?: boolean
}

/** A real MariaDB. Its root logs in over the Unix socket without a password. */
export interface Mariadb {
  port: number
  /** Its Unix socket. */
  socketPath: string
  pid: number
  /** Runs a statement as root and gives its rows. */
  sql(text: string): Promise<Record<string, unknown>[]>
  /** What it wrote to its log so far. */
  log(): string
  /** Stops it where it is; it neither answers nor closes. */
  pause(): void
  resume(): void
  stop(): Promise<void>
}

/** Starts MariaDB on a free port of 127.0.0.1; takes about three seconds. `tls` is copied, for it runs as its own user. */
export async function startMariadb({ settings = {}, tls, isGalera }: MariadbOptions = {}): Promise<Mariadb> {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-mariadb-'))
  const path = (name: string) => join(folder, name)
  const [port, groupPort, stateListenPort] = await Promise.all([freePort(), freePort(), freePort()])
  const ids = findUser()
  mkdirSync(path('data'))
  if (tls) for (const key of ['ca', 'cert', 'key'] as const) copyFileSync(tls[key], path(`${key}.pem`))
  const owned = ['.', 'data', ...(tls ? ['ca.pem', 'cert.pem', 'key.pem'] : [])]
  if (ids) for (const name of owned) chownSync(path(name), ids.uid, ids.gid)
  chmodSync(folder, 0o755)
  const small = { innodb_buffer_pool_size: '16M', innodb_log_file_size: '8M', innodb_flush_log_at_trx_commit: 0 }
  const install = [
    '--no-defaults',
    `--datadir=${path('data')}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
  ]
  execFileSync('mariadb-install-db', [...install, ...toFlags(small)], { cwd: folder, stdio: 'pipe', ...ids })
  const options = {
    datadir: path('data'),
    socket: path('socket'),
    pid_file: path('pid'),
    bind_address: '127.0.0.1',
    port,
    performance_schema: 'OFF',
    ...small,
    ...(tls && { ssl_ca: path('ca.pem'), ssl_cert: path('cert.pem'), ssl_key: path('key.pem') }),
    ...(isGalera && {
      binlog_format: 'ROW',
      innodb_autoinc_lock_mode: 2,
      wsrep_on: 'ON',
      wsrep_provider: GALERA,
      wsrep_cluster_address: 'gcomm://',
      wsrep_node_address: '127.0.0.1',
      wsrep_provider_options: `gmcast.listen_addr=tcp://127.0.0.1:${groupPort};ist.recv_addr=127.0.0.1:${stateListenPort};gcache.size=1M`,
    }),
    ...settings,
  }
  const flags = ['--no-defaults', ...toFlags(options), ...(isGalera ? ['--wsrep-new-cluster'] : [])]
  const server: ChildProcess = spawn(SERVER, flags, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], ...ids })
  let log = ''
  for (const stream of [server.stdout, server.stderr]) stream?.on('data', (text) => (log += text))
  const kill = () => void server.kill('SIGKILL')
  process.once('exit', kill)

  const sql: Mariadb['sql'] = async (text) => {
    const client = mysql.createConnection({ socketPath: path('socket'), user: 'root', multipleStatements: true })
    client.on('error', () => {})
    try {
      const [rows] = await client.promise().query(text)
      return rows as Record<string, unknown>[]
    } finally {
      client.destroy()
    }
  }
  await waitFor('MariaDB', async () => {
    if (server.exitCode !== null) throw new Error(`it ended at once:\n${log}`)
    return (await sql('SELECT 1')).length === 1
  })

  return {
    port,
    socketPath: path('socket'),
    pid: server.pid ?? 0,
    sql,
    log: () => log,
    pause: () => void server.kill('SIGSTOP'),
    resume: () => void server.kill('SIGCONT'),
    async stop() {
      process.removeListener('exit', kill)
      if (server.exitCode === null && server.signalCode === null) {
        const gone = once(server, 'close')
        // At once, as nobody needs its data.
        server.kill('SIGKILL')
        await gone
      }
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function toFlags(options: Record<string, string | number>): string[] {
  return Object.entries(options).map(([name, value]) => `--${name.replaceAll('_', '-')}=${value}`)
}

/** Its own user, as MariaDB refuses to run as root. */
function findUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(execFileSync('id', [flag, 'mysql'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}
