import type { Standing } from './standing.ts'
import type { Cause } from './state.ts'

/** Fewer probes than these are no crowd, whatever their share is. */
const MIN_CROWD = 3

/** What died further apart than this did not die in the same moment. */
const SAME_MOMENT_MS = 30_000

/** Most probes failing at once in a way that speaks of WatchMan's own surroundings. */
export interface Trouble {
  cause: Cause
  /** In configuration order. */
  probes: readonly string[]
  sinceMs: number
  reason: string
}

/** Whether so many of all probes are most of them. */
export function isCrowd(count: number, all: number): boolean {
  return count >= MIN_CROWD && count > all / 2
}

/**
 * Finds that most probes timed out, or could not be checked, in the same moment. Components rarely die together by
 * falling silent; this host, its network and WatchMan itself do that to all of them.
 */
export function findTrouble(probes: ReadonlyMap<string, Standing>): Trouble | undefined {
  return findCrowd('timeout', probes) ?? findCrowd('unknown', probes)
}

function findCrowd(cause: Cause, probes: ReadonlyMap<string, Standing>): Trouble | undefined {
  const troubled = [...probes].flatMap(([name, standing]) =>
    standing.life === 'dead' && standing.cause === cause ? [{ name, ...standing }] : [],
  )
  if (!isCrowd(troubled.length, probes.size)) return undefined
  const sinceMs = findMoment(troubled.map((each) => each.sinceMs))
  const together = troubled.filter((each) => isInMoment(each, sinceMs))
  if (!isCrowd(together.length, probes.size)) return undefined
  const names = together.map(({ name }) => name)
  return { cause, probes: names, sinceMs, reason: describeTrouble(cause, names, probes.size) }
}

/** Says in words that most probes fail at once, and what that speaks of. */
export function describeTrouble(cause: Cause, names: readonly string[], all: number): string {
  const what = cause === 'timeout' ? 'timed out' : 'cannot be checked'
  const speaks = 'in the same moment, which speaks of this host, its network or WatchMan'
  return `${names.length} of ${all} probes ${what} ${speaks}: ${listNames(names)}`
}

/** Whether a trouble explains a death: one of another kind, or of another time, it does not. */
export function isExplainedBy(trouble: Trouble, standing: Standing): boolean {
  return standing.life === 'dead' && standing.cause === trouble.cause && isInMoment(standing, trouble.sinceMs)
}

/** The beginning of the moment in which most of `times` lie; what died long before does not hide what died together. */
function findMoment(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b)
  let [first, most, beginning] = [0, 0, 0]
  for (const [last, time] of sorted.entries()) {
    while (time - (sorted[first] ?? time) > SAME_MOMENT_MS) first++
    if (last - first < most) continue
    most = last - first + 1
    beginning = sorted[first] ?? time
  }
  return beginning
}

function isInMoment({ sinceMs }: { sinceMs: number }, beginningMs: number): boolean {
  return sinceMs >= beginningMs && sinceMs - beginningMs <= SAME_MOMENT_MS
}

/** Names for one line: the first five, and how many more there are. */
export function listNames(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ')
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown
}
