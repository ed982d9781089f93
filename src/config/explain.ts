import type * as z from 'zod'
import { quote } from '../criteria/quote.ts'
import { suggest } from '../suggest.ts'
import type { Path, Problem } from './problem.ts'
import { isSecretKey, maskUrls } from './secrets.ts'

type Issue = z.core.$ZodIssue

/**
 * Puts the findings of a schema into words: what was found, what is allowed, and the key that was probably meant.
 *
 * @param input the value that was validated; what it holds under secret keys is never quoted
 */
export function explainIssues(schema: z.ZodType, input: unknown, issues: readonly Issue[]): Problem[] {
  return issues.flatMap((issue) => explain(schema, input, issue))
}

function explain(schema: z.ZodType, input: unknown, issue: Issue): Problem[] {
  const path = issue.path.map((key) => (typeof key === 'symbol' ? String(key) : key))
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, path)
    const former = path.length === 0 ? readFormerKeys(schema) : {}
    return issue.keys.map((key) => ({
      kind: 'mistake',
      path: [...path, key],
      message: Object.hasOwn(former, key) ? `is now ${former[key]}` : explainUnknownKey(key, known),
      isKey: true,
    }))
  }
  if (issue.code === 'invalid_union') {
    const nearest = nearestBranch(issue)
    if (nearest) return nearest.flatMap((inner) => explain(schema, input, prefix(path, inner)))
  }
  const found = valueAt(input, path)
  return [{ kind: 'mistake', path, message: phrase(issue, found, path) }]
}

/** A schema that lost keys may say what stands for them: `.meta({ formerKeys: { ca_file: 'tls.ca_file' } })`. */
function readFormerKeys(schema: z.ZodType): Record<string, string> {
  return (schema.meta()?.formerKeys ?? {}) as Record<string, string>
}

function explainUnknownKey(key: string, known: readonly string[]): string {
  const meant = suggest(key, known)
  const allowed = known.length > 0 ? `; ${known.join(', ')} are allowed` : ''
  return meant ? `is not a known key; did you mean "${meant}"?` : `is not a known key${allowed}`
}

/**
 * Of a failed union, the branch that the value was probably meant for: the one of the value's own kind. A union that
 * carries a message of its own, or whose branches all expect another kind, has none.
 */
function nearestBranch(issue: Extract<Issue, { code: 'invalid_union' }>): readonly Issue[] | undefined {
  const deeper = issue.errors.filter((branch) => !branch.some((inner) => isKindMismatch(inner)))
  return deeper.length === 1 || (deeper.length > 1 && !isOwnPhrase(issue.message)) ? deeper[0] : undefined
}

function isKindMismatch(issue: Issue): boolean {
  return issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_union')
}

function prefix(path: Path, issue: Issue): Issue {
  return { ...issue, path: [...path, ...issue.path] }
}

/** Messages written for this project are phrases in lower case that follow the value; Zod's begin with a capital. */
function isOwnPhrase(message: string): boolean {
  return /^[a-z]/.test(message)
}

function phrase(issue: Issue, found: unknown, path: Path): string {
  const shown = describeValue(found, path)
  if (found === undefined) return explainMissing(issue)
  if (isOwnPhrase(issue.message)) return `${shown} ${issue.message}`
  switch (issue.code) {
    case 'invalid_type':
      return `${shown} is not ${EXPECTED[issue.expected] ?? issue.expected}`
    case 'too_small':
      return isSized(issue.origin)
        ? `${shown} is too short; at least ${countOf(issue.minimum, issue.origin)} needed`
        : `${shown} is out of range; ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum} is allowed`
    case 'too_big':
      return isSized(issue.origin)
        ? `${shown} is too long; at most ${countOf(issue.maximum, issue.origin)} allowed`
        : `${shown} is out of range; ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum} is allowed`
    case 'invalid_value':
      return explainChoice(shown, found, issue.values)
    case 'invalid_union':
      return explainUnion(shown, found, issue)
    case 'invalid_format':
      return `${shown} is not a valid ${issue.format === 'regex' ? 'text here' : issue.format}`
    default:
      return `${shown}: ${issue.message}`
  }
}

/** A key may be needed only because of another, which the schema then says. */
function explainMissing({ code, message }: Issue): string {
  return code === 'custom' && /^is (needed|missing)/.test(message) ? message : 'is missing; it is required'
}

function explainChoice(shown: string, found: unknown, values: readonly unknown[]): string {
  const meant = typeof found === 'string' ? suggest(found, values.map(String)) : undefined
  return `${shown} is not one of ${values.map(String).join(', ')}${meant ? `; did you mean "${meant}"?` : ''}`
}

function explainUnion(shown: string, found: unknown, issue: Extract<Issue, { code: 'invalid_union' }>): string {
  const options = (issue as { options?: unknown[] }).options
  if (options) return explainChoice(shown, found, options)
  const kinds = issue.errors.flatMap((branch) =>
    branch.flatMap((inner) => (inner.code === 'invalid_type' ? [EXPECTED[inner.expected] ?? inner.expected] : [])),
  )
  return `${shown} is not ${[...new Set(kinds)].join(' or ')}`
}

const EXPECTED: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a mapping of keys and values',
  record: 'a mapping of keys and values',
  array: 'a list',
}

function isSized(origin: string): boolean {
  return origin === 'string' || origin === 'array' || origin === 'set' || origin === 'map'
}

function countOf(count: number | bigint, origin: string): string {
  const isOne = Number(count) === 1
  if (origin === 'string') return `${count} ${isOne ? 'character is' : 'characters are'}`
  return `${count} ${isOne ? 'entry is' : 'entries are'}`
}

function describeValue(value: unknown, path: Path): string {
  if (value === null) return 'an empty value'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value === 'object') return describeReference(value) ?? describeMapping(value)
  // A text such as "authorization: Bearer …" where a mapping belongs holds the key itself.
  if (path.some(isSecretKey) || isSecretKey(String(value))) return 'the value (not shown)'
  return maskUrls(quote(value, 60))
}

/** Where a secret is to be found is none itself. */
function describeReference(mapping: object): string | undefined {
  const [[key, place] = [], ...others] = Object.entries(mapping)
  const isReference = others.length === 0 && (key === 'env' || key === 'file') && typeof place === 'string'
  return isReference ? `{${key}: ${quote(place, 60)}}` : undefined
}

function describeMapping(mapping: object): string {
  return Object.keys(mapping).length === 0 ? 'an empty mapping' : 'a mapping'
}

function valueAt(input: unknown, path: Path): unknown {
  let value = input
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string | number, unknown>)[key]
  }
  return value
}

/** The keys that the object schema at `path` knows, looked for through optional, default, union and record schemas. */
function knownKeys(schema: z.ZodType, path: Path): string[] {
  let level: unknown[] = [schema]
  for (const key of path) level = level.flatMap(unwrap).flatMap((part) => childrenOf(part, key))
  return [...new Set(level.flatMap(unwrap).flatMap((part) => Object.keys(definitionOf(part).shape ?? {})))]
}

interface Definition {
  shape?: Record<string, unknown>
  valueType?: unknown
  element?: unknown
  innerType?: unknown
  in?: unknown
  options?: unknown[]
}

function definitionOf(schema: unknown): Definition {
  return (schema as { _zod?: { def: Definition } })._zod?.def ?? {}
}

function unwrap(schema: unknown): unknown[] {
  const definition = definitionOf(schema)
  if (definition.options) return definition.options.flatMap(unwrap)
  const inner = definition.innerType ?? definition.in
  return inner ? unwrap(inner) : [schema]
}

function childrenOf(schema: unknown, key: string | number): unknown[] {
  const { shape, valueType, element } = definitionOf(schema)
  const child = shape ? (Object.hasOwn(shape, key) ? shape[key] : undefined) : (valueType ?? element)
  return child ? [child] : []
}
