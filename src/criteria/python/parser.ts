import { writeLiteral, writeSet } from './charset.ts'
import { Cursor, PatternError, unsupported } from './cursor.ts'
import { readEscape } from './escape.ts'
import { type Flags, readGlobalFlags, readGroupFlags } from './flags.ts'
import { parseSet } from './set.ts'

/** A pattern as a tree. Of the groups only those with a name are kept: the others do not change what is found. */
export type Node =
  /** One character, written as RE2 knows it. */
  | { kind: 'character'; set: string }
  | { kind: 'anchor'; place: Place }
  | { kind: 'sequence'; items: Node[] }
  | { kind: 'choice'; branches: Node[] }
  | { kind: 'repeat'; item: Node; min: number; max: number; isLazy: boolean }
  | { kind: 'group'; name: string; item: Node }

export type Place =
  | 'text start'
  | 'text end'
  /** The end of the text, and before a newline that ends it. */
  | 'last line end'
  | 'line start'
  | 'line end'
  | 'word boundary'
  | 'no word boundary'
  | 'ASCII word boundary'
  | 'no ASCII word boundary'

const MAX_DEPTH = 200

/**
 * Reads a pattern as Python 3.11 does (its re/_parser.py).
 *
 * @throws PatternError when Python would not take it, or when RE2 has nothing like it
 */
export function parsePattern(pattern: string): Node {
  const cursor = new Cursor(pattern)
  const flags: Flags = { ignoreCase: false, multiLine: false, dotAll: false, verbose: false, ascii: false }
  const tree = parseChoice(cursor, flags, 0)
  if (!cursor.isAtEnd) throw new PatternError('is not a pattern: a ")" without its "("')
  return tree
}

function parseChoice(cursor: Cursor, flags: Flags, depth: number): Node {
  if (depth > MAX_DEPTH) throw new PatternError(`is not a pattern: groups more than ${MAX_DEPTH} deep`)
  const branches = [parseSequence(cursor, flags, depth, depth === 0)]
  while (cursor.accept('|')) branches.push(parseSequence(cursor, flags, depth, false))
  return branches.length === 1 && branches[0] ? branches[0] : { kind: 'choice', branches }
}

function parseSequence(cursor: Cursor, flags: Flags, depth: number, isFirst: boolean): Node {
  const items: Node[] = []
  while (!cursor.isAtEnd && !cursor.peek(/[|)]/y)) {
    if (skipComment(cursor, flags)) continue
    const quantifier = cursor.take(/[*+?]|\{(?:\d+(?:,\d*)?|,\d*)\}/y)
    if (quantifier !== '') items.push(parseRepeat(cursor, quantifier, items.pop()))
    else if (cursor.peek(/\(\?[A-Za-z]+\)/y)) readGlobalFlags(cursor, flags, isFirst && items.length === 0)
    else items.push(parseAtom(cursor, flags, depth))
  }
  return { kind: 'sequence', items }
}

function skipComment(cursor: Cursor, { verbose }: Flags): boolean {
  if (verbose && cursor.take(/[ \t\n\r\v\f]+|#[^\n]*/y)) return true
  if (!cursor.accept('(?#')) return false
  cursor.take(/[^)]*/y)
  if (!cursor.accept(')')) throw new PatternError('is not a pattern: missing closing ) of a comment')
  return true
}

function parseRepeat(cursor: Cursor, quantifier: string, item: Node | undefined): Node {
  if (!item || item.kind === 'anchor') {
    throw new PatternError(`is not a pattern: nothing to repeat before "${quantifier}"`)
  }
  if (item.kind === 'repeat') {
    throw new PatternError(`is not a pattern: "${quantifier}" repeats what is repeated already`)
  }
  if (cursor.accept('+')) throw unsupported('a possessive repeat', `${quantifier}+`)
  const isLazy = cursor.accept('?')
  const { min, max } = readCounts(quantifier)
  if (min > max) throw new PatternError(`is not a pattern: "${quantifier}" is at least more than at most`)
  return { kind: 'repeat', item, min, max, isLazy }
}

function readCounts(quantifier: string): { min: number; max: number } {
  if (quantifier === '?') return { min: 0, max: 1 }
  if (quantifier === '*') return { min: 0, max: Number.POSITIVE_INFINITY }
  if (quantifier === '+') return { min: 1, max: Number.POSITIVE_INFINITY }
  const [least = '', most = least] = quantifier.slice(1, -1).split(',')
  return { min: Number(least), max: most === '' ? Number.POSITIVE_INFINITY : Number(most) }
}

function parseAtom(cursor: Cursor, flags: Flags, depth: number): Node {
  const character = cursor.take()
  if (character === '(') return parseGroup(cursor, flags, depth)
  if (character === '[') return { kind: 'character', set: parseSet(cursor, flags) }
  if (character === '\\') return parseEscape(cursor, flags)
  if (character === '.') return { kind: 'character', set: flags.dotAll ? '(?s:.)' : '[^\\n]' }
  if (character === '^') return { kind: 'anchor', place: flags.multiLine ? 'line start' : 'text start' }
  if (character === '$') return { kind: 'anchor', place: flags.multiLine ? 'line end' : 'last line end' }
  return { kind: 'character', set: writeLiteral(character.codePointAt(0) ?? 0, flags) }
}

// What may stand between "(?" and the contents of a group, and Python has but RE2 has not.
const UNSUPPORTED: Record<string, string> = {
  '?=': 'a look-ahead',
  '?!': 'a look-ahead',
  '?<=': 'a look-behind',
  '?<!': 'a look-behind',
  '?>': 'an atomic group',
  '?(': 'a conditional group',
  '?P=': 'a back reference',
}

function parseGroup(cursor: Cursor, flags: Flags, depth: number): Node {
  const opening = cursor.peek(/\?(?:<?[=!]|>|\(|P=)/y)
  const what = UNSUPPORTED[opening]
  if (what) throw unsupported(what, `(${opening}`)
  const name = cursor.take(/\?P?<[\p{L}_][\p{L}\p{N}_]*>/uy).replace(/^.*<|>$/g, '')
  const inner = name === '' ? readGroupOpening(cursor, flags) : flags
  const tree = parseChoice(cursor, inner, depth + 1)
  if (!cursor.accept(')')) throw new PatternError('is not a pattern: missing closing )')
  if (name !== '') return { kind: 'group', name, item: tree }
  return tree.kind === 'choice' ? tree : { kind: 'sequence', items: [tree] }
}

function readGroupOpening(cursor: Cursor, flags: Flags): Flags {
  if (cursor.peek(/\?/y) === '' || cursor.accept('?:')) return flags
  return readGroupFlags(cursor, flags)
}

function parseEscape(cursor: Cursor, flags: Flags): Node {
  if (cursor.accept('A')) return { kind: 'anchor', place: 'text start' }
  if (cursor.take(/[Zz]/y)) return { kind: 'anchor', place: 'text end' }
  if (cursor.accept('b')) return { kind: 'anchor', place: flags.ascii ? 'ASCII word boundary' : 'word boundary' }
  if (cursor.accept('B')) return { kind: 'anchor', place: flags.ascii ? 'no ASCII word boundary' : 'no word boundary' }
  const meaning = readEscape(cursor, false)
  if ('category' in meaning) return { kind: 'character', set: writeSet([meaning], false, flags) }
  return { kind: 'character', set: writeLiteral(meaning.codePoint, flags) }
}
