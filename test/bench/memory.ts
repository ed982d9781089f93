import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench } from './bench.ts'
import { startComponent } from './component.ts'
import { startDeadPool, writeConfig } from './deadpool.ts'
import { pssBytes } from './proc.ts'
import { stopProgram } from './programs.ts'
import { atMost, formatNumber, type Row } from './row.ts'

const AIM_MB = 90

/** How much memory do both processes have after a minute of checks? */
export async function measureMemory(bench: Bench): Promise<Row[]> {
  const seconds = bench.isQuick ? 10 : 60
  const { row, totalMb } = await measureBoth(bench, { count: 100, period: '3', seconds })
  const many = await measureBoth(bench, { count: 10_000, period: '1m', seconds })
  return [{ ...row, aim: atMost(AIM_MB, totalMb, 'MB') }, many.row]
}

async function measureBoth(
  bench: Bench,
  { count, period, seconds }: { count: number; period: string; seconds: number },
): Promise<{ row: Row; totalMb: number }> {
  const component = await startComponent()
  const config = await writeConfig(bench, { count, period, url: `${component.url}/` })
  const { child, spiderman, watchman } = await startDeadPool(bench, config)
  await sleep(seconds * 1000)
  const [spidermanMb, watchmanMb] = [pssBytes(spiderman) / 1e6, pssBytes(watchman) / 1e6]
  await stopProgram(child)
  await component.stop()

  const totalMb = spidermanMb + watchmanMb
  const figure = `memory of both processes (Pss) after ${seconds} s, ${count.toLocaleString('en-US')} probes, period ${period}`
  const shares = `SpiderMan ${formatNumber(spidermanMb)}, WatchMan ${formatNumber(watchmanMb)}`
  return { row: { figure, deadpool: `${formatNumber(totalMb)} MB (${shares})` }, totalMb }
}
