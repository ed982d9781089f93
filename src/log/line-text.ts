import { formatDuration } from '../config/duration.ts'
import type { LogEntry } from './reporter.ts'

/** Everything that ends a line, moves the cursor, or turns the direction of writing: what a hostile answer forges with. */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g
const NAMED: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

const WORD_BEFORE = /[\p{L}\p{N}_]$/u
const WORD_AFTER = /^[\p{L}\p{N}_]/u

const MESSAGE_BYTES = 6000
const FIELDS_BYTES = 1900
const FIELD_LENGTH = 200

/** An entry as one line for people, at most 8,000 bytes: the message, then those fields that it does not speak of. */
export function formatText(entry: LogEntry): string {
  const fields = formatFields(entry)
  const message = cutBytes(toOneLine(entry.message.slice(0, MESSAGE_BYTES + 1)), MESSAGE_BYTES)
  return fields === '' ? message : `${message}  ${cutBytes(fields, FIELDS_BYTES)}`
}

/** Writes control characters as `\n`, `\x1b` or `\u202e`, so that one event stays one line. */
export function toOneLine(text: string): string {
  return text.replace(UNSAFE, (char) => {
    const code = char.charCodeAt(0).toString(16)
    return NAMED[char] ?? (code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`)
  })
}

/** Shortens a text to that many bytes of UTF-8, with an ellipsis and never inside a character. */
export function cutBytes(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes) return text
  const bytes = Buffer.from(text)
  if (bytes.length <= maxBytes) return text
  let end = maxBytes - 3
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return `${bytes.toString('utf8', 0, end)}…`
}

function formatFields({ message, fields }: LogEntry): string {
  const parts: string[] = []
  for (const [name, value] of Object.entries(fields)) {
    const [label, shown] = toReadable(name, value)
    if (typeof value === 'boolean' || !isSaid(message, shown)) parts.push(`${label}=${quote(shown)}`)
  }
  return parts.join(' ')
}

/** `was_for_s: 303` reads better as `was_for="5 min 3 s"`. */
function toReadable(name: string, value: string | number | boolean): [string, string] {
  const unit = typeof value === 'number' && value >= 0 ? /^(.+)_(ms|s|seconds)$/.exec(name) : null
  if (!unit) return [name, String(value)]
  return [unit[1] ?? name, formatDuration(unit[2] === 'ms' ? Number(value) : Number(value) * 1000)]
}

/** Tells whether the message has the value as a word of its own: `3` is not said by `503`. */
function isSaid(message: string, value: string): boolean {
  if (value === '') return false
  for (let at = message.indexOf(value); at !== -1; at = message.indexOf(value, at + 1)) {
    const end = at + value.length
    if (!WORD_BEFORE.test(message.slice(Math.max(0, at - 2), at)) && !WORD_AFTER.test(message.slice(end, end + 2)))
      return true
  }
  return false
}

function quote(value: string): string {
  const short = value.length > FIELD_LENGTH ? `${value.slice(0, FIELD_LENGTH)}…` : value
  return toOneLine(short === '' || /[\s"=]/.test(short) ? JSON.stringify(short) : short)
}
