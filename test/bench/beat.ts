/** How well somebody kept the beat of checks, as the component saw it. */
export interface Beat {
  /** How late each check arrived, in milliseconds. */
  lateMs: number[]
  /** How many beats had no check. */
  skipped: number
}

/**
 * Holds one probe's arrivals against its own beat: the phase is the earliest that any of them came at, modulo the period,
 * so that a late first arrival does not make the others look punctual. Counted are the beats in `[fromMs, toMs)`.
 */
export function fitBeat(arrivals: readonly number[], periodMs: number, fromMs: number, toMs: number): Beat {
  const [first] = arrivals
  if (first === undefined) return { lateMs: [], skipped: Math.floor((toMs - fromMs) / periodMs) }
  const phases = arrivals.map((atMs) => atMs - periodMs * Math.round((atMs - first) / periodMs))
  const phaseMs = Math.min(...phases)
  // Fractions of a microsecond are lost on the way, and must not move an arrival to the beat before.
  const beatOf = (atMs: number) => Math.floor((atMs - phaseMs) / periodMs + 1e-6)
  const [begin, end] = [beatOf(fromMs) + 1, beatOf(toMs)]
  const byBeat = new Map(arrivals.map((atMs) => [beatOf(atMs), atMs]))
  const counted = [...byBeat].filter(([beat]) => beat >= begin && beat < end)
  return {
    lateMs: counted.map(([beat, atMs]) => Math.max(0, atMs - phaseMs - beat * periodMs)),
    skipped: end - begin - counted.length,
  }
}
