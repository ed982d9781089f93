import { userInfo } from 'node:os'
import { type Moment, readBootId, readClocks } from '../clock.ts'
import { listFolder, NO_LISTING } from '../status/listing.ts'
import { formatNotice, parseNotice } from '../status/notice-file.ts'
import { hasEnded } from '../status/process.ts'
import { readSpidermanNotes, readWatchmanNotes, toRecollection } from '../status/state-file.ts'
import { describeNotice, type Notice } from '../verdict/notice.ts'
import { isSilent } from './present.ts'

/** What somebody says with a drain or a mute. */
export interface Saying {
  reason: string | undefined
  /** For how long; for a drain, without it, until it is taken back. */
  forMs: number | undefined
}

/** Makes the notice that begins now. */
export function makeNotice({ reason = '', forMs }: Saying, by: string, nowMs = Date.now()): Notice {
  return {
    reason: toReason(reason),
    by,
    sinceMs: nowMs,
    untilMs: forMs === undefined ? undefined : nowMs + forMs,
  }
}

/** A reason such as "by bob" would be read as another line of the file; in quotes it is not. */
function toReason(reason: string): string {
  const text = formatNotice({ reason, by: '', sinceMs: 0 })
  const isTaken = reason !== '' && parseNotice(text, 0, 'drain').reason !== text.split('\n')[0]
  return isTaken ? `"${reason}"` : reason
}

/** Who sits at the keyboard, behind sudo too; a number where the host has no name for the user. */
export function whoAmI(env: NodeJS.ProcessEnv): string {
  if (env.SUDO_USER) return env.SUDO_USER
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? 'unknown') // a container's user often has no entry in /etc/passwd
  }
}

/** The notices that stand in a folder, whether it exists or not. Rejects where the disk has a fault. */
export async function readNotices(folder: string): Promise<{ drain?: Notice; mutes: ReadonlyMap<string, Notice> }> {
  try {
    const { drain, mutes } = await listFolder(folder, { probes: new Set(), isKnown: () => true })
    return drain ? { drain, mutes } : { mutes }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { mutes: NO_LISTING.mutes }
    throw error
  }
}

/** Whether a notice of before still counted at this moment, so that the new one takes its place. */
export function describeReplaced(former: Notice | undefined, nowMs = Date.now()): string {
  const isOver = former?.untilMs !== undefined && former.untilMs <= nowMs
  return former && !isOver ? `; it takes the place of one that stood ${describeNotice(former)}` : ''
}

/** Whether a DeadPool works with this folder. When that cannot be read, nobody knows, and nothing is said. */
export async function isWatched(folder: string, now: Moment = readClocks()): Promise<boolean> {
  try {
    const notes = await readWatchmanNotes(folder)
    if (!notes || isSilent(toRecollection(notes, now, readBootId()))) return false
    const spiderman = await readSpidermanNotes(folder)
    return !spiderman || !hasEnded(spiderman)
  } catch {
    return true
  }
}
