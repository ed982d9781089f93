import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { Binary, type Document, deserialize, Long, ObjectId, serialize, Timestamp } from 'bson'
import type { MemberState } from './mongo.ts'

/**
 * One member that speaks MongoDB's wire protocol: what a client's driver and a probe ask of it. It is told over IPC what
 * it is, and runs in a process of its own, so that it can be stopped like a real one.
 */
const OP_REPLY = 1
const OP_QUERY = 2004
const OP_MSG = 2013
const UNAUTHORIZED = 13

let state: MemberState
let counts: Record<string, number> = {}
const processId = new ObjectId()
const sockets = new Set<Socket>()

/** What its parent has to say: a change, a new life, or a question. */
export type Order = { become: Partial<MemberState> } | { start: MemberState } | { count: true }

process.once('message', ({ start }: { start: MemberState }) => {
  state = start
  const { tls } = state
  const server = tls
    ? createTlsServer({ cert: readFileSync(tls.cert), key: readFileSync(tls.key) }, serve)
    : createServer(serve)
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as { port: number }).port }))
  process.on('message', obey)
})

function obey(order: Order): void {
  if ('become' in order) state = { ...state, ...order.become }
  if ('start' in order) {
    state = order.start
    counts = {}
    for (const socket of sockets) socket.destroy()
  }
  process.send?.({ counts: { ...counts, connections: sockets.size } })
}

process.on('disconnect', () => process.exit())

/** What one connection has shown of itself. */
interface Session {
  user: string | undefined
  scram: { mechanism: 'SHA-256' | 'SHA-1'; bare: string; first: string; nonce: string } | undefined
}

function serve(socket: Socket): void {
  sockets.add(socket)
  counts.opened = (counts.opened ?? 0) + 1
  const session: Session = { user: undefined, scram: undefined }
  let pending: Buffer = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('close', () => sockets.delete(socket))
  if (state.greets) socket.write(state.greets)
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    while (pending.length >= 16 && pending.length >= pending.readInt32LE(0)) {
      const message = pending.subarray(0, pending.readInt32LE(0))
      pending = pending.subarray(message.length)
      void answer(socket, message, session)
    }
  })
}

async function answer(socket: Socket, message: Buffer, session: Session): Promise<void> {
  const id = message.readInt32LE(4)
  const operation = message.readInt32LE(12)
  const command = operation === OP_QUERY ? readQuery(message) : readMessage(message)
  const name = Object.keys(command)[0] as string
  counts[name] = (counts[name] ?? 0) + 1
  if (state.hangsAt === name) return
  if (state.closesAt === name) return void socket.destroy()
  if (state.delays?.[name]) await new Promise((resolve) => setTimeout(resolve, state.delays?.[name]))
  if (state.raw?.[name] !== undefined) return void socket.write(Buffer.from(state.raw[name] as string, 'base64'))
  const reply = { ...run(name, command, session), ...state.replies?.[name] }
  socket.write(operation === OP_QUERY ? writeReply(id, reply) : writeMessage(id, reply))
}

function readQuery(message: Buffer): Document {
  const start = message.indexOf(0, 20) + 1 + 8
  return deserialize(message.subarray(start, start + message.readInt32LE(start)))
}

function readMessage(message: Buffer): Document {
  let command: Document = {}
  let at = 20
  const end = message.length - (message.readUInt32LE(16) & 1 ? 4 : 0)
  while (at < end) {
    const kind = message[at++]
    const length = message.readInt32LE(at)
    if (kind === 0) command = { ...command, ...deserialize(message.subarray(at, at + length)) }
    at += length
  }
  return command
}

function writeMessage(to: number, document: Document): Buffer {
  return frame(to, OP_MSG, [Buffer.alloc(5), Buffer.from(serialize(document))])
}

function writeReply(to: number, document: Document): Buffer {
  const head = Buffer.alloc(20)
  head.writeInt32LE(8, 0)
  head.writeInt32LE(1, 16)
  return frame(to, OP_REPLY, [head, Buffer.from(serialize(document))])
}

function frame(to: number, operation: number, parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const head = Buffer.alloc(16)
  head.writeInt32LE(16 + body.length, 0)
  head.writeInt32LE(to, 8)
  head.writeInt32LE(operation, 12)
  return Buffer.concat([head, body])
}

function run(name: string, command: Document, session: Session): Document {
  if (name === 'hello' || name === 'isMaster' || name === 'ismaster') return hello(name, command, session)
  if (name === 'saslStart') return attempt(() => startScram(command, session))
  if (name === 'saslContinue') return attempt(() => continueScram(command, session))
  if (name === 'endSessions') return { ok: 1 }
  if (state.user && session.user === undefined) {
    return fail(UNAUTHORIZED, 'Unauthorized', `Command ${name} requires authentication`)
  }
  if (name === 'ping') return { ok: 1 }
  if (name === 'buildInfo') return { version: state.version, ok: 1 }
  if (name === 'replSetGetStatus') return getStatus()
  if (name === 'update') return update(command)
  return fail(59, 'CommandNotFound', `no such command: '${name}'`)
}

function fail(code: number, codeName: string, errmsg: string): Document {
  return { ok: 0, errmsg, code, codeName }
}

function hello(name: string, command: Document, session: Session): Document {
  const { role, wire, set, me, hosts, arbiters, primary } = state
  const common = {
    helloOk: true,
    [name === 'hello' ? 'isWritablePrimary' : 'ismaster']:
      role === 'primary' || role === 'standalone' || role === 'mongos',
    topologyVersion: { processId, counter: Long.fromNumber(6) },
    maxBsonObjectSize: 16_777_216,
    maxMessageSizeBytes: 48_000_000,
    maxWriteBatchSize: 100_000,
    localTime: new Date(),
    ...(role !== 'arbiter' && { logicalSessionTimeoutMinutes: 30 }),
    connectionId: 7,
    minWireVersion: 0,
    maxWireVersion: wire,
    readOnly: false,
    ok: 1,
    ...(command.saslSupportedMechs && { saslSupportedMechs: state.user?.mechanisms ?? [] }),
    ...(command.speculativeAuthenticate && speculate(command.speculativeAuthenticate, session)),
  }
  if (role === 'standalone') return common
  if (role === 'mongos') return { ...common, msg: 'isdbgrid' }
  if (role === 'uninitialized')
    return { ...common, isreplicaset: true, info: 'Does not have a valid replica set config' }
  return {
    ...common,
    hosts,
    ...(arbiters?.length && { arbiters }),
    setName: set,
    setVersion: 1,
    secondary: role === 'secondary',
    ...(role === 'arbiter' && { arbiterOnly: true }),
    ...(primary !== undefined && { primary }),
    me,
    ...(role === 'primary' && { electionId: new ObjectId('7fffffff0000000000000001') }),
    lastWrite: { opTime: { ts: new Timestamp({ t: 1_700_000_000, i: 1 }), t: 1 }, lastWriteDate: new Date() },
  }
}

const STATES: Record<string, number> = {
  PRIMARY: 1,
  SECONDARY: 2,
  RECOVERING: 3,
  ARBITER: 7,
  '(not reachable/healthy)': 8,
}

/** As `replSetGetStatus` tells it. */
function getStatus(): Document {
  const { set, status, role } = state
  if (role === 'standalone') return fail(76, 'NoReplicationEnabled', 'not running with --replSet')
  if (role === 'mongos') return fail(59, 'CommandNotFound', `no such command: 'replSetGetStatus'`)
  if (role === 'uninitialized') return fail(94, 'NotYetInitialized', 'no replset config has been received')
  if (!status) {
    const errmsg = 'not authorized on admin to execute command { replSetGetStatus: 1, $db: "admin" }'
    return fail(UNAUTHORIZED, 'Unauthorized', errmsg)
  }
  const now = Date.now()
  const voting = status.voting ?? status.members.length
  const writable = voting - status.members.filter(({ state }) => state === 'ARBITER').length
  return {
    set,
    date: new Date(now),
    myState: role === 'primary' ? 1 : 2,
    term: Long.fromNumber(1),
    heartbeatIntervalMillis: Long.fromNumber(2000),
    majorityVoteCount: Math.floor(voting / 2) + 1,
    writeMajorityCount: Math.min(Math.floor(voting / 2) + 1, writable),
    votingMembersCount: voting,
    writableVotingMembersCount: writable,
    members: status.members.map(({ name, state, lag = 0 }, index) => ({
      _id: index,
      name,
      health: STATES[state] === 8 ? 0 : 1,
      state: STATES[state],
      stateStr: state,
      uptime: 1000,
      ...(state !== 'ARBITER' && {
        optime: { ts: new Timestamp({ t: 1_700_000_000, i: 1 }), t: Long.fromNumber(1) },
        optimeDate: STATES[state] === 8 ? new Date(0) : new Date(now - lag * 1000),
      }),
    })),
    ok: 1,
  }
}

function update(command: Document): Document {
  const { role, write = 'ok' } = state
  if (role === 'secondary') return fail(10_107, 'NotWritablePrimary', 'not primary')
  if (write === 'forbidden') {
    const errmsg = `not authorized on deadpool to execute command { update: "${command.update}" }`
    return fail(UNAUTHORIZED, 'Unauthorized', errmsg)
  }
  if (command.writeConcern?.w !== 'majority' || command.updates[0].upsert !== true) throw new Error('another write')
  const done = { n: 1, nModified: 1, ok: 1 }
  if (write === 'ok') return done
  const errmsg = 'waiting for replication timed out'
  const errInfo = { wtimeout: true, writeConcern: command.writeConcern }
  return { ...done, writeConcernError: { code: 64, codeName: 'WriteConcernFailed', errmsg, errInfo } }
}

function attempt(authenticate: () => Document): Document {
  try {
    return authenticate()
  } catch {
    return fail(18, 'AuthenticationFailed', 'Authentication failed.')
  }
}

/** A failure of the speculative kind says nothing: the client asks again in earnest. */
function speculate(command: Document, session: Session): Document {
  try {
    return { speculativeAuthenticate: startScram(command, session) }
  } catch {
    return {}
  }
}

function hash(mechanism: 'SHA-256' | 'SHA-1'): 'sha256' | 'sha1' {
  return mechanism === 'SHA-256' ? 'sha256' : 'sha1'
}

/** RFC 5802 and 7677. */
function startScram(command: Document, session: Session): Document {
  const mechanism = String(command.mechanism).replace('SCRAM-', '') as 'SHA-256' | 'SHA-1'
  const bare = text(command.payload).replace(/^n,,/, '')
  const fields = parse(bare)
  const name = fields.n?.replaceAll('=2C', ',').replaceAll('=3D', '=')
  if (!state.user?.mechanisms.includes(command.mechanism) || name !== state.user.name) throw new Error('no such user')
  const nonce = fields.r + randomBytes(18).toString('base64')
  const salt = createHash('sha256').update(state.user.name).digest().subarray(0, 16).toString('base64')
  const first = `r=${nonce},s=${salt},i=${state.user.iterations ?? 15_000}`
  session.scram = { mechanism, bare, first, nonce }
  return { conversationId: 1, done: false, payload: new Binary(Buffer.from(first)), ok: 1 }
}

const salted = new Map<string, Buffer>()

function continueScram(command: Document, session: Session): Document {
  const { scram } = session
  if (!scram || !state.user) throw new Error('no conversation')
  const final = text(command.payload)
  const fields = parse(final)
  if (fields.r !== scram.nonce) throw new Error('another nonce')
  const algorithm = hash(scram.mechanism)
  const key = saltPassword(algorithm, scram.first)
  const mac = (secret: Buffer, message: string) => createHmac(algorithm, secret).update(message).digest()
  const message = `${scram.bare},${scram.first},${final.replace(/,p=.*$/, '')}`
  const clientKey = mac(key, 'Client Key')
  const signature = mac(createHash(algorithm).update(clientKey).digest(), message)
  const proof = Buffer.from(fields.p ?? '', 'base64')
  const expected = Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] as number)))
  if (proof.length !== expected.length || !timingSafeEqual(proof, expected)) throw new Error('wrong password')
  session.user = state.user.name
  const verifier = mac(mac(key, 'Server Key'), message).toString('base64')
  return { conversationId: 1, done: true, payload: new Binary(Buffer.from(`v=${verifier}`)), ok: 1 }
}

function saltPassword(algorithm: 'sha256' | 'sha1', first: string): Buffer {
  const { name, password } = state.user as NonNullable<MemberState['user']>
  const { s = '', i = '' } = parse(first)
  const id = `${algorithm} ${s} ${i}`
  const known = salted.get(id)
  if (known) return known
  const secret = algorithm === 'sha1' ? createHash('md5').update(`${name}:mongo:${password}`).digest('hex') : password
  const made = pbkdf2Sync(secret, Buffer.from(s, 'base64'), Number(i), algorithm === 'sha256' ? 32 : 20, algorithm)
  salted.set(id, made)
  return made
}

function text(payload: Binary): string {
  return Buffer.from(payload.buffer).toString()
}

function parse(fields: string): Record<string, string | undefined> {
  return Object.fromEntries(fields.split(',').map((field) => [field.slice(0, 1), field.slice(2)]))
}
