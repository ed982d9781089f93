import { Agent, type OutgoingHttpHeaders, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { TOKEN } from '../e2e/binary.ts'

/** Clients that ask SpiderMan whatever people, scanners and load balancers ask, and what they made of the answers. */
export interface OddClients {
  /** Answers since this was asked last. */
  takeAnswers(): number
  /** Answers that were not the right ones: what was asked, and what came. */
  mistakes: string[]
  stop(): Promise<void>
}

interface OddRequest {
  path?: string
  method?: string
  headers?: OutgoingHttpHeaders
  body?: string
  /** The statuses that are right, whether the components are alive or dead. */
  statuses: number[]
}

const auth = { authorization: `Bearer ${TOKEN}` }
const VERDICT = [200, 503]

const REQUESTS: OddRequest[] = [
  { headers: auth, statuses: VERDICT },
  { headers: { ...auth, accept: 'application/json' }, statuses: VERDICT },
  { headers: { ...auth, accept: 'text/html,application/json;q=0.9' }, statuses: VERDICT },
  { headers: auth, method: 'HEAD', statuses: VERDICT },
  { headers: auth, method: 'POST', body: 'x'.repeat(10_000), statuses: [405] },
  { headers: auth, method: 'OPTIONS', statuses: [405] },
  { headers: auth, path: '/no/such/path?with=a&query', statuses: [404] },
  { headers: auth, path: `/${'long/'.repeat(500)}`, statuses: [404] },
  { headers: auth, path: '/%zz%00', statuses: [404] },
  { statuses: [511] },
  { path: '/wp-login.php', statuses: [511] },
  { method: 'POST', body: 'user=admin', statuses: [511] },
  { headers: { authorization: 'Bearer wrong-token' }, statuses: [511] },
  { headers: { authorization: 'Basic YWRtaW46YWRtaW4=' }, statuses: [511] },
  { headers: { authorization: 'x'.repeat(8000) }, statuses: [511] },
]

const CLIENTS = 8
const PAUSE_MS = 20

/** Starts the clients: half of them keep their connections, the others come anew each time. */
export function startOddClients(url: string): OddClients {
  let answers = 0
  let isStopped = false
  const mistakes: string[] = []
  const agents = [new Agent({ keepAlive: true }), new Agent({ keepAlive: false })]

  async function run(client: number): Promise<void> {
    const agent = agents[client % 2] as Agent
    for (let turn = client; !isStopped; turn++) {
      const odd = REQUESTS[turn % REQUESTS.length] as OddRequest
      const met = await ask(url, odd, agent).catch((error: NodeJS.ErrnoException) => error.code ?? error.message)
      if (typeof met === 'number' && odd.statuses.includes(met)) answers++
      else mistakes.push(`${odd.method ?? 'GET'} ${(odd.path ?? '/').slice(0, 40)} was answered ${met}`)
      await sleep(PAUSE_MS)
    }
  }

  const running = Array.from({ length: CLIENTS }, (_, client) => run(client))
  return {
    takeAnswers() {
      const taken = answers
      answers = 0
      return taken
    },
    mistakes,
    async stop() {
      isStopped = true
      await Promise.all(running)
      for (const agent of agents) agent.destroy()
    },
  }
}

function ask(url: string, { path = '/', method = 'GET', headers = {}, body }: OddRequest, agent: Agent) {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>()
  const { hostname, port } = new URL(url)
  const sent = request({ hostname, port, path, method, headers, agent, timeout: 5000 }, (answer) => {
    answer.resume()
    answer.once('end', () => resolve(answer.statusCode))
  })
  sent.once('timeout', () => sent.destroy(new Error('no answer within 5 s')))
  sent.once('error', reject)
  sent.end(body)
  return promise
}
