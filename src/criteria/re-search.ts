import { CriterionError, type CriterionType } from './criterion-type.ts'
import { typeOf } from './fact-type.ts'
import { PatternError } from './python/cursor.ts'
import { compilePattern, type Search } from './python/pattern.ts'
import { quote } from './quote.ts'

const judges = ['text', 'number', 'boolean', 'list', 'record'] as const

/** Holds when a pattern, as Python's `re.search` understands it, is found anywhere in the fact's text. */
export const reSearch: CriterionType = {
  name: 're_search',
  summary: 'The regular expression (the syntax of Python, linear time as in RE2) is found anywhere in the text.',
  judges,
  compile(query) {
    const isFound = readPattern(query)
    return (value) => {
      const text = value === null ? 'null' : toSearchable(value)
      if (text === undefined) return `${quote(value)} cannot be searched`
      return isFound(text) ? undefined : `no match for ${quote(query)} in ${quote(text)}`
    }
  },
}

/** Holds when a pattern, as Python's `re.search` understands it, is found nowhere in the fact's text. */
export const reNotSearch: CriterionType = {
  name: 're_not_search',
  summary: 'The regular expression (the syntax of Python, linear time as in RE2) is found nowhere in the text.',
  judges,
  compile(query) {
    const isFound = readPattern(query)
    return (value) => {
      const text = toSearchable(value)
      if (text === undefined) return `${quote(value)} cannot be searched`
      return isFound(text) ? `${quote(query)} is found in ${quote(text)}` : undefined
    }
  },
}

/** The whole text of a fact; none for what has no text, in which nothing is found without that meaning anything. */
function toSearchable(value: unknown): string | undefined {
  const type = typeOf(value)
  if (type === undefined || type === 'null') return undefined
  if (typeof value !== 'object') return String(value)
  try {
    return JSON.stringify(value)
  } catch {
    // A cycle, or nested too deeply.
    return undefined
  }
}

/** Thousands of probes share a few patterns, and each compiled one holds its automaton in memory. */
const searches = new Map<string, Search>()

function readPattern(query: unknown): Search {
  if (typeof query !== 'string') {
    const example = typeof query === 'number' ? query : 'green'
    throw new CriterionError(`${quote(query)} is not a pattern; write a text, such as "${example}"`)
  }
  if (query === '') throw new CriterionError('"" is found in every text; write what is to be found')
  try {
    const search = searches.get(query) ?? compilePattern(query)
    searches.set(query, search)
    return search
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    throw new CriterionError(`${quote(query)} ${error.message}`, [], { cause: error })
  }
}
