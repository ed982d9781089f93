/**
 * url_probe: asks an HTTP or HTTPS URL, each time over a connection of its own. When redirects are followed, the facts are
 * those of the last answer, and its parts of the time are those of all.
 *
 *   elastic:
 *     module: url_probe
 *     period: 3
 *     query:
 *       url: http://localhost:9200/_cat/health   # http or https; user:password@ becomes basic authorization
 *       header: {}                 # name: value, such as X-Api-Key: {file: /etc/deadpool/elastic.key}
 *       query_type: get            # any method
 *       timeout: 5                 # seconds for the whole check
 *       max_body: 1MiB             # reading stops there; 1KiB to 64MiB
 *       follow_redirects: false    # true follows up to 10, a number up to so many
 *       http_version: "1.1"        # "2", over http without asking first; auto: what https offers
 *       # user: monitor            # basic authorization, with
 *       # password: {file: /etc/deadpool/elastic.password}
 *       # bearer: {env: ELASTIC_TOKEN}        # instead of user and password
 *       # body: '{"size": 0}'      # text to send, with post, put and the like
 *       # form: {name: value}      # instead of body: sent as a web form
 *       # body_file: /etc/deadpool/query.json # instead of body: read for each check
 *       # tls: {ca_file: ca.pem}   # for https: authorities, a certificate to show, the name to ask for (SNI)
 *       # proxy: http://user:password@proxy.example.org:3128   # it resolves the host of url
 *       # proxy_tls: {ca_file: ca.pem}        # for an https proxy
 *       # resolve: 10.0.0.7        # connect there instead of what the host of url resolves to
 *       # ip_version: 4            # or 6: only addresses of this kind
 *     success_criteria:            # default: status is 2xx
 *       status: { type: status_in, query: [200] }
 *       body: { type: re_search, query: 'elasticsearch+ green+' }
 */
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { IncomingMessage, RequestOptions } from 'node:http'
import { isIP, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Http2Answer, HttpBody, TlsSettings } from 'deadpool'
import {
  askHttp2,
  awaitHttpAnswer,
  certDays,
  DEFAULT_TLS,
  Dead,
  defineProbe,
  dial,
  explainHttpError,
  formatBasic,
  MAX_HEADER_BYTES,
  readAuthorization,
  readHttpBody,
  seconds,
  secret,
  startTls,
  tlsSettings,
  Unknown,
  z,
} from 'deadpool'
import type { CookieJar } from 'tough-cookie'

const KIB = 1024
const MIB = 1024 * KIB
const EMPTY_STATUSES = [204, 205, 304]
const MAX_REDIRECTS = 10

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const DEFAULT_HEADERS = { accept: '*/*', 'accept-encoding': 'identity', 'user-agent': 'DeadPool' }
/** What node:http writes about the connection and the length of the body; a second opinion would break them. */
const CONNECTION_HEADERS =
  /^(connection|content-length|expect|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade)$/i
/** What may follow a redirect to another origin: any other header may carry a credential. */
const HARMLESS_HEADERS = /^(accept|accept-encoding|accept-language|cache-control|content-type|pragma|user-agent)$/
const ALPN = { '1.1': ['http/1.1'], '2': ['h2'], auto: ['h2', 'http/1.1'] }

// The query

const headerSchema = z
  .record(
    z.string(),
    z.union([z.string(), z.number(), secret()], {
      error: 'is not text, a number, {env: NAME}, {file: PATH} or {credential: NAME}',
    }),
  )
  .superRefine((header, context) => {
    for (const name of Object.keys(header)) {
      const message = findHeaderFault(name, header)
      if (message) context.addIssue({ code: 'custom', path: [name], message })
    }
  })
  .transform((header) =>
    Object.fromEntries(
      Object.entries(header).map(([name, value]) => {
        return [name.toLowerCase(), typeof value === 'object' ? value : String(value).trim()]
      }),
    ),
  )

const formSchema = z.record(
  z.string(),
  z.union([z.string(), z.number(), z.boolean()], { error: 'is not text, a number, true or false' }),
)

const sizeSchema = z
  .union([z.number(), z.string()], { error: 'is not a size; write 1048576, "512KiB" or "1MiB"' })
  .superRefine(refuse((value) => findSizeFault(parseSize(value))))
  .transform((value) => parseSize(value) ?? z.NEVER)
  .meta({ title: 'size' })

const redirectsSchema = z
  .union([z.boolean(), z.int().min(0).max(50)], { error: 'is not true, false or a number of redirects' })
  .default(false)
  .transform((given) => (given === true ? MAX_REDIRECTS : Number(given)))

const versionSchema = z
  .literal(['1.1', '2', 'auto', 1.1, 2], { error: 'is not "1.1", "2" or auto' })
  .default('1.1')
  .transform((given) => String(given) as keyof typeof ALPN)

const fileSchema = z.string().superRefine(refuse(findFileFault)).meta({ title: 'file' })

const querySchema = z
  .strictObject({
    url: z.string().superRefine(refuse(findUrlFault)).describe('http or https; user:password@ is basic authorization'),
    header: headerSchema.default({}).describe('headers to send, name: value; a value may be a secret'),
    query_type: z.string().superRefine(refuse(findMethodFault)).toUpperCase().default('GET').describe('any method'),
    timeout: seconds().default(5).describe('the longest that the whole check may take'),
    max_body: sizeSchema.default(MIB).describe('reading the body stops there; 1KiB to 64MiB'),
    follow_redirects: redirectsSchema.describe('whether redirects are followed, and how many: true is up to 10'),
    http_version: versionSchema.describe(
      '"2" over http begins without asking; auto is what the server takes over https',
    ),
    user: z.string().superRefine(refuse(findUserFault)).optional().describe('for basic authorization'),
    password: secret().optional().describe('for basic authorization'),
    bearer: secret().optional().describe('a token, instead of user and password'),
    body: z.string().optional().describe('text to send, with post, put and the like'),
    form: formSchema.optional().describe('instead of body: names and values, sent as a web form'),
    body_file: fileSchema.optional().describe('instead of body: a file to send, read for each check'),
    tls: tlsSettings().optional().describe('for https'),
    proxy: z
      .string()
      .superRefine(refuse(findProxyFault))
      .optional()
      .describe('URL of an http or https proxy, with user:password@ if it wants them; it resolves the host of url'),
    proxy_tls: tlsSettings().optional().describe('for an https proxy'),
    resolve: z
      .string()
      .superRefine(refuse(findAddressFault))
      .optional()
      .describe('address to connect to, instead of what the host of url resolves to'),
    ip_version: z.literal([4, 6]).optional().describe('connect only to addresses of this kind'),
  })
  .superRefine((query, context) => {
    for (const [path, message] of findContradictions(query)) {
      context.addIssue({ code: 'custom', path: [path], message })
    }
  })
  .meta({ formerKeys: { insecure_tls: 'tls.insecure', ca_file: 'tls.ca_file' } })

type Query = z.output<typeof querySchema>

export const Probe = defineProbe({
  summary: 'Asks an HTTP or HTTPS URL over a fresh connection.',
  query: querySchema,
  facts: {
    status: { about: 'HTTP status code', type: 'number' },
    body: { about: 'body as text, at most max_body bytes of it', type: 'text' },
    body_bytes: { about: 'bytes of the body that were read, after decompression', type: 'number', unit: 'bytes' },
    body_truncated: { about: 'whether the body goes on after max_body', type: 'boolean' },
    header: {
      about: 'headers by lower-case name, as text; one that came several times, and set-cookie, as a list',
      type: 'record',
    },
    json: { about: 'body, parsed; absent when it is not JSON or was truncated' },
    url: { about: 'URL that gave the answer, without user and password', type: 'text' },
    redirects: { about: 'redirects that were followed', type: 'number' },
    http_version: { about: '1.0, 1.1 or 2', type: 'text' },
    remote_ip: { about: 'address that it connected to: that of the proxy, if there is one', type: 'text' },
    tls_version: { about: 'such as TLSv1.3; absent over http', type: 'text' },
    cert_days: {
      about: 'until the served certificate ends; negative when it has ended, absent over http',
      type: 'number',
      unit: 'days',
    },
    time_ms: { about: 'whole check', type: 'number', unit: 'ms' },
    dns_ms: { about: 'part of it: look-up of the name; absent for an address', type: 'number', unit: 'ms' },
    connect_ms: { about: 'part of it: connection, with what a proxy takes', type: 'number', unit: 'ms' },
    tls_ms: { about: 'part of it: TLS handshake; absent over http', type: 'number', unit: 'ms' },
    first_byte_ms: { about: 'part of it: from the request to the head of the answer', type: 'number', unit: 'ms' },
  },
  criteria: { status: { type: 'status_in', query: ['2xx'] } },
  async probe(query, { signal }) {
    const startedAt = performance.now()
    const check: Check = {
      plan: findPlan(query),
      signal,
      opened: [],
      readyAt: startedAt,
      times: {},
      seen: {},
      jar: undefined,
    }
    const close = () => closeAll(check)
    signal.addEventListener('abort', close)
    try {
      const last = await ask(check)
      const body = await readBody(last.answer, query.max_body)
      return toFacts(last, body, check, performance.now() - startedAt)
    } catch (error) {
      throw signal.aborted ? signal.reason : explain(error, query)
    } finally {
      signal.removeEventListener('abort', close)
      close()
    }
  },
})

/** One check under way. Whatever becomes of it, at its end all that it `opened` is destroyed. */
interface Check {
  plan: Plan
  signal: AbortSignal
  opened: { destroy(): unknown }[]
  /** When the connection stood and the request could be sent. */
  readyAt: number
  times: Times
  /** Of the connection under way. */
  seen: { remote_ip?: string | undefined; tls_version?: string | undefined; cert_days?: number | undefined }
  jar: CookieJar | undefined
}

interface Times {
  dns_ms?: number
  connect_ms?: number
  tls_ms?: number
  first_byte_ms?: number
}

/** Adds the time since then to a part of the check's time, and gives the moment. */
function addTime(times: Times, part: keyof Times, since: number): number {
  const now = performance.now()
  times[part] = (times[part] ?? 0) + now - since
  return now
}

function closeAll({ opened }: Check): void {
  // What was opened last may still say goodbye over what was opened first.
  for (const each of opened.splice(0).reverse()) each.destroy()
}

// Requests and redirects

/** What all checks of a query have in common, worked out once. */
interface Plan {
  query: Query
  /** The URL of the query, without credentials. */
  home: URL
  proxy: Proxy | undefined
  first: Hop
}

interface Proxy {
  host: string
  port: number
  isSecure: boolean
  headers: Record<string, string>
}

/** What a request asks. */
interface Asked {
  url: URL
  method: string
  /** Those that go on to where a redirect leads. */
  headers: Record<string, string>
  body: Buffer | undefined
}

/** One request of a check: the first, or one that a redirect led to. */
interface Hop extends Asked {
  /** Whom to connect to. */
  peer: { host: string; port: number }
  /** Whether nothing stands between a TCP connection and HTTP/1. */
  isPlain: boolean
  isTunnelled: boolean
  options: RequestOptions & { headers: Record<string, string | number> }
}

/** An answer of either version of HTTP, its body unread. */
interface Answer extends Http2Answer {
  /** Which HTTP/1. */
  http1?: string
}

interface Last {
  answer: Answer
  hop: Hop
  redirects: number
}

async function ask(check: Check): Promise<Last> {
  const limit = check.plan.query.follow_redirects
  let hop = isSettled(check.plan.query) ? check.plan.first : await settle(check)
  for (let redirects = 0; ; redirects++) {
    const answer = await askOnce(hop, check)
    const next = limit > 0 ? findRedirect(answer, hop) : undefined
    if (!next) return { answer, hop, redirects }
    if (redirects === limit) throw new Dead(`redirects more than ${limit} ${limit === 1 ? 'time' : 'times'}`)
    await keepCookies(answer, hop, check)
    closeAll(check)
    hop = createHop(next, check.plan, check.jar?.getCookieStringSync(next.url.href))
  }
}

async function askOnce(hop: Hop, check: Check): Promise<Answer> {
  check.signal.throwIfAborted()
  const socket = hop.isPlain ? await openSocket(hop.peer, check) : await openChannel(hop, check)
  // It may be gone together with the last word of the handshake.
  if (socket.destroyed) throw socket.errored ?? new Dead('closed before the answer')
  const isHttp2 = speaksHttp2(socket, hop, check)
  const answer = isHttp2 ? await askByHttp2(hop, socket, check) : await askByHttp1(hop, socket, check)
  addTime(check.times, 'first_byte_ms', check.readyAt)
  if (answer.status >= 200 && answer.status <= 599) return answer
  throw new Dead(`answered with status ${answer.status}, which HTTP does not have`)
}

const plans = new WeakMap<Query, Plan>()

function findPlan(query: Query): Plan {
  const known = plans.get(query)
  if (known) return known
  const plan = createPlan(query)
  plans.set(query, plan)
  return plan
}

function createPlan(query: Query): Plan {
  const { header, body, form, query_type: method } = query
  const home = new URL(query.url)
  const authorization = takeCredentials(home)
  const content = body ?? (form && writeForm(form))
  const headers = sortHeaders({
    ...DEFAULT_HEADERS,
    ...findContentType(query),
    ...(authorization && { authorization }),
    ...pickTexts(header),
  })
  const plan = { query, home, proxy: query.proxy === undefined ? undefined : createProxy(query.proxy) }
  const asked = { url: home, method, headers, body: content === undefined ? undefined : Buffer.from(content) }
  return { ...plan, first: createHop(asked, plan) }
}

function writeForm(form: NonNullable<Query['form']>): string {
  const pairs = Object.entries(form).map(([name, value]): [string, string] => [name, String(value)])
  return String(new URLSearchParams(pairs))
}

function findContentType({ body, form, body_file }: Query): Record<string, string> {
  if (form) return { 'content-type': 'application/x-www-form-urlencoded' }
  if (body_file !== undefined) return { 'content-type': 'application/octet-stream' }
  return body === undefined ? {} : { 'content-type': 'text/plain;charset=UTF-8' }
}

/** In order of their names, so that it does not matter how the configuration is ordered. */
function sortHeaders(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function createProxy(text: string): Proxy {
  const url = new URL(text)
  const authorization = takeCredentials(url)
  const isSecure = url.protocol === 'https:'
  const headers: Record<string, string> = authorization ? { 'proxy-authorization': authorization } : {}
  return { host: hostOf(url), port: portOf(url), isSecure, headers }
}

/** Headers that are the same for each check. */
function pickTexts(header: Query['header']): Record<string, string> {
  return Object.fromEntries(Object.entries(header).flatMap(([name, value]) => (isText(value) ? [[name, value]] : [])))
}

function isText(value: Query['header'][string]): value is string {
  return typeof value === 'string'
}

/** Whether a query asks the same each time, with nothing to be read first. */
function isSettled({ user, password, bearer, body_file, header }: Query): boolean {
  return (user ?? password ?? bearer ?? body_file) === undefined && Object.values(header).every(isText)
}

/** The first request with what is to be read for each check. */
async function settle({ plan, signal }: Check): Promise<Hop> {
  const { query, first } = plan
  const [authorization, secrets, body = first.body] = await Promise.all([
    readAuthorization(query, signal),
    readSecretHeaders(query.header, signal),
    query.body_file === undefined ? undefined : readBodyFile(query.body_file, signal),
  ])
  const headers = sortHeaders({ ...first.headers, ...secrets, ...(authorization !== undefined && { authorization }) })
  return createHop({ ...first, headers, body }, plan)
}

async function readSecretHeaders(header: Query['header'], signal: AbortSignal): Promise<Record<string, string>> {
  const read = Object.entries(header).map(async ([name, value]) => {
    if (isText(value)) return []
    const text = (await value.read(signal)).trim()
    if (!FIELD_VALUE.test(text)) throw new Unknown(`header.${name} has a line break or a character beyond Latin-1`)
    return [[name, text]]
  })
  return Object.fromEntries((await Promise.all(read)).flat())
}

function readBodyFile(path: string, signal: AbortSignal): Promise<Buffer> {
  return readFile(path, { signal }).catch((error: Error) => {
    throw new Unknown(`body_file cannot be read: ${error.message}`, { cause: error })
  })
}

function createHop({ url, method, headers, body }: Asked, plan: Omit<Plan, 'first'>, cookies = ''): Hop {
  const { query, home, proxy } = plan
  const isHttp = url.protocol === 'http:'
  const isTunnelled = proxy !== undefined && (!isHttp || query.http_version === '2')
  const address = url.hostname === home.hostname ? query.resolve : undefined
  const path = url.pathname + url.search
  return {
    url,
    method,
    headers,
    body,
    peer: proxy ?? { host: address ?? hostOf(url), port: portOf(url) },
    isPlain: isHttp && !proxy && query.http_version !== '2',
    isTunnelled,
    options: {
      // For the header Host.
      host: hostOf(url),
      port: portOf(url),
      defaultPort: isHttp ? 80 : 443,
      path: proxy && !isTunnelled ? url.origin + path : path,
      method,
      headers: {
        ...headers,
        ...(cookies !== '' && { cookie: mergeCookies(headers.cookie, cookies) }),
        ...(body && { 'content-length': body.length }),
        ...(proxy && !isTunnelled && proxy.headers),
      },
      maxHeaderSize: MAX_HEADER_BYTES,
    },
  }
}

function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '')
}

function portOf({ port, protocol }: URL): number {
  return Number(port) || (protocol === 'https:' ? 443 : 80)
}

/** What a redirect asks, by the Fetch standard ("HTTP-redirect fetch"); nothing for any other answer. */
function findRedirect(answer: Answer, from: Hop): Asked | undefined {
  const location = findHeader(answer, 'location')
  if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return undefined
  const url = URL.parse(location, from.url.href)
  if (!url) throw new Dead('redirects to something that is not a URL')
  if (!isWeb(url)) throw new Dead(`redirects to "${url.protocol}", which is neither http nor https`)
  // Who we are is for the configuration to say, not for the target.
  url.username = ''
  url.password = ''
  const isKept = (name: string) => url.origin === from.url.origin || HARMLESS_HEADERS.test(name)
  const headers = pickHeaders(from.headers, isKept)
  if (!becomesGet(answer.status, from.method)) return { url, method: from.method, headers, body: from.body }
  const isOfNoBody = (name: string) => !name.startsWith('content-')
  return { url, method: 'GET', headers: pickHeaders(headers, isOfNoBody), body: undefined }
}

function becomesGet(status: number, method: string): boolean {
  if (status === 303) return method !== 'HEAD'
  return method === 'POST' && (status === 301 || status === 302)
}

function pickHeaders(headers: Record<string, string>, isWanted: (name: string) => boolean): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => isWanted(name)))
}

/** Cookies of a redirect go with the requests after it, where they belong by RFC 6265. */
async function keepCookies(answer: Answer, { url }: Hop, check: Check): Promise<void> {
  const cookies = answer.headers['set-cookie'] ?? []
  if (cookies.length === 0) return
  check.jar ??= new (await import('tough-cookie')).CookieJar()
  for (const cookie of cookies) check.jar.setCookieSync(cookie, url.href, { ignoreError: true })
}

/** The configured cookies, but for those that the target has set anew. */
function mergeCookies(configured: string | undefined, received: string): string {
  const nameOf = (pair: string) => pair.split('=', 1)[0]
  const renewed = new Set(received.split('; ').map(nameOf))
  const kept = (configured ?? '').split(/;\s*/).filter((pair) => pair !== '' && !renewed.has(nameOf(pair)))
  return [...kept, received].join('; ')
}

/** Moves user and password out of the URL into the header that they stand for. */
function takeCredentials(url: URL): string | undefined {
  if (!hasCredentials(url)) return undefined
  const { username, password } = url
  url.username = ''
  url.password = ''
  return formatBasic(decodeURIComponent(username), decodeURIComponent(password))
}

function hasCredentials(url: URL | null): boolean {
  return url !== null && (url.username !== '' || url.password !== '')
}

// Connections

async function openSocket({ host, port }: Hop['peer'], check: Check): Promise<Socket> {
  const { times, plan, signal } = check
  const { ip_version: family } = plan.query
  if (family !== undefined && isIP(host) && isIP(host) !== family) {
    throw new Dead(`redirects to ${host}, which is not an IPv${family} address`)
  }
  const startedAt = performance.now()
  let knownAt = startedAt
  const onResolved = () => {
    knownAt = addTime(times, 'dns_ms', startedAt)
  }
  const socket = await dial({ host, port, family, signal, onResolved })
  check.opened.push(socket)
  check.readyAt = addTime(times, 'connect_ms', knownAt)
  check.seen = { remote_ip: socket.remoteAddress }
  return socket
}

/** Connects through all that lies between: the proxy, its tunnel, TLS. */
async function openChannel(hop: Hop, check: Check): Promise<Socket> {
  const { proxy, query } = check.plan
  const channel = proxy ? await passProxy(proxy, hop, check) : await openSocket(hop.peer, check)
  if (hop.url.protocol === 'http:') return channel
  const startedAt = performance.now()
  const secured = await secure(channel, hostOf(hop.url), check, {
    tls: findTls(hop.url, check.plan),
    alpn: ALPN[query.http_version],
  })
  check.readyAt = addTime(check.times, 'tls_ms', startedAt)
  check.seen.tls_version = secured.getProtocol() ?? undefined
  check.seen.cert_days = certDays(secured)
  return secured
}

async function secure(
  socket: Socket,
  host: string,
  { signal, opened }: Check,
  options: { tls: TlsSettings; alpn: string[] },
): Promise<TLSSocket> {
  const secured = await startTls(socket, { host, signal, ...options })
  opened.push(secured)
  return secured
}

const guests = new WeakMap<TlsSettings, TlsSettings>()

/** The certificate to show and the name to ask for are meant for the host of the query: no other gets to see them. */
function findTls(url: URL, { query: { tls = DEFAULT_TLS }, home }: Plan): TlsSettings {
  const isUpgraded = home.protocol === 'http:' && url.hostname === home.hostname
  if (url.origin === home.origin || isUpgraded) return tls
  const known = guests.get(tls)
  if (known) return known
  const { ca_file, min_version, insecure } = tls
  const guest = { ca_file, min_version, insecure }
  guests.set(tls, guest)
  return guest
}

async function passProxy(proxy: Proxy, hop: Hop, check: Check): Promise<Socket> {
  try {
    const socket = await openSocket(hop.peer, check)
    const tls = check.plan.query.proxy_tls ?? DEFAULT_TLS
    const channel = proxy.isSecure ? await secure(socket, proxy.host, check, { tls, alpn: ALPN['1.1'] }) : socket
    if (hop.isTunnelled) await openTunnel(channel, proxy, hop.url)
    check.readyAt = addTime(check.times, 'connect_ms', check.readyAt)
    return channel
  } catch (error) {
    const explained = explainHttpError(error)
    throw explained instanceof Dead ? new Dead(`proxy: ${explained.message}`, { cause: error }) : explained
  }
}

async function openTunnel(socket: Socket, { headers }: Proxy, url: URL): Promise<void> {
  const authority = `${url.hostname}:${portOf(url)}`
  const request = process.getBuiltinModule('node:http').request({
    createConnection: () => socket,
    method: 'CONNECT',
    path: authority,
    headers: { host: authority, connection: 'keep-alive', 'user-agent': DEFAULT_HEADERS['user-agent'], ...headers },
    maxHeaderSize: MAX_HEADER_BYTES,
  })
  request.end()
  const [{ statusCode = 0, statusMessage = '' }, , early] = (await once(request, 'connect')) as [
    IncomingMessage,
    Socket,
    Buffer,
  ]
  if (statusCode < 200 || statusCode > 299) {
    throw new Dead(`answered CONNECT with status ${statusCode} ${statusMessage.slice(0, 100)}`.trimEnd())
  }
  if (early.length > 0) socket.unshift(early)
}

// HTTP

async function askByHttp1({ options, body }: Hop, socket: Socket, check: Check): Promise<Answer> {
  // Loaded by the first check and not by the start, which it would make longer.
  const request = process.getBuiltinModule('node:http').request({ ...options, createConnection: () => socket })
  check.opened.push(request)
  const answer = await awaitHttpAnswer(request, body)
  return {
    status: answer.statusCode ?? 0,
    http1: answer.httpVersion,
    get headers() {
      return answer.headersDistinct
    },
    body: answer,
    isCut: () => false, // that is an error of its body
  }
}

function speaksHttp2(socket: Socket, { url, isPlain }: Hop, { plan }: Check): boolean {
  if (isPlain) return false
  const isWanted = plan.query.http_version === '2'
  if (url.protocol === 'http:') return isWanted
  const isAgreed = (socket as TLSSocket).alpnProtocol === 'h2'
  if (isWanted && !isAgreed) throw new Dead('does not offer HTTP/2')
  return isAgreed
}

function askByHttp2({ url, options, body }: Hop, socket: Socket, check: Check): Promise<Http2Answer> {
  const { method = 'GET', path = '/', headers } = options
  const session = askHttp2(socket, { origin: url.origin, method, path: String(path), headers, body })
  check.opened.push(session)
  return session.answer
}

async function readBody(answer: Answer, limit: number): Promise<HttpBody> {
  if (EMPTY_STATUSES.includes(answer.status)) return { bytes: Buffer.alloc(0), truncated: false }
  const reading = readHttpBody(answer.body, limit, findHeader(answer, 'content-encoding'))
  const body = await reading.catch((error) => {
    throw answer.isCut() && !answer.body.errored ? new Dead('closed before the whole body', { cause: error }) : error
  })
  if (!body.truncated && answer.isCut()) throw new Dead('closed before the whole body')
  return body
}

function explain(error: unknown, { ip_version }: Query): unknown {
  const { cause = error } = error as Error
  const { code, hostname } = cause as NodeJS.ErrnoException & { hostname?: string }
  if (code === 'ENOTFOUND' && ip_version) return new Dead(`no IPv${ip_version} address is known for ${hostname}`)
  return explainHttpError(error)
}

// Facts

function toFacts(
  { answer, hop, redirects }: Last,
  { bytes, truncated }: HttpBody,
  { seen, times }: Check,
  tookMs: number,
) {
  const type = findHeader(answer, 'content-type') ?? ''
  let text: string | undefined
  const read = () => (text ??= createTextDecoder(type).decode(bytes))
  return {
    status: answer.status,
    // What costs is worked out when a criterion looks: to parse a large body takes far longer than its check.
    get header() {
      return toRecord(answer)
    },
    get body() {
      return read()
    },
    body_bytes: bytes.length,
    body_truncated: truncated,
    get json() {
      return truncated ? undefined : parseJson(read(), type)
    },
    get url() {
      return hop.url.href
    },
    redirects,
    http_version: answer.http1 ?? '2',
    remote_ip: seen.remote_ip,
    tls_version: seen.tls_version,
    cert_days: seen.cert_days,
    time_ms: round(tookMs),
    dns_ms: round(times.dns_ms),
    connect_ms: round(times.connect_ms),
    tls_ms: round(times.tls_ms),
    first_byte_ms: round(times.first_byte_ms),
  }
}

function round(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms * 10) / 10
}

function findHeader({ headers }: Answer, name: string): string | undefined {
  return headers[name]?.join(', ')
}

/** Each header as it came: commas may be part of a value, so none is split there, and none joined. */
function toRecord({ headers }: Answer): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, values = []]) => {
      const [only = ''] = values
      return [name, values.length > 1 || name === 'set-cookie' ? values : only]
    }),
  )
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

// What a query must not say

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

function findProxyFault(text: string): string | undefined {
  const url = URL.parse(text)
  const isBare = url !== null && /^\/?$/.test(url.pathname) && url.search === ''
  if (!url || !isWeb(url) || !isBare) return 'is not the URL of a proxy; write it like http://proxy.example.org:3128'
  return findUrlFault(text)
}

function findUserFault(user: string): string | undefined {
  return user.includes(':') ? 'has a ":", where the password would begin' : undefined
}

function findAddressFault(address: string): string | undefined {
  return isIP(address) ? undefined : 'is not an address; write it like 10.0.0.7 or 2001:db8::7'
}

function findFileFault(path: string): string | undefined {
  try {
    return statSync(path).isFile() ? undefined : 'is not a file'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'ENOENT' ? 'does not exist' : `cannot be read: ${code}`
  }
}

/** What of a query does not go together, by key. */
function findContradictions(query: Query): [string, string][] {
  return [...findBodyFaults(query), ...findCredentialFaults(query), ...findWayFaults(query)]
}

function findBodyFaults(query: Query): [string, string][] {
  const [first, ...others] = (['body', 'form', 'body_file'] as const).filter((key) => query[key] !== undefined)
  if (first === undefined) return []
  if (others.length > 0) return others.map((key) => [key, `cannot be sent beside ${first}; keep one of them`])
  if (!/^(GET|HEAD)$/.test(query.query_type)) return []
  return [[first, `cannot be sent with ${query.query_type.toLowerCase()}; set query_type: post`]]
}

function findCredentialFaults({ url, header, user, password, bearer }: Query): [string, string][] {
  const ways: [string, string, boolean][] = [
    ['header', 'the header Authorization', header.authorization !== undefined],
    ['url', 'url', hasCredentials(URL.parse(url))],
    [user === undefined ? 'password' : 'user', 'user or password', (user ?? password) !== undefined],
    ['bearer', 'bearer', bearer !== undefined],
  ]
  const [first, ...others] = ways.filter(([, , isUsed]) => isUsed)
  return others.map(([key]) => [key, `says who asks, and so does ${first?.[1]}; keep one of them`])
}

/** What lies between this host and the target. */
function findWayFaults({
  url,
  tls,
  follow_redirects,
  proxy,
  proxy_tls,
  resolve,
  ip_version,
}: Query): [string, string][] {
  const faults: [string, string][] = []
  const isHttps = (text: string | undefined) => text !== undefined && URL.parse(text)?.protocol === 'https:'
  if (tls && !isHttps(url) && follow_redirects === 0) faults.push(['tls', 'is of no use with an http URL; write https'])
  if (proxy_tls && !isHttps(proxy)) faults.push(['proxy_tls', 'is of no use without an https proxy'])
  if (resolve !== undefined && proxy !== undefined) {
    faults.push(['resolve', 'is of no use with a proxy, which resolves the host itself'])
  }
  const asked = URL.parse(proxy ?? url)
  const address = resolve ?? (asked ? hostOf(asked) : '')
  if (ip_version !== undefined && isIP(address) && isIP(address) !== ip_version) {
    faults.push(['ip_version', `does not fit the address ${address}`])
  }
  return faults
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
