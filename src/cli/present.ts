import { readClocks } from '../clock.ts'
import { DEFAULT_TIMEOUT_MS } from '../modules/module.ts'
import { answerWithin, FOLDER_TIMEOUT_MS } from '../status/answer-within.ts'
import { hasEnded } from '../status/process.ts'
import { createFlagReader, type FolderView } from '../status/reader.ts'
import {
  type ProbeRecord,
  type Recollection,
  readSpidermanNotes,
  readWatchmanNotes,
  type SpidermanNotes,
  toRecollection,
  type WatchmanNotes,
} from '../status/state-file.ts'
import type { Evidence, Report } from '../verdict/standing.ts'
import type { Now } from './words.ts'

/** WatchMan writes its notes at least this often, even with tens of thousands of probes, with a few seconds to spare. */
const OLD_MS = 13_000

/** Everything that a status folder tells at this moment. */
export interface Present extends Recollection {
  folder: FolderView
  spiderman: SpidermanNotes | undefined
  /** Whether that process is gone, for certain: nobody answers. */
  hasEnded: boolean
  now: Now
  /** Whether a thread waits for a disk that does not answer. */
  isDiskHanging: boolean
}

/** Reads a status folder; undefined when there are no notes of WatchMan. Rejects where the disk has a fault. */
export async function readPresent(path: string): Promise<Present | undefined> {
  // Notes before flags: a flag that comes or goes in between is newer, and counts.
  const notes = await answerWithin(FOLDER_TIMEOUT_MS, readWatchmanNotes(path))
  if (!notes) return undefined
  const spiderman = await answerWithin(FOLDER_TIMEOUT_MS, readSpidermanNotes(path))
  const probes = notes.rules.probes.map(({ name }) => name)
  const reader = createFlagReader({ folder: path, probes })
  const folder = await reader.read()
  const clocks = readClocks()
  const recollection = toRecollection(notes, clocks)
  const isDiskHanging = reader.isHanging()
  return {
    ...recollection,
    folder,
    spiderman,
    hasEnded: spiderman !== undefined && hasEnded(spiderman),
    isDiskHanging,
    now: { ...clocks, isSameBoot: recollection.isSameBoot },
  }
}

/** Whether figures are older than WatchMan at work leaves them. */
export function isOld({ ageMs }: Pick<Recollection, 'ageMs'>): boolean {
  return ageMs > OLD_MS
}

/** Whether WatchMan has not been heard of for longer than `stale_after`; notes that are merely due do not make it silent. */
export function isSilent({ ageMs, notes }: Pick<Recollection, 'ageMs' | 'notes'>): boolean {
  return ageMs > Math.max(notes.staleAfterMs, OLD_MS)
}

/** What the verdict rests on, as far as the status folder tells it. */
export function toEvidence(present: Present): Evidence {
  const { notes, folder, now } = present
  const isOver = present.hasEnded || isSilent(present)
  return {
    rules: present.hasEnded ? { ...notes.rules, onStale: 'dead' } : notes.rules,
    folder,
    reports: toReports(present),
    stale: isOver ? new Map() : findStale(present),
    watcherSilentSinceMs: isOver ? notes.written.wallMs : undefined,
    nowMs: now.monotonicMs,
  }
}

/** The states in the notes, as WatchMan reports them. One that nothing is known of yet is not there. */
export function toReports({ notes, folder }: Pick<Present, 'notes' | 'folder'>): Map<string, Report> {
  // Flags that were made or removed by hand since then count.
  const arrivedMs = folder.beganMs - 1
  return new Map(
    Object.entries(notes.probes).flatMap(([name, record]): [string, Report][] => {
      if (isUncheckedYet(record)) return []
      const { isFlagged, fault } = record
      const { life, reason, cause, since, unknown } = record.state
      const doubt = unknown && { reason: unknown.reason, sinceMs: unknown.since.wallMs }
      return [[name, { life, reason, cause, sinceMs: since.wallMs, unknown: doubt, isFlagged, fault, arrivedMs }]]
    }),
  )
}

/** Whether no check of a probe was finished yet, by this WatchMan or by one before it. */
export function isUncheckedYet({ state, last }: ProbeRecord): boolean {
  return state.isAssumed === true && last === undefined
}

/** Probes whose last check is over for so long that a check must hang. */
function findStale({ notes, ageMs }: Pick<Present, 'notes' | 'ageMs'>): Map<string, number> {
  const stale = new Map<string, number>()
  for (const [name, { last, periodMs, timeoutMs = DEFAULT_TIMEOUT_MS }] of Object.entries(notes.probes)) {
    if (last && sinceNoted(notes, ageMs, last.atMs) > notes.staleAfterMs + periodMs + timeoutMs) {
      stale.set(name, last.atMs)
    }
  }
  return stale
}

/** How long ago something was that the notes tell by the wall clock, which may have been set since they were written. */
export function sinceNoted({ written }: Pick<WatchmanNotes, 'written'>, ageMs: number, wallMs: number): number {
  return Math.max(0, written.wallMs - wallMs) + ageMs
}
