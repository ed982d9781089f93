import * as z from 'zod'
import { PatternError } from '../criteria/python/cursor.ts'
import { compileFinder, type Finder, type Found } from '../criteria/python/pattern.ts'

/** A regular expression of a query: the syntax of Python, as in `re_search`, in time linear to the text. */
export interface Pattern {
  /** As it was written. */
  source: string
  /** The names of its groups `(?P<name>…)`, in their order. */
  names: string[]
  /** Where it is first found in the text and what its named groups hold; those that took no part are left out. */
  find(text: string): Found | undefined
}

/** The schema of a regular expression in a module's query. */
export function pattern(): z.ZodType<Pattern, string> {
  return z
    .string()
    .transform((source, context): Pattern => {
      const finder = compile(source)
      if (typeof finder !== 'string') return { source, ...finder }
      context.addIssue({ code: 'custom', message: finder })
      return z.NEVER
    })
    .meta({ title: 'regular expression' })
}

/** The finder, or why there is none: a phrase that follows the pattern. */
function compile(source: string): Finder | string {
  if (source === '') return 'is found in every text; write what is to be found'
  try {
    return compileFinder(source)
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    return error.message
  }
}
