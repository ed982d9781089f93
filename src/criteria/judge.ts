import type { Facts } from '../modules/define-probe.ts'
import type { Judge } from './criterion-type.ts'

/** One criterion of a probe, ready to judge the fact it names. */
export interface FactCriterion {
  fact: string
  judge: Judge
}

const MAX_REASON = 1000

/**
 * Judges what a check observed. All reasons why it fails, each led by its fact's name and joined by `; `, or undefined
 * when every criterion holds. A fact that the check did not report fails its criteria.
 */
export function judgeFacts(facts: Facts, criteria: readonly FactCriterion[]): string | undefined {
  const reasons = new Set<string>()
  for (const { fact, judge } of criteria) {
    const reason = judgeFact(facts, fact, judge)
    if (reason !== undefined) reasons.add(`${fact}: ${reason}`)
  }
  return reasons.size === 0 ? undefined : join([...reasons])
}

function judgeFact(facts: Facts, fact: string, judge: Judge): string | undefined {
  const value = Object.hasOwn(facts, fact) ? facts[fact] : undefined
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
