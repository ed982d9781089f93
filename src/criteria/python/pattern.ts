import { RE2JS, RE2JSSyntaxException } from 're2js'
import { PatternError } from './cursor.ts'
import { type Node, type Place, parsePattern } from './parser.ts'
import { spell, unspell } from './spelling.ts'

/** Tells whether a pattern is found in a text, in time linear to the text's length. */
export type Search = (text: string) => boolean

/**
 * Makes the search that Python's `re.search` would make, on RE2. Of what both take, one thing is known to differ: `\B`
 * is found in an empty text, as it is since Python 3.14.
 *
 * @throws PatternError when the pattern is not one of Python's, or has what RE2 lacks
 */
export function compilePattern(pattern: string): Search {
  const tree = parsePattern(pattern)
  const plain = compile(write(tree, PLAIN, true))
  if (!hasWordBoundary(tree)) return (text) => plain.test(text)
  const spelled = compile(`\\A(?s:...)*?(?:${write(tree, SPELLED, true)})`)
  return (text) => (/[^\0-\x7f]/.test(text) ? spelled.test(spell(text)) : plain.test(text))
}

/** What a pattern found in a text. */
export interface Found {
  /** Where it ends in the text. */
  end: number
  /** The texts of the named groups that took part. */
  groups: Record<string, string>
}

/** A pattern that tells where it is found, and what its named groups hold. */
export interface Finder {
  /** The names of its groups, in their order. */
  names: string[]
  find(text: string): Found | undefined
}

/**
 * Makes the search that Python's `re.search` would make, with what it says of named groups, in linear time.
 *
 * @throws PatternError when the pattern is not one of Python's, or has what RE2 lacks
 */
export function compileFinder(pattern: string): Finder {
  const tree = parsePattern(pattern)
  const names = listNames(tree)
  const twice = names.find((name, index) => names.indexOf(name) < index)
  if (twice !== undefined) throw new PatternError(`is not a pattern: two groups are called "${twice}"`)
  const plain = compile(write(tree, PLAIN, true, true))
  const spelled = hasWordBoundary(tree) ? compile(`\\A(?s:...)*?(?:${write(tree, SPELLED, true, true)})`) : undefined
  return {
    names,
    find: (text) =>
      spelled && /[^\0-\x7f]/.test(text) ? findIn(spelled, spell(text), names, unspell) : findIn(plain, text, names),
  }
}

function findIn(expression: RE2JS, text: string, names: string[], restore = (part: string) => part): Found | undefined {
  const matcher = expression.matcher(text)
  if (!matcher.find()) return undefined
  const groups: Record<string, string> = {}
  for (const [index, name] of names.entries()) {
    const held = matcher.group(index + 1)
    if (held !== null) groups[name] = restore(held)
  }
  return { end: restore(text.slice(0, matcher.end())).length, groups }
}

function listNames(node: Node): string[] {
  switch (node.kind) {
    case 'group':
      return [node.name, ...listNames(node.item)]
    case 'repeat':
      return listNames(node.item)
    case 'choice':
      return node.branches.flatMap(listNames)
    case 'sequence':
      return node.items.flatMap(listNames)
    default:
      return []
  }
}

function compile(expression: string): RE2JS {
  try {
    return RE2JS.compile(expression)
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error
    const cause = error.getDescription()
    if (cause === 'invalid repeat count') throw new PatternError('repeats more than 1000 times, the limit of RE2')
    throw new PatternError(`is not a pattern that RE2 takes: ${cause}`, { cause: error })
  }
}

/** How one character is written: as itself, or as three that `spell()` makes of it. */
type Form = (set: string) => string
const PLAIN: Form = (set) => set
const SPELLED: Form = (set) => `(?s:.)${set}(?s:.)`

const ANCHORS: Record<Exclude<Place, 'last line end'>, string> = {
  'text start': '\\A',
  'text end': '\\z',
  'line start': '(?m:^)',
  'line end': '(?m:$)',
  'word boundary': '\\b',
  'no word boundary': '\\B',
  'ASCII word boundary': '\\b',
  'no ASCII word boundary': '\\B',
}

/**
 * Writes a tree as RE2 knows it. `isLast` tells that nothing need follow it for the whole pattern to match, `keepsGroups`
 * that what named groups hold is of interest.
 */
function write(node: Node, form: Form, isLast: boolean, keepsGroups = false): string {
  switch (node.kind) {
    case 'character':
      return form(node.set)
    case 'anchor':
      return node.place === 'last line end' ? writeLastLineEnd(form, isLast) : ANCHORS[node.place]
    case 'choice':
      return `(?:${node.branches.map((branch) => write(branch, form, isLast, keepsGroups)).join('|')})`
    case 'repeat':
      return `(?:${write(node.item, form, isLast && node.min <= 1, keepsGroups)})${writeCounts(node)}`
    case 'sequence':
      return node.items
        .map((item, index) => write(item, form, isLast && node.items.slice(index + 1).every(canBeNothing), keepsGroups))
        .join('')
    case 'group':
      if (!keepsGroups) return `(?:${write(node.item, form, isLast)})`
      if (hasLastLineEnd(node.item)) {
        throw new PatternError(
          `has a "$" in the group "${node.name}", which RE2 would keep a newline in; write it after`,
        )
      }
      return `(${write(node.item, form, isLast, true)})`
  }
}

/**
 * Python's `$` looks ahead of a newline that ends the text. RE2 cannot, but where nothing need follow, it may as well
 * take that newline in.
 */
function writeLastLineEnd(form: Form, isLast: boolean): string {
  if (isLast) return `(?:${form('\\n')})?\\z`
  const fix = 'write "\\Z" for the end of the text, "(?m:$)" for the end of a line'
  throw new PatternError(`has a "$" with more after it, which RE2 cannot match as Python does; ${fix}`)
}

/** Tells whether a node matches without taking a character, where a `$` has matched before it. */
function canBeNothing(node: Node): boolean {
  switch (node.kind) {
    case 'character':
      return false
    case 'anchor':
      return node.place === 'last line end' || node.place === 'line end'
    case 'choice':
      return node.branches.some(canBeNothing)
    case 'repeat':
      return node.min === 0 || canBeNothing(node.item)
    case 'group':
      return canBeNothing(node.item)
    case 'sequence':
      return node.items.every(canBeNothing)
  }
}

function writeCounts({ min, max, isLazy }: { min: number; max: number; isLazy: boolean }): string {
  return writeLimits(min, max) + (isLazy ? '?' : '')
}

function writeLimits(min: number, max: number): string {
  if (max !== Number.POSITIVE_INFINITY) return `{${min},${max}}`
  if (min === 0) return '*'
  return min === 1 ? '+' : `{${min},}`
}

function hasWordBoundary(node: Node): boolean {
  return hasAnchor(node, ['word boundary', 'no word boundary'])
}

function hasLastLineEnd(node: Node): boolean {
  return hasAnchor(node, ['last line end'])
}

function hasAnchor(node: Node, places: readonly Place[]): boolean {
  switch (node.kind) {
    case 'character':
      return false
    case 'anchor':
      return places.includes(node.place)
    case 'choice':
      return node.branches.some((branch) => hasAnchor(branch, places))
    case 'sequence':
      return node.items.some((item) => hasAnchor(item, places))
    default:
      return hasAnchor(node.item, places)
  }
}
