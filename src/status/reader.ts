import type { BigIntStats } from 'node:fs'
import { stat } from 'node:fs/promises'
import { type Moment, readMonotonic } from '../clock.ts'
import type { Notice } from '../verdict/notice.ts'
import type { Flag } from '../verdict/standing.ts'
import { NO_ANSWER } from './answer-within.ts'
import { type Listing, type ListOptions, listFolder, NO_LISTING } from './listing.ts'

/** The status folder as it was seen by one reading; its maps are the same objects as before when nothing changed. */
export interface FolderView extends Listing {
  /** Why the folder cannot be read; everything else is then as it was seen last. */
  fault: string | undefined
  /** When the reading began, on the monotonic clock: it shows every flag that stood at that moment. */
  beganMs: number
  /** When another folder was seen to have taken the place of the one before, on the same clock, if one did. */
  replacedMs?: number | undefined
}

export interface FlagReader {
  /** Looks into the folder, at most as long as `timeoutMs`; it never rejects. */
  read(): Promise<FolderView>
  /** The flags of these probes count from the next reading on. */
  follow(probes: Iterable<string>): void
  /** Whether the disk has not answered the last reading yet, though its time is over. */
  isHanging(): boolean
}

export interface FlagReaderOptions {
  folder: string
  /** The probes whose flags count; all other files are passed over. */
  probes: Iterable<string>
  isKnown?: ListOptions['isKnown']
  timeoutMs?: number
  /** The monotonic clock, in milliseconds. */
  now?: () => number
  /** Awaited before each reading: the boundary at which a disk that hangs can be put. */
  beforeReading?: () => Promise<void>
}

/**
 * The coarsest clock of a file system (FAT: 2 s). A folder that changed again within one tick of that clock looks
 * unchanged, so a listing is believed for good only if it began this long after its time stamp was first seen.
 */
const CLOCK_TICK_MS = 2000

/** A folder that is being deleted loses its flags first: one that vanished is missed only this much later. */
const VANISHING_MS = 50

/** An editor may change a drain or a mute in place, which the folder's time stamp does not show. */
const NOTICE_CHECK_MS = 1000

/**
 * Creates the reader of a status folder. One `stat` tells whether the listing has to be read again, and all who ask
 * while a reading runs share the next one, which begins after they asked. A disk that hangs costs one reading its
 * `timeoutMs`; until it answers again everybody gets the last view at once.
 */
export function createFlagReader(options: FlagReaderOptions): FlagReader {
  const { folder, isKnown = () => false, timeoutMs = 1000, now = readMonotonic } = options
  let probes = new Set(options.probes)
  let listing = NO_LISTING
  let listedMs = 0
  let stamp = ''
  let stampSeenMs = 0
  let isSettled = false
  let identity: string | undefined
  let replacedMs: number | undefined
  let running: Promise<FolderView> | undefined
  let next: Promise<FolderView> | undefined
  let isHanging = false

  async function look(): Promise<FolderView> {
    const beganMs = now()
    try {
      await options.beforeReading?.()
      const { dev, ino, mtimeNs, ctimeNs } = identify(await stat(folder, { bigint: true }))
      const seen = `${dev} ${ino} ${mtimeNs} ${ctimeNs}`
      if (seen !== stamp) {
        stamp = seen
        stampSeenMs = now()
        isSettled = false
      }
      const hasNotices = listing.drain !== undefined || listing.mutes.size > 0
      if (!isSettled || (hasNotices && beganMs - listedMs > NOTICE_CHECK_MS)) {
        listedMs = now()
        listing = anchor(await list(), listing, { monotonicMs: now(), wallMs: Date.now() })
        isSettled = stamp === seen && listedMs - stampSeenMs > CLOCK_TICK_MS
      }
      return { ...listing, fault: undefined, beganMs, replacedMs }
    } catch (error) {
      stamp = ''
      return { ...listing, fault: describeFault(folder, error as NodeJS.ErrnoException), beganMs, replacedMs }
    }
  }

  /** Takes note of a folder that stands where another one stood. */
  function identify(found: BigIntStats): BigIntStats {
    const fresh = `${found.dev} ${found.ino} ${found.birthtimeNs}`
    if (identity !== undefined && fresh !== identity) replacedMs = now()
    identity = fresh
    return found
  }

  async function list(): Promise<Listing> {
    const first = await listFolder(folder, { probes, isKnown })
    const isVanished = (probe: string) => probes.has(probe) && isKnown(probe) && !first.flags.has(probe)
    const isSuspect = [...listing.flags.keys()].some(isVanished)
    if (isSuspect) await new Promise((resolve) => setTimeout(resolve, VANISHING_MS))
    const found = isSuspect ? await listFolder(folder, { probes, isKnown }) : first
    // The listing may be that of a folder which took this one's place meanwhile.
    identify(await stat(folder, { bigint: true }))
    return found
  }

  function start(): Promise<FolderView> {
    running = new Promise((resolve) => {
      const timer = setTimeout(() => {
        isHanging = true
        resolve(hangingView())
      }, timeoutMs)
      timer.unref()
      look().then((view) => {
        clearTimeout(timer)
        isHanging = false
        running = undefined
        resolve(view)
      })
    })
    return running
  }

  function hangingView(): FolderView {
    return { ...listing, fault: `${folder} did not answer within ${timeoutMs} ms`, beganMs: now(), replacedMs }
  }

  return {
    isHanging: () => isHanging,
    follow(names) {
      probes = new Set(names)
      stamp = ''
    },
    read() {
      if (isHanging) return Promise.resolve(hangingView())
      if (!running) return start()
      next ??= running.then(() => {
        next = undefined
        return isHanging ? hangingView() : (running ?? start())
      })
      return next
    },
  }
}

/**
 * Fixes the end of each notice on the monotonic clock when it is first seen, so that setting the wall clock moves none;
 * and gives the former object where nothing changed.
 */
function anchor(fresh: Listing, former: Listing, now: Moment): Listing {
  const anchorOne = (notice: Notice, before: Notice | undefined): Notice => {
    if (before && isSame(notice, before)) return before
    const { untilMs } = notice
    return untilMs === undefined ? notice : { ...notice, expiresMs: now.monotonicMs + untilMs - now.wallMs }
  }
  const mutes = new Map([...fresh.mutes].map(([name, mute]) => [name, anchorOne(mute, former.mutes.get(name))]))
  return {
    flags: isSameMap(fresh.flags, former.flags, isSameFlag) ? former.flags : fresh.flags,
    drain: fresh.drain && anchorOne(fresh.drain, former.drain),
    mutes: isSameMap(mutes, former.mutes, Object.is) ? former.mutes : mutes,
  }
}

function isSameMap<T>(
  a: ReadonlyMap<string, T>,
  b: ReadonlyMap<string, T>,
  isSameValue: (one: T, other: T) => boolean,
): boolean {
  if (a.size !== b.size) return false
  return [...a].every(([name, value]) => {
    const other = b.get(name)
    return other !== undefined && isSameValue(value, other)
  })
}

function isSameFlag(a: Flag, b: Flag): boolean {
  return a.reason === b.reason && a.sinceMs === b.sinceMs
}

function isSame(a: Notice, b: Notice): boolean {
  return a.reason === b.reason && a.by === b.by && a.sinceMs === b.sinceMs && a.untilMs === b.untilMs
}

/** What is said of codes that are no matter of one place. */
const FAULTS: Record<string, string> = {
  [NO_ANSWER]: 'its disk does not answer',
  ENOSPC: 'no space left on the disk',
  EDQUOT: 'the disk quota is used up',
  EIO: 'its disk has an error (EIO)',
  EMFILE: 'this process has no file descriptors left (EMFILE)',
  ENFILE: 'this host has no file descriptors left (ENFILE)',
  ENOMEM: 'this host is out of memory (ENOMEM)',
}

/** An error of the disk; `place` is the folder that it speaks of, where that is one below the status folder. */
export interface Fault extends NodeJS.ErrnoException {
  place?: string
  dest?: string
}

/** Says what is wrong with a folder, or with what an error names in it, without Node's own wording. */
export function describeFault(folder: string, error: Fault): string {
  const { code = '', place = folder, dest, path } = error
  switch (code) {
    case 'ENOENT':
      return `${folder} does not exist`
    case 'ENOTDIR':
    case 'EEXIST':
      return `${place} is not a folder`
    case 'EACCES':
    case 'EPERM':
      return `${place}: permission denied`
    case 'EISDIR':
      return `${dest ?? path ?? folder} is a folder; remove it`
    case 'EROFS':
      return `${folder} is on a read-only file system`
    default:
      return `${folder}: ${FAULTS[code] ?? (code || error.message)}`
  }
}
