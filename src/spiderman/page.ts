import { toTime } from '../verdict/notice.ts'
import type { DeadEntry, Verdict } from '../verdict/verdict.ts'

/** An answer to be sent: the same facts for people and load balancers (`text`), and for programs (`json`). */
export interface Page {
  status: 200 | 503
  text: string
  json: string
}

/** More entries than these are counted instead of written out: the answer stays small when everything is dead. */
const MAX_ENTRIES = 100

/** Writes a verdict down. The same verdict always gives the same bytes. */
export function writePage(verdict: Verdict, name: string): Page {
  return { status: verdict.status === 'OK' ? 200 : 503, text: writeText(verdict, name), json: writeJson(verdict, name) }
}

function writeText({ status, dead, warnings }: Verdict, name: string): string {
  const shown = dead.slice(0, MAX_ENTRIES)
  const more = dead.length > shown.length ? `, and ${dead.length - shown.length} more` : ''
  const first = status === 'OK' ? 'OK' : `DEAD ${shown.map((entry) => entry.name).join(', ')}${more}`
  return [first, name, ...shown.map(writeEntry), ...warnings.map((warning) => `warning: ${warning}`), ''].join('\n')
}

function writeEntry({ name, reason, sinceMs, untilMs, becauseOf }: DeadEntry): string {
  const cause = becauseOf === undefined ? '' : ` (because of ${becauseOf})`
  const end = untilMs === undefined ? '' : `, until ${toTime(untilMs)}`
  return `${name}: ${reason}${cause} (since ${toTime(sinceMs)}${end})`
}

function writeJson({ status, dead, warnings }: Verdict, name: string): string {
  return `${JSON.stringify({ name, status, dead: dead.map(toJsonEntry), warnings })}\n`
}

/** One of the dead for programs: `probe` may also be a group, WatchMan or the drain. */
export function toJsonEntry({ name, reason, sinceMs, untilMs, becauseOf }: DeadEntry) {
  return {
    probe: name,
    reason,
    since: toTime(sinceMs),
    ...(untilMs === undefined ? {} : { until: toTime(untilMs) }),
    ...(becauseOf === undefined ? {} : { because_of: becauseOf }),
  }
}
