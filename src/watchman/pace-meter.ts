import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { readMonotonic } from '../clock.ts'
import type { PaceRecord } from '../status/state-file.ts'

/** Measures how well the schedule is kept. */
export interface PaceMeter {
  /** A check started that late, after so many starts that were left out. */
  start(lateMs: number, skipped: number): void
  /** The figures of the last minute or two. */
  read(): PaceRecord
}

const WINDOW_MS = 60_000
/** Over less than that the burst of first checks would be told as a pace. */
const MIN_MEASURED_MS = 10_000

interface Window {
  startedMs: number
  /** In microseconds: a histogram counts whole numbers from 1. */
  late: RecordableHistogram
  skipped: number
}

/** Creates a meter that counts in two windows, so that there is always about a minute to tell of. */
export function createPaceMeter({ now = readMonotonic } = {}): PaceMeter {
  let former: Window | undefined
  let current = open()

  function open(): Window {
    return { startedMs: now(), late: createHistogram(), skipped: 0 }
  }

  return {
    start(lateMs, skipped) {
      if (now() - current.startedMs > WINDOW_MS) {
        former = current
        current = open()
      }
      current.late.record(Math.max(1, Math.round(lateMs * 1000)))
      current.skipped += skipped
    },
    read() {
      const all = createHistogram()
      const windows = former ? [former, current] : [current]
      for (const { late } of windows) all.add(late)
      const measuredMs = now() - (windows[0]?.startedMs ?? now())
      return {
        ...(measuredMs >= MIN_MEASURED_MS && { checksPerSecond: round((all.count / measuredMs) * 1000) }),
        lateP50Ms: toMs(all, all.percentile(50)),
        lateP99Ms: toMs(all, all.percentile(99)),
        lateMaxMs: toMs(all, all.max),
        skipped: windows.reduce((sum, window) => sum + window.skipped, 0),
      }
    },
  }
}

function toMs({ count }: RecordableHistogram, microseconds: number): number {
  return count === 0 ? 0 : round(microseconds / 1000)
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
