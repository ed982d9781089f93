/** What one check came to. */
export type Outcome =
  | { kind: 'alive' }
  | { kind: 'dead'; reason: string }
  /** The check itself could not be made: nothing was learned about the target. */
  | { kind: 'unknown'; reason: string }

/** What the outcomes of a probe add up to. */
export interface State {
  life: 'alive' | 'dead'
  /** Why it is dead; empty while it is alive. */
  reason: string
  /** Since when, on both clocks; the monotonic one is missing when the state comes from an earlier run. */
  since: { wallMs: number; monotonicMs?: number }
  /** Set while nothing has been learned about the target yet, neither by a check nor by a flag. */
  isAssumed?: true
  /** When the present row of unknown outcomes began, on the monotonic clock. */
  unknownSinceMs?: number
}

/** A moment on both clocks: the wall clock is for people, the monotonic one measures. */
export interface Moment {
  wallMs: number
  monotonicMs: number
}

/** The state of a probe that was never checked: what its flag says, or else alive. */
export function initialState(flag: { reason: string; sinceMs: number } | undefined, now: Moment): State {
  if (!flag) return { life: 'alive', reason: '', since: { ...now }, isAssumed: true }
  return { life: 'dead', reason: flag.reason, since: { wallMs: flag.sinceMs } }
}

/**
 * The state after one more outcome. An unknown outcome is no evidence and holds the state, until for `staleAfterMs`
 * nothing else came: then the probe is dead, because nobody knows that it is alive.
 */
export function advance(state: State, outcome: Outcome, now: Moment, staleAfterMs: number): State {
  if (outcome.kind === 'unknown') {
    const unknownSinceMs = state.unknownSinceMs ?? now.monotonicMs
    if (now.monotonicMs - unknownSinceMs < staleAfterMs) return { ...state, unknownSinceMs }
    return { ...become(state, 'dead', `cannot check: ${outcome.reason}`, now), unknownSinceMs }
  }
  return become(state, outcome.kind, outcome.kind === 'dead' ? outcome.reason : '', now)
}

function become(state: State, life: State['life'], reason: string, now: Moment): State {
  return { life, reason, since: life === state.life ? state.since : { ...now } }
}

/** How long `state` has lasted, in milliseconds. */
export function durationOf(state: State, now: Moment): number {
  const { wallMs, monotonicMs } = state.since
  return Math.max(0, monotonicMs === undefined ? now.wallMs - wallMs : now.monotonicMs - monotonicMs)
}
