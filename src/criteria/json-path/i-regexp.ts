import { RE2JS, RE2JSSyntaxException } from 're2js'
import { PatternError } from '../python/cursor.ts'
import { quote } from '../quote.ts'

/**
 * Tells whether an I-Regexp (RFC 9485), the dialect of JSONPath's functions, matches a text, in linear time. As usual
 * in JSONPath, `^` and `$` stand for the ends of the text.
 *
 * @param isWhole whether all of the text must match, or any part of it
 * @throws PatternError when the pattern is no I-Regexp, or more than RE2 takes
 */
export function compileIRegexp(pattern: string, isWhole: boolean): (text: string) => boolean {
  const expression = translate(pattern)
  try {
    const compiled = RE2JS.compile(isWhole ? `\\A(?:${expression})\\z` : expression)
    return (text) => compiled.test(text)
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error
    throw new PatternError(`is not a pattern that RE2 takes: ${error.getDescription()}`, { cause: error })
  }
}

const ESCAPE = String.raw`\\[()*+\-.?[\\\]^nrt{|}$]|\\[pP]\{(?:C[cfno]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?)\}`
const CLASS = String.raw`\[\^?(?:[^\\[\]]|${ESCAPE})+\]`
const TOKEN = new RegExp(
  String.raw`(?<atom>${ESCAPE}|${CLASS}|[^\\[\](){}|*+?])|(?<repeat>[*+?]|\{\d+(?:,\d*)?\})|(?<open>\()|(?<close>\))|(?<or>\|)`,
  'uy',
)

/** Writes the pattern as RE2 knows it: the two differ in the dot, and in what a pattern may have. */
function translate(pattern: string): string {
  let written = ''
  let depth = 0
  let isRepeatable = false
  for (const { groups = {}, 0: token } of tokenize(pattern)) {
    if (groups.close !== undefined) depth--
    if (depth < 0 || (groups.repeat !== undefined && !isRepeatable)) throw notIRegexp(token)
    if (groups.open !== undefined) depth++
    isRepeatable = groups.atom !== undefined || groups.close !== undefined
    written += writeToken(token)
  }
  if (depth > 0) throw new PatternError('is not an I-Regexp (RFC 9485): missing closing )')
  return written
}

function* tokenize(pattern: string): Generator<RegExpExecArray> {
  TOKEN.lastIndex = 0
  for (let at = 0; at < pattern.length; ) {
    TOKEN.lastIndex = at
    const match = TOKEN.exec(pattern)
    if (!match) throw notIRegexp(pattern.slice(at, at + 2))
    at += match[0].length
    yield match
  }
}

function writeToken(token: string): string {
  if (token === '.') return '[^\\n\\r]'
  return token === '(' ? '(?:' : token
}

function notIRegexp(found: string): PatternError {
  return new PatternError(`is not an I-Regexp (RFC 9485): ${quote(found)} is not allowed there`)
}
