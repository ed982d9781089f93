import {
  FunctionExpressionType,
  JSONPathEnvironment,
  JSONPathError,
  type JSONPathNode,
  type JSONPathQuery,
  JSONPathRecursionLimitError,
  type JSONValue,
} from 'json-p3'
import { ExhaustedError, spendOn } from './budget.ts'
import { compileIRegexp } from './i-regexp.ts'
import { meterQuery } from './meter.ts'

/** Deeper than any document for people; a descendant segment goes down by calling itself. */
const MAX_DEPTH = 100

/** Thrown for a path that is none; the message goes on from the path. */
export class PathError extends Error {
  override name = 'PathError'
}

/** Selects from a JSON value what a path leads to, one by one, in the order of RFC 9535. */
export type Select = (value: unknown) => Iterable<JSONPathNode>

/**
 * Reads a JSONPath as RFC 9535 has it, with two differences: the pattern of `match()` and `search()` must be written in
 * the path, and a pattern that is no I-Regexp is a mistake. What it selects counts as steps of the judgement.
 *
 * @throws PathError when it is not a path; the message has the place
 */
export function compilePath(path: string): Select {
  const query = parse(path)
  return (value) => query.lazyQuery(value as JSONValue)
}

/** What kept a path from being evaluated, for a reason that begins with the path. */
export function explainFailure(error: unknown): string {
  if (error instanceof ExhaustedError) return `${error.message} on this fact`
  if (error instanceof JSONPathRecursionLimitError) return `cannot go more than ${MAX_DEPTH} levels down`
  if (error instanceof RangeError) return 'has too much to go through, or is nested too deeply'
  return `cannot be evaluated: ${error instanceof Error ? error.message : error}`
}

let environment: JSONPathEnvironment | undefined

function parse(path: string): JSONPathQuery {
  if (path === '') throw new PathError('is not a JSONPath; write one such as $.status')
  environment ??= createEnvironment()
  try {
    const query = environment.compile(path)
    meterQuery(query)
    return query
  } catch (error) {
    if (error instanceof RangeError) throw new PathError('is nested too deeply', { cause: error })
    if (!(error instanceof JSONPathError)) throw error
    throw new PathError(explain(error), { cause: error })
  }
}

function createEnvironment(): JSONPathEnvironment {
  const created = new JSONPathEnvironment({ maxRecursionDepth: MAX_DEPTH })
  created.functionRegister.set('match', createSearch(true))
  created.functionRegister.set('search', createSearch(false))
  return created
}

/** The function `match()` or `search()`; the library's own would run JavaScript's RegExp, which can run for ever. */
function createSearch(isWhole: boolean) {
  const compiled = new Map<string, (text: string) => boolean>()
  return {
    argTypes: [FunctionExpressionType.ValueType, FunctionExpressionType.ValueType],
    returnType: FunctionExpressionType.LogicalType,
    call(text: unknown, pattern: string): boolean {
      if (typeof text !== 'string') return false
      spendOn(text)
      const isFound = compiled.get(pattern) ?? compileIRegexp(pattern, isWhole)
      compiled.set(pattern, isFound)
      return isFound(text)
    },
  }
}

/** The library's message in words for people, with the place as they count. */
function explain({ message, token }: JSONPathError): string {
  const bare = message.replace(/ \('.*':-?\d+\)$/s, '').replace(/ (starting )?at index -?\d+$/, '')
  const fault = WORDS.reduce((text, [found, words]) => text.replaceAll(found, words), bare)
  return `is not a JSONPath (RFC 9535), at character ${token.index + 1}: ${fault}`
}

const WORDS: readonly [RegExp | string, string][] = [
  [/^.*'TOKEN_ERROR'.*$/gs, 'unexpected white space'],
  ['bald descendant segment', 'nothing follows ".."'],
  ['non-singular query is not comparable', 'a path that can select several values cannot be compared'],
  ['bracketed selection', 'bracket'],
  [/argument 0 must be of ValueType/g, 'takes a value, or a path to just one'],
  [/argument 0 must be of NodesType/g, 'takes a path'],
  [/argument \d must be of ValueType/g, 'takes values, or paths to just one each'],
  ["token 'TOKEN_EOF'", 'end'],
  ["'TOKEN_COMMA'", '","'],
  ["'TOKEN_COLON'", '":"'],
  ["'TOKEN_RBRACKET'", '"]"'],
  ["'TOKEN_RPAREN'", '")"'],
  [/'TOKEN_(\w+)'/g, '$1'],
  [/'(.*?)'/gs, '"$1"'],
  [/ {2,}/g, ' '],
]
