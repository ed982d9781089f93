/**
 * redis_probe: asks Redis or Valkey (5 and later): a server, the master that a Sentinel names, or a cluster by one of its
 * nodes. Each check is one connection, closed at its end; PING, INFO and the rest travel together.
 *
 *   redis:
 *     module: redis_probe
 *     period: 3
 *     query:
 *       host: localhost
 *       port: 6379                 # of a Sentinel 26379, unless it is set
 *       # path: /run/redis.sock    # a Unix socket instead of host and port
 *       mode: single               # single, sentinel (asks one Sentinel, then the master it names) or cluster
 *       # master_name: mymaster    # with mode sentinel: what the Sentinel calls the master
 *       # sentinel_user: watch     # with mode sentinel: who asks the Sentinel
 *       # sentinel_password: s3cret
 *       # user: watch              # ACL user; without it AUTH is for the default user
 *       # password: s3cret         # text, {env: NAME}, {file: PATH} or {credential: NAME}
 *       db: 0
 *       # write: deadpool          # a key to SET in each check, overwritten, gone after a minute
 *       tls: false                 # true, or a mapping such as {ca_file: ca.pem}; for the Sentinel as well
 *       timeout: 5                 # seconds for the whole check
 *     success_criteria:            # default: pong is true, loading is false; in a cluster cluster_state is ok as well
 *       pong: { type: equals, query: true }
 *       role: { type: equals, query: master }
 *       # memory_percent: { type: lt, query: 95 }   # where maxmemory is set
 *
 * What Redis refuses is the reason in its own words: NOAUTH, WRONGPASS, LOADING, MASTERDOWN, MISCONF (even to PING, when it
 * stops writes because snapshots fail), and of a write READONLY, OOM, NOREPLICAS. A user needs +ping, +info (without it only
 * pong is reported), in a cluster +cluster|info, by a Sentinel +role, and for write +set and its key.
 *
 * It speaks RESP2 by itself over a socket of DeadPool's. With @redis/client 6.3 PING and INFO took 380 µs of CPU time, here
 * 240; `destroy()` during a connect or a TLS handshake left the socket open for 5 s; and its decoder takes what a server
 * announces for granted: 240 MB for the 11 bytes `*30000000`.
 */
import type { Socket } from 'node:net'
import {
  Dead,
  defineProbe,
  dial,
  msSince,
  type Secret,
  seconds,
  secret,
  type TlsSettings,
  tlsSettings,
  z,
} from 'deadpool'

const MAX_ANSWER = 1024 * 1024
const MAX_LINE = 64 * 1024
const MAX_DEPTH = 8
const MAX_REASON = 500
const CLUSTER_SLOTS = 16_384
const WRITE_KEPT_MS = '60000'
/** A client that is sent from node to node gives up as well. */
const MAX_REDIRECTS = 3

const querySchema = z
  .strictObject({
    host: z.string().min(1).optional().describe('name or address'),
    port: z.int().min(1).max(65535).optional().describe('TCP port: 6379, of a Sentinel 26379'),
    path: z.string().min(1).optional().describe('Unix socket, instead of host and port'),
    mode: z
      .enum(['single', 'sentinel', 'cluster'])
      .default('single')
      .describe('a server, the master that a Sentinel names, or a cluster by one of its nodes'),
    master_name: z.string().min(1).optional().describe('what the Sentinel calls the master'),
    sentinel_user: z.string().min(1).optional().describe('ACL user at the Sentinel'),
    sentinel_password: secret().optional().describe('password at the Sentinel'),
    user: z.string().min(1).optional().describe('ACL user, instead of the default one'),
    password: secret().optional().describe('password'),
    db: z.int().min(0).default(0).describe('number of the database'),
    write: z.string().min(1).optional().describe('key to SET in each check; it is overwritten, and gone after 60 s'),
    tls: tlsSettings().optional().describe('TLS, at the Sentinel as well'),
    timeout: seconds().default(5).describe('for the whole check, s'),
  })
  .superRefine((query, context) => {
    const refuse = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message })
    const { host, port, path, mode, master_name } = query
    if (path === undefined && host === undefined) refuse('host', 'is missing; write it, or path')
    if (path !== undefined && host !== undefined) refuse('path', 'stands beside host; keep one of them')
    if (path !== undefined && host === undefined && port !== undefined) refuse('port', 'means nothing beside path')
    if (mode === 'sentinel' && master_name === undefined) refuse('master_name', 'is needed with mode: sentinel')
    if (query.user !== undefined && query.password === undefined) refuse('password', 'is needed beside user')
    if (query.sentinel_user !== undefined && query.sentinel_password === undefined) {
      refuse('sentinel_password', 'is needed beside sentinel_user')
    }
    if (mode === 'sentinel') return
    for (const key of ['master_name', 'sentinel_user', 'sentinel_password'] as const) {
      if (query[key] !== undefined) refuse(key, 'is for mode: sentinel only')
    }
  })

type Query = z.output<typeof querySchema>

export const Probe = defineProbe({
  summary: 'Asks Redis or Valkey: a server, the master that a Sentinel names, or a cluster.',
  query: querySchema,
  facts: {
    pong: { about: 'whether PING was answered', type: 'boolean' },
    role: { about: 'master, slave or sentinel, as Redis calls them', type: 'text' },
    writable: { about: 'true when the write went through; with write only', type: 'boolean' },
    master_link: { about: 'up or down; of a replica', type: 'text' },
    master_link_down_s: { about: 'how long its master has been out of reach; of a replica', type: 'number', unit: 's' },
    replicas: { about: 'replicas that follow, in the state online', type: 'number' },
    lag_bytes: { about: 'how far the last of its replicas is behind; of a master', type: 'number', unit: 'bytes' },
    lag_s: {
      about: 'since its most silent replica confirmed, of a master; since it heard its master, of a replica',
      type: 'number',
      unit: 's',
    },
    memory_percent: { about: 'used_memory of maxmemory, where one is set', type: 'number', unit: 'percent' },
    cluster_state: { about: 'ok or fail; of a cluster', type: 'text' },
    cluster_slots_ok_percent: {
      about: 'slots whose node can be reached; of a cluster',
      type: 'number',
      unit: 'percent',
    },
    loading: { about: 'whether it still reads its data from disk', type: 'boolean' },
    clients: { about: 'connected clients', type: 'number' },
    clients_percent: { about: 'connected clients of maxclients; from Redis 7', type: 'number', unit: 'percent' },
    version: { about: 'version of Redis or Valkey', type: 'text' },
    rdb_last_save_ok: { about: 'whether the last RDB snapshot could be saved', type: 'boolean' },
    aof_ok: { about: 'whether the last write and rewrite of the AOF worked, where it is on', type: 'boolean' },
    time_ms: { about: 'whole check', type: 'number', unit: 'ms' },
  },
  criteria: { pong: { type: 'equals', query: true }, loading: { type: 'equals', query: false } },
  criteriaOf: ({ mode }) => (mode === 'cluster' ? { cluster_state: { type: 'equals', query: 'ok' } } : {}),
  async probe(query, { signal }) {
    const startedAt = performance.now()
    const facts = await ask(query, signal)
    return { ...facts, time_ms: msSince(startedAt) }
  },
})

/** Where to ask, and as whom. */
interface Peer {
  host?: string | undefined
  port?: number | undefined
  path?: string | undefined
  user?: string | undefined
  password?: Secret | undefined
  db?: number
  tls?: TlsSettings | undefined
}

type Command = string[]

async function ask(query: Query, signal: AbortSignal) {
  const { mode, write, tls, user, password, db } = query
  const target = mode === 'sentinel' ? await findMaster(query, signal) : pickTarget(query, 6379)
  const peer: Peer = { ...target, user, password, db, tls }
  const set: Command | undefined = write === undefined ? undefined : ['SET', write, 'DeadPool', 'PX', WRITE_KEPT_MS]
  const questions = [['PING'], ['INFO'], ...(MODE_QUESTION[mode] ?? []), ...(set ? [set] : [])]
  const replies = await converse(peer, questions, signal)
  const [ping, info, ofMode] = replies
  const pong = expect(ping) === 'PONG'
  if (mode === 'sentinel') verifyMaster(ofMode, peer, query)
  const cluster = mode === 'cluster' ? findClusterFacts(readInfo(expect(ofMode))) : {}
  if (set) await proveWrite(replies.at(-1), { peer, set, mode, signal })
  return { pong, ...findFacts(readInfo(info)), ...cluster, ...(set && { writable: true }) }
}

const MODE_QUESTION: Partial<Record<Query['mode'], Command[]>> = {
  sentinel: [['ROLE']],
  cluster: [['CLUSTER', 'INFO']],
}

function pickTarget({ host, port, path }: Query, defaultPort: number): Peer {
  return path === undefined ? { host, port: port ?? defaultPort } : { path }
}

async function findMaster(query: Query, signal: AbortSignal): Promise<Peer> {
  const { master_name = '' } = query
  const named = await askSentinel(query, ['SENTINEL', 'get-master-addr-by-name', master_name], signal)
  if (named === null) throw new Dead(`the Sentinel knows no master "${master_name}"`)
  const [host, port] = Array.isArray(named) ? named : []
  if (typeof host !== 'string' || !/^\d{1,5}$/.test(String(port))) throw new Dead('the Sentinel named no address')
  return { host, port: Number(port) }
}

async function askSentinel(query: Query, question: Command, signal: AbortSignal): Promise<Reply | undefined> {
  const { sentinel_user: user, sentinel_password: password, tls } = query
  try {
    const [reply] = await converse({ ...pickTarget(query, 26379), user, password, tls }, [question], signal)
    return expect(reply)
  } catch (error) {
    throw error instanceof Refused ? new Dead(`the Sentinel refused: ${error.message}`) : error
  }
}

/** A Sentinel names a master that has failed until another is promoted, and one that came back as a replica for a while. */
function verifyMaster(reply: Reply | undefined, { host, port }: Peer, { master_name }: Query): void {
  const answer = expect(reply)
  const role = Array.isArray(answer) ? answer[0] : answer
  if (role === 'master') return
  throw new Dead(`${host}:${port}, which the Sentinel names as the master of "${master_name}", is ${String(role)}`)
}

interface Write {
  peer: Peer
  set: Command
  mode: Query['mode']
  signal: AbortSignal
}

/** Follows a cluster's redirections to the node that has the key's slot. */
async function proveWrite(reply: Reply | undefined, { peer, set, mode, signal }: Write): Promise<void> {
  let last = reply
  for (let redirects = 0; redirects < MAX_REDIRECTS; redirects++) {
    const [, kind, host, port] = (mode === 'cluster' && last instanceof Refusal && REDIRECT.exec(last.words)) || []
    if (kind === undefined) break
    const node = { ...peer, host: host || peer.host, port: Number(port), path: undefined }
    const replies = await converse(node, kind === 'ASK' ? [['ASKING'], set] : [set], signal)
    last = replies.at(-1)
  }
  expect(last)
}

const REDIRECT = /^(MOVED|ASK) \d+ (.*):(\d{1,5})$/

/** A check that ends with a refusal: the reason is what Redis said, in its own words. */
class Refused extends Dead {}

function expect(reply: Reply | undefined): Exclude<Reply, Refusal> | undefined {
  if (reply instanceof Refusal) throw new Refused(reply.words)
  return reply
}

/** Asks over a connection of its own, all at once; answers refused are among the replies, except to AUTH and SELECT. */
async function converse(peer: Peer, commands: Command[], signal: AbortSignal): Promise<Reply[]> {
  const { user, db = 0 } = peer
  const password = await peer.password?.read(signal)
  const opening: Command[] = []
  if (password !== undefined) opening.push(user === undefined ? ['AUTH', password] : ['AUTH', user, password])
  if (db > 0) opening.push(['SELECT', `${db}`])
  const socket = await dial({ ...pickAddress(peer), signal })
  try {
    const replies = await exchange(socket, [...opening, ...commands], signal)
    for (const reply of replies.splice(0, opening.length)) expect(reply)
    return replies
  } catch (error) {
    // A server that does not know AUTH quotes what it was given.
    if (!(error instanceof Refused) || password === undefined) throw error
    throw new Refused(error.message.replaceAll(password, '***'))
  } finally {
    socket.destroy()
  }
}

function pickAddress({ host, port, path, tls }: Peer): Peer {
  return path === undefined ? { host, port, tls } : { path, tls }
}

function exchange(socket: Socket, commands: Command[], signal: AbortSignal): Promise<Reply[]> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply[]>()
  const replies: Reply[] = []
  const read = createReader((reply) => {
    if (replies.push(reply) === commands.length) resolve(replies)
  })
  /** A server that has no room, or is protected, says so and closes whatever it was asked. */
  const giveUp = (error?: unknown) => {
    if (replies.length >= commands.length) return
    const [first] = replies
    const reason = first instanceof Refusal ? new Refused(first.words) : (error ?? new Dead('closed before the answer'))
    reject(signal.aborted ? signal.reason : reason)
  }
  socket.on('data', (chunk: Buffer) => {
    try {
      read(chunk)
    } catch (error) {
      reject(error)
      socket.destroy()
    }
  })
  socket.on('error', giveUp)
  socket.on('close', () => giveUp())
  socket.write(commands.map(encode).join(''))
  return promise
}

function encode(command: Command): string {
  return `*${command.length}\r\n${command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')}`
}

/** A reply in RESP2: https://redis.io/docs/latest/develop/reference/protocol-spec/ */
type Reply = string | number | null | Refusal | Reply[]

/** An error that the server replied with, such as `NOAUTH Authentication required.` */
class Refusal {
  words: string

  constructor(words: string) {
    this.words = words.slice(0, MAX_REASON)
  }
}

/**
 * Reads replies from the chunks it is given, in time and memory that grow with what was sent and not with what was
 * announced.
 */
function createReader(onReply: (reply: Reply) => void): (chunk: Buffer) => void {
  const open: { items: Reply[]; missing: number }[] = []
  let chunks: Buffer[] = []
  let held = 0
  let needed = 1
  let total = 0

  function take(token: Reply): void {
    let reply = token
    for (let list = open.at(-1); list; list = open.at(-1)) {
      list.items.push(reply)
      if (--list.missing > 0) return
      open.pop()
      reply = list.items
    }
    onReply(reply)
  }

  return (chunk) => {
    total += chunk.length
    if (total > MAX_ANSWER) throw new Dead('sent more than 1 MiB')
    chunks.push(chunk)
    held += chunk.length
    if (held < needed) return
    const bytes = Buffer.concat(chunks)
    let at = 0
    for (let token = readToken(bytes, at); ; token = readToken(bytes, at)) {
      if (token.end === undefined) {
        needed = token.needed
        break
      }
      at = token.end
      if (token.list === undefined) take(token.reply)
      else if (open.length === MAX_DEPTH) throw new Dead(NOT_RESP)
      else open.push({ items: [], missing: token.list })
    }
    chunks = [bytes.subarray(at)]
    held = bytes.length - at
  }
}

const NOT_RESP = 'answered with something that is not of the Redis protocol'

/** A whole reply, the beginning of a list of some length, or how many bytes it takes to read on. */
type Token =
  | { end: number; list?: undefined; reply: Reply }
  | { end: number; list: number }
  | { end?: undefined; needed: number }

function readToken(bytes: Buffer, at: number): Token {
  if (at < bytes.length && !'+-:$*'.includes(String.fromCharCode(bytes[at] ?? 0))) throw new Dead(NOT_RESP)
  const lineEnd = bytes.indexOf('\r\n', at, 'latin1')
  if ((lineEnd === -1 ? bytes.length : lineEnd) - at > MAX_LINE) throw new Dead(NOT_RESP)
  if (lineEnd === -1) return { needed: bytes.length - at + 1 }
  const line = bytes.toString('utf8', at + 1, lineEnd)
  const end = lineEnd + 2
  switch (bytes[at]) {
    case 43: // +
      return { end, reply: line }
    case 45: // -
      return { end, reply: new Refusal(line) }
    case 58: // :
      return { end, reply: readCount(line, /^[+-]?\d{1,20}$/) }
    case 36: // $
      return line === '-1' ? { end, reply: null } : readText(bytes, at, end, readCount(line))
  }
  if (line === '-1') return { end, reply: null }
  const list = readCount(line)
  return list === 0 ? { end, reply: [] } : { end, list }
}

function readText(bytes: Buffer, at: number, start: number, size: number): Token {
  if (size > MAX_ANSWER) throw new Dead('sent more than 1 MiB')
  const end = start + size + 2
  if (bytes.length < end) return { needed: end - at }
  return { end, reply: bytes.toString('utf8', start, start + size) }
}

function readCount(line: string, format = /^\d{1,10}$/): number {
  if (!format.test(line)) throw new Dead(NOT_RESP)
  return Number(line)
}

/** The lines `key:value` of INFO; none where it was refused. */
function readInfo(reply: Reply | undefined): Map<string, string> {
  const known = new Map<string, string>()
  if (typeof reply !== 'string') return known
  for (const line of reply.split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) known.set(line.slice(0, colon), line.slice(colon + 1))
  }
  return known
}

/** What https://redis.io/docs/latest/commands/info/ tells, as far as this version reports it. */
function findFacts(info: Map<string, string>) {
  const number = (key: string) => toNumber(info.get(key))
  const isTrue = (key: string, yes: string) => (info.has(key) ? info.get(key) === yes : undefined)
  const role = info.get('redis_mode') === 'sentinel' ? 'sentinel' : info.get('role')
  const hasAof = info.get('aof_enabled') === '1'
  return {
    role,
    ...(role === 'slave' ? findMasterLink(info) : findLag(info)),
    replicas: info.has('role') ? findReplicas(info).length : undefined,
    memory_percent: toPercent(number('used_memory'), number('maxmemory')),
    // PING is refused while it loads; where INFO is not allowed, the answer to PING says as much.
    loading: isTrue('loading', '1') ?? false,
    clients: number('connected_clients'),
    clients_percent: toPercent(number('connected_clients'), number('maxclients')),
    version: info.get('valkey_version') ?? info.get('redis_version'),
    rdb_last_save_ok: isTrue('rdb_last_bgsave_status', 'ok'),
    aof_ok: hasAof ? isTrue('aof_last_write_status', 'ok') && isTrue('aof_last_bgrewrite_status', 'ok') : undefined,
  }
}

function findMasterLink(info: Map<string, string>) {
  const notNegative = (key: string) => {
    const seconds = toNumber(info.get(key)) // -1 where it never was
    return seconds !== undefined && seconds >= 0 ? seconds : undefined
  }
  return {
    master_link: info.get('master_link_status'),
    master_link_down_s: notNegative('master_link_down_since_seconds'),
    lag_s: notNegative('master_last_io_seconds_ago'),
  }
}

interface Replica {
  offset: number
  lag: number
}

/** Lines such as `slave0:ip=10.0.0.7,port=6379,state=online,offset=2814,lag=1`. */
function findReplicas(info: Map<string, string>): Replica[] {
  const replicas: Replica[] = []
  for (let i = 0; info.has(`slave${i}`); i++) {
    const [, offset, lag] = /,state=online,offset=(\d+),lag=(\d+)/.exec(info.get(`slave${i}`) ?? '') ?? []
    if (offset !== undefined) replicas.push({ offset: Number(offset), lag: Number(lag) })
  }
  return replicas
}

/** A replica does not know how far its master is; the master knows it of each. */
function findLag(info: Map<string, string>) {
  const replicas = findReplicas(info)
  const offset = toNumber(info.get('master_repl_offset'))
  if (replicas.length === 0 || offset === undefined) return {}
  return {
    lag_bytes: Math.max(0, offset - Math.min(...replicas.map((replica) => replica.offset))),
    lag_s: Math.max(...replicas.map(({ lag }) => lag)),
  }
}

function findClusterFacts(info: Map<string, string>) {
  return {
    cluster_state: info.get('cluster_state'),
    cluster_slots_ok_percent: toPercent(toNumber(info.get('cluster_slots_ok')), CLUSTER_SLOTS),
  }
}

function toNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined
}

/** To a tenth; undefined of what has no limit. */
function toPercent(part: number | undefined, whole: number | undefined): number | undefined {
  return part === undefined || !whole ? undefined : Math.round((part / whole) * 1000) / 10
}
