import { toJsonEntry } from '../spiderman/page.ts'
import { recordOf } from '../status/state-file.ts'
import { type Notice, toTime } from '../verdict/notice.ts'
import type { Decision, Item } from '../verdict/verdict.ts'
import { isOld, isSilent, type Present } from './present.ts'

/** Characters that turn or move a terminal's text, and that JSON may leave as they are. */
const UNSAFE = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/** Writes the status for programs, as one line. */
export function writeStatusJson(decision: Decision, present: Present): string {
  const { notes, spiderman, folder, ageMs } = present
  return toSafeJson({
    status: decision.status,
    name: notes.name,
    dead: decision.dead.map(toJsonEntry),
    warnings: decision.warnings,
    age_ms: Math.round(ageMs),
    is_old: isOld(present),
    is_silent: isSilent(present),
    has_ended: present.hasEnded,
    written: toTime(notes.written.wallMs),
    config: notes.config,
    url: spiderman?.url ?? null,
    pids: { SpiderMan: spiderman?.pid ?? null, WatchMan: notes.pid },
    loaded: spiderman ? toTime(spiderman.loadedMs) : null,
    pace: notes.pace,
    drain: decision.drain ? toNotice(decision.drain) : null,
    mutes: Object.fromEntries([...folder.mutes].map(([name, mute]) => [name, toNotice(mute)])),
    items: [...decision.items.values()].map((item) => toItem(item, present)),
    shadows: notes.shadows,
    counted_since: toTime(notes.countedSinceMs),
  })
}

/** JSON on one line that can be shown in a terminal whatever the texts in it hold. */
export function toSafeJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function toNotice({ reason, by, sinceMs, untilMs }: Notice) {
  return { reason, by, since: toTime(sinceMs), until: untilMs === undefined ? null : toTime(untilMs) }
}

function toItem({ name, kind, severity, standing, becauseOf, mute, isCounted }: Item, { notes }: Present) {
  const death = standing.life === 'dead' ? { reason: standing.reason, since: toTime(standing.sinceMs) } : {}
  return {
    name,
    kind,
    severity,
    is_counted: isCounted,
    state: standing.life,
    ...death,
    ...(becauseOf === undefined ? {} : { because_of: becauseOf }),
    mute: mute ? toNotice(mute) : null,
    ...(kind === 'probe' ? { record: recordOf(notes, name) ?? null } : {}),
  }
}
