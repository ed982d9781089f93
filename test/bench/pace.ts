import { once } from 'node:events'
import { fitBeat } from './beat.ts'
import type { Bench } from './bench.ts'
import { startComponent } from './component.ts'
import { startDeadPool, writeConfig } from './deadpool.ts'
import { startScript, stopProgram } from './programs.ts'
import { startBare } from './rivals.ts'
import { atMost, formatNumber, type Row } from './row.ts'
import { interleave, median, medianRatio, quantile } from './sample.ts'

const COUNT = 3000
const PERIOD_MS = 3000
const ANSWERS_PER_SECOND = 1000
const LATE_AIM_MS = 100
const ANSWER_AIM_MS = 10

interface Pace {
  lateP99Ms: number
  skipped: number
  answerP99Ms: number
}

/** Somebody who makes the checks, with somebody who answers beside. */
interface Both {
  /** What answers the load balancer. */
  url: string
  stop(): Promise<void>
}

/**
 * Are 1,000 checks a second made on time while 1,000 answers a second are given? The component tells, which neither side
 * can flatter. DeadPool and the yardstick, the same beat by bare `node:http` beside a bare server, take turns: the machine does
 * not carry both.
 */
export async function measurePace(bench: Bench): Promise<Row[]> {
  const [rounds, warmUpS, seconds] = bench.isQuick ? [1, 4, 9] : [3, 4, 12]
  const time = { warmUpS, seconds }
  const [ours = [], bare = []] = await interleave(rounds, [
    () => measureOnce((url) => startBoth(bench, url), time),
    () => measureOnce(startBareBoth, time),
  ])
  const compare = (figure: string, pick: (pace: Pace) => number, aimMs: number): Row => {
    const [mine, other] = [ours.map(pick), bare.map(pick)]
    return {
      figure,
      deadpool: `${formatNumber(median(mine))} ms`,
      yardstick: `bare node:http: ${formatNumber(median(other))} ms`,
      ratio: medianRatio(mine, other),
      aim: atMost(aimMs, median(mine), 'ms'),
    }
  }
  const skipped = (paces: Pace[]) => paces.reduce((sum, pace) => sum + pace.skipped, 0)
  return [
    compare('p99 of how late a check starts, 1,000 a second', ({ lateP99Ms }) => lateP99Ms, LATE_AIM_MS),
    {
      figure: 'checks skipped, 1,000 a second',
      deadpool: formatNumber(skipped(ours)),
      yardstick: `bare node:http: ${formatNumber(skipped(bare))}`,
      aim: atMost(0, skipped(ours)),
    },
    compare('p99 of answers beside them, 1,000 a second', ({ answerP99Ms }) => answerP99Ms, ANSWER_AIM_MS),
  ]
}

async function measureOnce(
  start: (url: string) => Promise<Both>,
  { warmUpS, seconds }: { warmUpS: number; seconds: number },
): Promise<Pace> {
  const component = await startComponent({ keepsStamps: true })
  const { url, stop } = await start(component.url)
  const load = startScript('steady-load.ts', [url, `${ANSWERS_PER_SECOND}`, `${warmUpS + seconds}`])
  const [{ latencies }] = await once(load, 'message')
  const stamps = await component.stamps()
  await Promise.all([stopProgram(load), stop(), component.stop()])

  // A check of the last period may still be on its way.
  const toMs = Math.max(...Object.values(stamps).map((arrivals) => arrivals.at(-1) ?? 0)) - PERIOD_MS
  const fromMs = toMs - seconds * 1000 + PERIOD_MS
  const beats = Array.from({ length: COUNT }, (_, index) => fitBeat(stamps[`/${index}`] ?? [], PERIOD_MS, fromMs, toMs))
  return {
    lateP99Ms: quantile(
      beats.flatMap(({ lateMs }) => lateMs),
      0.99,
    ),
    skipped: beats.reduce((sum, beat) => sum + beat.skipped, 0),
    answerP99Ms: quantile(latencies.slice(warmUpS * ANSWERS_PER_SECOND), 0.99),
  }
}

async function startBoth(bench: Bench, componentUrl: string): Promise<Both> {
  const url = (index: number) => `${componentUrl}/${index}`
  const config = await writeConfig(bench, { count: COUNT, period: `${PERIOD_MS / 1000}`, url })
  const deadpool = await startDeadPool(bench, config)
  return { url: deadpool.url, stop: () => stopProgram(deadpool.child) }
}

async function startBareBoth(componentUrl: string): Promise<Both> {
  const { url, stop } = await startBare()
  const asker = startScript('asker.ts', ['node:http', `${componentUrl}/{index}`, `${COUNT}`, `${PERIOD_MS}`])
  return {
    url,
    async stop() {
      await Promise.all([stopProgram(asker), stop()])
    },
  }
}
