import type { Facts } from '../modules/define-probe.ts'
import type { Judge } from './criterion-type.ts'
import { shorten } from './quote.ts'

/** One criterion of a probe, ready to judge the fact it names. */
export interface FactCriterion {
  fact: string
  judge: Judge
}

/** A fact that explains what is wrong with others: all, or these. */
export interface Explaining {
  fact: string
  of: 'all' | readonly string[]
}

const MAX_REASON = 1000
const MAX_EXPLANATION = 200

/**
 * Judges what a check observed. All reasons why it fails, each led by its fact's name and joined by `; `, or undefined
 * when every criterion holds. A fact that the check did not report fails its criteria.
 *
 * @param explaining the facts that say in words what is wrong; they are quoted after the reasons
 * @throws what reading a fact throws, unless another criterion fails anyway
 */
export function judgeFacts(
  facts: Facts,
  criteria: readonly FactCriterion[],
  explaining: readonly Explaining[] = [],
): string | undefined {
  const reasons = new Set<string>()
  const failed = new Set<string>()
  const values = new Map<string, Reading>()
  for (const { fact, judge } of criteria) {
    // Once for all its criteria: a fact may be worked out when it is read, such as the JSON of a large body.
    const reading = values.get(fact) ?? read(facts, fact)
    values.set(fact, reading)
    const reason = 'error' in reading ? undefined : judgeFact(reading.value, fact, judge)
    if (reason === undefined) continue
    failed.add(fact)
    reasons.add(`${fact}: ${reason}`)
  }
  if (reasons.size > 0) {
    const told = explaining.filter(({ of }) => of === 'all' || of.some((fact) => failed.has(fact)))
    return explain(join([...reasons]), facts, told)
  }
  for (const reading of values.values()) if ('error' in reading) throw reading.error
  return undefined
}

/** What a fact is, or why it cannot be told. */
type Reading = { value: unknown } | { error: unknown }

function read(facts: Facts, fact: string): Reading {
  try {
    return { value: Object.hasOwn(facts, fact) ? facts[fact] : undefined }
  } catch (error) {
    return { error }
  }
}

function explain(reason: string, facts: Facts, told: readonly Explaining[]): string {
  const said = told.flatMap(({ fact }) => {
    const reading = read(facts, fact)
    const text = 'value' in reading ? reading.value : undefined
    if (typeof text !== 'string' || text.trim() === '') return []
    const shown = shorten(text.trim(), MAX_EXPLANATION)
    // A reason that quotes it already needs it no more.
    return reason.includes(`"${shown}"`) ? [] : [`${fact}: "${shown}"`]
  })
  return said.length === 0 ? reason : `${reason} (${said.join(', ')})`
}

function judgeFact(value: unknown, fact: string, judge: Judge): string | undefined {
  return value === undefined ? `the check reported no ${fact}` : judge(value)
}

function join(reasons: string[]): string {
  let joined = reasons[0] ?? ''
  for (const [index, reason] of reasons.entries()) {
    if (index === 0) continue
    if (joined.length + reason.length > MAX_REASON) return `${joined}; and ${reasons.length - index} more`
    joined += `; ${reason}`
  }
  return joined
}
