/**
 * url_probe: asks an HTTP or HTTPS URL, each time over a connection of its own.
 *
 *   elastic:
 *     module: url_probe
 *     period: 3
 *     query:
 *       url: http://localhost:9200/_cat/health   # http or https; user:password@ becomes basic authorization
 *       header: {}                 # name: value
 *       query_type: get            # any method
 *       timeout: 5                 # seconds for the whole check
 *       body: '{"size": 0}'        # text to send, with post, put and the like
 *       follow_redirects: false    # true follows up to 10
 *       insecure_tls: false        # true accepts any certificate
 *       ca_file: ca.pem            # trust these authorities instead of the built-in ones
 *       max_body: 1MiB             # reading stops there; 1KiB to 64MiB
 *     success_criteria:            # default: status is 2xx
 *       status: { type: status_in, query: [200] }
 *       body: { type: re_search, query: 'elasticsearch+ green+' }
 */
import { readFileSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { ClientRequest, ClientRequestArgs, IncomingMessage } from 'node:http'
import type { RequestOptions } from 'node:https'
import { connect, isIP, type Socket, type TcpNetConnectOpts } from 'node:net'
import { pipeline, type Readable } from 'node:stream'
import type { SecureContext } from 'node:tls'
import { Dead, defineProbe, lookup, seconds, Unknown, z } from 'deadpool'

const KIB = 1024
const MIB = 1024 * KIB
const EMPTY_STATUSES = [204, 205, 304]
const MAX_REDIRECTS = 10
const MAX_INFORMATIONAL = 100
const MAX_HEADER_BYTES = 16 * KIB
/** 8 MiB, the most that RFC 9659 lets a server use; the library's own limit is 128 MiB. */
const MAX_ZSTD_WINDOW_LOG = 23

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const BODY_HEADERS = { 'content-type': 'text/plain;charset=UTF-8' }
const DEFAULT_HEADERS = { accept: '*/*', 'accept-encoding': 'identity', 'user-agent': 'DeadPool' }
/** What node:http writes about the connection and the length of the body; a second opinion would break them. */
const CONNECTION_HEADERS =
  /^(connection|content-length|expect|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade)$/i
/** What may follow a redirect to another origin: any other header may carry a credential. */
const HARMLESS_HEADERS = /^(accept|accept-encoding|accept-language|cache-control|content-type|pragma|user-agent)$/

const headerSchema = z
  .record(z.string(), z.union([z.string(), z.number()], { error: 'is not text or a number' }))
  .superRefine((header, context) => {
    for (const name of Object.keys(header)) {
      const message = findHeaderFault(name, header)
      if (message) context.addIssue({ code: 'custom', path: [name], message })
    }
  })
  .transform((header) =>
    Object.fromEntries(Object.entries(header).map(([name, value]) => [name.toLowerCase(), String(value).trim()])),
  )

const sizeSchema = z
  .union([z.number(), z.string()], { error: 'is not a size; write 1048576, "512KiB" or "1MiB"' })
  .superRefine(refuse((value) => findSizeFault(parseSize(value))))
  .transform((value) => parseSize(value) ?? z.NEVER)

const querySchema = z
  .strictObject({
    url: z.string().superRefine(refuse(findUrlFault)),
    header: headerSchema.default({}),
    query_type: z.string().superRefine(refuse(findMethodFault)).toUpperCase().default('GET'),
    timeout: seconds().default(5),
    body: z.string().optional(),
    follow_redirects: z.boolean().default(false),
    insecure_tls: z.boolean().default(false),
    ca_file: z.string().superRefine(refuse(findCaFault)).optional(),
    max_body: sizeSchema.default(MIB),
  })
  .superRefine(({ body, query_type, url, header }, context) => {
    if (body !== undefined && /^(GET|HEAD)$/i.test(query_type)) {
      const message = `cannot be sent with ${query_type.toLowerCase()}; set query_type: post`
      context.addIssue({ code: 'custom', path: ['body'], message })
    }
    if (header.authorization !== undefined && hasCredentials(URL.parse(url))) {
      const message = 'has a user or password beside the header Authorization; keep one of them'
      context.addIssue({ code: 'custom', path: ['url'], message })
    }
  })

type Query = z.output<typeof querySchema>

export const Probe = defineProbe({
  summary: 'Asks an HTTP or HTTPS URL over a fresh connection.',
  query: querySchema,
  facts: {
    status: 'HTTP status code',
    body: 'response body as text, at most max_body bytes of it',
    body_bytes: 'bytes of the body that were read, after decompression',
    body_truncated: 'true when the body goes on after max_body',
    header: 'response headers by lower-case name, as text; one that came several times, and set-cookie, as a list',
    json: 'response body, parsed; absent when it is not JSON or was truncated',
    time_ms: 'whole check, ms',
  },
  criteria: { status: { type: 'status_in', query: ['2xx'] } },
  async probe(query, { signal }) {
    const startedAt = performance.now()
    const check: Check = { query, signal, sent: undefined }
    const close = () => check.sent?.destroy()
    signal.addEventListener('abort', close)
    try {
      const answer = await ask(check)
      const body = await readBody(answer, query.max_body)
      return toFacts(answer, body, performance.now() - startedAt)
    } catch (error) {
      throw signal.aborted ? signal.reason : explain(error)
    } finally {
      signal.removeEventListener('abort', close)
      close()
    }
  },
})

/** One check under way. Whatever becomes of it, at its end what was `sent` last is destroyed, and its socket with it. */
interface Check {
  query: Query
  signal: AbortSignal
  sent: ClientRequest | undefined
}

/** One request of a check: the first, or one that a redirect led to. */
interface Hop {
  url: URL
  method: string
  headers: Record<string, string>
  body: Buffer | undefined
  options: RequestOptions
}

async function ask(check: Check): Promise<IncomingMessage> {
  let hop = findFirstHop(check.query)
  for (let redirects = 0; ; redirects++) {
    const answer = await askOnce(hop, check)
    const next = check.query.follow_redirects ? findRedirect(answer, hop) : undefined
    if (!next) return answer
    if (redirects === MAX_REDIRECTS) throw new Dead(`redirects more than ${MAX_REDIRECTS} times`)
    check.sent?.destroy()
    hop = next
  }
}

async function askOnce({ url, body, options }: Hop, check: Check): Promise<IncomingMessage> {
  const tls = url.protocol === 'https:' ? await createTlsOptions(url.hostname, check) : undefined
  check.signal.throwIfAborted()
  // Loaded by the first check and not by the start, which they would make longer.
  check.sent = tls
    ? process.getBuiltinModule('node:https').request({ ...options, ...tls })
    : process.getBuiltinModule('node:http').request(options)
  const answer = await awaitAnswer(check.sent, body)
  const status = answer.statusCode ?? 0
  if (status < 200 || status > 599) throw new Dead(`answered with status ${status}, which HTTP does not have`)
  return answer
}

function createHop({ url, method, headers, body }: Omit<Hop, 'options'>): Hop {
  const options: RequestOptions = {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port,
    path: url.pathname + url.search,
    method,
    headers: body ? { ...headers, 'content-length': body.length } : headers,
    // No connection is kept. Over http there is not even an agent for each, which saves a tenth of a check's CPU time.
    ...(url.protocol === 'https:' ? { agent: false } : { createConnection: connectPlainly }),
    lookup,
    maxHeaderSize: MAX_HEADER_BYTES,
  }
  return { url, method, headers, body, options }
}

/** What an agent does for a connection: a request in several packets waits for nothing. */
function connectPlainly(options: ClientRequestArgs): Socket {
  return connect({ ...options, noDelay: true } as TcpNetConnectOpts)
}

function awaitAnswer(request: ClientRequest, body: Buffer | undefined): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  let informational = 0
  request.on('response', (answer) => {
    // An error within the body says more than that the answer was cut; bytes after its end do no harm.
    request.on('error', (error) => void (answer.complete || answer.destroy(error)))
    resolve(answer)
  })
  request.on('error', reject)
  request.on('information', () => {
    if (++informational <= MAX_INFORMATIONAL) return
    request.destroy(new Dead(`sent more than ${MAX_INFORMATIONAL} informational answers`))
  })
  request.on('upgrade', (_answer, socket) => {
    // The socket no longer belongs to the request, which would not hand on its errors.
    socket.destroy()
    reject(new Dead('switched to another protocol (status 101) without being asked'))
  })
  request.end(body)
  return promise
}

const contexts = new Map<string, { pem: string | undefined; context: SecureContext }>()

/** Certificates are judged, and named to the server (SNI), by the host of the URL, whatever the header Host says. */
async function createTlsOptions(host: string, { query, signal }: Check) {
  return {
    servername: isIP(host.replace(/^\[|\]$/g, '')) ? '' : host,
    rejectUnauthorized: !query.insecure_tls,
    secureContext: await findContext(query.ca_file, signal),
  }
}

/** Parsed authorities, made once and again when the file has changed: 0.2 ms without a file, 5 ms with a system's bundle. */
async function findContext(caFile: string | undefined, signal: AbortSignal): Promise<SecureContext> {
  const pem = caFile === undefined ? undefined : await readCa(caFile, signal)
  const known = contexts.get(caFile ?? '')
  if (known && known.pem === pem) return known.context
  const context = process.getBuiltinModule('node:tls').createSecureContext(pem === undefined ? {} : { ca: pem })
  contexts.set(caFile ?? '', { pem, context })
  return context
}

async function readCa(path: string, signal: AbortSignal): Promise<string> {
  const pem = await readFile(path, { encoding: 'utf8', signal }).catch((error: Error) => {
    throw new Unknown(`ca_file cannot be read: ${error.message}`, { cause: error })
  })
  if (isPem(pem)) return pem
  throw new Unknown('ca_file holds no certificate in PEM form')
}

/** The request that a redirect leads to, by the Fetch standard ("HTTP-redirect fetch"); none for any other answer. */
function findRedirect(answer: IncomingMessage, from: Hop): Hop | undefined {
  const { statusCode: status = 0 } = answer
  const location = findHeader(answer, 'location')
  if (![301, 302, 303, 307, 308].includes(status) || location === undefined) return undefined
  const url = URL.parse(location, from.url.href)
  if (!url) throw new Dead('redirects to something that is not a URL')
  if (!isWeb(url)) throw new Dead(`redirects to "${url.protocol}", which is neither http nor https`)
  // Who we are is for the configuration to say, not for the target.
  url.username = ''
  url.password = ''
  const isKept = (name: string) => url.origin === from.url.origin || HARMLESS_HEADERS.test(name)
  const headers = pickHeaders(from.headers, isKept)
  if (!becomesGet(status, from.method)) return createHop({ ...from, url, headers })
  const isOfNoBody = (name: string) => !name.startsWith('content-')
  return createHop({ url, method: 'GET', headers: pickHeaders(headers, isOfNoBody), body: undefined })
}

function becomesGet(status: number, method: string): boolean {
  if (status === 303) return method !== 'HEAD'
  return method === 'POST' && (status === 301 || status === 302)
}

function pickHeaders(headers: Record<string, string>, isWanted: (name: string) => boolean): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => isWanted(name)))
}

const firstHops = new WeakMap<Query, Hop>()

/** What a query asks first, worked out once for all its checks. */
function findFirstHop(query: Query): Hop {
  const known = firstHops.get(query)
  if (known) return known
  const hop = createFirstHop(query)
  firstHops.set(query, hop)
  return hop
}

function createFirstHop({ url: text, query_type: method, header, body: content }: Query): Hop {
  const url = new URL(text)
  const body = content === undefined ? undefined : Buffer.from(content)
  const headers = { ...DEFAULT_HEADERS, ...(body ? BODY_HEADERS : {}), ...takeCredentials(url), ...header }
  // In order of their names, so that it does not matter how the configuration is ordered.
  const sorted = Object.fromEntries(Object.entries(headers).sort(([a], [b]) => (a < b ? -1 : 1)))
  return createHop({ url, method, headers: sorted, body })
}

/** Moves user and password out of the URL into the header that they stand for. */
function takeCredentials(url: URL): { authorization?: string } {
  if (!hasCredentials(url)) return {}
  const { username, password } = url
  url.username = ''
  url.password = ''
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
}

function hasCredentials(url: URL | null): boolean {
  return url !== null && (url.username !== '' || url.password !== '')
}

/** What a check read of a body. */
interface Body {
  bytes: Buffer
  truncated: boolean
}

/** Undoes the compression of a server that compresses although nobody asked; an unknown coding stays as it came. */
async function readBody(answer: IncomingMessage, limit: number): Promise<Body> {
  if (EMPTY_STATUSES.includes(answer.statusCode ?? 0)) return { bytes: Buffer.alloc(0), truncated: false }
  const coding = findHeader(answer, 'content-encoding')?.trim().toLowerCase() ?? ''
  if (!/^(x-gzip|gzip|deflate|br|zstd)$/.test(coding)) return readBounded(answer, limit)
  const decoder = createDecoder(coding)
  // The callback has nothing to do: errors of both streams come out of the reading.
  pipeline(answer, decoder, () => {})
  try {
    return await readBounded(decoder, limit)
  } catch (error) {
    if (answer.errored) throw error
    const { code, message } = error as NodeJS.ErrnoException
    // HEAD, or an empty body: its coding is named although there is nothing to decode.
    if (code === 'Z_BUF_ERROR' && decoder.bytesWritten === 0) return { bytes: Buffer.alloc(0), truncated: false }
    throw new Dead(`body cannot be decompressed (${coding}): ${message}`, { cause: error })
  }
}

function createDecoder(coding: string) {
  const zlib = process.getBuiltinModule('node:zlib')
  if (coding === 'br') return zlib.createBrotliDecompress()
  if (coding === 'deflate') return zlib.createInflate()
  if (coding !== 'zstd') return zlib.createGunzip()
  return zlib.createZstdDecompress({ params: { [zlib.constants.ZSTD_d_windowLogMax]: MAX_ZSTD_WINDOW_LOG } })
}

/** Reads at most `limit` bytes. They go into one buffer, as a list of what a server sends byte by byte would grow a hundredfold. */
function readBounded(body: Readable, limit: number): Promise<Body> {
  const { promise, resolve, reject } = Promise.withResolvers<Body>()
  let bytes = Buffer.alloc(0)
  let length = 0
  body.on('data', (chunk: Buffer) => {
    const kept = chunk.subarray(0, limit - length)
    bytes = makeRoom(bytes, length + kept.length)
    bytes.set(kept, length)
    length += kept.length
    if (kept.length === chunk.length) return
    resolve({ bytes: bytes.subarray(0, length), truncated: true })
    body.destroy()
  })
  body.on('end', () => resolve({ bytes: bytes.subarray(0, length), truncated: false }))
  body.on('error', reject)
  // It may have failed together with its first bytes, and says so only once.
  if (body.errored) reject(body.errored)
  return promise
}

function makeRoom(bytes: Buffer<ArrayBuffer>, length: number): Buffer<ArrayBuffer> {
  if (length <= bytes.length) return bytes
  const larger = Buffer.allocUnsafe(Math.max(length, bytes.length * 2))
  larger.set(bytes)
  return larger
}

function createTextDecoder(contentType: string) {
  const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(contentType)?.[1]
  try {
    return new TextDecoder(charset)
  } catch {
    // A charset that nobody knows is the server's slip; what matters in a body is nearly always ASCII.
    return new TextDecoder()
  }
}

function parseJson(body: string, contentType: string): unknown {
  if (!/[/+]json\b/i.test(contentType) && !/^\s*[[{]/.test(body)) return undefined
  try {
    return JSON.parse(body)
  } catch {
    // Not JSON whatever it looked like: the fact stays absent, and a criterion on it says so.
    return undefined
  }
}

function toFacts(answer: IncomingMessage, { bytes, truncated }: Body, tookMs: number) {
  const type = findHeader(answer, 'content-type') ?? ''
  const body = createTextDecoder(type).decode(bytes)
  return {
    status: answer.statusCode,
    header: toRecord(answer),
    body,
    body_bytes: bytes.length,
    body_truncated: truncated,
    // Parsed when a criterion looks: that takes far longer than the check of a large body.
    get json() {
      return truncated ? undefined : parseJson(body, type)
    },
    time_ms: Math.round(tookMs * 10) / 10,
  }
}

function findHeader({ headersDistinct }: IncomingMessage, name: string): string | undefined {
  return headersDistinct[name]?.join(', ')
}

/** Each header as it came: commas may be part of a value, so none is split there, and none joined. */
function toRecord({ headersDistinct }: IncomingMessage): Record<string, string | string[]> {
  const entries = Object.entries(headersDistinct)
  return Object.fromEntries(
    entries.map(([name, values = []]) => {
      const [only = ''] = values
      return [name, values.length > 1 || name === 'set-cookie' ? values : only]
    }),
  )
}

interface NetworkError extends NodeJS.ErrnoException {
  address?: string
  port?: number
  hostname?: string
  reason?: string
  errors?: NetworkError[]
}

/** Turns an error of Node that speaks of the target into `Dead` with words for people; all others stay as they are. */
function explain(thrown: unknown): unknown {
  if (thrown instanceof Dead || thrown instanceof Unknown || !(thrown instanceof Error)) return thrown
  const error: NetworkError = thrown
  // A host with several addresses: one that spoke of the target is enough to judge it.
  const faults = (error.errors ?? [error]).map(describe).filter((text) => text !== undefined)
  if (faults.length > 0) return new Dead([...new Set(faults)].join('; '), { cause: thrown })
  if (!error.errors) return thrown
  return new Unknown(error.errors.map(({ message }) => message).join('; '), { cause: thrown })
}

function describe(error: NetworkError): string | undefined {
  const { code = '', message, reason = message } = error
  if (code === 'ECONNREFUSED') return `connection refused by ${formatPeer(error)}`
  if (code === 'ETIMEDOUT') return `no connection to ${formatPeer(error)}: timed out`
  if (code === 'EHOSTUNREACH') return `no route to ${formatPeer(error)}`
  if (code === 'ENOTFOUND') return `no address is known for ${error.hostname}`
  if (code === 'ECONNRESET') return describeReset(message)
  if (code === 'EPIPE') return 'closed before the whole request was sent'
  if (code === 'HPE_HEADER_OVERFLOW') return `sent more than ${MAX_HEADER_BYTES / KIB} KiB of headers`
  if (code.startsWith('HPE_')) return `HTTP cannot be parsed: ${reason}`
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) return `TLS failed: ${findTlsReason(message) ?? reason}`
  // The names that OpenSSL has for what is wrong with a certificate, in words that Node follows up with advice about itself.
  return /CERT|^UNABLE_TO_|^CRL_|^INVALID_/.test(code) ? message.replace(/; if the root CA .*/s, '') : undefined
}

function describeReset(message: string): string {
  if (message === 'aborted') return 'closed before the whole body'
  if (message.includes('TLS')) return 'closed before TLS was established'
  return message.startsWith('read') ? 'connection reset' : 'closed before the answer'
}

/** OpenSSL writes `error:<number>:SSL routines:<function>:<reason>:<file>:<line>`. */
function findTlsReason(message: string): string | undefined {
  return /:SSL routines:[^:]*:([^:]+):/.exec(message)?.[1]
}

function formatPeer({ address, port }: NetworkError): string {
  if (address === undefined) return 'the target'
  return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`
}

/** Makes a schema's refinement of a function that returns what is wrong: a phrase that follows the value. */
function refuse<Value>(findFault: (value: Value) => string | undefined) {
  return (value: Value, context: z.RefinementCtx) => {
    const message = findFault(value)
    if (message !== undefined) context.addIssue({ code: 'custom', message })
  }
}

function findUrlFault(text: string): string | undefined {
  const url = URL.parse(text)
  if (!url || !isWeb(url)) return 'is not an http or https URL; write it like http://localhost:9200/_cat/health'
  if (url.port === '0') return 'names port 0, on which nothing can listen'
  try {
    decodeURIComponent(url.username + url.password)
    return undefined
  } catch {
    return 'has a user or password with a stray "%"; write it as "%25"'
  }
}

function isWeb({ protocol }: URL): boolean {
  return protocol === 'http:' || protocol === 'https:'
}

function findMethodFault(method: string): string | undefined {
  if (!TOKEN.test(method)) return 'is not an HTTP method; write get, head, post or another'
  if (/^(connect|trace|track)$/i.test(method)) return 'is a method that fetch refuses; write get, head, post or another'
  return undefined
}

function findHeaderFault(name: string, header: Record<string, unknown>): string | undefined {
  const namesakes = Object.keys(header).filter((other) => other.toLowerCase() === name.toLowerCase())
  if (!TOKEN.test(name)) return 'has a name that HTTP does not allow; write letters, digits and "-"'
  if (CONNECTION_HEADERS.test(name)) return 'cannot be set; url_probe writes this header itself for each connection'
  if (namesakes.length > 1) return `is one of ${namesakes.length} headers that differ only in case; keep one`
  if (!FIELD_VALUE.test(String(header[name]).trim())) return 'has a line break or a character beyond Latin-1'
  return undefined
}

function findCaFault(path: string): string | undefined {
  try {
    if (!statSync(path).isFile()) return 'is not a file'
    return isPem(readFileSync(path, 'utf8')) ? undefined : 'holds no certificate in PEM form'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'ENOENT' ? 'does not exist' : `cannot be read: ${code}`
  }
}

function isPem(text: string): boolean {
  return text.includes('-----BEGIN CERTIFICATE-----')
}

/** Reads a size as people write it, in bytes: a number, or text such as `512KiB` or `2MiB`. */
function parseSize(value: string | number): number | undefined {
  const match = /^(\d+)\s?(KiB|MiB)?$/i.exec(String(value).trim())
  if (!match) return undefined
  const unit = match[2]?.toLowerCase()
  return Number(match[1]) * (unit === 'mib' ? MIB : unit === 'kib' ? KIB : 1)
}

function findSizeFault(bytes: number | undefined): string | undefined {
  if (bytes === undefined) return 'is not a size; write 1048576, "512KiB" or "1MiB"'
  return bytes < KIB || bytes > 64 * MIB ? 'is out of range; 1KiB to 64MiB is allowed' : undefined
}
