import { parseDuration } from '../config/duration.ts'
import type { Notice } from '../verdict/notice.ts'

/** The file that says that this data centre is drained. */
export const DRAIN_FILE = 'drain'

const MUTE_SUFFIX = '.mute'

/** A mute never lasts for ever: one whose file does not say until when ends this long after the file was written. */
const DEFAULT_MUTE_MS = 3_600_000

/** The file name of the mute of a probe or group. */
export function muteFile(name: string): string {
  return `${name}${MUTE_SUFFIX}`
}

/** The probe or group whose mute has this file name, or undefined when it is not a mute's. */
export function nameOfMute(file: string): string | undefined {
  return file.endsWith(MUTE_SUFFIX) && !file.startsWith('.') ? file.slice(0, -MUTE_SUFFIX.length) : undefined
}

/** Writes a drain or a mute: the reason on one line, then by whom, since when, and until when. */
export function formatNotice({ reason, by, sinceMs, untilMs }: Notice): string {
  const lines = [toOneLine(reason), `by ${toOneLine(by)}`, `since ${new Date(sinceMs).toISOString()}`]
  if (untilMs !== undefined) lines.push(`until ${new Date(untilMs).toISOString()}`)
  return `${lines.join('\n')}\n`
}

/**
 * Reads a drain or a mute. One made with an editor may say as little as nothing: its first line is the reason, unless it
 * is one of the others, `by NAME`, `since TIME`, `until TIME` or `for DURATION`; the file's own time tells since when.
 * What cannot be read counts as not said.
 */
export function parseNotice(text: string, fileTimeMs: number, kind: 'drain' | 'mute'): Notice {
  const said: Record<string, string> = {}
  let reason = ''
  for (const line of text.split('\n').map(toOneLine)) {
    const [, word, rest] = /^(by|since|until|for) (.+)$/.exec(line) ?? []
    if (word && rest && (reason !== '' || isReadable(word, rest))) said[word] ??= rest
    else reason ||= line
  }
  const sinceMs = readTime(said.since) ?? fileTimeMs
  const untilMs = readTime(said.until) ?? addDuration(sinceMs, said.for)
  return {
    reason: reason || 'no reason given',
    by: said.by ?? '',
    sinceMs,
    untilMs: untilMs ?? (kind === 'mute' ? sinceMs + DEFAULT_MUTE_MS : undefined),
  }
}

/** Whether a first line is meant as one of the others: "for the new racks" is a reason, "for 30m" is not. */
function isReadable(word: string, rest: string): boolean {
  if (word === 'for') return parseDuration(rest) !== undefined
  return word === 'by' ? !rest.includes(' ') : readTime(rest) !== undefined
}

/** `Date.parse` alone takes "rack 5" for a day in May. */
const TIME = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)? ?(?:Z|[+-]\d\d:?\d\d)?)?$/

function readTime(text: string | undefined): number | undefined {
  const ms = TIME.test(text ?? '') ? Date.parse(text ?? '') : Number.NaN
  return Number.isFinite(ms) ? ms : undefined
}

function addDuration(sinceMs: number, text: string | undefined): number | undefined {
  const ms = parseDuration(text)
  return ms === undefined ? undefined : sinceMs + ms
}

function toOneLine(text: string): string {
  return text.replace(/[\x00-\x1f\x7f\s]+/g, ' ').trim()
}
