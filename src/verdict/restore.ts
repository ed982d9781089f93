import type { Moment } from '../clock.ts'
import type { Flag, Report } from './standing.ts'
import { anchorSince, initialState, type State } from './state.ts'

/** A state as it was written down, with its age. */
export interface Remembered {
  state: State
  /** How long ago it was written. */
  ageMs: number
  /** Whether the host has run on since: otherwise its monotonic moments mean nothing any more. */
  isSameBoot: boolean
}

/** What a WatchMan before this one said last, as SpiderMan heard it: newer than what was written down, if they differ. */
export type Heard = Pick<Report, 'life' | 'reason' | 'cause' | 'sinceMs'>

/**
 * The state of a probe when WatchMan starts, from what was written down, from its flag, and from what SpiderMan heard of
 * it. What was heard counts. Else dead is believed whoever says it; alive, streaks and a row of unknown outcomes only if
 * they are no older than `staleAfterMs`.
 */
export function restoreState(
  remembered: Remembered | undefined,
  flag: Flag | undefined,
  now: Moment,
  staleAfterMs: number,
  heard?: Heard,
): State {
  if (heard && heard.life !== remembered?.state.life) {
    const { life, reason, cause, sinceMs } = heard
    return { life, reason, cause, since: anchorSince(sinceMs, now), streak: 0 }
  }
  if (!remembered) return initialState(flag, now)
  if (heard) return recall(remembered, now, staleAfterMs)
  if (remembered.state.life === 'alive' && (flag || !isFresh(remembered, staleAfterMs))) return initialState(flag, now)
  return recall(remembered, now, staleAfterMs)
}

function recall({ state, ageMs, isSameBoot }: Remembered, now: Moment, staleAfterMs: number): State {
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
