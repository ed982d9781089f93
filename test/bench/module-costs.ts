import type { Probe } from '../../src/modules/define-probe.ts'
import { prepareQuery } from '../../src/modules/local.ts'
import type { Bench } from './bench.ts'
import { CASES, type Started } from './module-cases.ts'
import { formatNumber, type Row } from './row.ts'
import { interleave, median, medianRatio } from './sample.ts'

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

/**
 * What does one check of each module cost in CPU time, beside the bare library asking the same of the same server? Blocks of
 * both in turns, in this process; what a server or a program that is started spends is not counted.
 */
export async function measureModules({ isQuick, note }: Bench): Promise<Row[]> {
  const rows: Row[] = []
  const [rounds, checks] = isQuick ? [4, 20] : [12, 50]
  for (const { module, library, findMissing, start } of CASES) {
    const missing = findMissing?.()
    if (missing) {
      note(`${module}: ${missing}`)
      continue
    }
    const started = await start()
    try {
      const check = await createCheck(module, started)
      for (const warmUp of [check, started.bare]) await costOf(warmUp, 20)
      const [ours = [], theirs = []] = await interleave(rounds, [
        () => costOf(check, checks),
        () => costOf(started.bare, checks),
      ])
      rows.push({
        figure: `CPU time per check, ${module}`,
        deadpool: `${formatNumber(median(ours))} µs`,
        yardstick: `${library}: ${formatNumber(median(theirs))} µs`,
        ratio: medianRatio(ours, theirs),
      })
    } finally {
      await started.stop()
    }
  }
  return rows
}

async function createCheck(name: string, { query }: Started): Promise<() => Promise<unknown>> {
  const { Probe }: { Probe: Probe } = await import(`../../mod/${name}.ts`)
  const prepared = await prepareQuery(Probe, query)
  if (prepared.problems.length > 0) throw new Error(`${name}: ${JSON.stringify(prepared.problems)}`)
  return () => prepared.observe(AbortSignal.timeout(10_000), SILENT)
}

/** Microseconds of CPU time per run of `ask`, one after the other. */
async function costOf(ask: () => Promise<unknown>, count: number): Promise<number> {
  const before = process.cpuUsage()
  for (let i = 0; i < count; i++) await ask()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / count
}
