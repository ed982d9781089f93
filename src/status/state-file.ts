import { access, constants, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Moment, readBootId, readClocks } from '../clock.ts'
import type { Rules } from '../verdict/rules.ts'
import type { Outcome, Policy, State } from '../verdict/state.ts'

/**
 * The folder of DeadPool's own notes, below the status folder: what is written there every few seconds must not look like
 * a change of the flags.
 */
const NOTES_FOLDER = 'state'
const WATCHMAN_FILE = 'watchman.json'
const SPIDERMAN_FILE = 'spiderman.json'

/** Changes when what stands in the files changes its meaning; files of another format are passed over. */
const FORMAT = 1

/** What WatchMan knows of one probe. */
export interface ProbeRecord {
  module: string
  state: State
  policy: Policy
  periodMs: number
  /** The deadline of a check; not known before the first one. */
  timeoutMs?: number | undefined
  isFlagged: boolean
  /** Why the flag cannot be made or removed. */
  fault?: string | undefined
  /** The last check: when it ended (wall clock), how long it took, and what it came to. */
  last?: { atMs: number; tookMs: number; outcome: Outcome['kind'] } | undefined
  /** How many checks came to what since `countedSinceMs` of the file. */
  counts: Record<Outcome['kind'], number>
}

/** How often, and how long, a shadow probe or group would have made the answer 503. */
export interface ShadowRecord {
  count: number
  totalMs: number
  /** Set while it would now. */
  since?: { wallMs: number; monotonicMs?: number | undefined } | undefined
}

/** How well WatchMan keeps its schedule, over about the last minute. */
export interface PaceRecord {
  /** Absent in the first ten seconds. */
  checksPerSecond?: number
  /** How late checks start, in milliseconds. */
  lateP50Ms: number
  lateP99Ms: number
  lateMaxMs: number
  /** Starts that were left out because the check before was still running. */
  skipped: number
}

/** What WatchMan writes down, so that a restart goes on where it was, and `deadpool status` has something to read. */
export interface WatchmanNotes {
  format: typeof FORMAT
  /** The host's run in which the monotonic moments were taken. */
  boot: string
  written: Moment
  pid: number
  /** The configuration file and the server's own name. */
  config: string
  name: string
  staleAfterMs: number
  rules: Rules
  /** Since when the counts count, in milliseconds of the wall clock. */
  countedSinceMs: number
  pace: PaceRecord
  probes: Record<string, ProbeRecord>
  shadows: Record<string, ShadowRecord>
}

/** What SpiderMan writes down: who and where it is, and how its last reload went. */
export interface SpidermanNotes {
  format: typeof FORMAT
  pid: number
  /** Which process that is, for good; see `process.ts`. */
  boot?: string
  startTicks?: number
  pidNamespace?: string | undefined
  startedMs: number
  version: string
  url: string
  config: string
  /** When the configuration at work was loaded, in milliseconds of the wall clock. */
  loadedMs: number
  /** The last request to reload: when it ended, and the mistakes that it failed for. */
  reload?: { atMs: number; mistakes: string[] } | undefined
  /** The last request to hand over to another process, if it failed: when, and why. */
  upgrade?: { atMs: number; faults: string[] } | undefined
  /** The process that this one took over from, and its version. */
  predecessor?: { pid: number; version: string } | undefined
}

export type Notes = WatchmanNotes | SpidermanNotes

/**
 * Writes notes whole: whoever reads sees the old ones or the new ones. On a full disk they are written over the old ones,
 * where these have the room. Rejects as the file system does.
 */
export async function writeWatchmanNotes(folder: string, notes: Omit<WatchmanNotes, 'format'>): Promise<void> {
  await writeNotes(folder, WATCHMAN_FILE, { format: FORMAT, ...notes })
}

export async function writeSpidermanNotes(folder: string, notes: Omit<SpidermanNotes, 'format'>): Promise<void> {
  await writeNotes(folder, SPIDERMAN_FILE, { format: FORMAT, ...notes })
}

async function writeNotes(folder: string, file: string, notes: Notes): Promise<void> {
  const text = `${JSON.stringify(notes)}\n`
  const path = join(folder, NOTES_FOLDER, file)
  const draft = join(folder, NOTES_FOLDER, `.${file}~`)
  try {
    await writeDraft(folder, draft, text)
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined) // the first error is the one that tells
    const isFull = FULL.includes((error as NodeJS.ErrnoException).code ?? '')
    if (!isFull || !(await writeOver(path, text))) throw await located(error, folder)
  }
}

/** The same error, which says so if it is the folder of the notes that is wrong, and not the one above it. */
async function located(error: unknown, folder: string): Promise<unknown> {
  const isInside = await access(`${folder}/`, constants.X_OK).then(
    () => true,
    () => false,
  )
  return isInside ? Object.assign(error as Error, { place: join(folder, NOTES_FOLDER) }) : error
}

/** No block left, or none for this user. */
const FULL = ['ENOSPC', 'EDQUOT']

/** Writes within the blocks that a file has already; tells whether it could. What is there and too small stays as it is. */
async function writeOver(path: string, text: string): Promise<boolean> {
  try {
    const file = await open(path, 'r+')
    try {
      const { blocks } = await file.stat()
      const bytes = Buffer.from(text)
      if (bytes.length > blocks * BLOCK_BYTES) return false
      await file.write(bytes, 0, bytes.length, 0)
      await file.truncate(bytes.length)
      return true
    } finally {
      await file.close()
    }
  } catch {
    return false // that the disk is full says more
  }
}

/** What stat(2) counts in. */
const BLOCK_BYTES = 512

async function writeDraft(folder: string, draft: string, text: string): Promise<void> {
  try {
    await writeFile(draft, text, { mode: 0o644 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    await mkdir(join(folder, NOTES_FOLDER), { recursive: true })
    await writeFile(draft, text, { mode: 0o644 })
  }
}

/** Reads what WatchMan wrote last; undefined when there is nothing that can be used. Rejects where the disk has a fault. */
export async function readWatchmanNotes(folder: string): Promise<WatchmanNotes | undefined> {
  const notes = await readNotes<WatchmanNotes>(folder, WATCHMAN_FILE, ['probes', 'shadows', 'rules', 'written', 'pace'])
  return notes && isWhole(notes) ? notes : undefined
}

/** Whether everything is there that a start relies on: WatchMan must not end again and again for what it finds. */
function isWhole({ written, probes }: WatchmanNotes): boolean {
  if (!Number.isFinite(written?.wallMs) || !Number.isFinite(written.monotonicMs)) return false
  return Object.values(probes ?? { none: undefined }).every((record: ProbeRecord | undefined) => {
    const { life, since, streak } = record?.state ?? {}
    return (life === 'alive' || life === 'dead') && Number.isFinite(since?.wallMs) && Number.isInteger(streak)
  })
}

/** What the notes tell of a probe; nothing of one that is not in them, though it be called "constructor". */
export function recordOf({ probes }: Pick<WatchmanNotes, 'probes'>, probe: string): ProbeRecord | undefined {
  return Object.hasOwn(probes, probe) ? probes[probe] : undefined
}

/** Reads what SpiderMan wrote last; undefined when there is nothing that can be used. Rejects where the disk has a fault. */
export async function readSpidermanNotes(folder: string): Promise<SpidermanNotes | undefined> {
  return readNotes<SpidermanNotes>(folder, SPIDERMAN_FILE, ['pid', 'loadedMs'])
}

async function readNotes<T extends Notes>(folder: string, file: string, keys: (keyof T)[]): Promise<T | undefined> {
  const text = await readText(folder, file)
  return text === undefined ? undefined : parseNotes(text, keys)
}

async function readText(folder: string, file: string): Promise<string | undefined> {
  try {
    return await readFile(join(folder, NOTES_FOLDER, file), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw await located(error, folder)
  }
}

/**
 * Why notes that are there cannot be used, for those who found nothing that can; undefined when nothing is there. Rejects
 * where the disk has a fault.
 */
export async function explainUnusable(folder: string, of: 'WatchMan' | 'SpiderMan'): Promise<string | undefined> {
  const file = of === 'WatchMan' ? WATCHMAN_FILE : SPIDERMAN_FILE
  const text = await readText(folder, file)
  if (text === undefined) return undefined
  const path = join(folder, NOTES_FOLDER, file)
  const format = readFormat(text)
  if (format === undefined || format === FORMAT) return `${path} is damaged`
  return `${path} was written by another version (format ${format}; this one knows ${FORMAT})`
}

function readFormat(text: string): number | undefined {
  try {
    const { format } = JSON.parse(text)
    return Number.isInteger(format) ? format : undefined
  } catch {
    return undefined
  }
}

function parseNotes<T extends Notes>(text: string, keys: (keyof T)[]): T | undefined {
  try {
    const notes = JSON.parse(text) as T
    return notes.format === FORMAT && keys.every((key) => key in notes) ? notes : undefined
  } catch {
    return undefined // not ours, or of a disk that lost a part of it: a start without notes is safe
  }
}

/** Notes as they are found later. */
export interface Recollection {
  notes: WatchmanNotes
  /** How long ago they were written: by the monotonic clock if the host ran on since, and else by the wall clock. */
  ageMs: number
  /** Whether the host has run on since: otherwise the monotonic moments in the notes mean nothing any more. */
  isSameBoot: boolean
}

/** Tells how old notes are. */
export function toRecollection(notes: WatchmanNotes, now = readClocks(), boot = readBootId()): Recollection {
  const isSameBoot = boot !== '' && notes.boot === boot
  const { wallMs, monotonicMs } = notes.written
  return { notes, ageMs: isSameBoot ? now.monotonicMs - monotonicMs : Math.abs(now.wallMs - wallMs), isSameBoot }
}
