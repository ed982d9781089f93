/**
 * dns_probe: asks a name server one question, as a client would: over UDP, TCP or TLS (DoT).
 *
 *   resolver:
 *     module: dns_probe
 *     period: 3
 *     query:
 *       host: localhost            # the name server
 *       # port: 53                 # 53, over tls 853, unless it is set
 *       # ip_version: 4            # 4 or 6; without it whichever answers
 *       name: www.example.org
 *       type: A                    # A, AAAA, CAA, CNAME, DNSKEY, DS, MX, NAPTR, NS, PTR, SOA, SRV, TLSA or TXT
 *       transport: udp             # udp, tcp or tls
 *       tls: true                  # with transport: tls; or a mapping such as {ca_file: ca.pem}
 *       recursion: true            # whether the server is to ask others; false for an authoritative one
 *       timeout: 5                 # seconds for the whole check
 *     success_criteria:            # default: rcode is NOERROR and count at least 1
 *       rcode: { type: equals, query: NOERROR }
 *       answers: { type: contains, query: 192.0.2.80 }
 *       time_ms: { type: lt, query: 200 }
 *
 * Over UDP the question is sent once more when half of the time has passed, since one lost datagram means nothing; an
 * answer that was truncated is asked for again over TCP. `answers` are sorted, and of the type that was asked for: an alias
 * that leads nowhere has none.
 */
import { randomInt } from 'node:crypto'
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { isIP, type Socket } from 'node:net'
import {
  certDays,
  DEFAULT_TLS,
  Dead,
  defineProbe,
  dial,
  explainNetworkError,
  lookup,
  msSince,
  seconds,
  tlsSettings,
  z,
} from 'deadpool'
import * as dns from 'dns-packet'

/** What passes through any network in one piece: https://www.dnsflagday.net/2020/ */
const UDP_SIZE = 1232
const MAX_RECORDS = 1000
/** About a hundredth of a second. */
const MAX_STEPS = 500_000

const TYPES = [
  'A',
  'AAAA',
  'CAA',
  'CNAME',
  'DNSKEY',
  'DS',
  'MX',
  'NAPTR',
  'NS',
  'PTR',
  'SOA',
  'SRV',
  'TLSA',
  'TXT',
] as const

const querySchema = z
  .strictObject({
    host: z.string().min(1).describe('name or address of the name server'),
    port: z.int().min(1).max(65535).optional().describe('its port: 53, over tls 853'),
    ip_version: z.literal([4, 6]).optional().describe('only addresses of this kind'),
    name: z.string().superRefine(refuseName).describe('what to ask for'),
    type: z.enum(TYPES).default('A').describe('the type of the records'),
    transport: z.enum(['udp', 'tcp', 'tls']).default('udp').describe('how to ask'),
    tls: tlsSettings().optional().describe('TLS settings, with transport: tls'),
    recursion: z.boolean().default(true).describe('whether the server is to ask others'),
    timeout: seconds().default(5).describe('for the whole check, s'),
  })
  .superRefine(({ transport, tls }, context) => {
    if (tls === undefined || transport === 'tls' || isPlainTls(tls)) return
    context.addIssue({ code: 'custom', path: ['tls'], message: 'means nothing without transport: tls' })
  })

type Query = z.output<typeof querySchema>

/** `tls: true` says no more than the default does. */
function isPlainTls(tls: NonNullable<Query['tls']>): boolean {
  return JSON.stringify(tls) === JSON.stringify(DEFAULT_TLS)
}

function refuseName(name: string, context: z.RefinementCtx): void {
  const labels = name.replace(/\.$/, '').split('.')
  const isName = name === '.' || labels.every((label) => /^[\x21-\x5b\x5d-\x7e]{1,63}$/.test(label))
  if (isName && name.length <= 254) return
  const message = 'is not a name of the DNS; write it like www.example.org, and letters beyond ASCII as xn--…'
  context.addIssue({ code: 'custom', message })
}

export const Probe = defineProbe({
  summary: 'Asks a name server one question over UDP, TCP or TLS.',
  query: querySchema,
  facts: {
    rcode: { about: 'NOERROR, NXDOMAIN, SERVFAIL, REFUSED …', type: 'text' },
    answers: { about: 'what the records of the type hold, as text, sorted; of MX "10 mail.example.org"', type: 'list' },
    count: { about: 'how many answers there are', type: 'number' },
    authoritative: { about: 'whether the server answers for the zone itself (AA)', type: 'boolean' },
    recursion_available: { about: 'whether the server asks others (RA)', type: 'boolean' },
    truncated: { about: 'whether the answer over UDP was truncated and had to be asked for over TCP', type: 'boolean' },
    authenticated: { about: 'whether the server has validated the answer (AD)', type: 'boolean' },
    min_ttl_s: { about: 'the shortest time for which an answer may be kept', type: 'number', unit: 's' },
    serial: { about: 'serial number of the zone; of type SOA', type: 'number' },
    sent: { about: 'how often the question was sent over UDP', type: 'number' },
    cert_days: { about: 'until the certificate of the server ends', type: 'number', unit: 'days' },
    time_ms: { about: 'whole check', type: 'number', unit: 'ms' },
  },
  criteria: { rcode: { type: 'equals', query: 'NOERROR' }, count: { type: 'gte', query: 1 } },
  async probe(query, { signal }) {
    const startedAt = performance.now()
    const heard = query.transport === 'udp' ? await askOverUdp(query, signal) : await askOverStream(query, signal)
    return { ...toFacts(heard.answer, query.type), ...heard.facts, time_ms: msSince(startedAt) }
  },
})

interface Heard {
  answer: Answer
  facts: { truncated?: boolean; sent?: number; cert_days?: number | undefined }
}

/** `@types/dns-packet` tells less of a message than there is. */
type Answer = dns.DecodedPacket & { rcode: string }

/** Where a name has several addresses, nothing may listen on one of them. */
async function askOverUdp(query: Query, signal: AbortSignal): Promise<Heard> {
  const addresses = await resolve(query, signal)
  for (const [index, address] of addresses.entries()) {
    try {
      return await askAddress(query, address, signal)
    } catch (error) {
      const isRefused = error instanceof Dead && (error.cause as NodeJS.ErrnoException)?.code === 'ECONNREFUSED'
      if (!isRefused || index === addresses.length - 1) throw error
    }
  }
  throw new Dead(`no address is known for ${query.host}`)
}

async function askAddress(query: Query, { address, family }: Address, signal: AbortSignal): Promise<Heard> {
  const { port = 53, timeout } = query
  const question = createQuestion(query)
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
  let sent = 0
  let resend: NodeJS.Timeout | undefined
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const abort = () => reject(signal.reason)
  // Whatever goes wrong comes by the event.
  const send = () => {
    sent++
    socket.send(question.bytes, () => {})
  }
  signal.addEventListener('abort', abort)
  // An unreachable port is told by ICMP, which names neither.
  socket.on('error', (error) => reject(explainNetworkError(Object.assign(error, { address, port }))))
  socket.on('message', (bytes) => {
    try {
      const answer = question.read(bytes)
      // Otherwise it was for somebody else.
      if (answer) resolve(answer)
    } catch (error) {
      reject(error)
    }
  })
  try {
    signal.throwIfAborted()
    // Connected, so that only the server can answer.
    socket.once('connect', send).connect(port, address)
    resend = setTimeout(send, (timeout * 1000) / 2)
    const answer = await promise
    if (!answer.flag_tc) return { answer, facts: { truncated: false, sent } }
    const whole = await askAgain({ ...query, host: address }, signal)
    return { answer: whole.answer, facts: { truncated: true, sent } }
  } finally {
    clearTimeout(resend)
    signal.removeEventListener('abort', abort)
    close(socket)
  }
}

/** An error that comes while it closes speaks to nobody. */
function close(socket: UdpSocket): void {
  socket.removeAllListeners('error').on('error', () => {})
  socket.close()
}

interface Address {
  address: string
  family: number
}

async function resolve({ host, ip_version: family }: Query, signal: AbortSignal): Promise<Address[]> {
  if (isIP(host) !== 0) return [{ address: host, family: isIP(host) }]
  const { promise, resolve, reject } = Promise.withResolvers<Address[]>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort)
  lookup(host, { family, all: true }, (error, addresses) => {
    if (error) reject(explainNetworkError(error))
    else resolve(addresses as Address[])
  })
  return promise.finally(() => signal.removeEventListener('abort', abort))
}

async function askAgain(query: Query, signal: AbortSignal): Promise<Heard> {
  try {
    return await askOverStream({ ...query, transport: 'tcp' }, signal)
  } catch (error) {
    if (!(error instanceof Dead)) throw error
    throw new Dead(`truncated over UDP, and over TCP: ${error.message}`, { cause: error })
  }
}

async function askOverStream(query: Query, signal: AbortSignal): Promise<Heard> {
  const { host, transport, ip_version: family } = query
  const isSecure = transport === 'tls'
  const { port = isSecure ? 853 : 53, tls = DEFAULT_TLS } = query
  const question = createQuestion(query)
  const socket = await dial({ host, port, family, signal, ...(isSecure && { tls, alpn: ['dot'] }) })
  try {
    const answer = question.read(await exchange(socket, question.bytes, signal))
    if (!answer) throw new Dead('answered another question')
    return { answer, facts: isSecure ? { cert_days: certDays(socket) } : {} }
  } finally {
    socket.destroy()
  }
}

/** RFC 1035, section 4.2.2: over a stream a message follows its length in two bytes. */
function exchange(socket: Socket, question: Buffer, signal: AbortSignal): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const chunks: Buffer[] = []
  let held = 0
  let end: number | undefined
  const fail = (error: unknown) => reject(signal.aborted ? signal.reason : error)
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    held += chunk.length
    if (held < 2) return
    end ??= Buffer.concat(chunks).readUInt16BE(0) + 2
    if (held >= end) resolve(Buffer.concat(chunks).subarray(2, end))
  })
  socket.on('error', (error) => fail(explainNetworkError(error)))
  socket.on('close', () => fail(new Dead('closed before the answer')))
  const length = Buffer.alloc(2)
  length.writeUInt16BE(question.length)
  socket.write(Buffer.concat([length, question]))
  return promise
}

interface Question {
  bytes: Buffer
  /**
   * The answer to this question; undefined when it answers another.
   *
   * @throws Dead when it is malformed
   */
  read(bytes: Buffer): Answer | undefined
}

function createQuestion({ name, type, recursion }: Query): Question {
  // Unforeseeable, so that nobody but the server can answer.
  const id = randomInt(0x10000)
  const bytes = dns.encode({
    type: 'query',
    id,
    // With AD the server tells whether it has validated, without sending signatures: RFC 6840, section 5.7.
    flags: (recursion ? dns.RECURSION_DESIRED : 0) | dns.AUTHENTIC_DATA,
    questions: [{ type, name, class: 'IN' }],
    additionals: [{ type: 'OPT', name: '.', udpPayloadSize: UDP_SIZE, flags: 0, options: [] } as never],
  })
  const isSame = (asked: dns.Question) =>
    asked.type === type && asked.class === 'IN' && strip(asked.name).toLowerCase() === strip(name).toLowerCase()
  return {
    bytes,
    read(bytes) {
      if (bytes.length >= 2 && bytes.readUInt16BE(0) !== id) return undefined
      const answer = decode(bytes)
      const { questions = [], rcode } = answer
      // A server that could not read the question need not repeat it.
      const isOurs = questions.length === 1 ? questions.every(isSame) : questions.length === 0 && rcode !== 'NOERROR'
      return answer.flag_qr && isOurs ? answer : undefined
    },
  }
}

function strip(name: string): string {
  return name.replace(/\.$/, '')
}

function decode(bytes: Buffer): Answer {
  if (bytes.length < 12) throw new Dead('the answer is malformed: it is shorter than its header')
  // One that is truncated may end anywhere: only its header and question are of use.
  if ((bytes.readUInt8(2) & 0x02) !== 0) bytes.fill(0, 6, 12)
  const records = [6, 8, 10].reduce((sum, at) => sum + bytes.readUInt16BE(at), 0)
  if (records > MAX_RECORDS) throw new Dead(`the answer announces ${records} records, more than ${MAX_RECORDS}`)
  if (countChains(bytes) * records > MAX_STEPS) throw new Dead('the answer is malformed: its names point on and on')
  try {
    const answer = dns.decode(bytes) as Answer
    // RFC 6891, section 6.1.3: the upper bits of the code are in the OPT record.
    const option = answer.additionals?.find((record) => record.type === 'OPT') as { extendedRcode?: number } | undefined
    const code = ((option?.extendedRcode ?? 0) << 4) | (bytes.readUInt8(3) & 0xf)
    if (code > 0xf) answer.rcode = code === 16 ? 'BADVERS' : `RCODE_${code}`
    return answer
  } catch (error) {
    throw new Dead(`the answer is malformed: ${(error as Error).message}`, { cause: error })
  }
}

/**
 * Pointers of compression that point at a pointer, which nobody writes. The library follows a chain of them however long it
 * is, 8,000 for each name of each record: half a second for one message.
 */
function countChains(bytes: Buffer): number {
  let chains = 0
  // A pointer has 14 bits.
  const end = Math.min(bytes.length - 1, 0x4000)
  for (let at = 12; at < end; at++) {
    const first = bytes[at] ?? 0
    const target = ((first & 0x3f) << 8) | (bytes[at + 1] ?? 0)
    if (first >= 0xc0 && (bytes[target] ?? 0) >= 0xc0) chains++
  }
  return chains
}

function toFacts(answer: Answer, type: Query['type']) {
  const records = (answer.answers ?? []) as Rr[]
  const ofType = records.filter((record) => record.type === type)
  const ttls = records.flatMap(({ ttl }) => ttl ?? [])
  const [first] = ofType
  return {
    rcode: answer.rcode,
    answers: ofType.map(writeRecord).sort(),
    count: ofType.length,
    authoritative: answer.flag_aa,
    recursion_available: answer.flag_ra,
    authenticated: answer.flag_ad,
    min_ttl_s: ttls.length > 0 ? Math.min(...ttls) : undefined,
    serial: type === 'SOA' && first ? (first.data as { serial: number }).serial : undefined,
  }
}

/** A record as dns-packet decodes it. */
interface Rr {
  type: string
  ttl?: number
  data: unknown
}

/** The data of a record as a zone file has it, without the dot at the end of a name. */
function writeRecord({ type, data }: Rr): string {
  const part = data as Record<string, string | number> & Record<'digest' | 'key' | 'certificate', Buffer>
  switch (type) {
    case 'A':
    case 'AAAA':
      if (isIP(String(data)) === 0) throw new Dead('the answer is malformed: an address is cut short')
      return String(data)
    case 'TXT':
      return Buffer.concat(data as Buffer[]).toString()
    case 'MX':
      return `${part.preference} ${part.exchange}`
    case 'SRV':
      return `${part.priority} ${part.weight} ${part.port} ${part.target}`
    case 'SOA':
      return [part.mname, part.rname, part.serial, part.refresh, part.retry, part.expire, part.minimum].join(' ')
    case 'CAA':
      return `${part.flags} ${part.tag} "${part.value}"`
    case 'NAPTR':
      return `${part.order} ${part.preference} "${part.flags}" "${part.services}" "${part.regexp}" ${part.replacement}`
    case 'DS':
      return `${part.keyTag} ${part.algorithm} ${part.digestType} ${part.digest.toString('hex')}`
    case 'DNSKEY':
      return `${part.flags} 3 ${part.algorithm} ${part.key.toString('base64')}`
    case 'TLSA':
      return `${part.usage} ${part.selector} ${part.matchingType} ${part.certificate.toString('hex')}`
    default:
      return String(data)
  }
}
