import type { Moment } from '../clock.ts'

/** Why a probe is dead, where that points at WatchMan's own surroundings rather than at the component. */
export type Cause = 'timeout' | 'unknown'

/** What one check came to. */
export type Outcome =
  | { kind: 'alive' }
  | { kind: 'dead'; reason: string; cause?: 'timeout' | undefined }
  /** The check itself could not be made: nothing was learned about the target. */
  | { kind: 'unknown'; reason: string }

/** When outcomes change a state. */
export interface Policy {
  /** So many dead outcomes in a row make an alive probe dead. */
  fall: number
  /** So many alive outcomes in a row make a dead probe alive. */
  rise: number
  /** Once dead, a probe stays dead at least this long. */
  holdMs: number
  /** Nothing but unknown outcomes for this long makes a probe dead. */
  staleAfterMs: number
}

/** What the outcomes of a probe add up to. */
export interface State {
  life: 'alive' | 'dead'
  /** Why it is dead; empty while it is alive. */
  reason: string
  cause?: Cause | undefined
  /** Since when, on both clocks; the monotonic one may be missing in what an earlier run of the host wrote down. */
  since: { wallMs: number; monotonicMs?: number | undefined }
  /** Set while nothing has been learned about the target yet, neither by a check nor by a flag. */
  isAssumed?: true | undefined
  /** How many outcomes in a row speak against the state; unknown ones neither add to it nor end it. */
  streak: number
  /** What the last outcome against an alive state said. */
  doubt?: string | undefined
  /** The present row of unknown outcomes, if the last one was unknown. */
  unknown?: { reason: string; count: number; since: Moment } | undefined
}

/** The state of a probe that was never checked: what its flag says, or else alive. */
export function initialState(flag: { reason: string; sinceMs: number } | undefined, now: Moment): State {
  if (!flag) return { life: 'alive', reason: '', since: { ...now }, isAssumed: true, streak: 0 }
  return { life: 'dead', reason: flag.reason, since: anchorSince(flag.sinceMs, now), streak: 0 }
}

/**
 * Puts a moment that only the wall clock knows on the monotonic one too, so that setting the wall clock later neither
 * shortens nor prolongs a hold. A moment in the future counts as now.
 */
export function anchorSince(wallMs: number, now: Moment): Required<State['since']> {
  return { wallMs, monotonicMs: now.monotonicMs - Math.max(0, now.wallMs - wallMs) }
}

/** The state after one more outcome. */
export function advance(state: State, outcome: Outcome, now: Moment, policy: Policy): State {
  if (outcome.kind === 'unknown') return doubtAll(state, outcome.reason, now, policy)
  const known: State = { ...state, unknown: undefined, isAssumed: undefined }
  if (outcome.kind === 'dead' && state.life === 'dead') {
    return { ...known, reason: outcome.reason, cause: outcome.cause, streak: 0 }
  }
  if (outcome.kind === state.life) return { ...known, streak: 0, doubt: undefined }
  const streak = state.streak + 1
  if (outcome.kind === 'dead') {
    if (streak >= policy.fall) return die(outcome.reason, outcome.cause, now)
    return { ...known, streak, doubt: outcome.reason }
  }
  if (streak >= policy.rise && holdLeft(state, now, policy) === 0) {
    return { life: 'alive', reason: '', since: { ...now }, streak: 0 }
  }
  return { ...known, streak }
}

/**
 * An unknown outcome is no evidence and holds the state, until for `staleAfterMs` nothing else came: then the probe is
 * dead, because nobody knows that it is alive.
 */
function doubtAll(state: State, reason: string, now: Moment, { staleAfterMs }: Policy): State {
  const { count, since } = state.unknown ?? { count: 0, since: { ...now } }
  const unknown = { reason, count: count + 1, since }
  if (now.monotonicMs - since.monotonicMs < staleAfterMs) return { ...state, unknown }
  const dead = die(`cannot check: ${reason}`, 'unknown', now)
  return { ...dead, unknown, since: state.life === 'dead' ? state.since : dead.since }
}

function die(reason: string, cause: Cause | undefined, now: Moment): State {
  return { life: 'dead', reason, cause, since: { ...now }, streak: 0 }
}

/** How much longer a dead state has to last, in milliseconds. */
export function holdLeft(state: State, now: Moment, { holdMs }: Pick<Policy, 'holdMs'>): number {
  return state.life === 'dead' ? Math.max(0, holdMs - durationOf(state, now)) : 0
}

/** How long `state` has lasted, in milliseconds. */
export function durationOf(state: Pick<State, 'since'>, now: Moment): number {
  const { wallMs, monotonicMs } = state.since
  return Math.max(0, monotonicMs === undefined ? now.wallMs - wallMs : now.monotonicMs - monotonicMs)
}
