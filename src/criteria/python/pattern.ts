import { RE2JS, RE2JSSyntaxException } from 're2js'
import { PatternError } from './cursor.ts'
import { type Node, type Place, parsePattern } from './parser.ts'
import { spell } from './spelling.ts'

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

/** Writes a tree as RE2 knows it. `isLast` tells that nothing need follow it for the whole pattern to match. */
function write(node: Node, form: Form, isLast: boolean): string {
  switch (node.kind) {
    case 'character':
      return form(node.set)
    case 'anchor':
      return node.place === 'last line end' ? writeLastLineEnd(form, isLast) : ANCHORS[node.place]
    case 'choice':
      return `(?:${node.branches.map((branch) => write(branch, form, isLast)).join('|')})`
    case 'repeat':
      return `(?:${write(node.item, form, isLast && node.min <= 1)})${writeCounts(node)}`
    case 'sequence':
      return node.items
        .map((item, index) => write(item, form, isLast && node.items.slice(index + 1).every(canBeNothing)))
        .join('')
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
    case 'sequence':
      return node.items.every(canBeNothing)
  }
}

function writeCounts({ min, max }: { min: number; max: number }): string {
  if (max !== Number.POSITIVE_INFINITY) return `{${min},${max}}`
  if (min === 0) return '*'
  return min === 1 ? '+' : `{${min},}`
}

function hasWordBoundary(node: Node): boolean {
  if (node.kind === 'anchor') return node.place === 'word boundary' || node.place === 'no word boundary'
  if (node.kind === 'repeat') return hasWordBoundary(node.item)
  if (node.kind === 'choice') return node.branches.some(hasWordBoundary)
  return node.kind === 'sequence' && node.items.some(hasWordBoundary)
}
