import { once } from 'node:events'
import { Agent, createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { TOKEN, waitFor } from '../e2e/binary.ts'
import type { Bench } from './bench.ts'
import { startDeadPool, writeConfig } from './deadpool.ts'
import { stopProgram } from './programs.ts'
import { atMost, formatNumber, type Row } from './row.ts'
import { median, quantile } from './sample.ts'

const COMPONENTS = 20
const PERIOD_MS = 1000
const ALLOWANCE_MS = 50
const POLL_MS = 2
const ALIVE = '1700000000 12:00:00 elasticsearch green 3 3 10 5 0 0 0 0 - 100.0%\n'

/**
 * How long does it take from a component's end to the first answer that calls it dead? Each of the probes has a component of
 * its own that ends and returns again and again. The moments of the ends are spread evenly over the period.
 */
export async function measureFlip(bench: Bench): Promise<Row[]> {
  const trials = bench.isQuick ? 2 : 10
  const components = await Promise.all(Array.from({ length: COMPONENTS }, createComponent))
  const urls = components.map(({ port }) => `http://127.0.0.1:${port}/`)
  const probes = { count: COMPONENTS, period: `${PERIOD_MS}ms`, url: (index: number) => urls[index] ?? '' }
  const { child, url } = await startDeadPool(bench, await writeConfig(bench, probes))
  // The very first checks are late: WatchMan has just loaded what it needs for them.
  await Promise.all(components.map(({ asked }) => asked()))
  const verdict = watchVerdict(url)
  const results = components.map((component, index) => {
    const phaseOf = (trial: number) => (index + COMPONENTS * trial + Math.random()) / (COMPONENTS * trials)
    return runTrials(
      component,
      verdict,
      `component-${index}`,
      Array.from({ length: trials }, (_, i) => phaseOf(i)),
    )
  })
  const tookMs = (await Promise.all(results)).flat()
  verdict.stop()
  await stopProgram(child)
  for (const { close } of components) close()

  const compare = (figure: string, ms: number): Row => ({
    figure: `${figure} from a component's end to the first 503, period 1 s, ${tookMs.length} trials`,
    deadpool: `${formatNumber(ms)} ms (${formatNumber(ms / PERIOD_MS)} of the period)`,
    aim: atMost(PERIOD_MS + ALLOWANCE_MS, ms, 'ms'),
  })
  return [compare('median', median(tookMs)), compare('p99', quantile(tookMs, 0.99))]
}

/** A component that can end, as a process does, and return to its port. */
interface Component {
  port: number
  /** Resolves at the next check. */
  asked(): Promise<unknown>
  open(): Promise<void>
  /** Nobody listens any more, and no connection is left. */
  close(): void
}

async function createComponent(): Promise<Component> {
  const server = createServer((_request, response) => response.end(ALIVE))
  const listen = (port: number) => once(server.listen(port, '127.0.0.1'), 'listening')
  await listen(0)
  const { port } = server.address() as AddressInfo
  return {
    port,
    asked: () => once(server, 'request'),
    async open() {
      await listen(port)
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** Ends a component at each of these moments of the period after a check, and gives how long each end went unnoticed. */
async function runTrials(
  { asked, open, close }: Component,
  verdict: VerdictWatch,
  probe: string,
  phases: number[],
): Promise<number[]> {
  const tookMs: number[] = []
  for (const phase of phases) {
    await waitFor(`${probe} to be alive`, () => !verdict.deadSinceMs.has(probe))
    await asked()
    await sleep(phase * PERIOD_MS)
    const closedMs = performance.now()
    close()
    tookMs.push((await waitFor(`${probe} to be dead`, () => verdict.deadSinceMs.get(probe))) - closedMs)
    await open()
  }
  return tookMs
}

/** What the answers say at the moment. */
interface VerdictWatch {
  /** When the first answer arrived that called the probe dead, for all that are dead now. */
  deadSinceMs: Map<string, number>
  stop(): void
}

/** Asks for the verdict every few milliseconds over one connection. */
function watchVerdict(url: string): VerdictWatch {
  const deadSinceMs = new Map<string, number>()
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let isStopped = false

  async function poll(): Promise<void> {
    while (!isStopped) {
      const dead = await askDead(url, agent)
      const nowMs = performance.now()
      for (const probe of deadSinceMs.keys()) if (!dead.has(probe)) deadSinceMs.delete(probe)
      for (const probe of dead) if (!deadSinceMs.has(probe)) deadSinceMs.set(probe, nowMs)
      await sleep(POLL_MS)
    }
    agent.destroy()
  }
  void poll()
  return {
    deadSinceMs,
    stop() {
      isStopped = true
    },
  }
}

/** The names of the dead; there are none in an answer that is not 503. */
async function askDead(url: string, agent: Agent): Promise<Set<string>> {
  const headers = { authorization: `Bearer ${TOKEN}`, accept: 'application/json' }
  const { promise, resolve, reject } = Promise.withResolvers<Set<string>>()
  get(url, { agent, headers }, (answer) => {
    answer.toArray().then((chunks) => {
      const { dead } = JSON.parse(Buffer.concat(chunks).toString()) as { dead: { probe: string }[] }
      resolve(new Set(answer.statusCode === 503 ? dead.map(({ probe }) => probe) : []))
    }, reject)
  }).on('error', reject)
  return promise
}
