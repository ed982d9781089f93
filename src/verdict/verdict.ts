import { orderConsequences } from './consequence.ts'
import { standingOfGroup } from './group.ts'
import { describeNotice, isInForce, type Notice, toTime } from './notice.ts'
import type { ProbeRule, Severity } from './rules.ts'
import { type Evidence, type Standing, standingOf } from './standing.ts'
import { findTrouble, isCrowd, isExplainedBy, listNames, type Trouble } from './trouble.ts'

/** One line of the list of the dead. */
export interface DeadEntry {
  /** A probe or a group, {@link WATCHER}, or {@link DRAIN}. */
  name: string
  reason: string
  sinceMs: number
  /** The dead probe or group that explains this death. */
  becauseOf?: string | undefined
  /** Until when a drain stands, in milliseconds of the wall clock. */
  untilMs?: number | undefined
}

/** What all states add up to for the data centre. */
export interface Verdict {
  status: 'OK' | 'DEAD'
  /** The drain first, then WatchMan, then what counts in configuration order, each consequence behind its cause. */
  dead: readonly DeadEntry[]
  warnings: readonly string[]
}

/** A probe or a group by itself. */
export interface Item {
  name: string
  kind: 'probe' | 'group'
  severity: Severity
  standing: Standing
  becauseOf: string | undefined
  /** The mute in force, if there is one. */
  mute: Notice | undefined
  /** Whether the verdict looks at it: not so for the members of groups. */
  isCounted: boolean
}

/** A verdict with everything that it was made of. */
export interface Decision extends Verdict {
  items: ReadonlyMap<string, Item>
  /** The drain in force, if there is one. */
  drain: Notice | undefined
  /** What concerns everything: the drain, and a silent WatchMan. */
  overriding: readonly DeadEntry[]
  /** Warnings that concern everything. */
  overridingWarnings: readonly string[]
  /** Until when (monotonic clock) the decision holds if nothing but time passes. */
  validUntilMs: number
}

/** The name under which the watcher itself stands among the dead; no probe may have it. */
export const WATCHER = 'WatchMan'

/** The name under which a drain stands among the dead; no probe may have it. */
export const DRAIN = 'drain'

/** Names that no probe and no group may have, in any case. */
export const RESERVED_NAMES: readonly string[] = [WATCHER, DRAIN]

/** Adds everything up. Time enters as an argument; nothing is read and nothing waited for. */
export function decide(evidence: Evidence): Decision {
  const items = findItems(evidence)
  const overriding = findOverriding(evidence)
  const counted = [...items.values()].filter(counts).map(toEntry)
  const trouble = findTrouble(standingsOf(items, 'probe'))
  const { entries, troubleEntry } = collapse(counted, trouble, items)
  const dead = [...addTrouble(overriding, troubleEntry), ...orderConsequences(entries)]
  const overridingWarnings = findOverridingWarnings(evidence)
  const remarks = [...items.values()].flatMap((item) => remarkOn(item) ?? [])
  return {
    status: dead.length > 0 ? 'DEAD' : 'OK',
    dead,
    warnings: [...overridingWarnings, ...remarks, ...findDoubts(evidence)],
    items,
    drain: isInForce(evidence.folder.drain, evidence.nowMs) ? evidence.folder.drain : undefined,
    overriding,
    overridingWarnings,
    validUntilMs: findEnd(evidence),
  }
}

/** The verdict on one probe or group by itself: whatever its severity, it is dead when it is dead and not muted. */
export function decideOne(decision: Decision, name: string, evidence: Evidence): Verdict | undefined {
  const item = decision.items.get(name)
  if (!item) return undefined
  const isDead = item.standing.life === 'dead' && !item.mute
  const dead = [...decision.overriding, ...(isDead ? [toEntry(item)] : [])]
  const remark = item.mute && remarkOn(item)
  const doubts = findDoubts(evidence, new Set(item.kind === 'probe' ? [name] : membersOf(evidence, name)))
  const warnings = [...decision.overridingWarnings, ...(remark ? [remark] : []), ...doubts]
  return { status: dead.length > 0 ? 'DEAD' : 'OK', dead, warnings }
}

function membersOf({ rules }: Evidence, group: string): readonly string[] {
  return rules.groups.find(({ name }) => name === group)?.members ?? []
}

function findItems(evidence: Evidence): Map<string, Item> {
  const { rules, folder, nowMs } = evidence
  const muteOf = (name: string) => {
    const mute = folder.mutes.get(name)
    return isInForce(mute, nowMs) ? mute : undefined
  }
  const members = new Set(rules.groups.flatMap((group) => group.members))
  const standings = new Map<string, Standing>()
  for (const { name } of rules.probes) standings.set(name, standingOf(name, evidence))
  for (const group of rules.groups) {
    const isMuted = (name: string) => muteOf(name) !== undefined
    standings.set(group.name, standingOfGroup(group, standings, isMuted))
  }
  const isDead = (name: string) => standings.get(name)?.life === 'dead'
  const makeItem = (kind: Item['kind'], { name, severity, dependsOn }: ProbeRule): [string, Item] => {
    const standing = standings.get(name) ?? { life: 'alive' }
    const becauseOf = standing.life === 'dead' ? dependsOn.find(isDead) : undefined
    return [name, { name, kind, severity, standing, becauseOf, mute: muteOf(name), isCounted: !members.has(name) }]
  }
  return new Map([
    ...rules.probes.map((probe) => makeItem('probe', probe)),
    ...rules.groups.map((group) => makeItem('group', { ...group, dependsOn: [] })),
  ])
}

function counts({ standing, severity, mute, isCounted }: Item): boolean {
  return standing.life === 'dead' && severity === 'critical' && !mute && isCounted
}

function toEntry({ name, standing, becauseOf }: Item): DeadEntry {
  if (standing.life === 'alive') throw new TypeError(`${name} is alive`)
  return { name, reason: standing.reason, sinceMs: standing.sinceMs, becauseOf }
}

function standingsOf(items: ReadonlyMap<string, Item>, kind: Item['kind']): Map<string, Standing> {
  return new Map([...items.values()].filter((item) => item.kind === kind).map((item) => [item.name, item.standing]))
}

function findOverriding({ rules, folder, watcherSilentSinceMs, nowMs }: Evidence): DeadEntry[] {
  const { drain } = folder
  const entries: DeadEntry[] = []
  if (isInForce(drain, nowMs)) {
    const by = drain.by === '' ? '' : ` (by ${drain.by})`
    entries.push({ name: DRAIN, reason: `${drain.reason}${by}`, sinceMs: drain.sinceMs, untilMs: drain.untilMs })
  }
  if (watcherSilentSinceMs !== undefined && rules.onStale === 'dead') {
    const reason = 'silent: nobody checks the components any more'
    entries.push({ name: WATCHER, reason, sinceMs: watcherSilentSinceMs })
  }
  return entries
}

/** Names one trouble instead of all the probes, and groups of such probes, that it explains. */
function collapse(
  entries: DeadEntry[],
  trouble: Trouble | undefined,
  items: ReadonlyMap<string, Item>,
): { entries: DeadEntry[]; troubleEntry?: DeadEntry } {
  if (!trouble) return { entries }
  const isExplained = ({ name }: DeadEntry) => {
    const standing = items.get(name)?.standing
    return standing !== undefined && isExplainedBy(trouble, standing)
  }
  const rest = entries.filter((entry) => !isExplained(entry))
  if (rest.length === entries.length) return { entries }
  return { entries: rest, troubleEntry: { name: WATCHER, reason: trouble.reason, sinceMs: trouble.sinceMs } }
}

/** A trouble stands under the name of WatchMan, which is there already when it is silent. */
function addTrouble(overriding: readonly DeadEntry[], trouble: DeadEntry | undefined): DeadEntry[] {
  if (!trouble) return [...overriding]
  if (!overriding.some(({ name }) => name === WATCHER)) return [...overriding, trouble]
  return overriding.map((entry) => {
    if (entry.name !== WATCHER) return entry
    const sinceMs = Math.min(entry.sinceMs, trouble.sinceMs)
    return { ...entry, reason: `${entry.reason}; ${trouble.reason}`, sinceMs }
  })
}

/** What is to be said of an item beside the verdict: that it is muted, or dead without counting. */
function remarkOn({ name, standing, severity, mute, isCounted }: Item): string | undefined {
  if (mute) {
    const death = standing.life === 'dead' ? `; it is dead: ${standing.reason} (since ${toTime(standing.sinceMs)})` : ''
    return `${name} is muted ${describeNotice(mute)}: ${mute.reason}${death}`
  }
  if (standing.life === 'alive' || severity !== 'warning' || !isCounted) return undefined
  return `${name} is dead: ${standing.reason} (since ${toTime(standing.sinceMs)})`
}

function findOverridingWarnings({ rules, folder, watcherSilentSinceMs }: Evidence): string[] {
  const warnings: string[] = []
  if (watcherSilentSinceMs !== undefined && rules.onStale === 'last_known') {
    warnings.push(`WatchMan is silent since ${toTime(watcherSilentSinceMs)}; the answer is the last known one`)
  }
  if (folder.fault !== undefined) {
    warnings.push(`the status folder cannot be read: ${folder.fault}; the answer comes from the last checks`)
  }
  return warnings
}

/** What makes the states of probes doubtful; only of those in `names`, if given. */
function findDoubts(evidence: Evidence, names?: ReadonlySet<string>): string[] {
  const { rules, folder, reports, stale, watcherSilentSinceMs, nowMs } = evidence
  const probes = rules.probes.map(({ name }) => name).filter((name) => names === undefined || names.has(name))
  const faults = new Map<string, string[]>()
  const unchecked: string[] = []
  const unknown: { name: string; reason: string; sinceMs: number }[] = []
  for (const name of probes) {
    const report = reports.get(name)
    if (!report) unchecked.push(name)
    if (report?.fault !== undefined) {
      const others = faults.get(report.fault)
      if (others) others.push(name)
      else faults.set(report.fault, [name])
    }
    if (report?.unknown && report.cause !== 'unknown') unknown.push({ name, ...report.unknown })
  }
  const held = watcherSilentSinceMs === undefined ? probes.filter((name) => stale.has(name)) : []
  return [
    ...[...faults].map(([fault, flagged]) => `the flag of ${listNames(flagged)} cannot be set: ${fault}`),
    ...(unchecked.length > 0 ? [`not checked yet: ${listNames(unchecked)}`] : []),
    ...describeUnknown(unknown, rules.probes.length),
    ...(held.length > 0 && rules.onStale === 'last_known'
      ? [`WatchMan does not get the checks of ${listNames(held)} done; the last known states count`]
      : []),
    ...(names === undefined ? findStrayMutes(rules, folder.mutes, nowMs) : []),
  ]
}

function describeUnknown(unknown: { name: string; reason: string; sinceMs: number }[], all: number): string[] {
  if (!isCrowd(unknown.length, all)) {
    const shown = unknown.slice(0, 5).map(({ name, reason, sinceMs }) => {
      return `${name} cannot be checked since ${toTime(sinceMs)}: ${reason}; its last state counts`
    })
    return unknown.length > 5 ? [...shown, `and ${unknown.length - 5} more cannot be checked`] : shown
  }
  const sinceMs = Math.min(...unknown.map((each) => each.sinceMs))
  const reasons = [...new Set(unknown.map(({ reason }) => reason))]
  const more = reasons.length > 1 ? `, and ${reasons.length - 1} other reasons` : ''
  return [
    `WatchMan cannot check ${unknown.length} of ${all} probes since ${toTime(sinceMs)}: ${reasons[0]}${more}; their last states count`,
  ]
}

function findStrayMutes(rules: Evidence['rules'], mutes: ReadonlyMap<string, Notice>, nowMs: number): string[] {
  const known = new Set([...rules.probes, ...rules.groups].map(({ name }) => name))
  return [...mutes]
    .filter(([name, mute]) => !known.has(name) && isInForce(mute, nowMs))
    .map(([name]) => name)
    .sort()
    .map((name) => `${name}.mute mutes nothing: there is no enabled probe and no group of that name`)
}

/** The first moment at which a notice in force ends. */
function findEnd({ folder, nowMs }: Evidence): number {
  const ends = [folder.drain, ...folder.mutes.values()].flatMap((notice) =>
    isInForce(notice, nowMs) && notice.expiresMs !== undefined ? [notice.expiresMs] : [],
  )
  return Math.min(Number.POSITIVE_INFINITY, ...ends)
}
