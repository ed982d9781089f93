import type { Moment } from '../clock.ts'
import { formatDuration } from '../config/duration.ts'
import type { Log } from '../log/log.ts'
import type { ShadowRecord } from '../status/state-file.ts'
import { standingOfGroup } from '../verdict/group.ts'
import type { Rules } from '../verdict/rules.ts'
import type { Standing } from '../verdict/standing.ts'
import { durationOf } from '../verdict/state.ts'

/** Keeps count of what shadow probes and groups would have done. */
export interface ShadowBook {
  /** Looks at the states, which are asked for only if there are shadows, after some of them changed. */
  update(readStandings: () => ReadonlyMap<string, Standing>, now: Moment): void
  /** Goes on by other rules. */
  follow(rules: Rules): void
  records(): Record<string, ShadowRecord>
}

export function createShadowBook(first: Rules, log: Log, remembered: Record<string, ShadowRecord> = {}): ShadowBook {
  const records = new Map(Object.entries(remembered))
  let shadows = findShadows(first)
  forgetStrangers()

  function forgetStrangers(): void {
    for (const name of records.keys()) if (!shadows.has(name)) records.delete(name)
  }

  return {
    update(readStandings, now) {
      if (shadows.size === 0) return
      const standings = readStandings()
      for (const [name, judge] of shadows) {
        const standing = judge(standings)
        const record = records.get(name) ?? { count: 0, totalMs: 0 }
        const isDead = standing.life === 'dead'
        if (isDead === (record.since !== undefined)) continue
        if (standing.life === 'dead') {
          records.set(name, { ...record, count: record.count + 1, since: { ...now } })
          log.warn(`${name} would have answered 503 (shadow): ${standing.reason}`, {
            probe: name,
            reason: standing.reason,
          })
        } else if (record.since) {
          const lastedMs = durationOf({ since: record.since }, now)
          records.set(name, { count: record.count, totalMs: record.totalMs + lastedMs })
          log.info(`${name} would answer 200 again (shadow), after ${formatDuration(lastedMs)}`, { probe: name })
        }
      }
    },
    follow(rules) {
      shadows = findShadows(rules)
      forgetStrangers()
    },
    records: () => Object.fromEntries(records),
  }
}

type JudgeShadow = (standings: ReadonlyMap<string, Standing>) => Standing

/** Everything that has the severity `shadow` and would count otherwise. */
function findShadows({ probes, groups }: Rules): Map<string, JudgeShadow> {
  const members = new Set(groups.flatMap((group) => group.members))
  const lone = probes.filter(({ name, severity }) => severity === 'shadow' && !members.has(name))
  return new Map<string, JudgeShadow>([
    ...lone.map(({ name }) => [name, (standings) => standings.get(name) ?? { life: 'alive' }] as [string, JudgeShadow]),
    ...groups
      .filter(({ severity }) => severity === 'shadow')
      .map(
        (group) => [group.name, (standings) => standingOfGroup(group, standings, () => false)] as [string, JudgeShadow],
      ),
  ])
}
