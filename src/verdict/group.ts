import type { GroupRule, MinAlive } from './rules.ts'
import type { Standing } from './standing.ts'
import type { Cause } from './state.ts'

const MAX_NAMED = 5
const MAX_REASON = 120

/**
 * How a group stands: dead when fewer members are alive than it needs. A muted member that is dead is left out of the
 * count, so that a mute can make a group alive but never dead.
 */
export function standingOfGroup(
  { members, minAlive }: GroupRule,
  standings: ReadonlyMap<string, Standing>,
  isMuted: (name: string) => boolean,
): Standing {
  const dead = members.flatMap((name) => {
    const standing = standings.get(name)
    return standing?.life === 'dead' && !isMuted(name) ? [{ name, ...standing }] : []
  })
  const muted = members.filter((name) => standings.get(name)?.life === 'dead' && isMuted(name)).length
  const counted = members.length - muted
  const needed = countNeeded(minAlive, counted)
  const alive = counted - dead.length
  if (alive >= needed) return { life: 'alive' }
  const named = dead.slice(0, MAX_NAMED).map(({ name, reason }) => `${name}: ${cut(reason)}`)
  const more = dead.length > named.length ? [`and ${dead.length - named.length} more`] : []
  // The member whose death left too few; those who died before it could be missed.
  const decisive = dead.map(({ sinceMs }) => sinceMs).sort((a, b) => a - b)[counted - needed]
  return {
    life: 'dead',
    reason: `${alive} of ${counted} alive, ${needed} needed (${[...named, ...more].join('; ')})`,
    cause: commonCause(dead.map(({ cause }) => cause)),
    sinceMs: decisive ?? 0,
  }
}

/** How many of `counted` members have to be alive: at least one, never more than there are, and none where none counts. */
export function countNeeded(minAlive: MinAlive, counted: number): number {
  // Rounded first: 0.07 * 100 is a little more than 7, and must not need an eighth.
  const wanted =
    'count' in minAlive ? minAlive.count : Math.ceil(Number(((minAlive.percent / 100) * counted).toFixed(6)))
  return Math.min(Math.max(1, wanted), counted)
}

/** What the dead members point at together: their surroundings, if each of them does. */
function commonCause(causes: (Cause | undefined)[]): Cause | undefined {
  if (causes.some((cause) => cause === undefined)) return undefined
  return causes.includes('timeout') ? 'timeout' : 'unknown'
}

function cut(reason: string): string {
  return reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON - 1).toWellFormed()}…` : reason
}
