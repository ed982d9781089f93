import { readMonotonic } from '../clock.ts'

export interface Loop {
  stop(): void
}

export interface LoopOptions {
  firstDelayMs: number
  /** One run; it tells after how many milliseconds, from its own start, the next one is due. Must not reject. */
  run(): Promise<number>
  /** Told at each start: how late it is, and how many starts before it were left out. */
  onStart?: (lateMs: number, skipped: number) => void
  /** The monotonic clock, in milliseconds. */
  now?: () => number
}

/**
 * Runs something again and again, measured from start to start, so that neither a run's length nor a late timer shifts
 * the ones after it. A run that takes longer than its distance to the next skips the starts it missed.
 */
export function startLoop({ firstDelayMs, run, onStart = () => {}, now = readMonotonic }: LoopOptions): Loop {
  let dueMs = now() + firstDelayMs
  let skipped = 0
  let isStopped = false
  let timer = setTimeout(turn, firstDelayMs)

  async function turn(): Promise<void> {
    onStart(Math.max(0, now() - dueMs), skipped)
    const distanceMs = await run()
    if (isStopped) return
    const passedMs = Math.max(0, now() - dueMs)
    // What is to be done again at once has no beat that it could miss.
    const steps = distanceMs > 0 ? Math.max(1, Math.ceil(passedMs / distanceMs)) : 1
    skipped = steps - 1
    dueMs = distanceMs > 0 ? dueMs + steps * distanceMs : now()
    timer = setTimeout(turn, Math.max(0, dueMs - now()))
  }

  return {
    stop() {
      isStopped = true
      clearTimeout(timer)
    },
  }
}

/**
 * The delays of the first runs. A few probes start together; many are a millisecond apart, or closer where that would
 * take longer than their period, so that they neither burst now nor in every later round.
 */
export function firstDelay(index: number, count: number, periodMs: number): number {
  return index * Math.min(1, periodMs / count)
}
