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
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { RequestOptions } from 'node:https'
import { isIP } from 'node:net'
import { pipeline } from 'node:stream'
import type { SecureContext } from 'node:tls'
import { Dead, defineProbe, lookup, seconds, Unknown, z } from 'deadpool'
import type { KyInstance } from 'ky'

const KIB = 1024
const MIB = 1024 * KIB
const MAX_REDIRECTS = 10
const MAX_INFORMATIONAL = 100
const MAX_HEADER_BYTES = 16 * KIB
/** 8 MiB, the most that RFC 9659 lets a server use; the library's own limit is 128 MiB. */
const MAX_ZSTD_WINDOW_LOG = 23

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
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
    header: 'response headers by lower-case name, as text; set-cookie is a list',
    json: 'response body, parsed; absent when it is not JSON or was truncated',
    time_ms: 'whole check, ms',
  },
  criteria: { status: { type: 'status_in', query: ['2xx'] } },
  async probe(query, { signal }) {
    const { default: ky } = await loadKy()
    const startedAt = performance.now()
    const open = new Set<ClientRequest>()
    const close = () => closeAll(open)
    signal.addEventListener('abort', close)
    try {
      const response = await ask({ ky, query, signal, open })
      const facts = await readFacts(response, query.max_body)
      return { ...facts, time_ms: Math.round((performance.now() - startedAt) * 10) / 10 }
    } catch (error) {
      throw signal.aborted ? signal.reason : explain(error)
    } finally {
      signal.removeEventListener('abort', close)
      close()
    }
  },
})

let kyLoading: Promise<typeof import('ky')> | undefined

/** Loads ky at the first check: it brings undici's globals with it, which would cost 40 ms of every start. */
function loadKy(): Promise<typeof import('ky')> {
  kyLoading ??= import('ky')
  return kyLoading
}

/** One check under way. Whatever becomes of it, at its end all requests in `open` are destroyed, and their sockets with them. */
interface Check {
  ky: KyInstance
  query: Query
  signal: AbortSignal
  open: Set<ClientRequest>
}

/** One request of a check: the first, or one that a redirect led to. */
interface Hop {
  url: URL
  method: string
  headers: Record<string, string>
  body?: string | undefined
}

async function ask(check: Check): Promise<Response> {
  let hop = createFirstHop(check.query)
  for (let redirects = 0; ; redirects++) {
    const response = await askOnce(hop, check)
    const next = check.query.follow_redirects ? findRedirect(response, hop) : undefined
    if (!next) return response
    if (redirects === MAX_REDIRECTS) throw new Dead(`redirects more than ${MAX_REDIRECTS} times`)
    closeAll(check.open)
    hop = next
  }
}

function closeAll(requests: Iterable<ClientRequest>): void {
  for (const request of requests) request.destroy()
}

async function askOnce({ url, method, headers, body }: Hop, check: Check): Promise<Response> {
  return check.ky(url, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
    retry: 0,
    timeout: false,
    throwHttpErrors: false,
    redirect: 'manual',
    // The signal acts on the socket, not through ky: there it would be held weakly by AbortSignal.any and Request.
    fetch: (request) => fetchFresh(request as Request, check),
  })
}

/**
 * A `fetch` that keeps no connection, over node:http: undici's costs twice the CPU, and gives no say about TLS, lookups and
 * the size of headers.
 */
async function fetchFresh(request: Request, check: Check): Promise<Response> {
  const url = new URL(request.url)
  const body = request.body ? Buffer.from(await request.arrayBuffer()) : undefined
  const headers = Object.fromEntries(request.headers)
  if (body) headers['content-length'] = String(body.length)
  const options: RequestOptions = {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port,
    path: url.pathname + url.search,
    method: request.method,
    headers,
    agent: false,
    lookup,
    maxHeaderSize: MAX_HEADER_BYTES,
  }
  const tls = url.protocol === 'https:' ? await createTlsOptions(url.hostname, check) : undefined
  check.signal.throwIfAborted()
  const sent = tls
    ? process.getBuiltinModule('node:https').request({ ...options, ...tls })
    : process.getBuiltinModule('node:http').request(options)
  check.open.add(sent)
  return toResponse(await awaitAnswer(sent, body))
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

function toResponse(answer: IncomingMessage): Response {
  const { statusCode: status = 0, rawHeaders } = answer
  if (status < 200 || status > 599) throw new Dead(`answered with status ${status}, which HTTP does not have`)
  const headers: [string, string][] = []
  for (let i = 0; i < rawHeaders.length; i += 2) headers.push([rawHeaders[i] ?? '', rawHeaders[i + 1] ?? ''])
  const body = [204, 205, 304].includes(status) ? null : ReadableStream.from(decompress(answer))
  return new Response(body, { status, headers })
}

/** Undoes the compression of a server that compresses although nobody asked; an unknown coding stays as it came. */
function decompress(answer: IncomingMessage): AsyncIterable<Uint8Array> {
  const coding = answer.headers['content-encoding']?.trim().toLowerCase() ?? ''
  return /^(x-gzip|gzip|deflate|br|zstd)$/.test(coding) ? decode(answer, coding) : answer
}

async function* decode(answer: IncomingMessage, coding: string): AsyncGenerator<Uint8Array> {
  const decoder = createDecoder(coding)
  try {
    // The callback has nothing to do: errors of both streams come out of this iteration.
    for await (const chunk of pipeline(answer, decoder, () => {})) yield chunk
  } catch (error) {
    if (answer.errored) throw error
    const { code, message } = error as NodeJS.ErrnoException
    // HEAD, or an empty body: its coding is named although there is nothing to decode.
    if (code === 'Z_BUF_ERROR' && decoder.bytesWritten === 0) return
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
function findRedirect({ status, headers }: Response, from: Hop): Hop | undefined {
  const location = headers.get('location')
  if (![301, 302, 303, 307, 308].includes(status) || location === null) return undefined
  const url = URL.parse(location, from.url.href)
  if (!url) throw new Dead('redirects to something that is not a URL')
  if (!isWeb(url)) throw new Dead(`redirects to "${url.protocol}", which is neither http nor https`)
  // Who we are is for the configuration to say, not for the target.
  url.username = ''
  url.password = ''
  const isKept = (name: string) => url.origin === from.url.origin || HARMLESS_HEADERS.test(name)
  const next = { ...from, url, headers: pickHeaders(from.headers, isKept) }
  if (!becomesGet(status, from.method)) return next
  return { url, method: 'GET', headers: pickHeaders(next.headers, (name) => !name.startsWith('content-')) }
}

function becomesGet(status: number, method: string): boolean {
  if (status === 303) return method !== 'HEAD'
  return method === 'POST' && (status === 301 || status === 302)
}

function pickHeaders(headers: Record<string, string>, isWanted: (name: string) => boolean): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => isWanted(name)))
}

function createFirstHop(query: Query): Hop {
  const url = new URL(query.url)
  const headers = { ...DEFAULT_HEADERS, ...takeCredentials(url), ...query.header }
  return { url, method: query.query_type, headers, body: query.body }
}

/** Moves user and password out of the URL, where fetch forbids them, into the header that they stand for. */
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

async function readFacts(response: Response, maxBytes: number) {
  const { bytes, truncated } = await readBounded(response.body ?? [], maxBytes)
  const type = response.headers.get('content-type') ?? ''
  const body = createTextDecoder(type).decode(bytes)
  const json = truncated ? undefined : parseJson(body, type)
  return {
    status: response.status,
    header: toRecord(response.headers),
    body,
    body_bytes: bytes.length,
    body_truncated: truncated,
    ...(json === undefined ? {} : { json }),
  }
}

/** Reads at most `limit` bytes. They go into one buffer, as a list of what a server sends byte by byte would grow a hundredfold. */
async function readBounded(body: AsyncIterable<Uint8Array> | [], limit: number) {
  let bytes = Buffer.alloc(0)
  let length = 0
  for await (const chunk of body) {
    const kept = chunk.subarray(0, limit - length)
    bytes = makeRoom(bytes, length + kept.length)
    bytes.set(kept, length)
    length += kept.length
    if (kept.length < chunk.length) return { bytes: bytes.subarray(0, length), truncated: true }
  }
  return { bytes: bytes.subarray(0, length), truncated: false }
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

function toRecord(headers: Headers): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = Object.fromEntries(headers)
  if (headers.has('set-cookie')) record['set-cookie'] = headers.getSetCookie()
  return record
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
