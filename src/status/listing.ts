import { constants } from 'node:fs'
import { lstat, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import type { Notice } from '../verdict/notice.ts'
import type { Flag } from '../verdict/standing.ts'
import { flagFile, MAX_FLAG_BYTES, parseFlag, probeOfFile } from './flag.ts'
import { DRAIN_FILE, muteFile, nameOfMute, parseNotice } from './notice-file.ts'

/** What stands in the status folder for people to see and to change. */
export interface Listing {
  flags: ReadonlyMap<string, Flag>
  drain: Notice | undefined
  /** By the name of what is muted, whether there is such a probe or group or not. */
  mutes: ReadonlyMap<string, Notice>
}

export const NO_LISTING: Listing = { flags: new Map(), drain: undefined, mutes: new Map() }

/** So many files are read at a time: a disk that hangs must not take all threads. */
const FILES_AT_ONCE = 4

export interface ListOptions {
  /** The probes whose flags count; flags of all others are passed over. */
  probes: ReadonlySet<string>
  /** Whether the content of a flag is known from elsewhere and need not be read. */
  isKnown(probe: string): boolean
}

/** Lists a status folder. Rejects as `readdir` does; a file that vanishes meanwhile is passed over. */
export async function listFolder(folder: string, { probes, isKnown }: ListOptions): Promise<Listing> {
  const files = await readdir(folder)
  const flagged = files.map(probeOfFile).filter((name) => name !== undefined && probes.has(name)) as string[]
  const muted = files.map(nameOfMute).filter((name) => name !== undefined)
  const limit = pLimit(FILES_AT_ONCE)
  const readAll = async <T>(
    names: string[],
    read: (name: string) => Promise<T | undefined>,
  ): Promise<Map<string, T>> => {
    const found = new Map<string, T>()
    const readOne = async (name: string) => {
      const content = await read(name)
      if (content !== undefined) found.set(name, content)
    }
    await Promise.all(names.map((name) => limit(readOne, name)))
    return found
  }
  return {
    flags: await readAll<Flag>(flagged, async (name) => (isKnown(name) ? KNOWN : readFlag(folder, name))),
    drain: files.includes(DRAIN_FILE) ? await readNotice(folder, DRAIN_FILE, 'drain') : undefined,
    mutes: await readAll(muted, (name) => readNotice(folder, muteFile(name), 'mute')),
  }
}

const KNOWN: Flag = { reason: 'no reason given', sinceMs: 0 }

/** Reads one flag. One that vanished meanwhile is no flag; one that cannot be read is a flag without a reason. */
export async function readFlag(folder: string, probe: string): Promise<(Flag & { isOurs: boolean }) | undefined> {
  const read = await readSmall(join(folder, flagFile(probe)))
  if (!read) return undefined
  if ('fault' in read) {
    return { reason: `the flag cannot be read (${read.fault})`, sinceMs: read.timeMs ?? Date.now(), isOurs: false }
  }
  return parseFlag(read.text, read.timeMs)
}

/**
 * Reads a drain or a mute; one that cannot be read counts as one that says nothing. A mute of which not even the age is
 * known is over: it would begin anew with each reading, and never end.
 */
async function readNotice(folder: string, file: string, kind: 'drain' | 'mute'): Promise<Notice | undefined> {
  const read = await readSmall(join(folder, file))
  if (!read) return undefined
  if ('fault' in read) {
    const sinceMs = read.timeMs ?? (kind === 'mute' ? 0 : Date.now())
    return { ...parseNotice('', sinceMs, kind), reason: `${file} cannot be read (${read.fault})` }
  }
  return parseNotice(read.text, read.timeMs, kind)
}

/** Reads the beginning of a file, without waiting for a writer should somebody have put a FIFO there. */
async function readSmall(
  path: string,
): Promise<{ text: string; timeMs: number } | { fault: string; timeMs: number | undefined } | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const { mtimeMs } = await file.stat()
      const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_FLAG_BYTES), 0, MAX_FLAG_BYTES, 0)
      return { text: buffer.toString('utf8', 0, bytesRead), timeMs: mtimeMs }
    } finally {
      await file.close()
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    const timeMs = await lstat(path).then(
      (found) => found.mtimeMs,
      () => undefined,
    )
    return { fault: code ?? String(error), timeMs }
  }
}
