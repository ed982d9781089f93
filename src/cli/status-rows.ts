import { type ProbeRecord, recordOf } from '../status/state-file.ts'
import { countNeeded } from '../verdict/group.ts'
import { describeNotice } from '../verdict/notice.ts'
import { holdLeft } from '../verdict/state.ts'
import type { Decision, Item } from '../verdict/verdict.ts'
import { isUncheckedYet, type Present, sinceNoted } from './present.ts'
import type { Color } from './table.ts'
import { lasted, type Now, roughly } from './words.ts'

/** What is to be said of one probe or group. */
export interface StatusRow {
  name: string
  state: 'alive' | 'dead' | 'not checked'
  color: Color
  /** How it counts: its severity, `muted`, or the group that it counts through. */
  counts: string
  /** Since when, in milliseconds of the wall clock, and how long that is. */
  since: { wallMs: number; lastedMs: number } | undefined
  lastCheck: { agoMs: number; tookMs: number } | undefined
  /** How far it is on the way to another state. */
  nextChange: string
  reason: string
}

/** Groups before probes, and what asks for attention first; else in the order of the configuration. */
export function makeRows(decision: Decision, present: Present): StatusRow[] {
  const ranked = [...decision.items.values()].map((item) => ({ item, row: makeRow(item, decision, present) }))
  const rank = ({ item, row }: (typeof ranked)[number]) =>
    2 * RANKS.indexOf(row.color) + (item.kind === 'group' ? 0 : 1)
  return ranked.sort((a, b) => rank(a) - rank(b)).map(({ row }) => row)
}

const RANKS: Color[] = ['red', 'yellow', 'green']

function makeRow(item: Item, decision: Decision, present: Present): StatusRow {
  const record = item.kind === 'probe' ? recordOf(present.notes, item.name) : undefined
  const nextChange = record ? describeNext(record, item, present.now) : describeLoss(item, decision, present)
  const isDead = item.standing.life === 'dead'
  const isUnchecked = !isDead && item.kind === 'probe' && (!record || isUncheckedYet(record))
  const isCounted = item.severity === 'critical' && !item.mute && item.isCounted
  return {
    name: item.name,
    state: isUnchecked ? 'not checked' : item.standing.life,
    color: isDead && isCounted ? 'red' : isDead || isUnchecked || nextChange !== '' ? 'yellow' : 'green',
    counts: describeCounting(item, present),
    since: isUnchecked ? undefined : findSince(item, record, present.now),
    lastCheck: record && findLast(record, present),
    nextChange,
    reason: describeReason(item, record),
  }
}

/** What a group that is alive has lost already, and how much it can lose. */
function describeLoss({ name, standing }: Item, { items }: Decision, { notes }: Present): string {
  const group = notes.rules.groups.find((each) => each.name === name)
  if (!group || standing.life === 'dead') return ''
  const members = group.members.flatMap((member) => items.get(member) ?? [])
  const dead = members.filter((member) => member.standing.life === 'dead')
  if (dead.length === 0) return ''
  const counted = members.length - dead.filter(({ mute }) => mute).length
  return `${members.length - dead.length} of ${counted} alive, ${countNeeded(group.minAlive, counted)} needed`
}

function describeCounting({ name, severity, mute, isCounted }: Item, { notes }: Present): string {
  if (mute) return 'muted'
  if (isCounted) return severity
  return `in ${notes.rules.groups.find(({ members }) => members.includes(name))?.name}`
}

function findSince({ standing }: Item, record: ProbeRecord | undefined, now: Now): StatusRow['since'] {
  const { life, since } = record?.state ?? {}
  // A flag by hand has a time of its own; a group that is alive has none.
  if (since && life === standing.life && (standing.life === 'alive' || standing.sinceMs === since.wallMs)) {
    return { wallMs: since.wallMs, lastedMs: lasted(since, now) }
  }
  if (standing.life === 'alive') return undefined
  return { wallMs: standing.sinceMs, lastedMs: lasted({ wallMs: standing.sinceMs }, now) }
}

function findLast({ last }: ProbeRecord, { notes, ageMs }: Present): StatusRow['lastCheck'] {
  return last && { agoMs: sinceNoted(notes, ageMs, last.atMs), tookMs: last.tookMs }
}

function describeNext({ state, policy }: ProbeRecord, { standing }: Item, now: Now): string {
  if (standing.life !== state.life) return standing.life === 'dead' ? 'dead by its flag' : 'its flag is gone'
  const { unknown, streak } = state
  const parts: string[] = []
  if (streak > 0) {
    const [needed, what] = state.life === 'alive' ? [policy.fall, 'failures'] : [policy.rise, 'successes']
    if (streak < needed) parts.push(`${streak} of ${needed} ${what}`)
    const heldMs = holdLeft(
      { ...state, since: now.isSameBoot ? state.since : { wallMs: state.since.wallMs } },
      now,
      policy,
    )
    if (heldMs > 0) parts.push(`held for another ${roughly(heldMs)}`)
  }
  if (unknown) {
    const leftMs = policy.staleAfterMs - lasted(unknown.since, now)
    parts.push(state.life === 'alive' && leftMs > 0 ? `unknown, dead in ${roughly(leftMs)}` : 'unknown')
  }
  return parts.join(', ')
}

function describeReason({ standing, mute, becauseOf }: Item, record: ProbeRecord | undefined): string {
  const parts: string[] = []
  if (standing.life === 'dead') {
    parts.push(becauseOf === undefined ? standing.reason : `because of ${becauseOf}: ${standing.reason}`)
  }
  const { unknown, doubt, streak = 0, cause } = record?.state ?? {}
  if (unknown && cause !== 'unknown') parts.push(`cannot be checked: ${unknown.reason}`)
  else if (standing.life === 'alive' && streak > 0 && doubt !== undefined) parts.push(doubt)
  if (mute) parts.push(`muted ${describeNotice(mute)}: ${mute.reason}`)
  if (record?.fault !== undefined) parts.push(`its flag cannot be set: ${record.fault}`)
  return parts.join('; ')
}
