export interface Loop {
  stop(): void
}

export interface LoopOptions {
  periodMs: number
  firstDelayMs: number
  /** One run; the next one starts only after it resolved. Must not reject. */
  run(): Promise<void>
  /** The monotonic clock, in milliseconds. */
  now?: () => number
}

/**
 * Runs something every period, measured from start to start, so that neither a run's length nor a late timer shifts
 * the ones after it. A run that takes longer than a period skips the starts it missed.
 */
export function startLoop({ periodMs, firstDelayMs, run, now = () => performance.now() }: LoopOptions): Loop {
  let dueMs = now() + firstDelayMs
  let isStopped = false
  let timer = setTimeout(turn, firstDelayMs)

  async function turn(): Promise<void> {
    await run()
    if (isStopped) return
    dueMs += periodMs * Math.max(1, Math.ceil((now() - dueMs) / periodMs))
    timer = setTimeout(turn, dueMs - now())
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
