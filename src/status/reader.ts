import { constants } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import type { Flag } from '../verdict/verdict.ts'
import { NO_ANSWER } from './answer-within.ts'
import { flagFile, MAX_FLAG_BYTES, parseFlag, probeOfFile } from './flag.ts'

/** The status folder as it was seen by one reading. */
export interface FolderView {
  /** The flags that stand; the same object as before when nothing changed. */
  flags: ReadonlyMap<string, Flag>
  /** Why the folder cannot be read; `flags` are then the ones seen last. */
  fault: string | undefined
  /** When the reading began, on the monotonic clock: it shows every flag that stood at that moment. */
  beganMs: number
}

export interface FlagReader {
  /** Looks into the folder, at most as long as `timeoutMs`; it never rejects. */
  read(): Promise<FolderView>
  /** Whether the disk has not answered the last reading yet, though its time is over. */
  isHanging(): boolean
}

export interface FlagReaderOptions {
  folder: string
  /** The probes whose flags count; all other files are passed over. */
  probes: Iterable<string>
  /** Whether the content of a flag is known from elsewhere and need not be read. */
  isKnown?: (probe: string) => boolean
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

/**
 * Creates the reader of a status folder. One `stat` tells whether the listing has to be read again, and all who ask
 * while a reading runs share the next one, which begins after they asked. A disk that hangs costs one reading its
 * `timeoutMs`; until it answers again everybody gets the last view at once.
 */
export function createFlagReader(options: FlagReaderOptions): FlagReader {
  const { folder, isKnown = () => false, timeoutMs = 1000, now = () => performance.now() } = options
  const probes = new Set(options.probes)
  let flags: ReadonlyMap<string, Flag> = new Map()
  let stamp = ''
  let stampSeenMs = 0
  let isSettled = false
  let running: Promise<FolderView> | undefined
  let next: Promise<FolderView> | undefined
  let isHanging = false

  async function look(): Promise<FolderView> {
    const beganMs = now()
    try {
      await options.beforeReading?.()
      const { dev, ino, mtimeNs, ctimeNs } = await stat(folder, { bigint: true })
      const seen = `${dev} ${ino} ${mtimeNs} ${ctimeNs}`
      if (seen !== stamp) {
        stamp = seen
        stampSeenMs = now()
        isSettled = false
      }
      if (!isSettled) {
        const startedMs = now()
        flags = await list(folder, probes, isKnown)
        isSettled = stamp === seen && startedMs - stampSeenMs > CLOCK_TICK_MS
      }
      return { flags, fault: undefined, beganMs }
    } catch (error) {
      stamp = ''
      return { flags, fault: describeFault(folder, error as NodeJS.ErrnoException), beganMs }
    }
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
    return { flags, fault: `${folder} did not answer within ${timeoutMs} ms`, beganMs: now() }
  }

  return {
    isHanging: () => isHanging,
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

async function list(
  folder: string,
  probes: ReadonlySet<string>,
  isKnown: (probe: string) => boolean,
): Promise<ReadonlyMap<string, Flag>> {
  const names = (await readdir(folder))
    .map(probeOfFile)
    .filter((name): name is string => name !== undefined && probes.has(name))
  const limit = pLimit(4)
  const entries = await Promise.all(
    names.map((name) => limit(async () => [name, isKnown(name) ? KNOWN : await readFlag(folder, name)] as const)),
  )
  return new Map(entries.filter((entry): entry is [string, Flag] => entry[1] !== undefined))
}

const KNOWN: Flag = { reason: 'no reason given', sinceMs: 0 }

/** Reads one flag, without waiting for a writer should somebody have put a FIFO there. One that vanished meanwhile is no flag; one that cannot be read is a flag without a reason. */
export async function readFlag(folder: string, probe: string): Promise<(Flag & { isOurs: boolean }) | undefined> {
  try {
    const file = await open(join(folder, flagFile(probe)), constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const { mtimeMs } = await file.stat()
      const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_FLAG_BYTES), 0, MAX_FLAG_BYTES, 0)
      return parseFlag(buffer.toString('utf8', 0, bytesRead), mtimeMs)
    } finally {
      await file.close()
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    return { reason: `the flag cannot be read (${code})`, sinceMs: Date.now(), isOurs: false }
  }
}

/** Says what is wrong with a folder, without Node's own wording. */
export function describeFault(folder: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOENT':
      return `${folder} does not exist`
    case 'ENOTDIR':
    case 'EEXIST':
      return `${folder} is not a folder`
    case 'EACCES':
    case 'EPERM':
      return `${folder}: permission denied`
    case 'EROFS':
      return `${folder} is on a read-only file system`
    case NO_ANSWER:
      return `${folder}: its disk does not answer`
    case 'ENOSPC':
      return `${folder}: no space left on the disk`
    default:
      return `${folder}: ${error.code ?? error.message}`
  }
}
