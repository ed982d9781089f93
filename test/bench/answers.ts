import { waitFor } from '../e2e/binary.ts'
import type { Bench } from './bench.ts'
import { type Component, startComponent } from './component.ts'
import { startDeadPool, writeConfig } from './deadpool.ts'
import { chooseLoad, type Load } from './load.ts'
import { cpuUs } from './proc.ts'
import { stopProgram } from './programs.ts'
import { type Server, startBare, startFlask, startNginx } from './rivals.ts'
import { atLeast, formatNumber, type Row } from './row.ts'
import { interleave, median, medianRatio } from './sample.ts'

const AIM = 0.75
const WARM_UP_S = 2

interface Sample extends Load {
  cpuUsPerAnswer: number
}

/** How many answers a second does SpiderMan give, how late, and at what cost? */
export async function measureAnswers(bench: Bench): Promise<Row[]> {
  const component = await startComponent()
  const few = await startIdle(bench, component, 10)
  const many = await startIdle(bench, component, 10_000)
  const bare = await startBare()
  const [nginx, flask] = [await startNginx(bench), await startFlask(bench)]
  const servers = [few, many, bare, nginx, flask].filter((server) => server !== undefined)

  const runLoad = chooseLoad(bench.note)
  for (const { url } of servers) await runLoad(url, WARM_UP_S)
  const [rounds, seconds] = bench.isQuick ? [3, 1] : [15, 2]
  const results = await interleave(
    rounds,
    servers.map((server) => () => measureOnce(server, (url) => runLoad(url, seconds))),
  )
  for (const { stop } of servers) await stop()
  await component.stop()

  const samplesOf = (server: Server) => results[servers.indexOf(server)] ?? []
  const rivals = [nginx, flask].filter((server) => server !== undefined)
  return [
    ...compareWithBare('10 probes', samplesOf(few), samplesOf(bare)),
    ...compareWithBare('10,000 probes', samplesOf(many), samplesOf(bare)),
    ...rivals.map((rival) => compareRate(rival.name, '10 probes', samplesOf(few), samplesOf(rival))),
  ]
}

/** DeadPool with probes that are all checked once and then not for an hour: only its answering is measured. */
async function startIdle(bench: Bench, component: Component, count: number): Promise<Server> {
  const path = `/${count}`
  const config = await writeConfig(bench, { count, period: '1h', url: component.url + path })
  const { child, spiderman, url } = await startDeadPool(bench, config)
  const isDone = async () => ((await component.counts())[path] ?? 0) >= count || undefined
  await waitFor(`the first checks of ${count} probes`, isDone, 120_000)
  return { name: `DeadPool, ${count} probes`, url, pid: spiderman, stop: () => stopProgram(child) }
}

async function measureOnce({ url, pid }: Server, run: (url: string) => Promise<Load>): Promise<Sample> {
  const before = cpuUs(pid)
  const load = await run(url)
  return { ...load, cpuUsPerAnswer: (cpuUs(pid) - before) / load.answers }
}

function compareWithBare(what: string, ours: Sample[], bare: Sample[]): Row[] {
  const rate = compareRate('bare node:http', what, ours, bare)
  return [
    { ...rate, aim: atLeast(AIM, rate.ratio ?? 0) },
    compare(`p99 of its answers, ${what}`, 'bare node:http', ours, bare, ({ p99Ms }) => p99Ms, ' ms'),
    compare(`CPU time per answer, ${what}`, 'bare node:http', ours, bare, (sample) => sample.cpuUsPerAnswer, ' µs'),
  ]
}

function compareRate(name: string, what: string, ours: Sample[], theirs: Sample[]): Row {
  return compare(`answers per second, ${what}`, name, ours, theirs, ({ perSecond }) => perSecond, '/s')
}

function compare(
  figure: string,
  name: string,
  ours: Sample[],
  theirs: Sample[],
  pick: (sample: Sample) => number,
  unit: string,
): Row {
  const [mine, other] = [ours.map(pick), theirs.map(pick)]
  return {
    figure,
    deadpool: `${formatNumber(median(mine))}${unit}`,
    yardstick: `${name}: ${formatNumber(median(other))}${unit}`,
    ratio: medianRatio(mine, other),
  }
}
