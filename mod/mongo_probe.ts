/**
 * mongo_probe: looks for the writable primary of MongoDB as a client's driver does, and asks it how its replica set is;
 * a mongos or a standalone server counts as a primary.
 *
 *   orders:
 *     module: mongo_probe
 *     period: 3
 *     query:
 *       url: mongodb://localhost:27017   # all members that a client is given, or mongodb+srv://…
 *       # user: heartbeat                # the role clusterMonitor is needed for all facts
 *       # password: {file: mongo.password}
 *       # auth_source: admin             # the database that knows user
 *       # auth_mechanism: SCRAM-SHA-256  # instead of what the server offers
 *       # tls: {ca_file: ca.pem}         # true for the defaults; also cert_file, server_name, insecure …
 *       timeout: 5                       # seconds for the whole check
 *       # replica_set: rs0               # the name that the set must have
 *       read_preference: primary         # whom to ask: primary, primaryPreferred, secondary, secondaryPreferred, nearest
 *       direct: false                    # true asks the one host of the url, whatever its role
 *       # write: deadpool.heartbeat      # prove a majority write by an upsert into this collection
 *       keep_connection: false           # true asks over one connection again and again
 *     success_criteria:                  # default
 *       writable_primary: { type: equals, query: true }
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe } from 'node:diagnostics_channel'
import dns from 'node:dns'
import type { Socket } from 'node:net'
import { hostname } from 'node:os'
import {
  createTlsOptions,
  Dead,
  defineProbe,
  explainNetworkError,
  lookup,
  msSince,
  seconds,
  secret,
  tlsSettings,
  Unknown,
  z,
} from 'deadpool'
import {
  type Document,
  MongoClient,
  type MongoClientOptions,
  MongoMissingDependencyError,
  MongoNetworkError,
  MongoServerError,
  MongoServerSelectionError,
  ObjectId,
  type ServerDescription,
  type TopologyDescription,
} from 'mongodb'

const MIB = 1024 * 1024
/** A reply has a few kilobytes; the driver itself would take 2 GiB. */
const MAX_MESSAGE = 1 * MIB
/** MongoDB has 15,000. Each round costs a thread of the pool that look-ups and files share. */
const MAX_SCRAM_ROUNDS = 1_000_000
/** A set has 50 members at most. */
const MAX_MEMBERS = 64
const OP_COMPRESSED = 2012
const UNAUTHORIZED = 13
const LONG_MS = 600_000

const querySchema = z
  .strictObject({
    url: z
      .string()
      .superRefine((url, context) => {
        const message = findUrlFault(url)
        if (message !== undefined) context.addIssue({ code: 'custom', message })
      })
      .describe('mongodb:// with the members that a client is given, or mongodb+srv://'),
    user: z.string().min(1).optional().describe('who asks'),
    password: secret().optional().describe('the password of user'),
    auth_source: z.string().min(1).optional().describe('the database that knows user, instead of admin'),
    auth_mechanism: z
      .enum(['SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN', 'MONGODB-X509'])
      .optional()
      .describe('how to authenticate, instead of what the server offers'),
    tls: tlsSettings().optional().describe('TLS settings'),
    timeout: seconds().default(5).describe('time for the whole check, s'),
    replica_set: z.string().min(1).optional().describe('the name that the set must have'),
    read_preference: z
      .enum(['primary', 'primaryPreferred', 'secondary', 'secondaryPreferred', 'nearest'])
      .default('primary')
      .describe('which member to ask'),
    direct: z.boolean().default(false).describe('ask the one host of the url, whatever its role'),
    write: z
      .string()
      .regex(/^[^.$\s]+\.[^$\s]+$/, 'is not a collection; write database.collection')
      .optional()
      .describe('prove a majority write by an upsert into this collection'),
    keep_connection: z.boolean().default(false).describe('ask over one connection again and again'),
  })
  .superRefine((query, context) => {
    const { url, user, password, auth_mechanism, direct } = query
    const add = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message })
    if (auth_mechanism === 'MONGODB-X509') {
      if (password) add('password', 'is not used by MONGODB-X509')
    } else if (user !== undefined && !password) add('user', 'needs a password beside it')
    else if (user === undefined && password) add('password', 'needs a user beside it')
    else if (user === undefined && auth_mechanism) add('auth_mechanism', 'needs a user beside it')
    if (query.keep_connection && query.read_preference !== 'primary' && !direct) {
      add('keep_connection', 'needs read_preference: primary, or direct')
    }
    if (direct && (url.includes(',') || url.startsWith('mongodb+srv:'))) add('direct', 'needs a url with one host')
  })

type Query = z.output<typeof querySchema>

export const Probe = defineProbe({
  summary: 'Looks for the writable primary of MongoDB and asks it how its replica set is.',
  query: querySchema,
  facts: {
    writable_primary: { about: 'whether a server that takes writes was seen', type: 'boolean' },
    primary: { about: 'the primary, as host:port', type: 'text' },
    role: {
      about: 'of the server asked: primary, secondary, arbiter, mongos, standalone, uninitialized or other',
      type: 'text',
    },
    set: { about: 'name of the replica set', type: 'text' },
    members: { about: 'members of the set (needs clusterMonitor)', type: 'number' },
    members_healthy: { about: 'members that are primary, secondary or arbiter (needs clusterMonitor)', type: 'number' },
    majority_writable: {
      about: 'whether enough members stand to acknowledge w: majority (needs clusterMonitor)',
      type: 'boolean',
    },
    lag_seconds: {
      about: 'how far the last healthy secondary is behind (needs clusterMonitor)',
      type: 'number',
      unit: 's',
    },
    version: { about: 'version of the server asked', type: 'text' },
    writable: { about: 'true when the write was acknowledged, with write', type: 'boolean' },
    time_ms: { about: 'whole check', type: 'number', unit: 'ms' },
  },
  criteria: { writable_primary: { type: 'equals', query: true } },
  async probe(query, { signal, keep }) {
    const startedAt = performance.now()
    signal.throwIfAborted()
    const held = query.keep_connection ? keep.take<Link>() : undefined
    const { link, hello } = (held && (await reuse(held, query, signal))) ?? (await open(query, signal))
    const facts = await during(link, signal, async () => ({
      ...describeRole(hello),
      writable_primary: [...link.hellos.values()].some(isWritable),
      ...(await askVersion(link, query)),
      ...(await askStatus(link, query, hello)),
      ...(await proveWrite(link, query)),
      time_ms: msSince(startedAt),
    }))
    if (query.keep_connection) {
      link.kept = link.sockets.size
      keep.leave(link, end)
    } else {
      // With good manners: the server is told to forget the session. Without a primary the driver would wait for one to tell.
      if (query.direct || facts.writable_primary) await during(link, signal, () => link.client.close())
      end(link)
    }
    return facts
  },
})

/** A client of the driver with all that it opens. */
interface Link {
  client: MongoClient
  /** Names of servers that are being looked up. */
  resolving: Set<string>
  sockets: Set<Socket>
  /** What each server said of itself when it was last asked, by its address. */
  hellos: Map<string, Document>
  /** All servers that the driver knows, and what became of them. */
  topology: TopologyDescription | undefined
  /** The servers that answered or failed. */
  heard: Set<string>
  /** What the servers did that no server of MongoDB does. */
  fault: Dead | undefined
  /** How many sockets were open when the link was left for the next check. */
  kept: number
  isOver: boolean
}

const links = new AsyncLocalStorage<Link>()

// The driver opens its sockets itself. To see them is the only way to bound what they read, and to close them all at once.
subscribe('net.client.socket', (message) => {
  const link = links.getStore()
  if (link) watchSocket((message as { socket: Socket }).socket, link)
})

function watchSocket(socket: Socket, link: Link): void {
  // A socket that is destroyed before it connects would connect all the same.
  if (link.isOver || link.fault) {
    process.nextTick(() => socket.destroy())
    return
  }
  link.sockets.add(socket)
  socket.once('close', () => link.sockets.delete(socket))
  socket.on('error', () => {})
  const check = createCheck()
  const { emit } = socket
  // Before the driver gets it: a message of length 0 alone has it loop until the memory is used up.
  socket.emit = (event: string | symbol, ...args: unknown[]) => {
    if (event === 'data') link.fault ??= check(args[0] as Buffer)
    if (event !== 'data' || !link.fault) return Reflect.apply(emit, socket, [event, ...args])
    socket.destroy(link.fault)
    return true
  }
}

/** Finds what is wrong with what a connection reads, chunk by chunk. */
function createCheck(): (chunk: Buffer) => Dead | undefined {
  let pending: Buffer = Buffer.alloc(0)
  return (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    while (pending.length >= 4) {
      const length = pending.readInt32LE(0)
      const fault =
        findLengthFault(length) ?? (pending.length >= length ? findFault(pending.subarray(0, length)) : undefined)
      if (fault || pending.length < length) return fault
      pending = pending.subarray(length)
    }
    return undefined
  }
}

function findLengthFault(length: number): Dead | undefined {
  if (length < 16) return new Dead('answers in something else than the protocol of MongoDB')
  return length > MAX_MESSAGE ? new Dead(`sends a message of ${length} bytes; at most 1 MiB is read`) : undefined
}

function findFault(message: Buffer): Dead | undefined {
  // Nobody offered that, and there is no telling how long it becomes.
  if (message.readInt32LE(12) === OP_COMPRESSED) return new Dead('compresses its answers, which was not offered')
  if (!message.includes('i=')) return undefined
  const [, rounds] = /[,\0]i=\s*\+?0*(\d{6,})/.exec(message.toString('latin1')) ?? []
  if (Number(rounds ?? 0) <= MAX_SCRAM_ROUNDS) return undefined
  return new Dead(`asks for ${rounds} rounds of SCRAM; at most ${MAX_SCRAM_ROUNDS} are made`)
}

/** Ends a link: nothing of it stays, whatever it was doing. */
function end(link: Link): void {
  link.isOver = true
  // What the driver does for close() it may do over the network, and wait; this is its part that does not.
  const { client } = link as { client: MongoClient & { topology?: { close(): void } } }
  client.topology?.close()
  for (const socket of link.sockets) socket.destroy()
  client.close().catch(() => {}) // nobody uses it
}

/** Does what is asked of the link; ends the link when that fails or the check is over. */
async function during<T>(link: Link, signal: AbortSignal, act: () => Promise<T>): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => {
    reject(signal.reason)
    end(link)
  }
  signal.addEventListener('abort', abort, { once: true })
  try {
    signal.throwIfAborted()
    return await Promise.race([links.run(link, act), aborted])
  } catch (error) {
    end(link)
    throw signal.aborted ? signal.reason : explain(error, link)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

interface Asked {
  link: Link
  hello: Document
}

/** Opens a link, and finds the server to ask. */
async function open(query: Query, signal: AbortSignal): Promise<Asked> {
  const url = query.url.startsWith('mongodb+srv:') ? await resolveSeeds(query, signal) : query.url
  const options = await createOptions(query, signal)
  signal.throwIfAborted()
  const resolving = new Set<string>()
  const client = new MongoClient(url, { ...options, lookup: createLookup(resolving) })
  const link: Link = {
    client,
    resolving,
    sockets: new Set(),
    hellos: new Map(),
    topology: undefined,
    heard: new Set(),
    fault: undefined,
    kept: 0,
    isOver: false,
  }
  return during(link, signal, async () => {
    const found = watchServers(link, query)
    await Promise.race([connect(client, link, query), found.then(wait)])
    await found
    return { link, hello: await askHello(link, query) }
  })
}

/** Each its own: a shared one would hold all that ever waited for it. */
const wait = () => new Promise<never>(() => {})

async function connect(client: MongoClient, link: Link, query: Query): Promise<void> {
  try {
    await client.connect()
  } catch (error) {
    if (!(error instanceof MongoServerSelectionError)) throw error
    // Without a word from anybody there is nothing to add to the deadline of the check.
    if (link.heard.size === 0) await wait()
    throw explainServers(link, query)
  }
}

/**
 * Takes up a kept link. Undefined when it is of no use any more: a server closed its connection, or another one is the
 * primary by now. Then it takes a look around.
 */
async function reuse(link: Link, query: Query, signal: AbortSignal): Promise<Asked | undefined> {
  if (link.sockets.size < link.kept) {
    end(link)
    return undefined
  }
  link.hellos.clear()
  const hello = await during(link, signal, () => askHello(link, query))
  if (isWritable(hello) || query.direct) return { link, hello }
  end(link)
  return undefined
}

async function askHello({ client, hellos }: Link, { read_preference }: Query): Promise<Document> {
  const hello = await client.db('admin').command({ hello: 1 }, { readPreference: read_preference })
  const fault = tidyHello(hello)
  if (fault) throw fault
  hellos.set(hello.me ?? '', hello)
  return hello
}

/**
 * Listens to what the driver hears of the servers. Resolves when enough is known: a server that takes writes, or every
 * server was heard. Rejects when all were heard and none can be asked: to ask them again is for the next check.
 */
function watchServers(link: Link, query: Query): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  promise.catch(() => {}) // also when nobody waits for it any more
  const judge = () => {
    const servers = [...(link.topology?.servers.values() ?? [])]
    const isWhole = servers.every(({ address }) => link.heard.has(address))
    if (servers.some(({ type }) => WRITABLE.has(type))) resolve()
    else if (isWhole && servers.some((server) => canBeAsked(server, query))) resolve()
    else if (isWhole) reject(explainServers(link, query))
  }
  link.client.on('serverHeartbeatSucceeded', ({ connectionId: address, reply }) => {
    link.fault ??= tidyHello(reply)
    if (link.fault) {
      reject(link.fault)
      end(link)
    }
    link.heard.add(address)
    link.hellos.set(address, reply)
    // By then the driver has drawn its conclusions.
    setImmediate(judge)
  })
  link.client.on('serverHeartbeatFailed', ({ connectionId: address }) => {
    link.heard.add(address)
    setImmediate(judge)
  })
  link.client.on('topologyDescriptionChanged', ({ newDescription }) => {
    link.topology = newDescription
  })
  return promise
}

const address = z.string().refine((text) => URL.canParse(`mongodb://${text}`))
const addresses = z.array(address).nullish()

/** What is read of the answer to `hello`, in the types that the driver takes for granted; what else it would read is left out. */
const helloSchema = z.object({
  ok: z.number(),
  isWritablePrimary: z.boolean().optional(),
  ismaster: z.boolean().optional(),
  secondary: z.boolean().optional(),
  arbiterOnly: z.boolean().optional(),
  hidden: z.boolean().optional(),
  isreplicaset: z.boolean().optional(),
  msg: z.string().optional(),
  setName: z.string().nullish(),
  me: address.nullish(),
  primary: address.nullish(),
  hosts: addresses,
  passives: addresses,
  arbiters: addresses,
  electionId: z.instanceof(ObjectId).nullish(),
  setVersion: z.number().nullish(),
  minWireVersion: z.number().optional().catch(undefined),
  maxWireVersion: z.number().optional().catch(undefined),
  logicalSessionTimeoutMinutes: z.number().nullish().catch(undefined),
  tags: z.record(z.string(), z.string()).optional().catch(undefined),
})

/**
 * Leaves of an answer to `hello` what the driver can read. It does so on its own after this, and where that fails nobody
 * catches what it throws.
 */
function tidyHello(hello: Document): Dead | undefined {
  const { success, data, error } = helloSchema.safeParse(hello)
  for (const key of Object.keys(hello)) delete hello[key]
  if (!success) return new Dead(`answers hello with a "${String(error.issues[0]?.path[0])}" that MongoDB does not have`)
  const count = [data.hosts, data.passives, data.arbiters].reduce((sum, list) => sum + (list?.length ?? 0), 0)
  if (count > MAX_MEMBERS) return new Dead(`names more than ${MAX_MEMBERS} members of its set`)
  Object.assign(hello, data)
  return undefined
}

const WRITABLE: ReadonlySet<string> = new Set(['RSPrimary', 'Standalone', 'Mongos', 'LoadBalancer'])

function canBeAsked({ type }: ServerDescription, { direct, read_preference }: Query): boolean {
  if (direct) return type !== 'Unknown'
  return WRITABLE.has(type) || (type === 'RSSecondary' && read_preference !== 'primary')
}

async function askVersion({ client }: Link, { read_preference }: Query): Promise<{ version?: string }> {
  const { version } = (await askOrLeave(client, { buildInfo: 1 }, read_preference)) ?? {}
  return version === undefined ? {} : { version }
}

async function askStatus({ client }: Link, { read_preference }: Query, hello: Document) {
  if (typeof hello.setName !== 'string' || hello.arbiterOnly) return {}
  const status = await askOrLeave(client, { replSetGetStatus: 1 }, read_preference)
  return status ? readStatus(status, new Set(hello.arbiters ?? [])) : {}
}

/** Asks what takes a right that the user may not have; its facts are then left out. */
async function askOrLeave(client: MongoClient, command: Document, readPreference: Query['read_preference']) {
  try {
    return await client.db('admin').command(command, { readPreference })
  } catch (error) {
    if (error instanceof MongoServerError && error.code === UNAUTHORIZED) return undefined
    throw error
  }
}

const PRIMARY = 1
const SECONDARY = 2
const ARBITER = 7

interface MemberStatus {
  name: string
  health: number
  state: number
  optimeDate?: Date
}

function readStatus(status: Document, arbiters: ReadonlySet<string>) {
  const listed: unknown[] = Array.isArray(status.members) ? status.members : []
  const members = listed.filter((member) => typeof member === 'object' && member !== null) as MemberStatus[]
  const healthy = members.filter(({ health, state }) => health === 1 && [PRIMARY, SECONDARY, ARBITER].includes(state))
  const bearing = members.filter(({ name, state }) => state !== ARBITER && !arbiters.has(name))
  const standing = healthy.filter((member) => bearing.includes(member)).length
  return {
    members: members.length,
    members_healthy: healthy.length,
    ...readMajority(status, bearing.length, standing),
    ...readLag(healthy),
  }
}

/** The status does not tell which members have no vote; where that could matter the fact is left out. */
function readMajority({ writeMajorityCount, writableVotingMembersCount }: Document, bearing: number, standing: number) {
  if (typeof writeMajorityCount !== 'number' || typeof writableVotingMembersCount !== 'number') return {}
  const withoutVote = bearing - writableVotingMembersCount
  if (standing < writeMajorityCount) return { majority_writable: false }
  return standing - withoutVote >= writeMajorityCount ? { majority_writable: true } : {}
}

function readLag(healthy: MemberStatus[]): { lag_seconds?: number } {
  const primary = healthy.find(({ state }) => state === PRIMARY)?.optimeDate
  const others = healthy.filter(({ state }) => state === SECONDARY).map(({ optimeDate }) => Number(optimeDate))
  const lag = Math.round((Number(primary) - Math.min(...others)) / 1000)
  return Number.isFinite(lag) ? { lag_seconds: Math.max(0, lag) } : {}
}

async function proveWrite({ client }: Link, { write, timeout }: Query): Promise<{ writable?: true }> {
  if (write === undefined) return {}
  const [, database, collection] = /^([^.]+)\.(.+)$/.exec(write) as unknown as [string, string, string]
  try {
    const writeConcern = { w: 'majority', wtimeoutMS: Math.ceil(timeout * 800) } as const
    const document = { $set: { at: new Date() } }
    const id = `deadpool ${hostname()}`
    await client
      .db(database)
      .collection<{ _id: string }>(collection)
      .updateOne({ _id: id }, document, { upsert: true, writeConcern })
    return { writable: true }
  } catch (error) {
    if (error instanceof MongoServerError) throw new Dead(`no write to ${write}: ${error.message}`, { cause: error })
    throw error
  }
}

function isWritable(hello: Document): boolean {
  return hello.isWritablePrimary === true || hello.ismaster === true
}

function describeRole(hello: Document) {
  const role = findRole(hello)
  return { role, ...(hello.primary && { primary: hello.primary }), ...(hello.setName && { set: hello.setName }) }
}

function findRole(hello: Document): string {
  if (hello.msg === 'isdbgrid') return 'mongos'
  if (hello.isreplicaset) return 'uninitialized'
  if (hello.setName === undefined) return 'standalone'
  if (isWritable(hello)) return 'primary'
  if (hello.secondary) return 'secondary'
  return hello.arbiterOnly ? 'arbiter' : 'other'
}

function createLookup(resolving: Set<string>): NonNullable<MongoClientOptions['lookup']> {
  const watched: typeof lookup = (name, options, callback) => {
    resolving.add(name)
    lookup(name, options, (...found) => {
      resolving.delete(name)
      callback(...found)
    })
  }
  return watched as NonNullable<MongoClientOptions['lookup']>
}

async function createOptions(query: Query, signal: AbortSignal): Promise<MongoClientOptions> {
  const { user, password, auth_source, auth_mechanism, tls, replica_set, direct, read_preference, timeout } = query
  const hasUser = user !== undefined || auth_mechanism !== undefined
  const credentials = {
    ...(user !== undefined && { auth: { username: user, ...(password && { password: await password.read(signal) }) } }),
    ...(auth_source !== undefined && { authSource: auth_source }),
    ...(auth_mechanism && { authMechanism: auth_mechanism }),
  }
  return {
    ...(hasUser && credentials),
    ...(tls && (await createDriverTls(query, signal))),
    ...(replica_set !== undefined && { replicaSet: replica_set }),
    ...(direct && { directConnection: true }),
    readPreference: read_preference,
    appName: 'DeadPool',
    // One attempt over one connection, and in the background nothing that a check could do without.
    maxPoolSize: 1,
    minPoolSize: 0,
    retryReads: false,
    retryWrites: false,
    serverMonitoringMode: 'poll',
    heartbeatFrequencyMS: LONG_MS,
    minHeartbeatFrequencyMS: LONG_MS,
    // When one server hangs, there is time left to say what the others said. All else is for the deadline of the check.
    serverSelectionTimeoutMS: Math.ceil(timeout * 900),
    connectTimeoutMS: LONG_MS,
    // Of a name with several addresses. By itself less than it takes TCP to repeat a lost packet, and no address has a second try.
    autoSelectFamilyAttemptTimeout: Math.ceil(timeout * 300),
    socketTimeoutMS: 0,
    compressors: ['none'],
  }
}

/** The driver finds the name to ask for, and to look for in the certificate, for each host by itself. */
async function createDriverTls({ tls }: Query, signal: AbortSignal): Promise<MongoClientOptions> {
  if (!tls) return {}
  const { secureContext } = await createTlsOptions(tls, '', signal)
  const { server_name: servername, insecure } = tls
  return {
    tls: true,
    secureContext,
    ...(servername && { servername }),
    ...(insecure && { tlsAllowInvalidCertificates: true }),
  }
}

/** What the driver throws, as `Dead` in the words of the server or the network where it speaks of them. */
function explain(thrown: unknown, link: Link): unknown {
  return link.fault ?? explainError(thrown)
}

function explainError(thrown: unknown): unknown {
  if (thrown instanceof Dead || thrown instanceof Unknown || !(thrown instanceof Error)) return thrown
  const { cause, message } = thrown
  if (thrown instanceof MongoMissingDependencyError) return new Unknown(message, { cause: thrown })
  if (thrown instanceof MongoServerError) {
    // Its words where the server had none.
    return new Dead(message === 'n/a' ? 'answers with an error without words' : message, { cause: thrown })
  }
  if (thrown instanceof MongoNetworkError && cause instanceof Error) {
    return cause.name.startsWith('Mongo') ? explainError(cause) : explainNetworkError(cause)
  }
  const [, closed] = /^connection \S+ to (\S+) closed$/.exec(message) ?? []
  if (closed) return new Dead(`${closed} closed the connection`, { cause: thrown })
  // The driver takes for granted that an answer, such as that to a login, has all of its fields.
  if (thrown instanceof TypeError) return new Dead('answers with something that MongoDB does not', { cause: thrown })
  // What cannot be parsed ends in an error of the parser, which is not a bug here.
  if (/^(BSON|Range)/.test(thrown.name))
    return new Dead(`answers in something else than BSON: ${message}`, { cause: thrown })
  return thrown.name.startsWith('Mongo') ? new Dead(message, { cause: thrown }) : explainNetworkError(thrown)
}

/** Why none of the servers can be asked: what each of them said. */
function explainServers(link: Link, query: Query): unknown {
  const servers = [...(link.topology?.servers.values() ?? [])]
  const faults = new Map(servers.flatMap(({ address, error }) => (error ? [[address, explainError(error)]] : [])))
  // This host's own trouble says nothing about theirs.
  const own = [...faults.values()].find((fault) => !(fault instanceof Dead))
  if (own) return own
  const [unresolved] = link.resolving
  if (unresolved !== undefined) return new Unknown(`the resolver of this host does not answer for ${unresolved}`)
  const said = new Map([...(faults as Map<string, Dead>)].map(([address, { message }]) => [address, message]))
  // The driver drops those that are of another set.
  const addresses = [...new Set([...servers.map(({ address }) => address), ...link.hellos.keys()])]
  if (addresses.every((address) => said.has(address))) return new Dead([...new Set(said.values())].join('; '))
  const words = addresses.map((address) => {
    const fault = said.get(address)?.replace(` by ${address}`, '')
    return `${address} (${fault === undefined ? describeHello(link.hellos.get(address), query) : `down: ${fault}`})`
  })
  const wanted = query.read_preference.startsWith('secondary') ? 'secondary' : 'primary'
  const of = query.replica_set === undefined ? '' : ` of "${query.replica_set}"`
  return new Dead(`no ${query.direct ? 'member' : wanted}${of} among ${words.join(', ')}`)
}

function describeHello(hello: Document | undefined, { replica_set }: Query): string {
  if (!hello) return 'no answer'
  const isStranger = replica_set !== undefined && hello.setName !== replica_set
  return isStranger && hello.setName !== undefined ? `of the set "${hello.setName}"` : findRole(hello)
}

/**
 * Looks the members up as the driver would (Initial DNS Seedlist Discovery), but so that it can be cancelled, and tells a
 * silent resolver from a name that is not there.
 */
async function resolveSeeds({ url, timeout }: Query, signal: AbortSignal): Promise<string> {
  const { hostname: name, pathname, searchParams } = new URL(url)
  const resolver = new dns.promises.Resolver({ timeout: Math.ceil(timeout * 1000), tries: 1 })
  resolver.setServers(dns.getServers())
  const cancel = () => resolver.cancel()
  signal.addEventListener('abort', cancel)
  // Before the deadline, at which the servers would be to blame.
  const late = setTimeout(cancel, timeout * 800)
  try {
    const service = `_${searchParams.get('srvServiceName') ?? 'mongodb'}._tcp.${name}`
    const texts = resolver.resolveTxt(name).catch(explainMissing(name, () => []))
    texts.catch(() => {}) // where the other look-up fails, nobody waits for this one
    const records = await resolver.resolveSrv(service).catch(
      explainMissing(service, () => {
        throw new Dead(`no SRV record is known for ${service}`)
      }),
    )
    const labels = name.split('.')
    const parent = `.${labels.slice(labels.length > 2 ? 1 : 0).join('.')}`
    const stranger = records.find((record) => !record.name.toLowerCase().endsWith(parent))
    if (stranger)
      throw new Dead(`the SRV record ${service} names ${stranger.name}, which is not below ${parent.slice(1)}`)
    const options = new URLSearchParams([...new URLSearchParams((await texts).flat().join('')), ['tls', 'true']])
    // What the url says goes before what the TXT record says.
    for (const [key, value] of searchParams) options.set(key === 'ssl' ? 'tls' : key, value)
    for (const key of ['srvServiceName', 'srvMaxHosts']) options.delete(key)
    return `mongodb://${records.map((record) => `${record.name}:${record.port}`).join()}${pathname || '/'}?${options}`
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  } finally {
    clearTimeout(late)
    signal.removeEventListener('abort', cancel)
  }
}

/** What a look-up that failed means: no such name, or a resolver that does not do its work. */
function explainMissing<T>(name: string, missing: () => T) {
  return ({ code }: NodeJS.ErrnoException): T => {
    if (code === 'ENOTFOUND' || code === 'ENODATA') return missing()
    const why = code === 'ECANCELLED' || code === 'ETIMEOUT' ? '' : ` (${code})`
    throw new Unknown(`the resolver of this host does not answer for ${name}${why}`)
  }
}

function findUrlFault(text: string): string | undefined {
  if (!/^mongodb(\+srv)?:\/\//.test(text)) return 'is not a MongoDB URL; write it like mongodb://localhost:27017'
  if (/^[^:]*:\/\/[^/?]*@/.test(text)) return 'has a user or password; write them as user and password'
  if (/[?&]loadBalanced=/i.test(text)) return 'has the option loadBalanced, which is not supported'
  const own = { readPreference: 'read_preference', directConnection: 'direct' }
  for (const [option, key] of Object.entries(own)) {
    if (new RegExp(`[?&]${option}=`, 'i').test(text)) return `has the option ${option}; write it as ${key}`
  }
  try {
    new MongoClient(text)
    return undefined
  } catch (error) {
    return `is not a MongoDB URL: ${(error as Error).message}`
  }
}
