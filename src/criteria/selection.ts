import { type CompileCriterion, CriterionError, type FactType, type Judge } from './criterion-type.ts'

/** One of the values that a criterion selects from a fact. */
export interface Selected {
  value: unknown
  /** Where it stands in the fact, for a reason. */
  where(): string
}

/** What a criterion selects, whichever fact it is given. */
export interface Subject {
  /** What selects: a path, or the name of a header. */
  name: string
  /** The reason when nothing is selected. */
  absent: string
  /** The type of everything that is selected, where it is always the same. */
  type?: FactType
}

/** Judges all that was selected from one fact: why it does not hold, or undefined when it does. */
export type JudgeSelection = (selected: Iterable<Selected>) => string | undefined

/** The keys of a query that say how what it selects is judged. */
export const QUANTIFIERS = ['any', 'all', 'count'] as const

type Quantifier = (typeof QUANTIFIERS)[number]

/**
 * Reads `any`, `all` or `count` of a query, whose value is a criterion; without one of them, it is enough that something
 * is selected. Of nothing, neither `any` nor `all` holds.
 *
 * @throws CriterionError when there are several, or the criterion cannot be used
 */
export function compileSelection(
  query: Partial<Record<Quantifier, unknown>>,
  subject: Subject,
  compile: CompileCriterion,
): JudgeSelection {
  const [quantifier, second] = QUANTIFIERS.filter((key) => query[key] !== undefined)
  if (second !== undefined) {
    throw new CriterionError(`stands beside "${quantifier}"; only one of ${QUANTIFIERS.join(', ')} is allowed`, [
      second,
    ])
  }
  if (quantifier === undefined) return (selected) => (isEmpty(selected) ? subject.absent : undefined)
  const judge = compileInner(query[quantifier], quantifier, subject, compile)
  if (quantifier === 'count') return (selected) => judgeCount(selected, subject, judge)
  if (quantifier === 'all') return (selected) => judgeAll(selected, subject, judge)
  return (selected) => judgeAny(selected, subject, judge)
}

function compileInner(spec: unknown, quantifier: Quantifier, subject: Subject, compile: CompileCriterion): Judge {
  try {
    return compile(spec, quantifier === 'count' ? 'number' : subject.type)
  } catch (error) {
    if (!(error instanceof CriterionError)) throw error
    throw new CriterionError(error.message, [quantifier, ...error.path], { cause: error })
  }
}

function isEmpty(selected: Iterable<Selected>): boolean {
  for (const _ of selected) return false
  return true
}

function judgeCount(selected: Iterable<Selected>, { name }: Subject, judge: Judge): string | undefined {
  let count = 0
  for (const _ of selected) count++
  const reason = judge(count)
  return reason && `count of ${name}: ${reason}`
}

function judgeAll(selected: Iterable<Selected>, { absent }: Subject, judge: Judge): string | undefined {
  let isAbsent = true
  for (const { value, where } of selected) {
    const reason = judge(value)
    if (reason !== undefined) return `${where()}: ${reason}`
    isAbsent = false
  }
  return isAbsent ? absent : undefined
}

function judgeAny(selected: Iterable<Selected>, { absent }: Subject, judge: Judge): string | undefined {
  let first: string | undefined
  let count = 0
  for (const { value, where } of selected) {
    const reason = judge(value)
    if (reason === undefined) return undefined
    first ??= `${where()}: ${reason}`
    count++
  }
  return count > 1 ? `none of ${count} fits: ${first}` : (first ?? absent)
}
