import { chooseOrbits } from './case.ts'

/** A range of code points, or one of Python's categories by the letter of its escape. */
export type Member = { from: number; to: number } | { category: Category }
export type Category = 'd' | 'D' | 's' | 'S' | 'w' | 'W'

/** The flags that decide which characters a set holds. */
export interface CharacterFlags {
  ignoreCase: boolean
  ascii: boolean
}

// Python's categories as members of an RE2 class, compared with Python 3.11 character by character. A complement that
// RE2 cannot name inside a class is spelled out: `\W` is every general category but letters and numbers, less `_`.
const UNICODE: Record<Category, string> = {
  d: String.raw`\p{Nd}`,
  D: String.raw`\P{Nd}`,
  s: String.raw`\t-\r\x1c-\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}`,
  S: String.raw`\x00-\x08\x0e-\x1b!-\x84\x86-\x9f\xa1-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff}`,
  w: String.raw`\p{L}\p{N}_`,
  W: String.raw`\p{M}\p{S}\p{Z}\p{C}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po}\x{203f}\x{2040}\x{2054}\x{fe33}\x{fe34}\x{fe4d}-\x{fe4f}\x{ff3f}`,
}

const ASCII: Record<Category, string> = {
  d: '0-9',
  D: String.raw`\x00-/:-\x{10ffff}`,
  s: String.raw`\t-\r\x20`,
  S: String.raw`\x00-\x08\x0e-\x1f!-\x{10ffff}`,
  w: '0-9A-Za-z_',
  W: String.raw`\x00-/:-@\[-\^\x60{-\x{10ffff}`,
}

/** Writes the RE2 expression for one character that is a member of the set or, when `negated`, is not. */
export function writeSet(members: readonly Member[], negated: boolean, flags: CharacterFlags): string {
  const categories = members.filter((member) => 'category' in member)
  const ranges = members.filter((member) => 'from' in member)
  const { ignoreCase, ascii } = flags
  const folded = ignoreCase ? foldRanges(ranges, ascii) : ranges
  const names = categories.map(({ category }) => (ascii ? ASCII : UNICODE)[category])
  return `[${negated ? '^' : ''}${names.join('')}${folded.map(writeRange).join('')}]`
}

/** Writes the RE2 expression for one literal character. */
export function writeLiteral(codePoint: number, flags: CharacterFlags): string {
  if (!flags.ignoreCase) return writeCodePoint(codePoint)
  const folded = foldRanges([{ from: codePoint, to: codePoint }], flags.ascii)
  return folded.length === 1 ? writeCodePoint(codePoint) : `[${folded.map(writeRange).join('')}]`
}

interface Range {
  from: number
  to: number
}

/** Adds the other cases of all that is in `ranges`. RE2's own `(?i)` would fold the categories beside them as well. */
function foldRanges(ranges: readonly Range[], ascii: boolean): readonly Range[] {
  const includes = (codePoint: number) => ranges.some(({ from, to }) => from <= codePoint && codePoint <= to)
  const added = chooseOrbits(ranges, ascii)
    .filter((orbit) => orbit.some(includes))
    .flatMap((orbit) => orbit.filter((codePoint) => !includes(codePoint)))
  return [...ranges, ...added.map((codePoint) => ({ from: codePoint, to: codePoint }))]
}

function writeRange({ from, to }: Range): string {
  return from === to ? writeCodePoint(from) : `${writeCodePoint(from)}-${writeCodePoint(to)}`
}

function writeCodePoint(codePoint: number): string {
  const character = String.fromCodePoint(codePoint)
  return /[0-9A-Za-z]/.test(character) ? character : `\\x{${codePoint.toString(16)}}`
}
