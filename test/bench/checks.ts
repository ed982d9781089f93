import { mkdtempSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { firstDelay, startLoop } from '../../src/watchman/loop.ts'
import { freePort } from '../e2e/nginx.ts'
import type { Bench } from './bench.ts'
import { type Component, startComponent } from './component.ts'
import { startDeadPool, writeConfig } from './deadpool.ts'
import { cpuUs } from './proc.ts'
import { findProgram, startProgram, startScript, stopProgram, waitForPort } from './programs.ts'
import { formatNumber, type Row } from './row.ts'
import { median, medianRatio } from './sample.ts'

/** So many probes, each once a second: enough to see, and too few to fill a core even for the slowest. */
const COUNT = 200
const PERIOD_MS = 1000

/** Somebody who makes checks of the component, each counted there under a path of its own. */
interface Checker {
  name: string
  path: string
  pid: number
  stop(): Promise<void>
}

/**
 * What does a check cost in CPU time? All work at once and at the same pace, so whatever disturbs this machine disturbs them
 * alike; each window gives the CPU time of the checker divided by the checks that the component counted.
 */
export async function measureChecks(bench: Bench): Promise<Row[]> {
  const component = await startComponent()
  const watchman = await startWatchMan(bench, component)
  const module = startAsker('url_probe', component)
  const plain = startAsker('node:http', component)
  const blackbox = await startBlackbox(bench, component)
  const checkers = [watchman, module, plain, blackbox].filter((checker) => checker !== undefined)

  const [warmUpMs, windows, windowMs] = bench.isQuick ? [3000, 2, 2000] : [10_000, 8, 4000]
  await sleep(warmUpMs)
  const results: number[][] = checkers.map(() => [])
  for (let window = 0; window < windows; window++) {
    const before = await readAll(checkers, component)
    await sleep(windowMs)
    const after = await readAll(checkers, component)
    for (const [index, { cpu, count }] of after.entries()) {
      const start = before[index] ?? { cpu: 0, count: 0 }
      results[index]?.push((cpu - start.cpu) / (count - start.count))
    }
  }
  for (const { stop } of checkers) await stop()
  await component.stop()

  const costOf = (checker: Checker) => results[checkers.indexOf(checker)] ?? []
  const compare = (figure: string, ours: Checker, theirs: Checker): Row => ({
    figure: `CPU time per check, ${figure}`,
    deadpool: `${formatNumber(median(costOf(ours)))} µs`,
    yardstick: `${theirs.name}: ${formatNumber(median(costOf(theirs)))} µs`,
    ratio: medianRatio(costOf(ours), costOf(theirs)),
  })
  return [
    compare('all of WatchMan', watchman, plain),
    compare('url_probe alone', module, plain),
    ...(blackbox ? [compare('all of WatchMan', watchman, blackbox)] : []),
  ]
}

async function readAll(checkers: Checker[], component: Component): Promise<{ cpu: number; count: number }[]> {
  const counts = await component.counts()
  return checkers.map(({ pid, path }) => ({ count: counts[path] ?? 0, cpu: cpuUs(pid) }))
}

/** WatchMan in the binary: the checks with their deadline, criteria, state, the look at the flags, and its heartbeat. */
async function startWatchMan(bench: Bench, component: Component): Promise<Checker> {
  const path = '/watchman'
  const probes = { count: COUNT, period: `${PERIOD_MS}ms`, url: component.url + path }
  const { child, watchman } = await startDeadPool(bench, await writeConfig(bench, probes))
  return { name: 'WatchMan', path, pid: watchman, stop: () => stopProgram(child) }
}

function startAsker(by: string, component: Component): Checker {
  const path = `/${by}`
  const child = startScript('asker.ts', [by, component.url + path, `${COUNT}`, `${PERIOD_MS}`])
  return { name: by, path, pid: child.pid as number, stop: () => stopProgram(child) }
}

/** blackbox_exporter with the same criteria, asked at the same pace over kept connections, as Prometheus does. */
async function startBlackbox({ folder, note }: Bench, component: Component): Promise<Checker | undefined> {
  const program = findProgram('prometheus-blackbox-exporter') ?? findProgram('blackbox_exporter')
  if (!program) {
    note('blackbox_exporter is missing: apt-get install prometheus-blackbox-exporter')
    return undefined
  }
  const path = '/blackbox'
  const port = await freePort()
  const file = join(mkdtempSync(join(folder, 'blackbox-')), 'blackbox.yml')
  writeFileSync(
    file,
    `modules:
  http_2xx:
    prober: http
    timeout: 5s
    http: { valid_status_codes: [200], fail_if_body_not_matches_regexp: ['elasticsearch+ green+'] }
`,
  )
  const args = [`--config.file=${file}`, `--web.listen-address=127.0.0.1:${port}`, '--log.level=error']
  const child = startProgram(program, args)
  await waitForPort(port)
  const target = encodeURIComponent(component.url + path)
  const stopAsking = askAtPace(`http://127.0.0.1:${port}/probe?module=http_2xx&target=${target}`)
  return {
    name: 'blackbox_exporter',
    path,
    pid: child.pid as number,
    stop() {
      stopAsking()
      return stopProgram(child)
    },
  }
}

function askAtPace(url: string): () => void {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 })
  const run = () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const request = get(url, { agent }, (answer) => answer.resume().on('end', resolve))
    // At its end the exporter goes before the last requests are through.
    request.on('error', () => resolve())
    return promise
  }
  const loops = Array.from({ length: COUNT }, (_, index) =>
    startLoop({ firstDelayMs: firstDelay(index, COUNT, PERIOD_MS), run: () => run().then(() => PERIOD_MS) }),
  )
  return () => {
    for (const loop of loops) loop.stop()
    agent.destroy()
  }
}
