/**
 * grpc_probe: asks a gRPC server for its health, as grpc.health.v1.Health/Check defines it.
 *
 *   payments:
 *     module: grpc_probe
 *     period: 3
 *     query:
 *       host: localhost
 *       port: 50051                # default 50051
 *       service: ""                # default "", the server as a whole; or such as shop.Payments
 *       tls: false                 # true, or {ca_file, cert_file, key_file, server_name, insecure, …}
 *       authority: payments.local  # the name to ask for in :authority; default host:port
 *       metadata:                  # name: text, {env: NAME}, {file: PATH} or {credential: NAME}
 *         x-tenant: monitor
 *       timeout: 5                 # seconds for the whole check
 *       keep_connection: false     # true asks over the same connection as long as it lives
 *     success_criteria:            # default: code is OK and status is SERVING
 *       status: { type: equals, query: SERVING }
 *
 * One question and one answer of gRPC are one request of HTTP/2, which Node speaks itself.
 */
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from 'node:http2'
import { isIP, type Socket } from 'node:net'
import {
  certDays,
  Dead,
  defineProbe,
  dial,
  explainNetworkError,
  type Keep,
  msSince,
  seconds,
  secret,
  tlsSettings,
  Unknown,
  z,
} from 'deadpool'

const METADATA_NAME = /^[0-9a-z_.-]+$/
const METADATA_VALUE = /^[\x20-\x7e]*$/
/** What the protocol itself writes into the headers. */
const RESERVED =
  /^(grpc-.*|te|host|content-type|content-length|connection|keep-alive|transfer-encoding|upgrade|user-agent)$/

const metadataSchema = z
  .record(
    z.string(),
    z.union([z.string(), secret()], { error: 'is not text, {env: NAME}, {file: PATH} or {credential: NAME}' }),
  )
  .superRefine((metadata, context) => {
    for (const [name, value] of Object.entries(metadata)) {
      const message = findMetadataFault(name.toLowerCase(), value)
      if (message !== undefined) context.addIssue({ code: 'custom', path: [name], message })
    }
  })
  .transform((metadata) =>
    Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name.toLowerCase(), value])),
  )

const querySchema = z.strictObject({
  host: z.string().min(1).describe('name or address of the server'),
  port: z.int().min(1).max(65535).default(50051).describe('port'),
  service: z.string().default('').describe('name of the service; empty for the server as a whole'),
  tls: tlsSettings().optional().describe('TLS settings'),
  authority: z
    .string()
    .regex(/^[\x21-\x7e]+$/, { error: 'is not a name such as payments.local' })
    .optional()
    .describe('name to ask for (:authority), by default host:port'),
  metadata: metadataSchema.default({}).describe('metadata to send, name: value'),
  timeout: seconds().default(5).describe('time for the whole check, seconds'),
  keep_connection: z.boolean().default(false).describe('ask over one connection as long as it lives'),
})

type Query = z.output<typeof querySchema>

export const Probe = defineProbe({
  summary: 'Asks a gRPC server for its health (grpc.health.v1).',
  query: querySchema,
  facts: {
    serving: { about: 'the status is SERVING', type: 'boolean' },
    status: {
      about: 'SERVING, NOT_SERVING, UNKNOWN or SERVICE_UNKNOWN; absent unless the server said so',
      type: 'text',
    },
    code: { about: 'gRPC status of the call: OK, UNIMPLEMENTED, UNAVAILABLE …', type: 'text' },
    message: { about: 'what the server says to a code other than OK', type: 'text' },
    cert_days: { about: 'until the certificate of the server ends', type: 'number', unit: 'days' },
    time_ms: { about: 'whole check', type: 'number', unit: 'ms' },
  },
  criteria: { code: { type: 'equals', query: 'OK' }, status: { type: 'equals', query: 'SERVING' } },
  async probe(query, { signal, keep }) {
    const startedAt = performance.now()
    const facts = await askHealth(query, signal, keep)
    return { ...facts, time_ms: msSince(startedAt) }
  },
})

async function askHealth(query: Query, signal: AbortSignal, keep: Keep) {
  const kept = takeKept(query, keep)
  if (kept) {
    try {
      return await askOver(kept, query, signal, keep)
    } catch (error) {
      // It was about to end in good order (GOAWAY) when the call came, and did not take it.
      if (!kept.isLeaving || signal.aborted) throw error
    }
  }
  return askOver(await connect(query, signal), query, signal, keep)
}

async function askOver(connection: Connection, query: Query, signal: AbortSignal, keep: Keep) {
  const close = () => closeConnection(connection)
  signal.addEventListener('abort', close)
  try {
    const answer = await call(connection, query, signal)
    const facts = { ...toFacts(answer), cert_days: connection.cert_days }
    if (query.keep_connection && isUsable(connection)) leave(connection, keep)
    else close()
    return facts
  } catch (error) {
    close()
    throw signal.aborted ? signal.reason : error
  } finally {
    signal.removeEventListener('abort', close)
  }
}

interface Connection {
  session: ClientHttp2Session
  socket: Socket
  cert_days: number | undefined
  /** The server has said that it speaks HTTP/2. */
  isGreeted: boolean
  /** The server takes no further calls. */
  isLeaving: boolean
  fault: Error | undefined
}

async function connect({ host, port, tls }: Query, signal: AbortSignal): Promise<Connection> {
  const socket = await dial({ host, port, tls, signal, alpn: ['h2'] })
  // The address is only a default for the headers, which are all given.
  const session = connectHttp2('http://localhost', { createConnection: () => socket, settings: { enablePush: false } })
  const connection: Connection = {
    session,
    socket,
    cert_days: certDays(socket),
    isGreeted: false,
    isLeaving: false,
    fault: undefined,
  }
  session.on('error', (error) => {
    connection.fault ??= error
  })
  session.once('remoteSettings', () => {
    connection.isGreeted = true
  })
  session.once('goaway', () => {
    connection.isLeaving = true
  })
  return connection
}

function isUsable({ session, socket, isLeaving, fault }: Connection): boolean {
  return !session.closed && !session.destroyed && !socket.destroyed && !isLeaving && fault === undefined
}

function takeKept({ keep_connection }: Query, keep: Keep): Connection | undefined {
  const kept = keep_connection ? keep.take<Connection>() : undefined
  if (!kept) return undefined
  if (isUsable(kept)) {
    kept.session.ref()
    return kept
  }
  closeConnection(kept)
  return undefined
}

/** Between two checks it keeps nobody from ending. */
function leave(connection: Connection, keep: Keep): void {
  connection.session.unref()
  keep.leave(connection, closeConnection)
}

function closeConnection({ session, socket }: Connection): void {
  session.destroy()
  socket.destroySoon()
}

const MAX_ANSWER = 64 * 1024
const OWN_HEADERS = { te: 'trailers', 'content-type': 'application/grpc', 'user-agent': 'grpc-deadpool' }

/** What came back: a server that refuses at once sends its status with the headers, any other after the message. */
interface Answer {
  headers: IncomingHttpHeaders & IncomingHttpStatusHeader
  trailers: IncomingHttpHeaders
  body: Buffer
}

/** Makes the one call, by "gRPC over HTTP2" (PROTOCOL-HTTP2.md of gRPC). */
async function call(connection: Connection, query: Query, signal: AbortSignal): Promise<Answer> {
  const { host, port, tls, authority, service, timeout } = query
  const headers = {
    ...(await readMetadata(query, signal)),
    ...OWN_HEADERS,
    ':method': 'POST',
    ':scheme': tls ? 'https' : 'http',
    ':authority': authority ?? (isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`),
    ':path': '/grpc.health.v1.Health/Check',
    'grpc-timeout': `${Math.ceil(timeout * 1000)}m`,
  }
  signal.throwIfAborted()
  let fault: Error | undefined
  const answer: Answer = { headers: {}, trailers: {}, body: Buffer.alloc(0) }
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  try {
    const stream = connection.session.request(headers)
    stream.on('response', (received) => Object.assign(answer.headers, received))
    stream.on('trailers', (received) => Object.assign(answer.trailers, received))
    stream.on('data', (chunk: Buffer) => {
      answer.body = Buffer.concat([answer.body, chunk])
      if (answer.body.length > MAX_ANSWER) stream.destroy(new Dead('sent more than 64 KiB'))
    })
    stream.on('error', (error) => {
      fault = error
    })
    stream.on('close', resolve)
    stream.end(toMessage(service))
    await closed
  } catch (error) {
    // The session had ended before the call was made.
    fault = error as Error
  }
  const isAnswered = findHeader(answer, 'grpc-status') !== undefined
  if (isAnswered) return answer
  if (fault instanceof Dead) throw fault
  throw answer.headers[':status'] === undefined ? explain(connection, fault) : explainStatus(answer)
}

async function readMetadata({ metadata }: Query, signal: AbortSignal): Promise<Record<string, string>> {
  const read = Object.entries(metadata).map(async ([name, value]) => {
    const text = typeof value === 'string' ? value : await value.read(signal)
    if (!METADATA_VALUE.test(text)) throw new Unknown(`metadata.${name} has a character beyond ASCII or a line break`)
    return [name, text]
  })
  return Object.fromEntries(await Promise.all(read))
}

function explain({ fault, isGreeted }: Connection, ofStream: Error | undefined): unknown {
  const error = fault ?? ofStream
  const { code = '', message = '' } = (error ?? {}) as NodeJS.ErrnoException
  const word = /(?:NGHTTP2_)?(\w+)$/.exec(message)?.[1] ?? ''
  const name = RESETS[Number(word)] ?? word
  if (code === 'ERR_HTTP2_STREAM_ERROR') return new Dead(`reset the call with ${name}`, { cause: error })
  if (code === 'ERR_HTTP2_SESSION_ERROR') return new Dead(`closed the connection with ${name}`, { cause: error })
  if (code === 'ERR_HTTP2_ERROR') {
    return new Dead(isGreeted ? `broke HTTP/2: ${message}` : 'does not speak HTTP/2', { cause: error })
  }
  if (error && !code.startsWith('ERR_HTTP2_')) return explainNetworkError(error)
  return new Dead('closed the connection before the answer', { cause: error })
}

/** What the numbers of HTTP/2's errors mean (RFC 9113, section 7). */
const RESETS = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
]

function explainStatus({ headers }: Answer): Dead {
  const { ':status': status, 'content-type': type = 'no content-type' } = headers
  if (status !== 200) return new Dead(`answered with HTTP status ${status} instead of gRPC`)
  if (!type.startsWith('application/grpc')) return new Dead(`answered with ${type.slice(0, 100)} instead of gRPC`)
  return new Dead('ended the call without a status')
}

function findHeader({ headers, trailers }: Answer, name: string): string | undefined {
  const value = trailers[name] ?? headers[name]
  return value?.toString()
}

const CODES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
]

const STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']

function toFacts(answer: Answer) {
  const number = findHeader(answer, 'grpc-status') ?? ''
  const code = (/^\d+$/.test(number) ? CODES[Number(number)] : undefined) ?? number
  const status = findStatus(code, answer.body)
  const message = code === 'OK' ? '' : decodeMessage(findHeader(answer, 'grpc-message') ?? '')
  return { serving: status === 'SERVING', status, code, message: message || undefined }
}

/** To `Check`, NOT_FOUND says what SERVICE_UNKNOWN says to `Watch`. */
function findStatus(code: string, body: Buffer): string | undefined {
  if (code === 'NOT_FOUND') return 'SERVICE_UNKNOWN'
  if (code !== 'OK') return undefined
  const number = readStatus(body)
  if (number === undefined) throw new Dead('answered OK without a health status')
  return STATUSES[number] ?? String(number)
}

/** Percent-encoded UTF-8; what is not stays as it came. */
function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** A length-prefixed HealthCheckRequest: `string service = 1`. */
function toMessage(service: string): Buffer {
  const name = Buffer.from(service)
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a]), toVarint(name.length), name])
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

function toVarint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return Buffer.from([...bytes, rest])
}

/**
 * The number in a length-prefixed HealthCheckResponse, `ServingStatus status = 1`. Zero is written as nothing at all, and
 * fields that are unknown are passed over. None when it is something else.
 */
function readStatus(body: Buffer): number | undefined {
  const isWhole = body.length >= 5 && body[0] === 0 && body.readUInt32BE(1) === body.length - 5
  if (!isWhole) return undefined
  let at = 5
  let status = 0
  const readVarint = () => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = body[at++]
      if (byte === undefined) return Number.NaN
      // Beyond 28 bits only whether it ends is of interest.
      if (shift <= 28) value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
  }
  while (at < body.length) {
    const tag = readVarint()
    const wireType = tag & 7
    const number = wireType === 0 || wireType === 2 ? readVarint() : 0
    if (tag === 0x08) status = number
    if (wireType === 1) at += 8
    else if (wireType === 2) at += number
    else if (wireType === 5) at += 4
    else if (wireType !== 0) return undefined
  }
  return at === body.length && Number.isInteger(status) ? status : undefined
}

function findMetadataFault(name: string, value: unknown): string | undefined {
  if (!METADATA_NAME.test(name)) return 'has a name that gRPC does not allow; write letters, digits, "-", "_" and "."'
  if (RESERVED.test(name)) return 'cannot be set; gRPC writes this header itself'
  if (typeof value === 'string' && !METADATA_VALUE.test(value)) return 'has a line break or a character beyond ASCII'
  return undefined
}
