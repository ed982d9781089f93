import { isDeepStrictEqual } from 'node:util'
import { formatDuration } from '../config/duration.ts'
import type { GroupConfig } from '../config/groups.ts'
import { type Config, type LoadedConfig, rulesOf } from '../config/load.ts'
import type { ProbeConfig } from '../config/probes.ts'
import { recordOf } from '../status/state-file.ts'
import type { MinAlive } from '../verdict/rules.ts'
import { type Decision, decide } from '../verdict/verdict.ts'
import { type Present, readPresent, toEvidence } from './present.ts'
import { findRuleMistakes } from './simulate.ts'
import { nameAll, roughly } from './words.ts'

/**
 * Tells how the answer for the present states would change from one configuration to another, and what in it counts
 * otherwise. The states are those in the status folder of the fresh configuration, or else of the former one.
 */
export async function compare(former: LoadedConfig, fresh: LoadedConfig): Promise<string[]> {
  const folders = [fresh, former].map(({ config }) => config.watchman.statusFolder)
  const present = await findPresent(folders)
  const states = present
    ? `by the states of ${roughly(present.ageMs)} ago:`
    : `no present states are known in ${[...new Set(folders)].join(' or ')}; all are taken as alive:`
  const answers = [former, fresh].map(({ config }) => `  ${config.file}: ${describeAnswer(decideBy(config, present))}`)
  const changes = listChanges(former.config, fresh.config, present)
  const what = changes.length > 0 ? ['what changes:', ...changes.map((line) => `  ${line}`)] : ['nothing else changes']
  return [states, ...answers, ...what]
}

/** Mistakes in the former configuration that may change what it says: it may be the one that is to be mended. */
export function findDoubts(former: LoadedConfig): string[] {
  const mistakes = findRuleMistakes(former)
  return former.format(mistakes).map((line) => `${line} (the comparison may be wrong by this)`)
}

/** A folder whose disk has a fault tells no states: the check itself says so. */
async function findPresent(folders: string[]): Promise<Present | undefined> {
  for (const folder of new Set(folders)) {
    const present = await readPresent(folder).catch(() => undefined)
    if (present) return present
  }
  return undefined
}

function decideBy(config: Config, present: Present | undefined): Decision {
  const rules = rulesOf(config)
  if (present) {
    // That WatchMan is silent would be the answer of both, and say nothing about their difference.
    const evidence = { ...toEvidence(present), stale: new Map<string, number>(), watcherSilentSinceMs: undefined }
    return decide({ ...evidence, rules })
  }
  const folder = { flags: new Map(), drain: undefined, mutes: new Map(), fault: undefined, beganMs: 0 }
  return decide({ rules, folder, reports: new Map(), stale: new Map(), watcherSilentSinceMs: undefined, nowMs: 0 })
}

function describeAnswer({ status, dead }: Decision): string {
  return status === 'OK' ? '200' : `503 for ${nameAll(dead.map(({ name }) => name))}`
}

function listChanges(former: Config, fresh: Config, present: Present | undefined): string[] {
  const lines: string[] = []
  const note = (name: string, parts: string[]) => {
    if (parts.length > 0) lines.push(`${name}: ${parts.join('; ')}`)
  }
  note('WatchMan', [
    ...changed('stale_after', former, fresh, ({ watchman }) => formatDuration(watchman.staleAfterMs)),
    ...changed('on_stale', former, fresh, ({ watchman }) => watchman.onStale),
  ])
  for (const [name, before, after] of pair(former.probes, fresh.probes)) {
    note(name, before && after ? compareProbes(before, after) : describeLoner(before, after, present))
  }
  for (const [name, before, after] of pair(former.groups, fresh.groups)) {
    note(`group ${name}`, before && after ? compareGroups(before, after) : describeLoneGroup(after))
  }
  return lines
}

/** Everything that is in either list, first in the order of the fresh one. */
function pair<T extends { name: string }>(former: readonly T[], fresh: readonly T[]) {
  const before = new Map(former.map((each) => [each.name, each]))
  const after = new Map(fresh.map((each) => [each.name, each]))
  return [...new Set([...after.keys(), ...before.keys()])].map(
    (name) => [name, before.get(name), after.get(name)] as const,
  )
}

function describeLoner(before: ProbeConfig | undefined, after: ProbeConfig | undefined, present: Present | undefined) {
  if (after)
    return [after.isEnabled ? `new, ${after.severity}; alive until its first checks say otherwise` : 'new, disabled']
  if (!before?.isEnabled) return ['gone; it was disabled']
  return [present && recordOf(present.notes, before.name)?.state.life === 'dead' ? 'gone; it is dead now' : 'gone']
}

function describeLoneGroup(after: GroupConfig | undefined): string[] {
  if (!after) return ['gone; its members count by themselves']
  return [
    `new, ${after.severity}; ${after.members.join(', ')} count through it, ${writeMinAlive(after.minAlive)} needed`,
  ]
}

function compareProbes(former: ProbeConfig, fresh: ProbeConfig): string[] {
  const asks = ({ module, query, criteria }: ProbeConfig) => ({ module, query, criteria })
  return [
    ...changed('isEnabled', former, fresh, ({ isEnabled }) => (isEnabled ? 'True' : 'False')),
    ...changed('severity', former, fresh, ({ severity }) => severity),
    ...changed('depends_on', former, fresh, ({ dependsOn }) => dependsOn.join(', ') || 'nothing'),
    ...changed('fall', former, fresh, ({ fall }) => String(fall)),
    ...changed('rise', former, fresh, ({ rise }) => String(rise)),
    ...changed('hold', former, fresh, ({ holdMs }) => (holdMs === 0 ? 'none' : formatDuration(holdMs))),
    ...changed('period', former, fresh, ({ periodMs }) => formatDuration(periodMs)),
    ...changed('fast_period', former, fresh, ({ fastPeriodMs }) => formatDuration(fastPeriodMs)),
    ...(isDeepStrictEqual(asks(former), asks(fresh))
      ? []
      : ['asks or judges otherwise (module, query, success_criteria)']),
  ]
}

function compareGroups(former: GroupConfig, fresh: GroupConfig): string[] {
  const gone = former.members.filter((name) => !fresh.members.includes(name))
  const added = fresh.members.filter((name) => !former.members.includes(name))
  return [
    ...changed('severity', former, fresh, ({ severity }) => severity),
    ...changed('min_alive', former, fresh, ({ minAlive }) => writeMinAlive(minAlive)),
    ...(added.length > 0 ? [`with ${nameAll(added)}`] : []),
    ...(gone.length > 0 ? [`without ${nameAll(gone)}`] : []),
  ]
}

function changed<T>(key: string, former: T, fresh: T, write: (value: T) => string): string[] {
  const [before, after] = [write(former), write(fresh)]
  return before === after ? [] : [`${key} ${before} → ${after}`]
}

function writeMinAlive(minAlive: MinAlive): string {
  return 'count' in minAlive ? String(minAlive.count) : `${minAlive.percent}%`
}
