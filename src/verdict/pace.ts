import type { Moment } from '../clock.ts'
import { holdLeft, type Policy, type State } from './state.ts'

/** How often a probe is checked. */
export interface Pace {
  periodMs: number
  /** The period while outcomes disagree with the state. */
  fastPeriodMs: number
}

const FIRST_RETRY_MS = 100

/**
 * The time from the start of the last check to the start of the next one. A check that could not be made is tried again
 * at once, and then at growing distances; an outcome that disagrees with the state is followed up at `fastPeriodMs`,
 * unless only the end of a `hold` is waited for.
 */
export function nextCheckIn(state: State, { periodMs, fastPeriodMs }: Pace, policy: Policy, now: Moment): number {
  if (state.unknown) return state.unknown.count === 1 ? 0 : Math.min(periodMs, retryDelay(state.unknown.count))
  if (state.streak === 0) return periodMs
  if (state.life === 'alive' || state.streak < policy.rise) return fastPeriodMs
  return Math.min(periodMs, Math.max(fastPeriodMs, holdLeft(state, now, policy)))
}

function retryDelay(count: number): number {
  return FIRST_RETRY_MS * 2 ** Math.min(count - 2, 20)
}
