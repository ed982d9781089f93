/**
 * mysql_probe: logs in to MySQL, MariaDB or a node of Galera, asks SELECT 1, how the server stands and, if wanted, a
 * statement of your own. The user needs no rights but to log in; lag_seconds and replica_running take REPLICATION CLIENT
 * (MySQL) or SLAVE MONITOR (MariaDB).
 *
 *   mysql:
 *     module: mysql_probe
 *     period: 3
 *     query:
 *       host: db1.example.org
 *       port: 3306
 *       # path: /run/mysqld/mysqld.sock   # instead of host: the Unix socket
 *       user: deadpool
 *       # password: {file: password}
 *       database: information_schema
 *       tls: false                 # true, or a mapping such as {ca_file: ca.pem}
 *       timeout: 5                 # seconds for the whole check
 *       sql: SELECT count(*) AS running FROM processlist WHERE command = 'Query'
 *       keep_connection: false     # true asks over one connection again and again
 *     success_criteria:            # default: ready is true
 *       ready: { type: equals, query: true }
 *       read_only: { type: equals, query: false }
 *       connections_percent: { type: lt, query: 95 }
 */
import type { Socket } from 'node:net'
import {
  Dead,
  defineProbe,
  dial,
  explainNetworkError,
  msSince,
  seconds,
  secret,
  startTls,
  tlsSettings,
  Unknown,
  z,
} from 'deadpool'
import mysql from 'mysql2'

const MIB = 1024 * 1024
const MAX_ROWS = 1000
/** Of the rows of one statement. */
const MAX_ROW_BYTES = MIB
/** Of all that a server sends within a check. */
const MAX_CHECK_BYTES = 8 * MIB

const querySchema = z
  .strictObject({
    host: z.string().min(1).optional().describe('name or address of the server'),
    port: z.int().min(1).max(65535).default(3306).describe('its port'),
    path: z.string().min(1).optional().describe('Unix socket, instead of host'),
    user: z.string().min(1).describe('who logs in'),
    password: secret().optional().describe('the password, where the server asks for one'),
    database: z.string().min(1).optional().describe('where to log in; none without it'),
    tls: tlsSettings().optional().describe('TLS: true, or a mapping of its settings'),
    timeout: seconds().default(5).describe('time for the whole check, s'),
    sql: z.string().min(1).optional().describe('a statement to run as well'),
    keep_connection: z.boolean().default(false).describe('ask over the same connection again, as long as it stands'),
  })
  .superRefine(({ host, path, tls }, context) => {
    const complain = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message })
    if (host === undefined && path === undefined) complain('host', 'is missing; write host, or path for a Unix socket')
    if (host !== undefined && path !== undefined) complain('path', 'is given beside host; keep one of them')
    if (path !== undefined && tls) complain('tls', 'cannot be used over a Unix socket; take it out')
  })

type Query = z.output<typeof querySchema>

export const Probe = defineProbe({
  summary:
    'Logs in to MySQL, MariaDB or Galera and asks how it stands: role, lag, connections, a statement of your own.',
  query: querySchema,
  facts: {
    connected: { about: 'true when the login and SELECT 1 succeeded', type: 'boolean' },
    ready: { about: 'true when connected and, on a node of Galera, galera_ready too', type: 'boolean' },
    read_only: { about: 'true when ordinary users cannot write', type: 'boolean' },
    lag_seconds: {
      about: 'on a replica: how far it is behind; missing while it does not replay',
      type: 'number',
      unit: 's',
    },
    replica_running: { about: 'on a replica: whether it both receives and replays', type: 'boolean' },
    galera_ready: { about: 'on a node of Galera: whether it takes statements', type: 'boolean' },
    galera_primary: { about: 'on a node of Galera: whether its part of the cluster has the majority', type: 'boolean' },
    galera_size: { about: 'on a node of Galera: number of nodes in its part of the cluster', type: 'number' },
    galera_state: { about: 'on a node of Galera: its state, such as Synced', type: 'text' },
    connections_percent: { about: 'of the connections that may be open', type: 'number', unit: 'percent' },
    rows: { about: `what sql gave, a record for each row; at most ${MAX_ROWS} rows and 1 MiB`, type: 'list' },
    row_count: { about: 'number of rows that sql gave (those in rows) or changed', type: 'number' },
    rows_truncated: { about: 'true when sql gave more than is in rows', type: 'boolean' },
    version: { about: 'version of the server, such as 10.11.19-MariaDB', type: 'text' },
    time_ms: { about: 'whole check', type: 'number', unit: 'ms' },
  },
  criteria: { ready: { type: 'equals', query: true } },
  async probe(query, { signal, keep }) {
    const startedAt = performance.now()
    let session: Session | undefined
    const abort = () => session?.socket.destroy()
    signal.addEventListener('abort', abort)
    try {
      session = wake(keep.take()) ?? (await connect(query, signal))
      session.bytesBefore = session.socket.bytesRead
      const facts = await untilBroken(session, ask(session, query, startedAt))
      signal.throwIfAborted()
      if (query.keep_connection && !session.socket.destroyed) keep.leave(rest(session), close)
      else close(session)
      return { ...facts, time_ms: msSince(startedAt) }
    } catch (error) {
      session?.socket.destroy()
      throw signal.aborted ? signal.reason : explain(error)
    } finally {
      signal.removeEventListener('abort', abort)
    }
  },
})

/** A connection that has logged in. */
interface Session {
  connection: mysql.Connection
  /** The one over TLS, once that has begun. */
  socket: Socket
  /** What had been read when the check began. */
  bytesBefore: number
  isMariadb: boolean
  version: string
}

/** What the driver has, and its types do not tell. */
interface Inside {
  stream: Socket
  packetParser: { execute(chunk: Buffer): void }
  startTLS(onSecure: (error?: Error) => void): void
}

async function connect(query: Query, signal: AbortSignal): Promise<Session> {
  const { host, port, path, user, password, database, tls } = query
  const secretText = await password?.read(signal)
  const socket = await dial(path === undefined ? { host, port, signal } : { path, signal })
  if (socket.destroyed) throw new Dead(CLOSED)
  const connection = mysql.createConnection({
    stream: () => socket,
    // Tells the driver that it may send a password in clear text, as over TLS; what it connects is the stream.
    ...(path !== undefined && { socketPath: path }),
    ...(tls && { ssl: {}, enableCleartextPlugin: true }),
    user,
    ...(secretText !== undefined && { password: secretText }),
    ...(database !== undefined && { database }),
    connectTimeout: 0,
    connectAttributes: { program_name: 'deadpool' },
    // A server could ask for any file of this host.
    flags: ['-LOCAL_FILES'],
    disableEval: true,
    supportBigNumbers: true,
    dateStrings: true,
  })
  const session: Session = { connection, socket, bytesBefore: socket.bytesRead, isMariadb: false, version: '' }
  // What a statement or the login fails with, they say themselves; between the checks it does not matter.
  connection.on('error', () => {})
  // The driver would write it to the standard error and go on.
  connection.on('warn', () => {
    throw new Dead(NOT_MYSQL)
  })
  guard(session)
  if (tls) replaceTls(session, (raw) => startTls(raw, { host: host ?? '', tls, signal }))
  try {
    const hello = await untilBroken(session, logIn(connection))
    signal.throwIfAborted()
    // MariaDB hides behind a version that the oldest clients know.
    session.version = hello.serverVersion.replace(/^5\.5\.5-/, '')
    session.isMariadb = /mariadb/i.test(session.version)
    return session
  } catch (error) {
    session.socket.destroy()
    throw error
  }
}

const CLOSED = 'closed the connection'
const NOT_MYSQL = 'sent something that is not the protocol of MySQL'

function logIn(connection: mysql.Connection): Promise<{ serverVersion: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ serverVersion: string }>()
  const onConnect = (error: Error | null, hello?: unknown) =>
    error ? reject(error) : resolve(hello as { serverVersion: string })
  connection.connect(onConnect as Parameters<typeof connection.connect>[0])
  return promise
}

/** The driver's own TLS resumes sessions, which looks at no certificate, and knows no other name than the host. */
function replaceTls(session: Session, secure: (raw: Socket) => Promise<Socket>): void {
  const inside = session.connection as unknown as Inside
  inside.startTLS = (onSecure) => {
    const raw = session.socket
    raw.removeAllListeners('data')
    secure(raw).then(
      (secured) => {
        session.socket = secured
        session.bytesBefore = secured.bytesRead
        inside.stream = secured
        secured.on('error', (error) => session.connection.emit('error', error))
        guard(session, true)
        onSecure()
      },
      // It gets a code, which the reason of an abort does not take.
      (error) => onSecure(error instanceof Dead || error instanceof Unknown ? error : new Dead(CLOSED)),
    )
  }
}

const HEADER_BYTES = 4
const MAX_HELLO_BYTES = 64 * 1024

/** Stands between the socket and the driver, which would take an answer of any size and wait for the rest of any greeting. */
function guard(session: Session, isGreeted = false): void {
  const { socket } = session
  const { packetParser } = session.connection as unknown as Inside
  let start = isGreeted ? undefined : Buffer.alloc(0)
  socket.removeAllListeners('data')
  socket.on('data', (chunk: Buffer) => {
    try {
      if (socket.bytesRead - session.bytesBefore > MAX_CHECK_BYTES) throw new Dead('sent more than 8 MiB')
      if (start) start = checkStart(Buffer.concat([start, chunk.subarray(0, HEADER_BYTES)]))
      packetParser.execute(chunk)
    } catch (error) {
      socket.destroy(error instanceof Dead ? error : new Dead(NOT_MYSQL, { cause: error }))
    }
  })
}

/** A packet begins with three bytes for its length and one for its number; nothing comes back once the first was looked at. */
function checkStart(start: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> | undefined {
  if (start.length < HEADER_BYTES) return start
  if (start.readUIntLE(0, 3) > MAX_HELLO_BYTES || start[3] !== 0) throw new Dead(NOT_MYSQL)
  return undefined
}

/** What comes of `work`, or the fault of the connection under it: not all of these reach the one who asked. */
async function untilBroken<T>({ connection, socket }: Session, work: Promise<T>): Promise<T> {
  const { promise: broken, reject } = Promise.withResolvers<never>()
  const onClose = () => reject(new Dead(CLOSED))
  connection.on('error', reject)
  socket.on('error', reject).on('close', onClose)
  try {
    return await Promise.race([work, broken])
  } finally {
    connection.removeListener('error', reject)
    socket.off('error', reject).off('close', onClose)
  }
}

async function ask(session: Session, query: Query, startedAt: number) {
  const standing = await askStanding(session)
  const replica = await askReplica(session)
  await askAll(session, 'SELECT 1')
  const remainingMs = query.timeout * 1000 - (performance.now() - startedAt)
  const rows = query.sql === undefined ? {} : await askRows(session, query.sql, remainingMs)
  const ready = standing.galera_ready ?? true
  return { connected: true, ready, version: session.version, ...standing, ...replica, ...rows }
}

type Row = Record<string, unknown>

function askAll({ connection }: Session, sql: string): Promise<Row[]> {
  const { promise, resolve, reject } = Promise.withResolvers<Row[]>()
  connection.query(sql, (error, rows) => (error ? reject(error) : resolve(rows as Row[])))
  return promise
}

/** Nothing where the server does not know it or does not tell this user. */
async function askIfAllowed(session: Session, sql: string): Promise<Row[]> {
  return askAll(session, sql).catch((error) => {
    if (isReport(error)) return []
    throw error
  })
}

const VARIABLES = ['read_only', 'super_read_only', 'innodb_read_only', 'max_connections', 'wsrep_provider']
const STATUS = [
  'Threads_connected',
  'wsrep_ready',
  'wsrep_cluster_size',
  'wsrep_cluster_status',
  'wsrep_local_state_comment',
]
/** These statements name only what the server has, where @@super_read_only would be a mistake to MariaDB. */
const SHOW = [`SHOW GLOBAL VARIABLES WHERE ${among(VARIABLES)}`, `SHOW GLOBAL STATUS WHERE ${among(STATUS)}`]

function among(names: string[]): string {
  return `Variable_name IN (${names.map((name) => `'${name}'`).join(', ')})`
}

async function askStanding(session: Session) {
  const found = new Map<string, string>()
  for (const statement of SHOW) {
    const rows = await askIfAllowed(session, statement)
    for (const { Variable_name, Value } of rows) found.set(String(Variable_name).toLowerCase(), String(Value))
  }
  const number = (name: string) => (found.has(name) ? Number(found.get(name)) : undefined)
  const isOn = (name: string) => (found.has(name) ? !/^(?:OFF|0)$/i.test(found.get(name) ?? '') : undefined)
  const [open, max] = [number('threads_connected'), number('max_connections')]
  const readOnly = ['read_only', 'super_read_only', 'innodb_read_only'].map(isOn).filter((is) => is !== undefined)
  const isGalera = found.has('wsrep_ready') && !/^(?:none|)$/.test(found.get('wsrep_provider') ?? '')
  return {
    read_only: readOnly.length === 0 ? undefined : readOnly.includes(true),
    connections_percent: open === undefined || !max ? undefined : Math.round((open / max) * 1000) / 10,
    ...(isGalera && {
      galera_ready: isOn('wsrep_ready'),
      galera_primary: found.get('wsrep_cluster_status') === 'Primary',
      galera_size: number('wsrep_cluster_size'),
      galera_state: found.get('wsrep_local_state_comment'),
    }),
  }
}

/** A row for each source that the server follows; the worst counts. */
async function askReplica(session: Session) {
  const rows = await askIfAllowed(session, findReplicaStatement(session))
  if (rows.length === 0) return {}
  const lags = rows.map((row) => row.Seconds_Behind_Source ?? row.Seconds_Behind_Master)
  const isRunning = (row: Row) =>
    (row.Replica_IO_Running ?? row.Slave_IO_Running) === 'Yes' &&
    (row.Replica_SQL_Running ?? row.Slave_SQL_Running) === 'Yes'
  return {
    lag_seconds: lags.some((lag) => lag == null) ? undefined : Math.max(...lags.map(Number)),
    replica_running: rows.every(isRunning),
  }
}

/** MySQL has the new word since 8.0.22 and the old one until 8.4; MariaDB tells of all its sources by this one only. */
function findReplicaStatement({ isMariadb, version }: Session): string {
  if (isMariadb) return 'SHOW ALL SLAVES STATUS'
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  const isNew = major > 8 || (major === 8 && (minor > 0 || patch >= 22))
  return isNew ? 'SHOW REPLICA STATUS' : 'SHOW SLAVE STATUS'
}

/** What a statement of the configuration gave. */
interface Rows {
  rows: Row[]
  row_count: number
  rows_truncated: boolean
}

async function askRows(session: Session, sql: string, remainingMs: number): Promise<Rows> {
  await askIfAllowed(session, limitStatement(session, remainingMs))
  return readRows(session, sql)
}

/** The server itself ends a statement a little before the check ends, so that none goes on for nobody, and stops at one row too many. */
function limitStatement({ isMariadb }: Session, remainingMs: number): string {
  const limitMs = Math.max(1, Math.floor(remainingMs - Math.min(250, remainingMs / 10)))
  const waitSeconds = Math.max(1, Math.floor(limitMs / 1000))
  const limit = isMariadb ? `max_statement_time = ${limitMs / 1000}` : `max_execution_time = ${limitMs}`
  return `SET SESSION sql_select_limit = ${MAX_ROWS + 1}, lock_wait_timeout = ${waitSeconds}, innodb_lock_wait_timeout = ${waitSeconds}, ${limit}`
}

interface Field {
  name: string
  columnType: number
}

function readRows({ connection, socket }: Session, sql: string): Promise<Rows> {
  const { promise, resolve, reject } = Promise.withResolvers<Rows>()
  const rows: Row[] = []
  const bytesBefore = socket.bytesRead
  let fields: Field[] | undefined
  let changed: number | undefined
  let isTruncated = false
  const finish = () => resolve({ rows, row_count: changed ?? rows.length, rows_truncated: isTruncated })
  const statement = connection.query(sql)
  statement.on('fields', (found: unknown) => {
    fields = found as Field[] | undefined
  })
  statement.on('result', (row: unknown, resultIndex?: number) => {
    // A statement without rows has a header as its result; a procedure has further results, which are not taken.
    if (!fields) changed ??= rows.length > 0 ? undefined : (row as mysql.ResultSetHeader).affectedRows
    if (!fields || resultIndex) return
    const isOfTooManyBytes = socket.bytesRead - bytesBefore > MAX_ROW_BYTES
    const isFlood = isTruncated || isOfTooManyBytes
    isTruncated ||= isOfTooManyBytes || rows.length === MAX_ROWS
    if (!isTruncated) rows.push(toPlain(row as Row, fields))
    if (!isFlood) return
    finish()
    socket.destroy()
  })
  statement.on('error', reject)
  statement.on('end', finish)
  return promise
}

const DECIMALS = [0, 246]
const MAX_EXACT_DIGITS = 15

/** Numbers become numbers as far as they keep their value, bytes become hexadecimal text; dates are text already. */
function toPlain(row: Row, fields: Field[]): Row {
  for (const { name, columnType } of fields) {
    const value = row[name]
    if (Buffer.isBuffer(value)) row[name] = value.toString('hex')
    const isDecimal = DECIMALS.includes(columnType) && typeof value === 'string'
    if (isDecimal && value.replace(/\D/g, '').length <= MAX_EXACT_DIGITS) row[name] = Number(value)
  }
  return row
}

/** A connection between two checks keeps nothing running. */
function rest(session: Session): Session {
  session.socket.unref()
  return session
}

function wake(session: Session | undefined): Session | undefined {
  if (!session?.socket.readable || !session.socket.writable) return undefined
  session.socket.ref()
  return session
}

/** Says goodbye, as the server would count it among the aborted otherwise, and does not wait for it to close as well. */
function close({ connection, socket }: Session): void {
  if (socket.destroyed) return
  connection.end(() => {})
  socket.destroySoon()
}

const MAX_REASON = 500

interface Fault extends Error {
  code?: string
  fatal?: boolean
  sqlMessage?: string
}

/** Whether the server said it. */
function isReport(error: unknown): boolean {
  return (error as Fault).sqlMessage !== undefined
}

/** The server's own words where it said any. */
function explain(error: unknown): unknown {
  const { code = '', message, fatal, sqlMessage } = error as Fault
  if (error instanceof Dead || error instanceof Unknown) return error
  if (sqlMessage !== undefined) return new Dead(sqlMessage.slice(0, MAX_REASON), { cause: error })
  const explained = explainNetworkError(error)
  if (explained instanceof Dead) return explained
  const reason = explainFault(code, message) ?? (fatal ? NOT_MYSQL : undefined)
  return reason === undefined ? error : new Dead(reason, { cause: error })
}

function explainFault(code: string, message: string): string | undefined {
  if (code === 'PROTOCOL_CONNECTION_LOST') return CLOSED
  if (code === 'HANDSHAKE_NO_SSL_SUPPORT') return 'the server does not offer TLS'
  if (code === 'MYSQL_CLEAR_PASSWORD_NOT_ENABLED') {
    return 'the server asks for the password in clear text, which it gets over TLS only'
  }
  const plugin = /unknown plugin (\S+?)\./.exec(message)?.[1]
  return plugin && `the server asks for authentication by ${plugin}, which is not supported`
}
