/** Says how long to wait before the next try: doubling from `firstMs` to `maxMs`, anew after 10 s without a failure. */
export interface BackOff {
  /** Notes a failure; returns the milliseconds to wait. */
  next(): number
  /** Notes that it works from now on. */
  works(): void
}

const STABLE_MS = 10_000

export function createBackOff({ firstMs = 250, maxMs = 30_000 } = {}): BackOff {
  let failures = 0
  let worksSince: number | undefined
  return {
    next() {
      if (worksSince !== undefined && performance.now() - worksSince >= STABLE_MS) failures = 0
      worksSince = undefined
      return Math.min(maxMs, firstMs * 2 ** failures++)
    },
    works() {
      worksSince = performance.now()
    },
  }
}
