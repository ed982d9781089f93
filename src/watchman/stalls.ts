import { readMonotonic } from '../clock.ts'

/** Knows when this process's own event loop stood still. */
export interface Stalls {
  /** For how many milliseconds between two moments (monotonic clock) the loop stood still. */
  between(fromMs: number, toMs: number): number
  stop(): void
}

const TICK_MS = 50

/** A timer is late by this much on any busy host. */
const USUAL_MS = 20

/** Older stalls are forgotten: no check lasts as long as that many of them. */
const MAX_KEPT = 100

/** Starts to watch the event loop, by a timer that should fire every 50 ms. */
export function watchStalls({ now = readMonotonic } = {}): Stalls {
  const stalls: { fromMs: number; toMs: number }[] = []
  let tickedMs = now()

  /** The stall that would end now: the timer has not fired since. */
  function present(): { fromMs: number; toMs: number } {
    return { fromMs: tickedMs + TICK_MS, toMs: now() }
  }

  const timer = setInterval(() => {
    const stall = present()
    tickedMs = stall.toMs
    if (stall.toMs - stall.fromMs < USUAL_MS) return
    stalls.push(stall)
    if (stalls.length > MAX_KEPT) stalls.shift()
  }, TICK_MS)
  timer.unref()

  return {
    between(fromMs, toMs) {
      let totalMs = 0
      for (const stall of [...stalls, present()]) {
        totalMs += Math.max(0, Math.min(stall.toMs, toMs) - Math.max(stall.fromMs, fromMs))
      }
      return totalMs
    },
    stop: () => clearInterval(timer),
  }
}
