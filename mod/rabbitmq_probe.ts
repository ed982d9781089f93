/**
 * rabbitmq_probe: logs in to RabbitMQ over AMQP 0-9-1, opens a channel, looks at queues, and publishes a message that goes
 * nowhere.
 *
 *   orders:
 *     module: rabbitmq_probe
 *     period: 5
 *     query:
 *       host: localhost
 *       port: 5672                 # default 5672, with TLS 5671
 *       user: guest                # default guest
 *       password: guest            # text, {env: NAME}, {file: PATH} or {credential: NAME}; default guest
 *       vhost: /                   # default /
 *       tls: false                 # true, or {ca_file, cert_file, key_file, server_name, insecure, …}
 *       timeout: 5                 # seconds for the whole check
 *       queues: [orders]           # each must exist; gives queue_depth and consumers
 *       publish: true              # false publishes nothing; alarms are then known to the management API only
 *       management:                # asked as well; a failure of it fails no check by itself
 *         url: http://localhost:15672
 *         user: monitor            # default: as above
 *         password: monitor
 *       keep_connection: false     # true logs in once and asks over the same connection
 *     success_criteria:            # default: a channel was opened and no alarm is known
 *       alarms: { type: equals, query: [] }
 *
 * During an alarm (memory or disk) RabbitMQ still answers everything, but stops reading from whoever publishes. It tells
 * only those, so the check publishes a message with a key that leads to no queue: it is confirmed and dropped. A user
 * without the right to write to the default exchange learns nothing of alarms over AMQP: `blocked` is then absent, and
 * `alarms` is what the management API says, or empty.
 */
import type { Socket } from 'node:net'
import {
  askHttp,
  certDays,
  Dead,
  defineProbe,
  dial,
  type Keep,
  msSince,
  seconds,
  secret,
  tlsSettings,
  z,
} from 'deadpool'

/** What one byte of length allows in AMQP. */
const shortText = z.string().refine((text) => Buffer.byteLength(text) <= 255, { error: 'is longer than 255 bytes' })

const managementSchema = z.strictObject({
  url: z
    .string()
    .superRefine((text, context) => {
      const fault = findUrlFault(text)
      if (fault !== undefined) context.addIssue({ code: 'custom', message: fault })
    })
    .describe('base URL of the management API'),
  user: z.string().min(1).optional().describe('user with the tag monitoring, by default the one of AMQP'),
  password: secret().optional().describe('password of that user'),
  tls: tlsSettings().optional().describe('TLS settings for https'),
})

const querySchema = z.strictObject({
  host: z.string().min(1).describe('name or address of the server'),
  port: z.int().min(1).max(65535).optional().describe('port, by default 5672, with TLS 5671'),
  user: z.string().min(1).default('guest').describe('user'),
  password: secret().optional().describe('password, by default guest'),
  vhost: shortText.default('/').describe('virtual host'),
  tls: tlsSettings().optional().describe('TLS settings'),
  timeout: seconds().default(5).describe('time for the whole check, seconds'),
  queues: z.array(shortText.min(1)).default([]).describe('names of queues that must exist'),
  publish: z.boolean().default(true).describe('publish a message that leads to no queue, to learn of alarms'),
  management: managementSchema.optional().describe('management API to ask as well'),
  keep_connection: z.boolean().default(false).describe('ask over one connection as long as it lives'),
})

type Query = z.output<typeof querySchema>

export const Probe = defineProbe({
  summary: 'Logs in to RabbitMQ, opens a channel, looks at queues and for alarms.',
  query: querySchema,
  facts: {
    connected: { about: 'a channel was opened', type: 'boolean' },
    alarms: { about: 'alarms that are known: memory, disk', type: 'list' },
    blocked: { about: 'the server takes no messages from publishers', type: 'boolean' },
    queue_depth: { about: 'ready messages of each queue', type: 'record' },
    consumers: { about: 'consumers of each queue', type: 'record' },
    version: { about: 'version of the server', type: 'text' },
    cluster_name: { about: 'name that the cluster gives itself', type: 'text' },
    cert_days: { about: 'until the certificate of the server ends', type: 'number', unit: 'days' },
    nodes_running: { about: 'running nodes of the cluster', type: 'number' },
    nodes_total: { about: 'nodes of the cluster', type: 'number' },
    partitions: { about: 'nodes that see a network partition', type: 'number' },
    management_error: { about: 'why the management API gave nothing', type: 'text' },
    time_ms: { about: 'whole check', type: 'number', unit: 'ms' },
  },
  factsOf: ({ queues }) =>
    Object.fromEntries(
      queues.flatMap((name) => [
        [`queue_depth:${name}`, { about: `ready messages of the queue ${name}`, type: 'number' as const }],
        [`consumers:${name}`, { about: `consumers of the queue ${name}`, type: 'number' as const }],
      ]),
    ),
  criteria: { alarms: { type: 'equals', query: [] } },
  async probe(query, { signal, keep }) {
    const startedAt = performance.now()
    const management = startAskingManagement(query, signal)
    try {
      const broker = await askBroker(query, signal, keep)
      const cluster = await management?.answer
      const alarms = [...new Set([...broker.alarms, ...(cluster?.alarms ?? [])])]
      const time_ms = msSince(startedAt)
      return { connected: true, ...broker, ...cluster, alarms, time_ms }
    } catch (error) {
      throw signal.aborted ? signal.reason : error
    } finally {
      management?.giveUp()
    }
  },
})

async function askBroker(query: Query, signal: AbortSignal, keep: Keep) {
  const connection = takeKept(query, keep) ?? (await connect(query, signal))
  const abort = () => connection.destroy()
  signal.addEventListener('abort', abort)
  try {
    const queues = await lookAtQueues(connection, query.queues)
    const publishing = query.publish ? await tryPublishing(connection) : {}
    const facts = { alarms: [], ...queues, ...publishing, ...connection.server }
    signal.throwIfAborted()
    if (query.keep_connection && connection.isUsable()) keep.leave(connection.rest(), (kept) => kept.close())
    else await connection.close()
    return facts
  } catch (error) {
    await connection.close()
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function takeKept({ keep_connection }: Query, keep: Keep): Connection | undefined {
  const kept = keep_connection ? keep.take<Connection>() : undefined
  if (kept?.isUsable()) return kept.wake()
  kept?.destroy()
  return undefined
}

/** Dials, logs in, opens the virtual host and a channel (AMQP 0-9-1, sections 2.2.4 and 4.2.2). */
async function connect(query: Query, signal: AbortSignal): Promise<Connection> {
  const { host, tls, user, vhost, password } = query
  const response = `\0${user}\0${(await password?.read(signal)) ?? 'guest'}`
  const socket = await dial({ host, port: query.port ?? (tls ? 5671 : 5672), tls, signal })
  const connection = new Connection(socket)
  try {
    const start = await connection.ask(PROTOCOL_HEADER, START)
    start.skip(2)
    const server = start.table()
    const mechanisms = start.longText()
    if (!mechanisms.split(' ').includes('PLAIN')) throw new Dead(`offers no login by password, only ${mechanisms}`)
    const startOk = [CLIENT_PROPERTIES, toShortText('PLAIN'), toLongText(response), toShortText('en_US')]
    const tune = await connection.ask(toMethod(0, START_OK, ...startOk), TUNE)
    const channelMax = tune.u16()
    const frameMax = Math.min(tune.u32() || MAX_FRAME, MAX_FRAME)
    connection.send(toMethod(0, TUNE_OK, toU16(channelMax), toU32(frameMax), toU16(HEARTBEAT_S)))
    await connection.ask(toMethod(0, OPEN, toShortText(vhost), toShortText(''), toU8(0)), OPEN_OK)
    await connection.ask(toMethod(1, CHANNEL_OPEN, toShortText('')), CHANNEL_OPEN_OK)
    connection.server = describeServer(server, socket)
    return connection
  } catch (error) {
    connection.leave()
    throw error
  }
}

function describeServer({ version, cluster_name }: Record<string, string>, socket: Socket) {
  return { version, cluster_name, cert_days: certDays(socket) }
}

async function lookAtQueues(connection: Connection, names: string[]) {
  if (names.length === 0) return {}
  const depths: [string, number][] = []
  const consumers: [string, number][] = []
  for (const name of names) {
    const passive = toU8(1)
    const declare = [toU16(0), toShortText(name), passive, toLongText('')]
    const declared = await connection.ask(toMethod(1, QUEUE_DECLARE, ...declare), QUEUE_DECLARE_OK)
    declared.skip(declared.u8())
    depths.push([name, declared.u32()])
    consumers.push([name, declared.u32()])
  }
  return {
    queue_depth: Object.fromEntries(depths),
    consumers: Object.fromEntries(consumers),
    ...Object.fromEntries(depths.map(([name, depth]) => [`queue_depth:${name}`, depth])),
    ...Object.fromEntries(consumers.map(([name, count]) => [`consumers:${name}`, count])),
  }
}

/**
 * Publishes to the default exchange, with a key that is no queue's name. The body is not empty, for RabbitMQ blocks at the
 * header of a message: what comes is then either the confirmation or `connection.blocked`.
 */
async function tryPublishing(connection: Connection): Promise<{ blocked?: boolean; alarms?: string[] }> {
  try {
    if (!connection.isConfirming) await connection.ask(toMethod(1, CONFIRM_SELECT, toU8(0)), CONFIRM_SELECT_OK)
    connection.isConfirming = true
    const publish = toMethod(1, BASIC_PUBLISH, toU16(0), toShortText(''), toShortText(NOWHERE), toU8(0))
    const body = Buffer.from('?')
    const header = Buffer.concat([toU16(60), toU16(0), toU32(0), toU32(body.length), toU16(0)])
    const message = Buffer.concat([publish, toFrame(HEADER_FRAME, 1, header), toFrame(BODY_FRAME, 1, body)])
    await connection.ask(message, BASIC_ACK)
    return { blocked: false }
  } catch (error) {
    if (connection.blockedBy !== undefined) return { blocked: true, alarms: findAlarms(connection.blockedBy) }
    // This user may not write to the default exchange, which says nothing against the server.
    if (error instanceof ChannelClosed && error.code === ACCESS_REFUSED) return {}
    throw error
  }
}

/** RabbitMQ says `low on memory`, `low on disk` or `low on memory & disk`. */
function findAlarms(reason: string): string[] {
  const known = ['memory', 'disk'].filter((resource) => reason.includes(resource))
  return known.length > 0 ? known : [reason]
}

const NOWHERE = 'deadpool.nowhere.8b1f0c5e'

/** The server's reason for closing a channel; the connection goes on. */
class ChannelClosed extends Dead {
  readonly code: number
  constructor(text: string, code: number) {
    super(text)
    this.code = code
  }
}

const FRAME_HEADER = 7
const MAX_FRAME = 131072
/** Both ends of a connection that the other has forgotten are gone after two of these. */
const HEARTBEAT_S = 10
/** For the server's part of the farewell, which only keeps its log clean. */
const CLOSE_MS = 500

const [METHOD_FRAME, HEADER_FRAME, BODY_FRAME, HEARTBEAT_FRAME] = [1, 2, 3, 8] as const
const FRAME_END = 0xce
const ACCESS_REFUSED = 403

/** Class and method in one number, as they stand on the wire. */
const id = (amqpClass: number, method: number) => amqpClass * 0x10000 + method
const [START, START_OK, TUNE, TUNE_OK] = [id(10, 10), id(10, 11), id(10, 30), id(10, 31)]
const [OPEN, OPEN_OK, CLOSE, CLOSE_OK] = [id(10, 40), id(10, 41), id(10, 50), id(10, 51)]
const BLOCKED = id(10, 60)
const [CHANNEL_OPEN, CHANNEL_OPEN_OK, CHANNEL_CLOSE, CHANNEL_CLOSE_OK] = [
  id(20, 10),
  id(20, 11),
  id(20, 40),
  id(20, 41),
]
const [QUEUE_DECLARE, QUEUE_DECLARE_OK] = [id(50, 10), id(50, 11)]
const [BASIC_PUBLISH, BASIC_ACK] = [id(60, 40), id(60, 80)]
const [CONFIRM_SELECT, CONFIRM_SELECT_OK] = [id(85, 10), id(85, 11)]

interface Waiting {
  method: number
  resolve(args: Fields): void
  reject(error: unknown): void
}

/** A connection with one channel, number 1, that asks one thing at a time. */
class Connection {
  /** What is known of the server from the login. */
  server: ReturnType<typeof describeServer> | undefined
  isConfirming = false
  /** Why the server does not read from this connection any more. */
  blockedBy: string | undefined
  readonly #socket: Socket
  #received: Buffer = Buffer.alloc(0)
  #hasGreeted = false
  #waiting: Waiting | undefined
  #fault: unknown

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => this.#read(chunk))
    socket.on('error', (error) => this.#fail(error))
    const when = () => (this.#hasGreeted ? '' : ' before it greeted')
    socket.on('close', () => this.#fail(new Dead(`closed the connection${when()}`)))
    // The other end closes and goes on to read nothing.
    socket.on('end', () => socket.destroy())
  }

  isUsable(): boolean {
    return this.#fault === undefined && this.blockedBy === undefined && !this.#socket.destroyed
  }

  /** Between two checks it keeps nobody from ending. */
  rest(): this {
    this.#socket.unref()
    return this
  }

  wake(): this {
    this.#socket.ref()
    return this
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  /** Sends and gives what `method` came back with; what else comes is of no interest. */
  ask(bytes: Buffer, method: number): Promise<Fields> {
    if (this.#fault !== undefined) return Promise.reject(this.#fault)
    const { promise, resolve, reject } = Promise.withResolvers<Fields>()
    this.#waiting = { method, resolve, reject }
    this.send(bytes)
    return promise
  }

  /** Says goodbye and destroys. A server that does not read would not hear it. */
  async close(): Promise<void> {
    if (this.isUsable() || this.#fault instanceof ChannelClosed) await this.#sayGoodbye()
    this.leave()
  }

  /** Destroys as soon as what was written is sent. */
  leave(): void {
    this.#socket.destroySoon()
  }

  async #sayGoodbye(): Promise<void> {
    this.#fault = undefined
    const goodbye = toMethod(0, CLOSE, toU16(200), toShortText('Goodbye'), toU32(0))
    const timer = setTimeout(() => this.destroy(), CLOSE_MS)
    try {
      await this.ask(goodbye, CLOSE_OK)
    } catch {
      // What was asked has been answered; how it ends is of no interest.
    } finally {
      clearTimeout(timer)
    }
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #fail(error: unknown): void {
    this.#fault ??= error
    this.#waiting?.reject(this.#fault)
    this.#waiting = undefined
  }

  #read(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    try {
      while (!this.#socket.destroyed && this.#readFrame()) this.#hasGreeted = true
    } catch (error) {
      this.#fail(error)
      this.destroy()
    }
  }

  #readFrame(): boolean {
    const bytes = this.#received
    if (!this.#hasGreeted) refuseStranger(bytes)
    if (bytes.length < FRAME_HEADER) return false
    const size = bytes.readUInt32BE(3)
    if (size > MAX_FRAME) throw new Dead('sent an AMQP frame that is too large')
    const end = FRAME_HEADER + size
    if (bytes.length <= end) return false
    if (bytes[end] !== FRAME_END) throw new Dead('sent an AMQP frame without its end')
    this.#received = bytes.subarray(end + 1)
    if (bytes[0] === METHOD_FRAME) this.#take(new Fields(bytes.subarray(FRAME_HEADER, end)))
    // The server wants to hear something now and then; an echo does without a timer.
    if (bytes[0] === HEARTBEAT_FRAME) this.#reply(HEARTBEAT)
    return true
  }

  #take(fields: Fields): void {
    const method = fields.u32()
    if (method === BLOCKED) {
      this.blockedBy = fields.shortText()
      this.#fail(new Dead(`blocked: ${this.blockedBy}`))
    } else if (method === CLOSE) {
      this.#takeClose(fields)
    } else if (method === CHANNEL_CLOSE) {
      this.#takeChannelClose(fields)
    } else if (method === this.#waiting?.method) {
      this.#waiting.resolve(fields)
      this.#waiting = undefined
    }
  }

  #takeClose(fields: Fields): void {
    const code = fields.u16()
    this.#fail(new Dead(fields.shortText() || `closed the connection with code ${code}`))
    this.#socket.end(toMethod(0, CLOSE_OK))
  }

  #takeChannelClose(fields: Fields): void {
    const code = fields.u16()
    this.#fail(new ChannelClosed(fields.shortText() || `closed the channel with code ${code}`, code))
    this.#reply(toMethod(1, CHANNEL_CLOSE_OK))
  }

  /** Whoever sends without end and reads nothing must not fill the memory with replies. */
  #reply(bytes: Buffer): void {
    if (this.#socket.writableLength === 0) this.send(bytes)
  }
}

/** The first bytes tell who speaks: AMQP 0-9-1 begins with a method on channel 0. */
function refuseStranger(bytes: Buffer): void {
  const start = bytes.toString('latin1', 0, 8)
  if (start.startsWith('AMQP')) throw new Dead('speaks another version of AMQP than 0-9-1')
  if (start.startsWith('\x15\x03')) throw new Dead('speaks TLS; set tls in the query')
  if (!'\x01\0\0'.startsWith(start.slice(0, 3))) throw new Dead('does not speak AMQP')
}

/** Reads the fields of a method one after the other; `Dead` where there are none left. */
class Fields {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  u8 = () => this.#bytes.readUInt8(this.skip(1))
  u16 = () => this.#bytes.readUInt16BE(this.skip(2))
  u32 = () => this.#bytes.readUInt32BE(this.skip(4))
  shortText = () => this.#text(this.u8())
  longText = () => this.#text(this.u32())

  /** Passes over that many bytes, and tells where they began. */
  skip(count: number): number {
    const from = this.#at
    if (from + count > this.#bytes.length) throw new Dead('sent a malformed AMQP frame')
    this.#at += count
    return from
  }

  #text(length: number): string {
    const from = this.skip(length)
    return this.#bytes.toString('utf8', from, from + length)
  }

  /** The texts of a table; what else is in it is passed over. */
  table(): Record<string, string> {
    const end = this.u32() + this.#at
    const texts: [string, string][] = []
    while (this.#at < end) {
      const name = this.shortText()
      const type = String.fromCharCode(this.u8())
      if (type === 'S') texts.push([name, this.longText()])
      else this.skip(FIELD_SIZES[type] ?? this.u32())
    }
    return Object.fromEntries(texts)
  }
}

/** Types of a table's fields that have a fixed size; all others begin with theirs. */
const FIELD_SIZES: Record<string, number> = {
  t: 1,
  b: 1,
  B: 1,
  s: 2,
  u: 2,
  I: 4,
  i: 4,
  f: 4,
  l: 8,
  L: 8,
  d: 8,
  T: 8,
  D: 5,
  V: 0,
}

function toU8(value: number): Buffer {
  return Buffer.from([value])
}

function toU16(value: number): Buffer {
  return Buffer.from([value >>> 8, value & 0xff])
}

function toU32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function toShortText(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([toU8(bytes.length), bytes])
}

function toLongText(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([toU32(bytes.length), bytes])
}

function toFrame(type: number, channel: number, payload: Buffer): Buffer {
  return Buffer.concat([toU8(type), toU16(channel), toU32(payload.length), payload, toU8(FRAME_END)])
}

function toMethod(channel: number, method: number, ...fields: Buffer[]): Buffer {
  return toFrame(METHOD_FRAME, channel, Buffer.concat([toU32(method), ...fields]))
}

function toTable(entries: Record<string, string | true | Buffer>): Buffer {
  const fields = Object.entries(entries).map(([name, value]) => {
    if (value === true) return Buffer.concat([toShortText(name), Buffer.from('t\x01')])
    const type = typeof value === 'string' ? 'S' : 'F'
    return Buffer.concat([toShortText(name), Buffer.from(type), typeof value === 'string' ? toLongText(value) : value])
  })
  return toLongText(Buffer.concat(fields))
}

const PROTOCOL_HEADER = Buffer.from('AMQP\0\0\x09\x01')
const HEARTBEAT = toFrame(HEARTBEAT_FRAME, 0, Buffer.alloc(0))
const CLIENT_PROPERTIES = toTable({
  product: 'DeadPool',
  connection_name: 'DeadPool',
  // So that the server says why it refuses a login, and when it blocks.
  capabilities: toTable({ authentication_failure_close: true, 'connection.blocked': true, publisher_confirms: true }),
})

interface ClusterFacts {
  alarms?: string[]
  nodes_running?: number
  nodes_total?: number
  partitions?: number
  management_error?: string
}

const MIB = 1024 * 1024
const NODES = '/api/nodes?columns=name,running,mem_alarm,disk_free_alarm,partitions'

const nodesSchema = z.array(
  z.object({
    running: z.boolean(),
    mem_alarm: z.boolean().optional(),
    disk_free_alarm: z.boolean().optional(),
    partitions: z.array(z.unknown()).optional(),
  }),
)

/**
 * Asks the management API beside AMQP. Clients do without it: whatever goes wrong there, also that it says nothing for
 * three quarters of the check's time, is a fact and never fails the check.
 */
function startAskingManagement(query: Query, signal: AbortSignal) {
  if (!query.management) return undefined
  const controller = new AbortController()
  const abort = () => controller.abort(new Dead('gave no answer in time'))
  signal.addEventListener('abort', abort)
  const timer = setTimeout(abort, query.timeout * 750)
  const answer = askManagement(query, query.management, controller.signal).catch(
    (error): ClusterFacts => ({ management_error: (error as Error).message }),
  )
  const giveUp = () => {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
    abort()
  }
  return { answer, giveUp }
}

type Management = NonNullable<Query['management']>

async function askManagement(query: Query, management: Management, signal: AbortSignal): Promise<ClusterFacts> {
  const { url, user = query.user, password = query.password, tls } = management
  const pair = `${user}:${(await password?.read(signal)) ?? 'guest'}`
  const authorization = `Basic ${Buffer.from(pair).toString('base64')}`
  const asked = url.replace(/\/+$/, '') + NODES
  const { status, body } = await askHttp({ url: asked, headers: { authorization }, tls, signal, maxBody: MIB })
  if (status !== 200) throw new Dead(`answered with status ${status}${describeRefusal(body)}`)
  const nodes = nodesSchema.safeParse(parseJson(body)).data
  if (!nodes) throw new Dead('answered with something that is not a list of nodes')
  const alarms = [
    ...(nodes.some(({ mem_alarm }) => mem_alarm) ? ['memory'] : []),
    ...(nodes.some(({ disk_free_alarm }) => disk_free_alarm) ? ['disk'] : []),
  ]
  return {
    alarms,
    nodes_running: nodes.filter(({ running }) => running).length,
    nodes_total: nodes.length,
    partitions: nodes.filter(({ partitions = [] }) => partitions.length > 0).length,
  }
}

/** RabbitMQ explains itself in JSON: `{"error": "not_authorised", "reason": "Login failed"}`. */
function describeRefusal(body: string): string {
  const { reason } = (parseJson(body) ?? {}) as { reason?: unknown }
  return typeof reason === 'string' ? `: ${reason}` : ''
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // A proxy's page, say: what it is not, the caller tells.
    return undefined
  }
}

function findUrlFault(text: string): string | undefined {
  const url = URL.parse(text)
  if (!url || !/^https?:$/.test(url.protocol))
    return 'is not an http or https URL; write it like http://localhost:15672'
  return url.username || url.password ? 'has a user or password; write them as user and password beside it' : undefined
}
