/** A drain or a mute: somebody's word that stands until a moment, whatever the components do. */
export interface Notice {
  reason: string
  /** Who said so; empty when the file does not tell. */
  by: string
  /** Since when, in milliseconds of the wall clock. */
  sinceMs: number
  /** Until when, in milliseconds of the wall clock; without it until it is taken back. */
  untilMs?: number | undefined
  /** The same end on the monotonic clock, which is what counts: it was fixed when the notice was first seen. */
  expiresMs?: number | undefined
}

/** Whether a notice still counts. At the very moment of its end it does not. */
export function isInForce(notice: Notice | undefined, nowMs: number): notice is Notice {
  return notice !== undefined && (notice.expiresMs === undefined || nowMs < notice.expiresMs)
}

/** Writes how long a notice stands, and who made it: `until 2026-11-25T15:30:00.000Z, by alice`. */
export function describeNotice({ by, untilMs }: Notice): string {
  const end = untilMs === undefined ? 'until it is taken back' : `until ${toTime(untilMs)}`
  return by === '' ? end : `${end}, by ${by}`
}

/** Writes a moment of the wall clock for answers, flags and logs, in UTC. */
export function toTime(wallMs: number): string {
  const time = new Date(wallMs)
  return Number.isNaN(time.getTime()) ? 'unknown' : time.toISOString()
}
