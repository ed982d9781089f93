import type { Flag } from '../verdict/standing.ts'

const SUFFIX = '.dead'

/** The file name of a probe's flag. */
export function flagFile(probe: string): string {
  return `${probe}${SUFFIX}`
}

/** The name under which a flag is written before it is renamed; hidden, and never taken for a flag. */
export function draftFile(probe: string, pid: number): string {
  return `.${probe}${SUFFIX}.${pid}~`
}

/** The probe whose flag has this file name, or undefined when it is not a flag's. */
export function probeOfFile(file: string): string | undefined {
  return file.endsWith(SUFFIX) && !file.startsWith('.') ? file.slice(0, -SUFFIX.length) : undefined
}

/** Tells whether a file is a draft that a killed watcher left behind. */
export function isDraftFile(file: string): boolean {
  return /^\..+\.dead\.\d+~$/.test(file)
}

/** Writes a flag's content: the reason on one line, then since when. */
export function formatFlag({ reason, sinceMs }: Flag): string {
  return `${reason.replace(/\s+/g, ' ')}\nsince ${new Date(sinceMs).toISOString()}\n`
}

/** Longer flags are cut: a reason fits, and a file made by hand can be anything. */
export const MAX_FLAG_BYTES = 4096

/**
 * Reads a flag's content. One made by hand may say anything, or nothing: its first line is the reason, and the file's
 * own time tells since when.
 */
export function parseFlag(text: string, fileTimeMs: number): Flag & { isOurs: boolean } {
  const [first = '', second = ''] = text.split('\n')
  const sinceMs = Date.parse(/^since (\S+)$/.exec(second.trim())?.[1] ?? '')
  const isOurs = Number.isFinite(sinceMs)
  const reason = first.replace(/[\x00-\x1f\x7f]+/g, ' ').trim()
  return { reason: reason || 'no reason given', sinceMs: isOurs ? sinceMs : fileTimeMs, isOurs }
}
