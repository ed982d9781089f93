// Control and format characters: they could forge a line of a log or turn the direction of a terminal's text.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

const MAX_LENGTH = 80

/** Writes a finding into a reason, on one line: a text in double quotes, anything else as {@link textOf} does. */
export function quote(value: unknown, max = MAX_LENGTH): string {
  if (typeof value === 'string') return `"${shorten(value, max)}"`
  return shorten(textOf(value), max)
}

/** A fact as text: a text as it is, an object or a list as compact JSON, anything else as JavaScript writes it. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value !== 'object') return String(value)
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    // A module may report what JSON cannot hold, such as a cycle; that must not take the judgement down.
    return Object.prototype.toString.call(value)
  }
}

/**
 * Makes one line of at most `max` characters, of which the last is `…` when something was cut off. A newline shows as
 * `⏎`, what cannot be seen as `\u{fffd}`.
 */
export function shorten(text: string, max = MAX_LENGTH): string {
  // Two code units make at most one character, so this much is enough to fill `max` characters and see one more.
  const head = text.slice(0, 2 * max + 2)
  const line = head
    .replace(/\r\n|\n/g, '⏎')
    .replace(/\t/g, ' ')
    .replace(INVISIBLE, '\u{fffd}')
    .toWellFormed()
  const characters = [...line]
  if (characters.length <= max && head.length === text.length) return line
  return `${characters.slice(0, max - 1).join('')}…`
}
