import type { Facts } from '../modules/define-probe.ts'
import type { Judge } from './criterion-type.ts'
import { shorten } from './quote.ts'

/** One criterion of a probe, ready to judge the fact it names. */
export interface FactCriterion {
  fact: string
  judge: Judge
}

const MAX_REASON = 1000
const MAX_EXPLANATION = 200

/**
 * Judges what a check observed. All reasons why it fails, each led by its fact's name and joined by `; `, or undefined
 * when every criterion holds. A fact that the check did not report fails its criteria.
 *
 * @param explaining the facts in which the target says itself what is wrong; they are quoted after the reasons
 */
export function judgeFacts(
  facts: Facts,
  criteria: readonly FactCriterion[],
  explaining: readonly string[] = [],
): string | undefined {
  const reasons = new Set<string>()
  const values = new Map<string, unknown>()
  for (const { fact, judge } of criteria) {
    // Once for all its criteria: a fact may be worked out when it is read, such as the JSON of a large body.
    if (!values.has(fact)) values.set(fact, Object.hasOwn(facts, fact) ? facts[fact] : undefined)
    const reason = judgeFact(values.get(fact), fact, judge)
    if (reason !== undefined) reasons.add(`${fact}: ${reason}`)
  }
  return reasons.size === 0 ? undefined : explain(join([...reasons]), facts, explaining)
}

function explain(reason: string, facts: Facts, explaining: readonly string[]): string {
  const said = explaining.flatMap((fact) => {
    const text = Object.hasOwn(facts, fact) ? facts[fact] : undefined
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
