import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { waitFor } from '../e2e/binary.ts'
import { freePort } from '../e2e/nginx.ts'
import type { Certificate } from './certificates.ts'

const [BIN = '/usr/lib/postgresql/15/bin'] = globSync('/usr/lib/postgresql/*/bin').sort().reverse()

/** Why no PostgreSQL can be started here; where skips are forbidden the tests fail instead. */
export function findMissingPostgres(): string | false {
  if (process.env.DEADPOOL_TEST_NO_SKIP || existsSync(join(BIN, 'postgres'))) return false
  return 'PostgreSQL is missing: apt-get install postgresql'
}

export interface PostgresOptions {
  /** Further lines of postgresql.conf, as `name: value`. */
  settings?: Record<string, string | number>
  tls?: Certificate
  /** A server that this one is to follow as a streaming replica. */
  primary?: Postgres
}

/** A real PostgreSQL. Over TCP it wants a password, over its Unix socket none. */
export interface Postgres {
  port: number
  /** Folder of its data and its Unix socket. */
  folder: string
  pid: number
  /** Runs statements as the superuser and gives the rows of the last. */
  sql(text: string): Promise<Record<string, unknown>[]>
  /** What it wrote to its log so far. */
  log(): string
  /** Serves another certificate from the next connection on. */
  useCertificate(certificate: Certificate): Promise<void>
  /** Stops all its processes where they are; they neither answer nor close. */
  pause(): void
  resume(): void
  /** Ends it at once; its data goes with `stop`. */
  shutDown(): Promise<void>
  /** Starts it again on the same port, and waits for it unless told otherwise. */
  start(wait?: boolean): Promise<void>
  stop(): Promise<void>
}

export const SUPERUSER_PASSWORD = 'super-s3cret'

/** Starts PostgreSQL on a free port of 127.0.0.1; takes about two seconds. */
export async function startPostgres({ settings = {}, tls, primary }: PostgresOptions = {}): Promise<Postgres> {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-postgres-'))
  const port = await freePort()
  const path = (name: string) => join(folder, name)
  const ids = findUser()
  if (ids) chownSync(folder, ids.uid, ids.gid)
  const run = (program: string, args: string[]) =>
    execFileSync(join(BIN, program), args, {
      cwd: folder,
      stdio: 'pipe',
      env: { PGPASSWORD: SUPERUSER_PASSWORD },
      ...ids,
    })
  if (primary)
    run('pg_basebackup', [
      '-h',
      primary.folder,
      '-p',
      `${primary.port}`,
      '-U',
      'postgres',
      '-D',
      'data',
      '-R',
      '-c',
      'fast',
      '--no-sync',
    ])
  else
    run('initdb', [
      '-D',
      'data',
      '-U',
      'postgres',
      '--no-sync',
      '-A',
      'trust',
      '--no-instructions',
      '-E',
      'UTF8',
      '--locale=C',
    ])
  if (tls) copyTls(tls, folder, ids)
  const lines = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: folder,
    fsync: 'off',
    shared_buffers: '16MB',
    max_wal_size: '256MB',
    wal_retrieve_retry_interval: '200ms',
    autovacuum: 'off',
    log_min_messages: 'log',
    ssl: tls ? 'on' : 'off',
    ...(tls && { ssl_cert_file: '../server.pem', ssl_key_file: '../server.key' }),
    ...settings,
  }
  const text = Object.entries(lines).map(([name, value]) => `${name} = '${value}'\n`)
  appendFileSync(path('data/postgresql.conf'), `\n${text.join('')}`)
  writeFileSync(
    path('data/pg_hba.conf'),
    'local all all trust\nlocal replication all trust\nhost all all 127.0.0.1/32 scram-sha-256\n',
  )

  let server: ChildProcess | undefined
  let log = ''
  const kill = () => void server?.kill('SIGQUIT')
  process.once('exit', kill)
  const sql: Postgres['sql'] = async (text) => {
    const client = new pg.Client({ host: folder, port, user: 'postgres', database: 'postgres' })
    client.on('error', () => {})
    await client.connect()
    try {
      return [await client.query(text)].flat().at(-1)?.rows ?? []
    } finally {
      await client.end()
    }
  }

  async function start(wait = true): Promise<void> {
    const child = spawn(join(BIN, 'postgres'), ['-D', 'data'], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...ids,
    })
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (log += text))
    server = child
    if (!wait) return
    await waitFor('PostgreSQL', async () => {
      if (child.exitCode !== null) throw new Error(`it ended at once:\n${log}`)
      return (await sql('SELECT 1')).length === 1
    })
  }

  async function shutDown(): Promise<void> {
    const ending = server
    server = undefined
    if (!ending || ending.exitCode !== null) return
    const gone = once(ending, 'close')
    // Immediately, as nobody needs its data; one that is paused goes on first.
    signalAll(ending.pid, 'SIGCONT')
    ending.kill('SIGQUIT')
    await gone
  }

  await start()
  return {
    port,
    folder,
    get pid() {
      return server?.pid ?? 0
    },
    sql,
    log: () => log,
    async useCertificate(certificate) {
      copyTls(certificate, folder, ids)
      const before = log.length
      await sql('SELECT pg_reload_conf()')
      await waitFor('the reload', () => log.includes('reloading configuration files', before))
    },
    pause: () => signalAll(server?.pid, 'SIGSTOP'),
    resume: () => signalAll(server?.pid, 'SIGCONT'),
    shutDown,
    start,
    async stop() {
      await shutDown()
      process.removeListener('exit', kill)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Its own user, as PostgreSQL refuses to run as root. */
function findUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

function copyTls({ cert, key }: Certificate, folder: string, ids: ReturnType<typeof findUser>): void {
  for (const [from, name] of [
    [cert, 'server.pem'],
    [key, 'server.key'],
  ] as const) {
    const to = join(folder, name)
    copyFileSync(from, to)
    chmodSync(to, 0o600)
    if (ids) chownSync(to, ids.uid, ids.gid)
  }
}

/** The server and the processes that it started: each client has one. */
function signalAll(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  process.kill(pid, signal)
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
  for (const child of children) {
    try {
      process.kill(Number(child), signal)
    } catch {
      // It has ended meanwhile.
    }
  }
}
