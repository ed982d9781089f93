/** The milliseconds, to a tenth, since `performance.now()` gave `startedAt`: what `time_ms` and its like report. */
export function msSince(startedAt: number): number {
  return Math.round((performance.now() - startedAt) * 10) / 10
}
