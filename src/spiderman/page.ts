import type { Verdict } from '../verdict/verdict.ts'

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
  const first = status === 'OK' ? 'OK' : `DEAD ${shown.map(({ probe }) => probe).join(', ')}${more}`
  const lines = shown.map(({ probe, reason, sinceMs }) => `${probe}: ${reason} (since ${toTime(sinceMs)})`)
  return [first, name, ...lines, ...warnings.map((warning) => `warning: ${warning}`), ''].join('\n')
}

function writeJson({ status, dead, warnings }: Verdict, name: string): string {
  const entries = dead.map(({ probe, reason, sinceMs }) => ({ probe, reason, since: toTime(sinceMs) }))
  return `${JSON.stringify({ name, status, dead: entries, warnings })}\n`
}

function toTime(wallMs: number): string {
  return Number.isFinite(wallMs) ? new Date(wallMs).toISOString() : 'unknown'
}
