import { CriterionError, type CriterionType } from './criterion-type.ts'
import { PatternError } from './python/cursor.ts'
import { compilePattern, type Search } from './python/pattern.ts'
import { quote, textOf } from './quote.ts'

/** Holds when a pattern, as Python's `re.search` understands it, is found anywhere in the fact's text. */
export const reSearch: CriterionType = {
  name: 're_search',
  summary: 'The regular expression (the syntax of Python, linear time as in RE2) is found anywhere in the text.',
  compile(query) {
    const isFound = readPattern(query)
    return (value) => {
      const text = textOf(value)
      return isFound(text) ? undefined : `no match for ${quote(query)} in ${quote(text)}`
    }
  },
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
