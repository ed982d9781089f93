/**
 * elastic_probe: asks Elasticsearch 7, 8, 9 or OpenSearch for the health of the cluster, and for what keeps clients from
 * writing: a cluster can be green while its disks are so full that it takes no more documents.
 *
 *   search:
 *     module: elastic_probe
 *     period: 3
 *     query:
 *       url: http://localhost:9200   # of a node or a balancer; a path goes before what is asked
 *       timeout: 5                   # seconds for the whole check
 *       # user: heartbeat            # with the cluster privilege monitor
 *       # password: {file: elastic.password}
 *       # api_key: {file: elastic.key}   # instead of them, as Elasticsearch encodes it
 *       # tls: {ca_file: ca.pem}     # for https; also cert_file, key_file, server_name, insecure …
 *       # index: orders,logs-*       # judge these indices instead of the whole cluster
 *       local: false                 # true asks for the cluster as that node sees it, without the elected master
 *       blocks: true                 # ask for write blocks; without them the default criteria cannot hold
 *       disk: false                  # ask all data nodes for their free disk
 *       about: false                 # ask for product and version
 *     success_criteria:              # default: these two
 *       status: { type: in, query: [green, yellow] }
 *       write_block: { type: equals, query: '' }
 */
import { askHttp, Dead, defineProbe, type HttpAnswer, msSince, seconds, secret, tlsSettings, z } from 'deadpool'

const MIB = 1024 * 1024
/** How many names a list or a reason shows. */
const MAX_NAMES = 20
const MAX_WORDS = 300
/** Of an index that somebody closed, which neither reads nor writes as he wishes. */
const CLOSED_BLOCK = '4'
/** `index.blocks.read_only_allow_delete`, which the cluster sets itself when a disk passes the flood-stage watermark. */
const FLOOD_BLOCK = '12'

const HEALTH_FIELDS = [
  'cluster_name,status,timed_out,discovered_master,discovered_cluster_manager,number_of_nodes,number_of_data_nodes',
  'active_primary_shards,unassigned_shards,initializing_shards,relocating_shards,number_of_pending_tasks',
  'active_shards_percent_as_number',
].join()

const querySchema = z
  .strictObject({
    url: z
      .string()
      .superRefine((url, context) => {
        const message = findUrlFault(url)
        if (message !== undefined) context.addIssue({ code: 'custom', message })
      })
      .describe('of a node or a balancer, http or https'),
    user: z.string().min(1).optional().describe('who asks, by basic authentication'),
    password: secret().optional().describe('the password of user'),
    api_key: secret().optional().describe('an API key in its encoded form, instead of user and password'),
    tls: tlsSettings().optional().describe('TLS settings of an https url'),
    timeout: seconds().default(5).describe('time for the whole check, s'),
    index: z
      .string()
      .regex(/^[^\s/?#"\\|<>]+$/, 'is not a list of indices; write orders,logs-*')
      .optional()
      .describe('judge these indices instead of the whole cluster, with commas and wildcards'),
    local: z.boolean().default(false).describe('ask for the cluster as that node sees it, without the elected master'),
    blocks: z.boolean().default(true).describe('ask for write blocks'),
    disk: z.boolean().default(false).describe('ask all data nodes for their free disk'),
    about: z.boolean().default(false).describe('ask for product and version'),
  })
  .superRefine(({ url, user, password, api_key, tls }, context) => {
    const add = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message })
    if (api_key && (user !== undefined || password)) add('api_key', 'stands beside user or password; keep one of them')
    if (!api_key && user !== undefined && !password) add('user', 'needs a password beside it')
    if (!api_key && user === undefined && password) add('password', 'needs a user beside it')
    if (tls && URL.parse(url)?.protocol === 'http:') add('tls', 'is not used by an http url; write https')
  })

type Query = z.output<typeof querySchema>

export const Probe = defineProbe({
  summary: 'Asks Elasticsearch or OpenSearch for the health of the cluster and for what blocks writing.',
  query: querySchema,
  facts: {
    status: { about: 'health: green, yellow or red', type: 'text' },
    cluster: { about: 'name of the cluster', type: 'text' },
    has_master: { about: 'whether a master is elected', type: 'boolean' },
    nodes: { about: 'nodes in the cluster', type: 'number' },
    data_nodes: { about: 'data nodes in the cluster', type: 'number' },
    unassigned_shards: { about: 'shards that no node holds', type: 'number' },
    initializing_shards: { about: 'shards that are being built', type: 'number' },
    relocating_shards: { about: 'shards that are moving', type: 'number' },
    active_shards_percent: { about: 'shards that are active', type: 'number', unit: 'percent' },
    pending_tasks: { about: 'changes of the cluster that wait for the master', type: 'number' },
    write_block: {
      about: 'what keeps clients from writing, in the words of the cluster; empty when nothing does',
      type: 'text',
    },
    write_blocked_indices: {
      about: 'indices of `index` that take no writes; without it, those that the cluster blocked as a disk is full',
      type: 'number',
    },
    write_blocked: { about: `names of write_blocked_indices, at most ${MAX_NAMES}`, type: 'list' },
    read_only_indices: { about: 'open indices that take no writes, for whatever reason', type: 'number' },
    cluster_blocks: { about: 'blocks of the whole cluster', type: 'list' },
    disk_free_percent: {
      about: 'free disk of the data node that has least, with disk',
      type: 'number',
      unit: 'percent',
    },
    product: { about: 'elasticsearch or opensearch, with about', type: 'text' },
    version: { about: 'version of the node that was asked, with about', type: 'text' },
    time_ms: { about: 'whole check', type: 'number', unit: 'ms' },
  },
  criteria: {
    status: { type: 'in', query: ['green', 'yellow'] },
    write_block: { type: 'equals', query: '' },
  },
  async probe(query, { signal }) {
    const startedAt = performance.now()
    const authorization = await findAuthorization(query, signal)
    // What fails first ends the other questions; none may outlive the check.
    const ending = new AbortController()
    const end = () => ending.abort(signal.reason)
    signal.addEventListener('abort', end)
    const ask = createAsk(query, authorization, ending.signal)
    try {
      signal.throwIfAborted()
      const parts = [askHealth, query.blocks && askBlocks, query.disk && askDisk, query.about && askAbout]
      const facts = await Promise.all(parts.filter((part) => part !== false).map((part) => part(ask, query)))
      return Object.assign({}, ...facts, { time_ms: msSince(startedAt) })
    } finally {
      signal.removeEventListener('abort', end)
      ending.abort()
    }
  },
})

type Json = Record<string, unknown>
type Facts = Record<string, unknown>
/** Asks for a path below the URL; the answer is an object, of a status that was `allowed`. */
type Ask = (path: string, parameters: Record<string, string>, allowed?: number[]) => Promise<Json>

/** The elected master must answer well within the check, or the node that was asked would only say after 30 s that there is none. */
function findWaits({ timeout }: Query): { timeout: string; master_timeout: string } {
  const wait = `${Math.max(1, Math.floor(timeout * 600))}ms`
  return { timeout: wait, master_timeout: wait }
}

async function askHealth(ask: Ask, query: Query): Promise<Facts> {
  const { index, local } = query
  const parameters = { filter_path: HEALTH_FIELDS, ...findWaits(query), local: String(local) }
  // 408 is the answer to what was not known in time, with all that is known.
  const health = await ask(`/_cluster/health${toPath(index)}`, parameters, [408])
  const { status, active_primary_shards, unassigned_shards, initializing_shards } = health
  if (typeof status !== 'string') throw new Dead('answered without the health of the cluster')
  // A pattern that matches nothing is green.
  if (index !== undefined && [active_primary_shards, unassigned_shards, initializing_shards].every((n) => n === 0)) {
    throw new Dead(`no open index matches "${index}"`)
  }
  return {
    status,
    cluster: health.cluster_name,
    // Before 7.16 only the elected master could give this answer, unless `local` asked for less.
    has_master: health.discovered_cluster_manager ?? health.discovered_master ?? (local ? undefined : true),
    nodes: health.number_of_nodes,
    data_nodes: health.number_of_data_nodes,
    unassigned_shards,
    initializing_shards,
    relocating_shards: health.relocating_shards,
    active_shards_percent: health.active_shards_percent_as_number,
    pending_tasks: health.number_of_pending_tasks,
  }
}

interface Block {
  description?: string
  levels?: string[]
}

async function askBlocks(ask: Ask, query: Query): Promise<Facts> {
  const { index, local } = query
  const { master_timeout } = findWaits(query)
  const parameters = { filter_path: 'blocks.global,blocks.indices', master_timeout, local: String(local) }
  const { blocks } = await ask(`/_cluster/state/blocks${toPath(index)}`, parameters)
  const { global = {}, indices = {} } = (blocks ?? {}) as {
    global?: Record<string, Block>
    indices?: Record<string, Record<string, Block>>
  }
  const found = Object.entries(indices).flatMap(([name, of]) => {
    const ids = Object.keys(of).filter((id) => of[id]?.levels?.includes('write'))
    const chosen = ids.find((id) => id === FLOOD_BLOCK) ?? ids[0]
    return chosen === undefined || CLOSED_BLOCK in of ? [] : [{ name, id: chosen, block: of[chosen] as Block }]
  })
  // Old indices are often made read-only on purpose; that is a fault only in those that somebody asks for by name.
  const blocked = index === undefined ? found.filter(({ id }) => id === FLOOD_BLOCK) : found
  const names = blocked.map(({ name }) => name).sort()
  const ofCluster = Object.values(global).find(({ levels }) => levels?.includes('write'))
  const worst = blocked.find(({ id }) => id === FLOOD_BLOCK) ?? blocked[0]
  const reason = ofCluster?.description ?? worst?.block.description ?? ''
  return {
    write_block: shorten(ofCluster || !worst ? reason : `${countNames(worst.name, names.length)}: ${reason}`),
    write_blocked_indices: names.length,
    write_blocked: names.slice(0, MAX_NAMES),
    read_only_indices: found.length,
    cluster_blocks: Object.values(global).map(({ description }) => description),
  }
}

/** Short, as a reason has little room for it. */
function countNames(first: string, count: number): string {
  return count === 1 ? first : `${first} and ${count - 1} more`
}

async function askDisk(ask: Ask, query: Query): Promise<Facts> {
  const { timeout } = findWaits(query)
  const filter_path = 'nodes.*.fs.total.total_in_bytes,nodes.*.fs.total.available_in_bytes'
  const { nodes } = await ask('/_nodes/data:true/stats/fs', { filter_path, timeout })
  type Node = { fs?: { total?: { total_in_bytes?: number; available_in_bytes?: number } } }
  const free = Object.values((nodes ?? {}) as Record<string, Node>)
    .map(({ fs }) => ((fs?.total?.available_in_bytes ?? Number.NaN) / (fs?.total?.total_in_bytes ?? 0)) * 100)
    .filter(Number.isFinite)
  return free.length === 0 ? {} : { disk_free_percent: Math.round(Math.min(...free) * 10) / 10 }
}

async function askAbout(ask: Ask): Promise<Facts> {
  const { version } = await ask('/', { filter_path: 'version.number,version.distribution' })
  const { number, distribution = 'elasticsearch' } = (version ?? {}) as { number?: string; distribution?: string }
  return number === undefined ? {} : { product: distribution, version: number }
}

function createAsk({ url, tls }: Query, authorization: Record<string, string>, signal: AbortSignal): Ask {
  const base = url.replace(/\/+$/, '')
  return async (path, parameters, allowed = []) => {
    const asked = `${base}${path}?${new URLSearchParams(parameters)}`
    const headers = { accept: 'application/json', ...authorization }
    const answer = await askHttp({ url: asked, headers, tls, signal, maxBody: 4 * MIB })
    if (answer.status !== 200 && !allowed.includes(answer.status)) throw new Dead(explainAnswer(answer))
    const json = parse(answer.body)
    if (json === undefined) throw new Dead(`answered ${path} with something that is not JSON`)
    // An error of the same status, such as a 408 of a proxy or a cluster.
    if (json.error !== undefined) throw new Dead(explainAnswer(answer))
    return json
  }
}

/** What the server said against it: `403 security_exception: action […] is unauthorized for user [heartbeat]`. */
function explainAnswer({ status, body }: HttpAnswer): string {
  const error = parse(body)?.error
  if (typeof error === 'string') return `${status} ${shorten(error)}`
  if (typeof error === 'object' && error !== null) {
    const { type = 'error', reason } = error as { type?: string; reason?: string | null }
    return `${status} ${shorten(reason ? `${type}: ${reason}` : type)}`
  }
  const words = body.trim()
  return words === '' || words.startsWith('<') ? `answered with status ${status}` : `${status} ${shorten(words)}`
}

function parse(body: string): Json | undefined {
  try {
    const json: unknown = JSON.parse(body)
    return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as Json) : undefined
  } catch {
    return undefined // the caller says what it wanted
  }
}

function shorten(text: string): string {
  const line = text.replace(/\s+/g, ' ')
  return line.length > MAX_WORDS ? `${line.slice(0, MAX_WORDS)}…` : line
}

function toPath(index: string | undefined): string {
  return index === undefined ? '' : `/${index.split(',').map(encodeURIComponent).join()}`
}

async function findAuthorization({ user, password, api_key }: Query, signal: AbortSignal) {
  if (api_key) return { authorization: `ApiKey ${await api_key.read(signal)}` }
  if (user === undefined || !password) return {}
  return { authorization: `Basic ${Buffer.from(`${user}:${await password.read(signal)}`).toString('base64')}` }
}

function findUrlFault(text: string): string | undefined {
  const url = URL.parse(text)
  if (!url || !/^https?:\/\//i.test(text)) return 'is not an http or https URL; write it like http://localhost:9200'
  if (url.username || url.password) return 'has a user or password; write them as user and password'
  if (url.search || url.hash) return 'has a "?" or "#"; write the address only'
  return undefined
}
