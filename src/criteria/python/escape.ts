import type { Category } from './charset.ts'
import { type Cursor, PatternError, unsupported } from './cursor.ts'

/** What an escape stands for: one character, or a category of characters. */
export type Escape = { codePoint: number } | { category: Category }

const CONTROLS: Record<string, number> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 }
const HEX_DIGITS: Record<string, number> = { x: 2, u: 4, U: 8 }

/** Reads the escape that follows a backslash. The anchors, which a set does not have, are the caller's. */
export function readEscape(cursor: Cursor, isInSet: boolean): Escape {
  const letter = cursor.take()
  if (letter === '') throw new PatternError('is not a pattern: it ends in a lone "\\"')
  if ('dDsSwW'.includes(letter)) return { category: letter as Category }
  if (/\d/.test(letter)) return { codePoint: readOctal(cursor, letter, isInSet) }
  const control = letter === 'b' && isInSet ? 8 : CONTROLS[letter]
  if (control !== undefined) return { codePoint: control }
  const length = HEX_DIGITS[letter]
  if (length) return { codePoint: readHex(cursor, letter, length) }
  if (letter === 'N') throw new PatternError('names a character by "\\N"; write the character itself')
  if (/[A-Za-z]/.test(letter)) throw new PatternError(`is not a pattern: unknown escape "\\${letter}"`)
  return { codePoint: letter.codePointAt(0) ?? 0 }
}

function readHex(cursor: Cursor, letter: string, length: number): number {
  const digits = cursor.take(new RegExp(`[0-9A-Fa-f]{0,${length}}`, 'y'))
  const codePoint = Number.parseInt(digits, 16)
  if (digits.length === length && codePoint <= 0x10ffff) return codePoint
  throw new PatternError(`is not a pattern: incomplete escape "\\${letter}${digits}"`)
}

/** Up to three octal digits are a character, in a set as well as after `\0`; `\1` to `\99` refer back to a group. */
function readOctal(cursor: Cursor, first: string, isInSet: boolean): number {
  const rest = cursor.peek(/[0-7]{0,2}/y)
  const isOctal = first < '8' && (first === '0' || isInSet || rest.length === 2)
  if (!isOctal && isInSet) throw new PatternError(`is not a pattern: unknown escape "\\${first}"`)
  if (!isOctal) throw unsupported('a back reference', `\\${first}`)
  const codePoint = Number.parseInt(first + cursor.take(/[0-7]{0,2}/y), 8)
  if (codePoint <= 0o377) return codePoint
  throw new PatternError(`is not a pattern: "\\${first}${rest}" is past "\\377"`)
}
