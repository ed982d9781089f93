/** One series of measurements, a value a second. */
export interface Series {
  name: string
  unit: string
  /**
   * What of it must not grow. The mean of sockets; the peak of memory, which climbs from one collection of the garbage to
   * the next like a saw, so that only a tooth higher than those before it tells.
   */
  what: 'mean' | 'peak'
  values: number[]
}

/** What a series did after its warm-up, and whether that is flat. */
export interface Trend {
  isFlat: boolean
  text: string
}

/** By so much of itself may a series grow from the middle third to the last one, and by so much in any case. */
const ALLOWED_SHARE = 0.1
const ALLOWED = 5

/** Compares the last third with the middle one; the first is warm-up, in which heaps and caches find their size. */
export function judgeTrend({ name, unit, what, values }: Series): Trend {
  const third = Math.floor(values.length / 3)
  const middle = values.slice(third, 2 * third)
  const last = values.slice(2 * third)
  const measure = what === 'mean' ? meanOf : (list: readonly number[]) => Math.max(...list)
  const [before, after] = [measure(middle), measure(last)]
  const isFlat = after - before <= Math.max(ALLOWED_SHARE * before, ALLOWED)
  const slope = slopeOf([...middle, ...last]) * 60
  const figures = `${what} ${before.toFixed(1)}, then ${after.toFixed(1)}${unit}, slope ${slope.toFixed(1)}${unit} a minute`
  return { isFlat, text: `${name}: ${figures}: ${isFlat ? 'flat' : 'NOT FLAT'}` }
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** The slope of the line of least squares, a second. */
function slopeOf(values: readonly number[]): number {
  const middleX = (values.length - 1) / 2
  const middleY = meanOf(values)
  let over = 0
  let under = 0
  for (const [x, y] of values.entries()) {
    over += (x - middleX) * (y - middleY)
    under += (x - middleX) ** 2
  }
  return under === 0 ? 0 : over / under
}

/** The value that `share` of the values do not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
