const WORD = /[\p{L}\p{N}_]/u

/**
 * Puts a mark before and after each character: a letter for Unicode's letters, numbers and `_`, a newline for a
 * newline, a space for all else.
 *
 * RE2's `\b` knows ASCII's words only, Python's knows Unicode's. Between two marks they agree: the letter is a word
 * character to both. Nor does it disturb the ends of lines. A pattern for such a text takes three characters for one.
 */
export function spell(text: string): string {
  // Code units in an array: ten times as fast as replace(), and a body can have a million of them.
  const units = new Uint16Array(text.length * 3)
  const marks = new Map<number, number>()
  let length = 0
  for (let at = 0; at < text.length; ) {
    const codePoint = text.codePointAt(at) ?? 0
    const mark = marks.get(codePoint) ?? markOf(codePoint)
    marks.set(codePoint, mark)
    units[length++] = mark
    units[length++] = text.charCodeAt(at++)
    if (codePoint > 0xffff) units[length++] = text.charCodeAt(at++)
    units[length++] = mark
  }
  return Buffer.from(units.buffer, 0, length * 2).toString('utf16le')
}

/** Takes the marks out of what `spell()` made, or of a part of it by whole characters. */
export function unspell(spelled: string): string {
  return [...spelled].filter((_, index) => index % 3 === 1).join('')
}

function markOf(codePoint: number): number {
  const character = String.fromCodePoint(codePoint)
  const mark = character === '\n' ? '\n' : WORD.test(character) ? 'w' : ' '
  return mark.charCodeAt(0)
}
