import { contains } from './contains.ts'
import { CriterionError, type CriterionType, type FactType, type Judge } from './criterion-type.ts'
import { equals, isIn, notEquals, notIn } from './equality.ts'
import { withArticle } from './fact-type.ts'
import { createHeaderType } from './header.ts'
import { createJsonType } from './json.ts'
import { hintAt, refuseUnknownKeys } from './known-keys.ts'
import { between, gt, gte, lt, lte } from './order.ts'
import { quote } from './quote.ts'
import { reNotSearch, reSearch } from './re-search.ts'
import { statusIn } from './status-in.ts'

export { CriterionError }

const TYPES: readonly CriterionType[] = [
  reSearch,
  reNotSearch,
  statusIn,
  equals,
  notEquals,
  isIn,
  notIn,
  contains,
  lt,
  lte,
  gt,
  gte,
  between,
  createHeaderType(compileCriterion),
  createJsonType(compileCriterion),
]

/** All types of criteria, each with a sentence that says when a fact holds, for the reference. */
export function listCriterionTypes(): readonly Pick<CriterionType, 'name' | 'summary'>[] {
  return TYPES
}

/** The names of all types of criteria, for messages and the reference. */
export function criterionNames(): string[] {
  return TYPES.map(({ name }) => name)
}

/**
 * Makes the judge of one criterion, `{ type, query }`, as it was written.
 *
 * @param factType the type of the fact that it judges, where that is known
 * @throws CriterionError when its keys, its type or its query are not what they should be
 */
export function compileCriterion(spec: unknown, factType?: FactType): Judge {
  if (typeof spec !== 'object' || spec === null || Array.isArray(spec)) {
    throw new CriterionError(`${quote(spec)} is not a criterion; write its "type" and its "query"`)
  }
  refuseUnknownKeys(spec, ['type', 'query'])
  const { type: name, query } = spec as { type?: unknown; query?: unknown }
  const type = findType(name)
  if (factType !== undefined && !type.judges.includes(factType)) {
    throw new CriterionError(explainMisfit(type, factType), ['type'])
  }
  if (query === undefined) throw new CriterionError(`has no "query"; ${type.name} needs one`)
  return compileQuery(type, query, factType)
}

function findType(name: unknown): CriterionType {
  const allowed = `${criterionNames().join(', ')} are allowed`
  if (name === undefined) throw new CriterionError(`has no "type"; ${allowed}`)
  const type = TYPES.find((each) => each.name === name)
  if (type) return type
  const hint = hintAt(String(name), criterionNames())
  throw new CriterionError(`${quote(name)} is not a type of criterion; ${allowed}${hint}`, ['type'])
}

function explainMisfit(type: CriterionType, factType: FactType): string {
  const judged = type.judges.map(withArticle).join(' or ')
  const fitting = TYPES.filter(({ judges }) => judges.includes(factType)).map(({ name }) => name)
  return `${type.name} judges ${judged}, and this fact is ${withArticle(factType)}; use ${fitting.join(', ')}`
}

function compileQuery(type: CriterionType, query: unknown, factType: FactType | undefined): Judge {
  try {
    return type.compile(query, factType)
  } catch (error) {
    if (!(error instanceof CriterionError)) throw error
    throw new CriterionError(error.message, ['query', ...error.path], { cause: error })
  }
}
