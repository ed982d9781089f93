import { type CharacterFlags, type Member, writeSet } from './charset.ts'
import { type Cursor, PatternError } from './cursor.ts'
import { type Escape, readEscape } from './escape.ts'

/** Reads a set from behind its opening bracket, and writes it as RE2 knows it. */
export function parseSet(cursor: Cursor, flags: CharacterFlags): string {
  const isNegated = cursor.accept('^')
  const members: Member[] = []
  // A bracket that comes first is a member.
  while (members.length === 0 || !cursor.accept(']')) members.push(readMember(cursor))
  return writeSet(members, isNegated, flags)
}

function readMember(cursor: Cursor): Member {
  const from = readEnd(cursor)
  if (cursor.peek(/-[^\]]/y) === '') return 'category' in from ? from : { from: from.codePoint, to: from.codePoint }
  cursor.accept('-')
  const to = readEnd(cursor)
  if ('category' in from || 'category' in to || from.codePoint > to.codePoint) {
    throw new PatternError('is not a pattern: a range in a set must go from one character to a later one')
  }
  return { from: from.codePoint, to: to.codePoint }
}

function readEnd(cursor: Cursor): Escape {
  const named = cursor.peek(/\[:\^?[a-z]+:\]/y)
  if (named) {
    throw new PatternError(`has "${named}", which Python's syntax does not know; write such as [A-Za-z] or \\d`)
  }
  if (cursor.accept('\\')) return readEscape(cursor, true)
  const character = cursor.take()
  if (character === '') throw new PatternError('is not a pattern: missing closing ]')
  return { codePoint: character.codePointAt(0) ?? 0 }
}
