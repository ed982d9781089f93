import type { Moment } from '../clock.ts'
import type { Flag } from './standing.ts'
import { anchorSince, initialState, type State } from './state.ts'

/** A state as it was written down, with its age. */
export interface Remembered {
  state: State
  /** How long ago it was written. */
  ageMs: number
  /** Whether the host has run on since: otherwise its monotonic moments mean nothing any more. */
  isSameBoot: boolean
}

/**
 * The state of a probe when DeadPool starts, from what was written down and from its flag. Dead is believed whoever says
 * it; alive, streaks and a row of unknown outcomes only if they are no older than `staleAfterMs`.
 */
export function restoreState(
  remembered: Remembered | undefined,
  flag: Flag | undefined,
  now: Moment,
  staleAfterMs: number,
): State {
  if (!remembered) return initialState(flag, now)
  const { state, ageMs, isSameBoot } = remembered
  if (state.life === 'alive' && (flag || !isFresh(remembered, staleAfterMs))) return initialState(flag, now)
  const isMeasured = isSameBoot && state.since.monotonicMs !== undefined
  const since = isMeasured ? state.since : anchorSince(state.since.wallMs, now)
  const isKept = ageMs <= staleAfterMs
  return {
    ...state,
    since,
    streak: isKept ? state.streak : 0,
    unknown: isKept && isSameBoot ? state.unknown : undefined,
  }
}

/** Whether what was written down still tells how things are. */
export function isFresh({ ageMs }: Pick<Remembered, 'ageMs'>, staleAfterMs: number): boolean {
  return ageMs <= staleAfterMs
}
