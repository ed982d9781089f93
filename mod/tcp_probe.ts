/**
 * tcp_probe: connects to a TCP port or a Unix socket, with TLS from the first byte or by STARTTLS where it is wanted, and
 * talks: it sends texts and waits for what is expected.
 *
 *   redis_port:
 *     module: tcp_probe
 *     period: 3
 *     query:
 *       host: localhost
 *       port: 6379
 *       # path: /run/redis.sock    # a Unix socket instead of host and port
 *       # ip_version: 4            # 4 or 6; without it whichever answers
 *       tls: false                 # true, or a mapping such as {ca_file: ca.pem}
 *       # starttls: smtp           # smtp, imap, pop3, ldap or postgres: begins in the clear, then asks for TLS
 *       encoding: utf8             # of what is sent and received; latin1: each character is one byte, for binary
 *       script:                    # steps, one after the other; without them a connection is enough
 *         - send: "PING\r\n"       # in double quotes YAML knows \r, \n, \x00; {file: PATH} and the like for secrets
 *         - expect: '^\+PONG\r\n'  # regular expression; what comes after it is for the next expect
 *         - send: "INFO clients\r\n"
 *         - expect: 'connected_clients:(?P<clients>\d+)\r\n'   # a named group becomes a fact
 *       numbers: [clients]         # groups that are numbers; the others are text
 *       timeout: 5                 # seconds for the whole check
 *     success_criteria:            # default: connected is true, that is, the script went through
 *       clients: { type: lt, query: 5000 }
 *
 * A step waits until its pattern is found in what came since the last one: for a whole line let the pattern end in `\r?\n`.
 * More than 64 KiB without it are dead. Where the time is nearly over and something else came, that is the reason:
 * `no match for "^\+PONG" in "-NOAUTH Authentication required.⏎"`.
 */
import type { Socket } from 'node:net'
import { StringDecoder } from 'node:string_decoder'
import {
  certDays,
  DEFAULT_TLS,
  Dead,
  defineProbe,
  dial,
  explainNetworkError,
  type FactSpec,
  msSince,
  type Pattern,
  pattern,
  quote,
  type Secret,
  seconds,
  secret,
  startTls,
  tlsSettings,
  z,
} from 'deadpool'

const MAX_TEXT = 64 * 1024
const MAX_STEPS = 50
/** Where the time of the check is up to this share or to these milliseconds, what did come is told instead. */
const LAST_WORD_SHARE = 0.1
const LAST_WORD_MS = 250

const FACTS = {
  connected: {
    about: 'true: the connection stood, with TLS where asked, and the script went through',
    type: 'boolean',
  },
  banner: { about: 'what the server sent before it was sent anything, if it was waited for', type: 'text' },
  response: { about: 'all that was received in the script, its first 64 KiB', type: 'text' },
  cert_days: { about: 'until the certificate of the server ends', type: 'number', unit: 'days' },
  tls_version: { about: 'TLSv1.2 or TLSv1.3', type: 'text' },
  remote_ip: { about: 'address that was connected to', type: 'text' },
  connect_ms: { about: 'until the connection stood, with the look-up', type: 'number', unit: 'ms' },
  tls_ms: { about: 'the TLS handshake', type: 'number', unit: 'ms' },
  time_ms: { about: 'whole check', type: 'number', unit: 'ms' },
} as const satisfies Record<string, FactSpec>

const stepSchema = z
  .strictObject({
    send: z
      .union([z.string().min(1), secret()], { error: 'is not a text, {env: NAME}, {file: PATH} or {credential: NAME}' })
      .optional()
      .describe('text to send, or {env: NAME}, {file: PATH} or {credential: NAME} for a secret'),
    expect: pattern()
      .optional()
      .describe('what must come, in the syntax of Python; a group (?P<name>…) becomes a fact'),
  })
  .superRefine(({ send, expect }, context) => {
    if ((send === undefined) !== (expect === undefined)) return
    context.addIssue({ code: 'custom', message: 'is not a step; write {send: text} or {expect: pattern}' })
  })

const querySchema = z
  .strictObject({
    host: z.string().min(1).optional().describe('name or address'),
    port: z.int().min(1).max(65535).optional().describe('TCP port'),
    path: z.string().min(1).optional().describe('Unix socket, instead of host and port'),
    ip_version: z.literal([4, 6]).optional().describe('only addresses of this kind'),
    tls: tlsSettings().optional().describe('TLS from the first byte, or with starttls its settings'),
    starttls: z
      .enum(['smtp', 'imap', 'pop3', 'ldap', 'postgres'])
      .optional()
      .describe('how to ask for TLS on a connection that begins in the clear'),
    encoding: z
      .enum(['utf8', 'latin1'])
      .default('utf8')
      .describe('of what is sent and received; with latin1 each character is one byte'),
    script: z.array(stepSchema).max(MAX_STEPS).default([]).describe('what to send and to expect, step by step'),
    numbers: z.array(z.string()).default([]).describe('named groups that are numbers; one that holds none is left out'),
    timeout: seconds().default(5).describe('for the whole check, s'),
  })
  .superRefine(({ host, port, path, ip_version, encoding, script, numbers }, context) => {
    const refuse = (path: (string | number)[], message: string) => context.addIssue({ code: 'custom', path, message })
    if (path === undefined && host === undefined) refuse(['host'], 'is missing; write it and a port, or a path')
    if (path === undefined && port === undefined) refuse(['port'], 'is missing; write it beside host')
    if (path !== undefined && host !== undefined) refuse(['path'], 'stands beside host; keep one of them')
    if (path !== undefined && host === undefined && port !== undefined) refuse(['port'], 'means nothing beside path')
    if (path !== undefined && ip_version !== undefined) refuse(['ip_version'], 'means nothing beside path')
    const names: string[] = []
    for (const [index, { send, expect }] of script.entries()) {
      if (encoding === 'latin1' && typeof send === 'string' && /[^\0-\xff]/.test(send)) {
        refuse(['script', index, 'send'], 'has a character that latin1 has not')
      }
      for (const name of expect?.names ?? []) {
        const fault = findNameFault(name, names)
        if (fault !== undefined) refuse(['script', index, 'expect'], fault)
        names.push(name)
      }
    }
    for (const [index, name] of numbers.entries()) {
      if (!names.includes(name)) refuse(['numbers', index], 'is not the name of a group in the script')
    }
  })

function findNameFault(name: string, others: string[]): string | undefined {
  if (Object.hasOwn(FACTS, name)) return `calls a group "${name}", which is a fact already; give it another name`
  if (others.includes(name)) return `calls a group "${name}" as a step before does; give it another name`
  return /^[a-z]\w*$/i.test(name) ? undefined : `calls a group "${name}"; begin with a letter from a to z`
}

type Query = z.output<typeof querySchema>

export const Probe = defineProbe({
  summary: 'Connects to a TCP port or Unix socket, with or without TLS, sends texts and expects answers.',
  query: querySchema,
  facts: FACTS,
  factsOf({ script, numbers }) {
    const names = script.flatMap(({ expect }) => expect?.names ?? [])
    return Object.fromEntries(names.map((name) => [name, describeGroup(name, numbers)]))
  },
  criteria: { connected: { type: 'equals', query: true } },
  async probe(query, { signal }) {
    const startedAt = performance.now()
    const { host, port, path, ip_version: family, starttls, tls = starttls && DEFAULT_TLS } = query
    const plain = await dial({ host, port, path, family, signal })
    let socket = plain
    const remote_ip = plain.remoteAddress
    const connect_ms = msSince(startedAt)
    const lastWordMs = startedAt + findLastWord(query.timeout * 1000)
    try {
      const greeting = starttls && (await askForTls(createTalk(plain, { signal, lastWordMs }), starttls))
      const securingAt = performance.now()
      if (tls) socket = await startTls(plain, { host: host ?? 'localhost', tls, signal })
      const secured = tls && {
        tls_ms: msSince(securingAt),
        tls_version: findTlsVersion(socket),
        cert_days: certDays(socket),
      }
      const talk = createTalk(socket, { signal, lastWordMs, encoding: query.encoding })
      const said = await follow(talk, query, signal)
      const banner = greeting ?? said.banner
      return {
        ...said,
        connected: true,
        ...(banner !== undefined && { banner: banner.trimEnd() }),
        ...secured,
        remote_ip,
        connect_ms,
        time_ms: msSince(startedAt),
      }
    } finally {
      socket.destroy()
    }
  },
})

function describeGroup(name: string, numbers: string[]): FactSpec {
  return { about: `what the group "${name}" of the script holds`, type: numbers.includes(name) ? 'number' : 'text' }
}

function findLastWord(timeoutMs: number): number {
  return Math.max(timeoutMs * (1 - LAST_WORD_SHARE), timeoutMs - LAST_WORD_MS)
}

function findTlsVersion(socket: Socket): string | undefined {
  return (socket as Socket & { getProtocol?(): string | null }).getProtocol?.() ?? undefined
}

/** Goes through the script; the facts are what the server said. */
async function follow(talk: Talk, { script, numbers }: Query, signal: AbortSignal) {
  const groups: Record<string, string> = {}
  const secrets: string[] = []
  let banner: string | undefined
  try {
    for (const { send, expect } of script) {
      if (expect) Object.assign(groups, await talk.expect(expect))
      if (send === undefined) continue
      banner ??= talk.received()
      await talk.send(await readText(send, secrets, signal))
    }
  } catch (error) {
    throw hideSecrets(error, secrets)
  }
  banner ??= talk.received()
  return {
    ...Object.fromEntries(Object.entries(groups).map(([name, text]) => [name, toFact(text, numbers.includes(name))])),
    banner: banner === '' ? undefined : banner,
    response: script.length === 0 ? undefined : talk.received(),
  }
}

async function readText(send: string | Secret, secrets: string[], signal: AbortSignal): Promise<string> {
  if (typeof send === 'string') return send
  const text = await send.read(signal)
  secrets.push(text)
  return text
}

/** A server may repeat what it was sent. */
function hideSecrets(error: unknown, secrets: string[]): unknown {
  if (!(error instanceof Dead) || secrets.length === 0) return error
  return new Dead(secrets.reduce((message, text) => message.replaceAll(text, '***'), error.message))
}

function toFact(text: string, isNumber: boolean): string | number | undefined {
  if (!isNumber) return text
  return /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(text.trim()) ? Number(text) : undefined
}

/** Says something of what came, or waits for more. */
type Listener<Found> = (text: string) => { end: number; found: Found } | undefined

/** A conversation over a socket, in texts. */
interface Talk {
  send(text: string): Promise<void>
  /** Waits until the pattern is found in what nobody took yet; what its groups hold. */
  expect(pattern: Pattern): Promise<Record<string, string>>
  /** Waits until the listener found something, and takes that off. */
  take<Found>(listen: Listener<Found>, what: string): Promise<Found>
  /** All that came so far, its first 64 KiB. */
  received(): string
  /** What came and nobody took. */
  rest(): string
}

interface TalkOptions {
  signal: AbortSignal
  /** When to tell what did come, on the clock of `performance.now()`. */
  lastWordMs: number
  encoding?: 'utf8' | 'latin1'
}

function createTalk(socket: Socket, { signal, lastWordMs, encoding = 'latin1' }: TalkOptions): Talk {
  const decoder = new StringDecoder(encoding)
  let all = ''
  let waiting = ''

  async function take<Found>(listen: Listener<Found>, what: string): Promise<Found> {
    const { promise, resolve, reject } = Promise.withResolvers<Found>()
    let busyMs = 0
    let lookAt: NodeJS.Timeout | undefined

    function look(): void {
      clearTimeout(lookAt)
      lookAt = undefined
      const startedAt = performance.now()
      const heard = listen(waiting)
      busyMs = performance.now() - startedAt
      if (!heard && waiting.length > MAX_TEXT) throw new Dead(`sent more than 64 KiB without ${what}`)
      if (!heard) return
      waiting = waiting.slice(heard.end)
      resolve(heard.found)
    }

    function tryLook(): void {
      try {
        look()
      } catch (error) {
        reject(error)
      }
    }

    /** However small the pieces in which a server sends much, a tenth of the time at most goes into looking at it. */
    function onData(chunk: Buffer): void {
      const text = decoder.write(chunk)
      waiting += text
      if (all.length < MAX_TEXT) all = (all + text).slice(0, MAX_TEXT)
      if (busyMs < 1 || waiting.length > MAX_TEXT) tryLook()
      else lookAt ??= setTimeout(tryLook, busyMs * 9)
    }

    /** A cancelled check destroys the socket, which ends before it is told. */
    const fail = (error: unknown) => reject(signal.aborted ? signal.reason : error)

    function onEnd(): void {
      if (lookAt) tryLook()
      fail(new Dead(waiting === '' ? `closed without ${what}` : `closed after ${quote(waiting)}, without ${what}`))
    }

    function onError(error: Error): void {
      const explained = explainNetworkError(error)
      const isSaid = explained instanceof Dead && waiting !== ''
      fail(isSaid ? new Dead(`${explained.message} after ${quote(waiting)}`, { cause: error }) : explained)
    }

    const onAbort = () => reject(signal.reason)
    const lastWord = setTimeout(() => {
      if (waiting !== '') reject(new Dead(`no ${what} in ${quote(waiting)}`))
    }, lastWordMs - performance.now())
    signal.addEventListener('abort', onAbort)
    socket.on('data', onData).on('error', onError).on('end', onEnd).on('close', onEnd)
    try {
      signal.throwIfAborted()
      look()
      socket.resume()
      return await promise
    } finally {
      // Nothing is read that nobody waits for: it stays with the server.
      socket.pause()
      socket.off('data', onData).off('error', onError).off('end', onEnd).off('close', onEnd)
      signal.removeEventListener('abort', onAbort)
      clearTimeout(lastWord)
      clearTimeout(lookAt)
    }
  }

  return {
    take,
    received: () => all,
    rest: () => waiting,
    async send(text) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      socket.write(text, encoding, (error) => {
        if (error) reject(signal.aborted ? signal.reason : explainSendError(error))
        else resolve()
      })
      return promise
    },
    expect(pattern) {
      const listen = (text: string) => {
        const found = pattern.find(text)
        return found && { end: found.end, found: found.groups }
      }
      return take(listen, `match for ${quote(pattern.source)}`)
    },
  }
}

/** The stream ends by itself when the server closes; Node says so in words of its own. */
function explainSendError(error: NodeJS.ErrnoException): unknown {
  const isEnded = /^(ERR_STREAM_.*|EPIPE|ECANCELED)$/.test(error.code ?? '')
  return isEnded ? new Dead('closed before the whole script was sent', { cause: error }) : error
}

/** Asks for TLS as the protocol does; the greeting, if there was one. What the server refuses with is the reason. */
async function askForTls(talk: Talk, protocol: keyof typeof DIALOGUES): Promise<string | undefined> {
  const greeting = await DIALOGUES[protocol](talk)
  // Whoever sits between could have put words into the server's mouth: they would count as said under TLS.
  if (talk.rest() !== '') throw new Dead('sent more before TLS began')
  return greeting
}

const DIALOGUES = { smtp: askSmtp, imap: askImap, pop3: askPop3, ldap: askLdap, postgres: askPostgres }

/** RFC 3207 */
async function askSmtp(talk: Talk): Promise<string> {
  const greeting = await readSmtp(talk, '220', 'the greeting of an SMTP server')
  await talk.send('EHLO localhost\r\n')
  const hello = await readSmtp(talk, '250', 'an answer to EHLO')
  if (!/^250[- ]STARTTLS\s*$/im.test(hello)) throw new Dead('does not offer STARTTLS')
  await talk.send('STARTTLS\r\n')
  await readSmtp(talk, '220', 'an answer to STARTTLS')
  return greeting
}

/** A reply of one or more lines: `250-SIZE`, and of the last `250 STARTTLS`. */
async function readSmtp(talk: Talk, code: string, what: string): Promise<string> {
  const reply = await talk.take((text) => {
    const found = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\r?\n/.exec(text)?.[0]
    if (found === undefined && /^(?!\d{3}[- \r\n])[^\n]*\n/.test(text)) throw new Dead(`no SMTP: ${quote(text)}`)
    return found === undefined ? undefined : { end: found.length, found }
  }, what)
  return reply.startsWith(code) ? reply : refuse(reply)
}

/** RFC 3501, section 6.2.1 */
async function askImap(talk: Talk): Promise<string> {
  const greeting = await readLine(talk, 'the greeting of an IMAP server')
  if (!/^\* (OK|PREAUTH)\b/i.test(greeting)) refuse(greeting.replace(/^\* (BYE )?/i, ''))
  await talk.send('a STARTTLS\r\n')
  for (let untagged = 0; untagged < MAX_UNTAGGED; untagged++) {
    const line = await readLine(talk, 'an answer to STARTTLS')
    if (/^a OK\b/i.test(line)) return greeting
    if (!line.startsWith('* ')) refuse(line.replace(/^a /i, ''))
  }
  throw new Dead(`sent more than ${MAX_UNTAGGED} lines without an answer to STARTTLS`)
}

const MAX_UNTAGGED = 20

/** RFC 2595, section 4 */
async function askPop3(talk: Talk): Promise<string> {
  const greeting = await readLine(talk, 'the greeting of a POP3 server')
  if (!greeting.startsWith('+OK')) refuse(greeting)
  await talk.send('STLS\r\n')
  const answer = await readLine(talk, 'an answer to STLS')
  return answer.startsWith('+OK') ? greeting : refuse(answer)
}

async function readLine(talk: Talk, what: string): Promise<string> {
  return talk.take((text) => {
    const end = text.indexOf('\n') + 1
    return end === 0 ? undefined : { end, found: text.slice(0, end) }
  }, what)
}

/** https://www.postgresql.org/docs/current/protocol-message-formats.html: SSLRequest is answered with one byte. */
async function askPostgres(talk: Talk): Promise<undefined> {
  await talk.send('\0\0\0\x08\x04\xd2\x16\x2f')
  const answer = await talk.take(
    (text) => (text === '' ? undefined : { end: 1, found: text }),
    'an answer to SSLRequest',
  )
  if (answer.startsWith('N')) throw new Dead('does not offer TLS')
  if (!answer.startsWith('S')) throw new Dead(`answered SSLRequest with ${quote(answer)}`)
}

const START_TLS_OID = '1.3.6.1.4.1.1466.20037'

/** RFC 4511, section 4.14: an ExtendedRequest with that name, message 1. */
async function askLdap(talk: Talk): Promise<undefined> {
  const name = writeBer(0x80, START_TLS_OID)
  await talk.send(writeBer(0x30, `\x02\x01\x01${writeBer(0x77, name)}`))
  const answer = await talk.take((text) => {
    const message = readBer(text, 0x30)
    return message && { end: message.end, found: message.value }
  }, 'an answer to StartTLS')
  const id = readBer(answer, 0x02)
  const response = id && readBer(answer.slice(id.end), 0x78)
  const code = response && readBer(response.value, 0x0a)
  const matched = code && readBer(response.value.slice(code.end), 0x04)
  const diagnosis = matched && readBer(response.value.slice(code.end + matched.end), 0x04)
  if (!diagnosis) throw new Dead(NOT_LDAP)
  if (code.value === '\0') return
  refuse(diagnosis.value || `StartTLS was refused with result code ${code.value.charCodeAt(0)}`)
}

const NOT_LDAP = 'answered with something that is not LDAP'

/** BER, as far as LDAP needs it here: characters stand for bytes, values are shorter than 128. */
function writeBer(tag: number, value: string): string {
  return String.fromCharCode(tag, value.length) + value
}

/** The value at the beginning of the text and where it ends; undefined while some of it is missing. */
function readBer(text: string, tag: number): { value: string; end: number } | undefined {
  if (text === '') return undefined
  if (text.charCodeAt(0) !== tag) throw new Dead(NOT_LDAP)
  const first = text.charCodeAt(1)
  const lengthBytes = first > 0x80 ? first - 0x80 : 0
  if (lengthBytes > 4) throw new Dead(NOT_LDAP)
  const start = 2 + lengthBytes
  if (text.length < start) return undefined
  const length = lengthBytes === 0 ? first : Buffer.from(text.slice(2, start), 'latin1').readUIntBE(0, lengthBytes)
  if (length > MAX_TEXT) throw new Dead(NOT_LDAP)
  const end = start + length
  return text.length < end ? undefined : { value: text.slice(start, end), end }
}

function refuse(words: string): never {
  throw new Dead(quote(words.trim(), 200).slice(1, -1))
}
