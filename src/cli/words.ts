import type { Moment } from '../clock.ts'
import { formatDuration } from '../config/duration.ts'
import { durationOf, type State } from '../verdict/state.ts'

/** This moment, and whether monotonic moments of the notes can be measured against it. */
export interface Now extends Moment {
  isSameBoot: boolean
}

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** How long something has lasted that the notes tell. */
export function lasted({ wallMs, monotonicMs }: State['since'], now: Now): number {
  return durationOf({ since: now.isSameBoot ? { wallMs, monotonicMs } : { wallMs } }, now)
}

/** Writes a duration as roughly as people tell it: `under 1 s`, `42 s`, `5 min`, `5 h 12 min`, `4 d 1 h`. */
export function roughly(ms: number): string {
  if (ms < SECOND) return 'under 1 s'
  const unit = [SECOND, MINUTE, HOUR].findLast((each) => ms >= each) ?? SECOND
  return formatDuration(Math.floor(ms / Math.min(unit, MINUTE)) * Math.min(unit, MINUTE))
}

/** Writes a moment by the clock of this host: `14:03:05`, and with the date when that is not within the last day. */
export function toClock(wallMs: number, nowMs: number): string {
  const time = new Date(wallMs)
  if (Number.isNaN(time.getTime())) return 'unknown'
  const two = (count: number) => String(count).padStart(2, '0')
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':')
  if (Math.abs(nowMs - wallMs) < DAY) return clock
  return `${[time.getFullYear(), time.getMonth() + 1, time.getDate()].map(two).join('-')} ${clock.slice(0, 5)}`
}

/** Names for one line: the first ten, and how many more there are. */
export function nameAll(names: readonly string[]): string {
  const shown = names.slice(0, 10).join(', ')
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown
}

/** `1 probe`, `3 probes`. */
export function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? '' : 's'}`
}
