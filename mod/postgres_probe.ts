/**
 * postgres_probe: logs in to PostgreSQL, asks SELECT 1, how the server stands in its replication and, if wanted, a
 * statement of your own. The user needs no rights but to log in; pg_monitor tells wal_receiver and replicas exactly.
 *
 *   postgres:
 *     module: postgres_probe
 *     period: 3
 *     query:
 *       host: db1.example.org
 *       port: 5432
 *       # path: /run/postgresql    # instead of host: the folder of the Unix socket
 *       user: deadpool
 *       # password: {file: password}
 *       database: postgres
 *       tls: false                 # true, or a mapping such as {ca_file: ca.pem}
 *       timeout: 5                 # seconds for the whole check
 *       sql: SELECT count(*) AS waiting FROM pg_locks WHERE NOT granted   # runs in a transaction of its own
 *       keep_connection: false     # true asks over one connection again and again
 *     success_criteria:            # default: connected is true
 *       read_only: { type: equals, query: false }
 *       lag_seconds: { type: lt, query: 30 }
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
  z,
} from 'deadpool'
import pg from 'pg'

const MIB = 1024 * 1024
const MAX_ROWS = 1000
/** Of the rows of one statement, and of one message. */
const MAX_ROW_BYTES = MIB
/** Of all that a server sends within a check: its notices come on top of the rows. */
const MAX_CHECK_BYTES = 8 * MIB

const querySchema = z
  .strictObject({
    host: z.string().min(1).optional().describe('name or address of the server'),
    port: z.int().min(1).max(65535).default(5432).describe('its port, also part of the name of a Unix socket'),
    path: z.string().min(1).optional().describe('folder of the Unix socket, instead of host'),
    user: z.string().min(1).describe('who logs in'),
    password: secret().optional().describe('the password, where the server asks for one'),
    database: z.string().min(1).default('postgres').describe('where to log in'),
    tls: tlsSettings().optional().describe('TLS: true, or a mapping of its settings'),
    timeout: seconds().default(5).describe('time for the whole check, s'),
    sql: z.string().min(1).optional().describe('a statement to run as well, in a transaction that is committed'),
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
  summary: 'Logs in to PostgreSQL and asks how it stands: its role, lag, connections, and a statement of your own.',
  query: querySchema,
  facts: {
    connected: { about: 'true when the login and SELECT 1 succeeded', type: 'boolean' },
    in_recovery: { about: 'true on a replica', type: 'boolean' },
    read_only: { about: 'true when transactions cannot write', type: 'boolean' },
    lag_seconds: {
      about: 'how far the data is behind; 0 on a primary and on a replica that has it all',
      type: 'number',
      unit: 's',
    },
    lag_bytes: {
      about: 'received from the primary and not replayed yet; 0 on a primary',
      type: 'number',
      unit: 'bytes',
    },
    wal_receiver: { about: 'on a replica: whether it streams from its primary', type: 'boolean' },
    replicas: { about: 'number of servers that stream from this one', type: 'number' },
    connections_percent: { about: 'of the connections that ordinary users may open', type: 'number', unit: 'percent' },
    rows: { about: `what sql gave, a record for each row; at most ${MAX_ROWS} rows and 1 MiB`, type: 'list' },
    row_count: { about: 'number of rows that sql gave (those in rows) or changed', type: 'number' },
    rows_truncated: { about: 'true when sql gave more than is in rows', type: 'boolean' },
    version: { about: 'version of the server, such as 15.18', type: 'text' },
    time_ms: { about: 'whole check', type: 'number', unit: 'ms' },
  },
  criteria: { connected: { type: 'equals', query: true } },
  async probe(query, { signal, keep }) {
    const check: Check = { query, signal, startedAt: performance.now() }
    const left: Left = keep.take() ?? {}
    let session: Session | undefined
    const abort = () => session?.socket.destroy()
    signal.addEventListener('abort', abort)
    try {
      session = wake(left.session) ?? (await connect(query, signal))
      session.bytesBefore = session.socket.bytesRead
      const standing = await askStanding(session, check)
      const rows = query.sql === undefined ? {} : await askRows(session, query.sql, check)
      signal.throwIfAborted()
      const facts = {
        ...toFacts(standing, left),
        ...rows,
        time_ms: msSince(check.startedAt),
      }
      if (!query.keep_connection) close(session)
      keep.leave({ ...left, session: query.keep_connection ? rest(session) : undefined }, closeLeft)
      return facts
    } catch (error) {
      session?.socket.destroy()
      keep.leave({ ...left, session: undefined }, closeLeft)
      throw signal.aborted ? signal.reason : explain(error)
    } finally {
      signal.removeEventListener('abort', abort)
    }
  },
})

/** A connection that has logged in. */
interface Session {
  client: pg.Client
  socket: Socket
  /** What had been read when the check began. */
  bytesBefore: number
  /** What the server said when it gave up waiting for its synchronous replicas. */
  unsynced?: string | undefined
}

/** What a check leaves for the next. */
interface Left {
  session?: Session | undefined
  /** When the replica had last replayed all that its primary had, on the clock of `performance.now()`. */
  inStepAt?: number | undefined
}

async function connect(query: Query, signal: AbortSignal): Promise<Session> {
  const socket = await open(query, signal)
  try {
    signal.throwIfAborted()
    if (socket.destroyed) throw new Dead(CLOSED)
    return await logIn(socket, query, signal)
  } catch (error) {
    socket.destroy()
    throw error
  }
}

const CLOSED = 'closed the connection'

async function logIn(socket: Socket, query: Query, signal: AbortSignal): Promise<Session> {
  const { user, database, password } = query
  const client = new pg.Client({
    stream: () => asUnconnected(socket),
    ssl: false,
    sslnegotiation: 'postgres',
    user,
    database,
    // A function, or the driver would look for a password in the environment and in files of its own.
    password: async () => {
      if (!password) throw new Dead('the server asks for a password, and none is configured')
      return password.read(signal)
    },
    application_name: 'deadpool',
    types: { getTypeParser: findParser },
  })
  // The driver takes these from the environment, where they stand for other programs.
  const { connectionParameters } = client as unknown as { connectionParameters: object }
  Object.assign(connectionParameters, { options: undefined, replication: undefined })
  const session: Session = { client, socket, bytesBefore: socket.bytesRead }
  // What a query or the login fails with, they say themselves; between the checks it does not matter.
  client.on('error', () => {})
  client.on('notice', ({ routine, message }) => {
    if (routine === 'SyncRepWaitForLSN') session.unsynced = message
  })
  const connecting = client.connect()
  guard(session)
  await connecting
  return session
}

/** Code 80877103 instead of a version asks for TLS; the server answers with one byte, S or N. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

async function open({ host, port, path, tls }: Query, signal: AbortSignal): Promise<Socket> {
  if (path !== undefined) return dial({ path: `${path}/.s.PGSQL.${port}`, signal })
  const socket = await dial({ host, port, signal })
  if (!tls) return socket
  socket.write(SSL_REQUEST)
  const answer = await readOnce(socket).catch((error) => {
    socket.destroy()
    throw error
  })
  // More than the one byte was put in by somebody who wants it to be taken for what comes over TLS (CVE-2021-23222).
  if (answer.toString('latin1') === 'S') return startTls(socket, { host: host ?? '', tls, signal })
  socket.destroy()
  throw new Dead(answer.toString('latin1') === 'N' ? 'the server does not offer TLS' : NOT_POSTGRES)
}

const NOT_POSTGRES = 'sent something that is not the protocol of PostgreSQL'

async function readOnce(socket: Socket): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const onClose = () => reject(new Dead(CLOSED))
  socket.once('data', resolve).once('error', reject).once('close', onClose)
  try {
    return await promise
  } finally {
    socket.off('data', resolve).off('error', reject).off('close', onClose)
  }
}

/** The driver connects the stream that it is given; this one is connected already. */
function asUnconnected(socket: Socket): Socket {
  const connect = () => {
    process.nextTick(() => socket.emit('connect'))
    return socket
  }
  return Object.assign(socket, { connect })
}

/**
 * Stands between the socket and the driver, which would take an answer of any size, never ends with a report that has no
 * end, and throws out of the socket's event, past everybody, when it cannot read an answer.
 */
function guard(session: Session): void {
  const { socket } = session
  const [feed] = socket.listeners('data')
  if (!feed) return
  const checkFrames = createFrameCheck()
  socket.removeListener('data', feed as () => void)
  socket.on('data', (chunk: Buffer) => {
    try {
      if (socket.bytesRead - session.bytesBefore > MAX_CHECK_BYTES) throw new Dead('sent more than 8 MiB')
      checkFrames(chunk)
      feed(chunk)
    } catch (error) {
      socket.destroy(explainUnreadable(error as Error))
    }
  })
}

function explainUnreadable(error: Error): Dead {
  if (error instanceof Dead) return error
  // GSSAPI (7) and SSPI (9) are what the driver does not know.
  const [, kind] = /^Unknown authenticationOk message type (\d+)/.exec(error.message) ?? []
  const reason = kind && `the server asks for an authentication that is not supported (type ${kind})`
  return new Dead(reason ?? NOT_POSTGRES, { cause: error })
}

const HEADER_BYTES = 5
const [ERROR, NOTICE, DATA_ROW] = [0x45, 0x4e, 0x44]

/** A message is a byte for its type, four for its length (without the type), and the rest. */
function createFrameCheck(): (chunk: Buffer) => void {
  const header = Buffer.alloc(HEADER_BYTES)
  let headerBytes = 0
  let bodyBytes = 0
  let lastTwo = -1

  function startBody(): void {
    const [type] = header
    bodyBytes = header.readUInt32BE(1) - 4
    lastTwo = -1
    if (bodyBytes > MAX_ROW_BYTES && type === DATA_ROW) throw new Dead('sent a row of more than 1 MiB')
    if (bodyBytes < 0 || bodyBytes > MAX_ROW_BYTES) throw new Dead(NOT_POSTGRES)
  }

  return (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      if (headerBytes < HEADER_BYTES) {
        header[headerBytes++] = chunk[at++] as number
        if (headerBytes < HEADER_BYTES) continue
        startBody()
      }
      const end = Math.min(chunk.length, at + bodyBytes)
      if (end - at > 1) lastTwo = chunk.readUInt16BE(end - 2)
      else if (end - at === 1) lastTwo = ((lastTwo & 0xff) << 8) | (chunk[end - 1] as number)
      bodyBytes -= end - at
      at = end
      if (bodyBytes > 0) continue
      headerBytes = 0
      // A report is a list of texts that end with a zero, and a zero at its own end.
      if (lastTwo !== 0 && (header[0] === ERROR || header[0] === NOTICE)) throw new Dead(NOT_POSTGRES)
    }
  }
}

/** One check under way. */
interface Check {
  query: Query
  signal: AbortSignal
  startedAt: number
}

function remaining({ query, startedAt }: Check): number {
  return query.timeout * 1000 - (performance.now() - startedAt)
}

function findLimit(remainingMs: number): number {
  return Math.max(1, Math.floor(remainingMs - Math.min(250, remainingMs / 10)))
}

/**
 * The server itself ends a statement a little before the check ends, so that none goes on for nobody. Only for this
 * transaction: behind a pooler such as PgBouncer the session belongs to others next, and there it cannot be a parameter of
 * the login.
 */
function limitTime(remainingMs: number): string {
  return `SET LOCAL statement_timeout = ${findLimit(remainingMs)}`
}

/** What the server says of itself; what it does not know or does not tell this user is null or missing. */
interface Standing {
  in_recovery?: boolean
  read_only?: boolean
  version?: string
  unreplayed?: number | null
  since_replay?: number | null
  receiving?: boolean
  replicas?: number
  connections?: number
  max_connections?: number
}

/**
 * Each gives one row, from the functions under the views, which cost a new connection half the time. The first must
 * succeed; a server that does not know one of the others tells the rest all the same.
 */
const QUESTIONS = [
  'SELECT 1 AS one',
  `SELECT pg_is_in_recovery() AS in_recovery, current_setting('transaction_read_only') = 'on' AS read_only,
    split_part(current_setting('server_version'), ' ', 1) AS version`,
  // Without the right to see more, a row says that the receiver is connected.
  `SELECT coalesce(status = 'streaming', pid IS NOT NULL) AS receiving,
    pg_wal_lsn_diff(greatest(pg_last_wal_receive_lsn(), latest_end_lsn), pg_last_wal_replay_lsn())::float8 AS unreplayed,
    extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS since_replay
    FROM pg_stat_get_wal_receiver()`,
  `SELECT count(*)::int AS replicas FROM pg_stat_get_wal_senders() WHERE coalesce(state, 'streaming') = 'streaming'`,
  `SELECT count(*)::int AS connections, current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true), '0')::int AS max_connections
    FROM pg_stat_get_activity(NULL) WHERE coalesce(backend_type = 'client backend', datid IS NOT NULL)`,
]
const ALL_QUESTIONS = `SELECT * FROM ${QUESTIONS.map((question, i) => `(${question}) AS question${i}`).join(', ')}`

async function askStanding(session: Session, check: Check): Promise<Standing> {
  const ask = (question: string) => askOnce(session, question, remaining(check))
  const [first = '', ...others] = QUESTIONS
  try {
    return await ask(ALL_QUESTIONS)
  } catch (error) {
    if (!isRefused(error)) throw error
  }
  let standing = await ask(first)
  for (const question of others) {
    const answer = await ask(question).catch((error) => {
      if (!isRefused(error)) throw error
    })
    standing = { ...standing, ...answer }
  }
  return standing
}

/** Both statements go in one message, which makes them one transaction. */
async function askOnce({ client }: Session, question: string, remainingMs: number): Promise<Standing> {
  const results: unknown = await client.query(`${limitTime(remainingMs)}; ${question}`)
  const [row] = (results as pg.QueryResult<Standing>[])[1]?.rows ?? []
  if (!row) throw new Dead(`gave no row for ${QUESTIONS[0]}`)
  return row
}

/** Not allowed, not known to this server, or not supported by it. */
function isRefused(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^(?:42|0A)/.test(error.code ?? '')
}

function toFacts(standing: Standing, left: Left) {
  const { in_recovery, read_only, version, unreplayed, receiving, replicas, connections, max_connections } = standing
  const usage = connections === undefined || !max_connections ? undefined : (connections / max_connections) * 100
  return {
    connected: true,
    in_recovery,
    read_only,
    version,
    replicas,
    wal_receiver: in_recovery ? receiving : undefined,
    lag_seconds: findLag(standing, left),
    lag_bytes: in_recovery === false ? 0 : unreplayed == null ? undefined : Math.max(0, unreplayed),
    connections_percent: usage === undefined ? undefined : Math.round(usage * 10) / 10,
  }
}

/**
 * How old the data may be. The time since the last replayed transaction is no answer by itself: it grows while the primary
 * has nothing to do. So a replica that streams and has replayed everything is in step; and one that is not can be behind
 * by no more than the time since it was.
 */
function findLag({ in_recovery, receiving, unreplayed, since_replay }: Standing, left: Left): number | undefined {
  const now = performance.now()
  if (in_recovery === false) left.inStepAt = undefined
  if (in_recovery === false) return 0
  if (receiving && unreplayed != null && unreplayed <= 0) {
    left.inStepAt = now
    return 0
  }
  const bounds = [since_replay, left.inStepAt === undefined ? undefined : (now - left.inStepAt) / 1000]
  const known = bounds.filter((bound) => bound != null)
  return known.length === 0 ? undefined : Math.round(Math.max(0, Math.min(...known)) * 1000) / 1000
}

/** What a statement of the configuration gave. */
interface Rows {
  rows: Record<string, unknown>[]
  row_count: number
  rows_truncated: boolean
}

async function askRows(session: Session, sql: string, check: Check): Promise<Rows> {
  await session.client.query(`BEGIN; ${limitTime(remaining(check))}`)
  const rows = await readRows(session, sql)
  if (!session.socket.destroyed) await commit(session, check)
  return rows
}

/**
 * A commit that waits for a synchronous replica is under no timeout of the server, not even when its client is gone: each
 * check would leave a connection behind. So it is cancelled; the server then says yes, with a notice that nobody has it.
 */
async function commit(session: Session, check: Check): Promise<void> {
  session.unsynced = undefined
  const timer = setTimeout(() => void cancel(session, check), findLimit(remaining(check)))
  try {
    await session.client.query('COMMIT')
  } finally {
    clearTimeout(timer)
  }
  if (session.unsynced !== undefined) throw new Dead(session.unsynced)
}

const CANCEL_REQUEST = 80877102

async function cancel({ client }: Session, { query, signal }: Check): Promise<void> {
  const { processID, secretKey } = client as unknown as Record<string, number>
  const request = Buffer.alloc(16)
  request.writeInt32BE(request.length)
  request.writeInt32BE(CANCEL_REQUEST, 4)
  request.writeInt32BE(processID ?? 0, 8)
  request.writeInt32BE(secretKey ?? 0, 12)
  try {
    const socket = await open(query, signal)
    socket.write(request)
    socket.destroySoon()
  } catch {
    // The check ends by its deadline then.
  }
}

/** The server is asked for one row more than is taken and stops there; too many bytes are stopped by closing. */
function readRows({ client, socket }: Session, sql: string): Promise<Rows> {
  const { promise, resolve, reject } = Promise.withResolvers<Rows>()
  const rows: Rows['rows'] = []
  const bytesBefore = socket.bytesRead
  const finish = (row_count: number, rows_truncated: boolean) => resolve({ rows, row_count, rows_truncated })
  let isTruncated = false
  const statement = new pg.Query({ text: sql, rows: MAX_ROWS + 1 } as pg.QueryConfig)
  // The driver would go on and ask for the rest.
  Object.assign(statement, { handlePortalSuspended: (connection: { sync(): void }) => connection.sync() })
  statement.on('row', (row: Rows['rows'][number]) => {
    const isOfTooManyBytes = socket.bytesRead - bytesBefore > MAX_ROW_BYTES
    isTruncated ||= isOfTooManyBytes || rows.length === MAX_ROWS
    if (!isTruncated) rows.push(row)
    if (!isOfTooManyBytes) return
    finish(rows.length, true)
    socket.destroy()
  })
  statement.on('error', reject)
  statement.on('end', ({ rowCount }) => finish(isTruncated ? rows.length : (rowCount ?? rows.length), isTruncated))
  client.query(statement)
  return promise
}

const [BOOL, INT8, INT2, INT4, JSON_TEXT, FLOAT4, FLOAT8, NUMERIC, JSONB] = [16, 20, 21, 23, 114, 700, 701, 1700, 3802]
const PARSERS = new Map<number, (text: string) => unknown>([
  [BOOL, (text) => text === 't'],
  ...[INT2, INT4, FLOAT4, FLOAT8].map((type) => [type, toNumber] as const),
  ...[INT8, NUMERIC].map((type) => [type, toExactNumber] as const),
  ...[JSON_TEXT, JSONB].map((type) => [type, parseJson] as const),
])

/** Numbers become numbers as far as they keep their value; dates, bytes and all else stay as the server writes them. */
function findParser(type: number) {
  return PARSERS.get(type) ?? String
}

const MAX_EXACT_DIGITS = 15

/** Infinity and NaN stay texts, as JSON has no numbers for them. */
function toNumber(text: string): unknown {
  return Number.isFinite(Number(text)) ? Number(text) : text
}

function toExactNumber(text: string): unknown {
  return text.replace(/\D/g, '').length <= MAX_EXACT_DIGITS ? toNumber(text) : text
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text // not from PostgreSQL
  }
}

/** A connection between two checks keeps nothing running. */
function rest(session: Session): Session | undefined {
  if (session.socket.destroyed) return undefined
  session.socket.unref()
  return session
}

function wake(session: Session | undefined): Session | undefined {
  if (!session?.socket.readable || !session.socket.writable) return undefined
  session.socket.ref()
  return session
}

function closeLeft({ session }: Left): void {
  if (session) close(session)
}

/** Says goodbye, as the server would log it otherwise, and does not wait for it to close as well. */
function close({ client, socket }: Session): void {
  void client.end()
  socket.destroySoon()
}

const MAX_REASON = 500

/** The server's own words where it said any. */
function explain(error: unknown): unknown {
  if (error instanceof pg.DatabaseError) return new Dead(error.message.slice(0, MAX_REASON), { cause: error })
  const { message } = error as Error
  if (message.startsWith('Connection terminated')) return new Dead(CLOSED, { cause: error })
  return explainNetworkError(error)
}
