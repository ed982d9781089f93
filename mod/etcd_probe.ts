/**
 * etcd_probe: asks a member of etcd (3.4 to 3.6) over its JSON gateway. A read that needs the quorum comes first; then what
 * the member says of itself, its cluster and its health, all over one connection.
 *
 *   etcd:
 *     module: etcd_probe
 *     period: 3
 *     query:
 *       url: http://localhost:2379   # of a member's client listener, http or https
 *       # user: watch                # with auth enabled; without any role it can ask enough
 *       # password: s3cret           # text, {env: NAME}, {file: PATH} or {credential: NAME}
 *       serializable: false          # true reads what the member has, and asks for no quorum
 *       # tls: {ca_file: ca.pem, cert_file: watch.pem, key_file: watch.key}   # of an https URL
 *       timeout: 5                   # seconds for the whole check
 *     success_criteria:              # default: health is true, leader is true
 *       health: { type: equals, query: true }
 *       leader: { type: equals, query: true }
 *       # db_percent: { type: lt, query: 90 }   # from 3.6, or where the client URL serves the metrics
 *
 * What etcd says to the read is the reason in its own words: "etcdserver: no leader", "etcdserver: request timed out",
 * "etcdserver: user name is empty". That a user may not read the key proves the quorum as well. A token is kept from check to check
 * while it holds, for to authenticate costs etcd a slow hash and an entry of its log.
 */
import type { Socket } from 'node:net'
import {
  askHttp,
  Dead,
  defineProbe,
  dialFor,
  type HttpAnswer,
  type Keep,
  msSince,
  seconds,
  secret,
  tlsSettings,
  z,
} from 'deadpool'

const MAX_ANSWER = 1024 * 1024
/** The quota changes with a restart only, and before 3.6 it stands among 150 KB of metrics. */
const QUOTA_KEPT_MS = 300_000

const querySchema = z
  .strictObject({
    url: z.string().superRefine(refuseUrl).describe('client URL of a member, http or https'),
    user: z.string().min(1).optional().describe('user, with auth enabled'),
    password: secret().optional().describe('password of the user'),
    serializable: z.boolean().default(false).describe('read what the member has, without asking for a quorum'),
    tls: tlsSettings().optional().describe('TLS of an https URL'),
    timeout: seconds().default(5).describe('for the whole check, s'),
  })
  .superRefine(({ url, user, password, tls }, context) => {
    const refuse = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message })
    if (user === undefined && password !== undefined) refuse('user', 'is needed beside password')
    if (user !== undefined && password === undefined) refuse('password', 'is needed beside user')
    if (tls !== undefined && URL.parse(url)?.protocol === 'http:') refuse('tls', 'is for https only')
  })

function refuseUrl(text: string, context: z.RefinementCtx): void {
  const message = findUrlFault(URL.parse(text))
  if (message !== undefined) context.addIssue({ code: 'custom', message })
}

function findUrlFault(url: URL | null): string | undefined {
  if (!url || !/^https?:$/.test(url.protocol)) return 'is not an http or https URL; write it like http://localhost:2379'
  if (url.username !== '' || url.password !== '') return 'has a user or password; write them as user and password'
  if (url.pathname !== '/' || url.search !== '') return 'has a path; write it like http://localhost:2379'
  return undefined
}

type Query = z.output<typeof querySchema>

export const Probe = defineProbe({
  summary: 'Asks a member of etcd: a read that needs the quorum, its health, its cluster.',
  query: querySchema,
  facts: {
    health: { about: 'what /health says', type: 'boolean' },
    reason: { about: 'what etcd says is wrong', type: 'text', explains: true },
    leader: { about: 'whether the member knows a leader', type: 'boolean' },
    is_leader: { about: 'whether the member is the leader', type: 'boolean' },
    members: { about: 'members of the cluster', type: 'number' },
    members_started: { about: 'members that have ever been started', type: 'number' },
    alarms: { about: 'alarms that stand, such as NOSPACE and CORRUPT', type: 'list' },
    db_bytes: { about: "the member's database", type: 'number', unit: 'bytes' },
    db_percent: { about: 'db_bytes of the quota, where etcd tells it', type: 'number', unit: 'percent' },
    raft_lag: { about: 'entries of the log that the member has not applied', type: 'number' },
    revision: { about: 'revision of the store', type: 'number' },
    version: { about: 'version of etcd', type: 'text' },
    time_ms: { about: 'whole check', type: 'number', unit: 'ms' },
  },
  criteria: { health: { type: 'equals', query: true }, leader: { type: 'equals', query: true } },
  async probe(query, { signal, keep }) {
    const startedAt = performance.now()
    const facts = await ask(query, signal, keep)
    return { ...facts, time_ms: msSince(startedAt) }
  },
})

/** What one check leaves for the next. */
interface Known {
  token?: string | undefined
  quota?: { bytes: number | undefined; readAt: number }
}

async function ask(query: Query, signal: AbortSignal, keep: Keep) {
  const known = keep.take<Known>() ?? {}
  const socket = await dialFor(new URL(query.url), { tls: query.tls, signal })
  const asking: Asking = { query, signal, socket, known }
  try {
    await read(asking)
    const status = await call(asking, '/v3/maintenance/status', {})
    const cluster = await call(asking, '/v3/cluster/member/list', {})
    const health = await askHealth(asking)
    const reason = findReason(health, status)
    const facts = { health: findHealth(health), reason, ...findStatus(status), ...findMembers(cluster) }
    const quota = findCount(status, 'dbSizeQuota') ?? (await findQuota(asking))
    keep.leave(known, () => {})
    return { ...facts, db_percent: toPercent(facts.db_bytes, quota) }
  } finally {
    socket.destroy()
  }
}

/** One check under way. */
interface Asking {
  query: Query
  signal: AbortSignal
  socket: Socket
  known: Known
}

/** An answer of the gateway: a status other than 200 comes with `message`, before 3.6 with `error` as well. */
interface Answer {
  status: number
  json: Record<string, unknown> | undefined
}

/** Proves that the member can serve: a read goes to the leader and from there to the quorum, unless it is serializable. */
async function read(asking: Asking): Promise<void> {
  const { known, query } = asking
  const hadToken = known.token !== undefined
  await authenticate(asking)
  let answer = await range(asking)
  if (hadToken && TOKEN_IS_OVER.test(findMessage(answer))) {
    known.token = undefined
    await authenticate(asking)
    answer = await range(asking)
  }
  // It is found out after the quorum has agreed; `etcdctl endpoint health` takes it for good as well.
  if (query.user !== undefined && findMessage(answer) === 'etcdserver: permission denied') return
  if (answer.status !== 200) throw new Dead(findMessage(answer))
  if (!answer.json || !('header' in answer.json))
    throw new Dead('answered with something that is not of the etcd gateway')
}

/** After a restart, at its end, and after a change of users or roles. */
const TOKEN_IS_OVER = /invalid auth token|revision of auth store is old/

async function authenticate(asking: Asking): Promise<void> {
  const { query, known, signal } = asking
  const { user, password } = query
  if (user === undefined || known.token !== undefined) return
  const answer = await post(asking, '/v3/auth/authenticate', { name: user, password: await password?.read(signal) })
  const token = answer.json?.token
  if (answer.status !== 200 || typeof token !== 'string') throw new Dead(findMessage(answer))
  known.token = token
}

function range(asking: Asking): Promise<Answer> {
  const { serializable } = asking.query
  const body = { key: Buffer.from('health').toString('base64'), count_only: true, serializable }
  // Told at once that there is no leader, instead of after the 7 s that etcd waits for one.
  return post(asking, '/v3/kv/range', body, serializable ? {} : { 'grpc-metadata-hasleader': 'true' })
}

function findMessage({ status, json }: Answer): string {
  const said = json?.message ?? json?.error
  return typeof said === 'string' && said !== '' ? said.slice(0, 500) : `answered with status ${status}`
}

/** What a member does not want to tell, to this user or at all, is left out. */
async function call(asking: Asking, path: string, body: object): Promise<Answer['json']> {
  const { status, json } = await post(asking, path, body)
  return status === 200 ? json : undefined
}

async function post(asking: Asking, path: string, body: object, more: Record<string, string> = {}): Promise<Answer> {
  const { token } = asking.known
  const headers = { 'content-type': 'application/json', ...(token !== undefined && { authorization: token }), ...more }
  const answer = await send(asking, path, { method: 'POST', body: JSON.stringify(body), headers })
  return { status: answer.status, json: parse(answer.body) }
}

function send({ query, signal, socket }: Asking, path: string, question: object = {}): Promise<HttpAnswer> {
  return askHttp({ url: new URL(path, query.url), socket, signal, maxBody: MAX_ANSWER, ...question })
}

function parse(body: string): Answer['json'] {
  try {
    const json: unknown = JSON.parse(body)
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : undefined
  } catch {
    return undefined // Whoever asked says what that means.
  }
}

async function askHealth(asking: Asking): Promise<Answer['json']> {
  const { body } = await send(asking, asking.query.serializable ? '/health?serializable=true' : '/health')
  return parse(body)
}

/** A text until now; a boolean would do. */
function findHealth(json: Answer['json']): boolean | undefined {
  const health = json?.health
  return health === undefined ? undefined : String(health) === 'true'
}

/** What /health says from 3.5 on, or else the errors of the member's status. */
function findReason(health: Answer['json'], status: Answer['json']): string | undefined {
  const said = typeof health?.reason === 'string' ? health.reason : ''
  const errors = (Array.isArray(status?.errors) ? status.errors : []).filter((error) => typeof error === 'string')
  return said || errors.map((error) => error.trim()).join(', ') || undefined
}

function findStatus(json: Answer['json']) {
  if (!json) return { db_bytes: undefined }
  const header = (json.header ?? {}) as Record<string, unknown>
  const index = findCount(json, 'raftIndex')
  const applied = findCount(json, 'raftAppliedIndex')
  // What is zero is left out of the answer.
  const leader = String(json.leader ?? '0')
  return {
    leader: leader !== '0',
    is_leader: leader !== '0' && leader === header.member_id,
    db_bytes: findCount(json, 'dbSize'),
    raft_lag: index === undefined || applied === undefined ? undefined : Math.max(0, index - applied),
    revision: findCount(header, 'revision'),
    version: typeof json.version === 'string' ? json.version : undefined,
    alarms: findAlarms(json),
  }
}

function findMembers(json: Answer['json']) {
  const list = json?.members
  if (!Array.isArray(list)) return {}
  // A member gets its name when it starts for the first time.
  return { members: list.length, members_started: list.filter((member) => member?.name).length }
}

/** From texts such as `memberID:2 alarm:NOSPACE `. To ask for the alarms themselves costs etcd an entry of its log. */
function findAlarms(json: Record<string, unknown>): string[] {
  const errors = Array.isArray(json.errors) ? json.errors.join('\n') : ''
  return [...new Set([...errors.matchAll(/\balarm:(\w+)/g)].map(([, alarm]) => String(alarm)))].sort()
}

/** What the metrics say, if they are served at this address; read once in a while. */
async function findQuota(asking: Asking): Promise<number | undefined> {
  const { known } = asking
  const now = performance.now()
  if (!known.quota || now - known.quota.readAt > QUOTA_KEPT_MS) {
    known.quota = { bytes: await readQuota(asking), readAt: now }
  }
  return known.quota.bytes
}

async function readQuota(asking: Asking): Promise<number | undefined> {
  try {
    const { body } = await send(asking, '/metrics')
    const [, bytes] = /^etcd_server_quota_backend_bytes (\S+)$/m.exec(body) ?? []
    return Number(bytes) > 0 ? Number(bytes) : undefined
  } catch (error) {
    if (error instanceof Dead) return undefined // All else was answered.
    throw error
  }
}

/** Numbers of 64 bits are texts. */
function findCount(json: Answer['json'], key: string): number | undefined {
  const value = json?.[key]
  return /^\d+$/.test(String(value)) ? Number(value) : undefined
}

/** To a tenth. */
function toPercent(part: number | undefined, whole: number | undefined): number | undefined {
  return part === undefined || !whole ? undefined : Math.round((part / whole) * 1000) / 10
}
