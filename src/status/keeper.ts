import { mkdir, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import { readMonotonic } from '../clock.ts'
import { formatDuration } from '../config/duration.ts'
import type { Flag } from '../verdict/standing.ts'
import { draftFile, flagFile, formatFlag } from './flag.ts'
import { describeFault, type FolderView } from './reader.ts'

/** The outcome of setting a flag: it agrees with the state now, or the `fault` says why it cannot. */
export interface Settled {
  probe: string
  fault: string | undefined
}

export interface FlagKeeper {
  /**
   * Makes the flag of `probe` stand (or, without a `flag`, be gone) as soon as the disk allows. Never waits and never
   * throws; of several wishes for one probe the last one counts.
   */
  want(probe: string, flag: Flag | undefined): void
  /** Takes away the flag of a probe that is no longer watched, and forgets the probe. */
  drop(probe: string): void
  /**
   * Compares a fresh `view` with the last wish for `probe`, and sets right what somebody else changed: says what that
   * was, if anything.
   */
  compare(probe: string, view: FolderView): 'made by hand' | 'removed by hand' | undefined
}

export interface FlagKeeperOptions {
  folder: string
  /** Called whenever a wish was carried out or failed. */
  onSettled(settled: Settled): void
}

interface Wish {
  flag: Flag | undefined
  /** Whether the disk is known to agree with `flag`. */
  isDone: boolean
  isRunning: boolean
  /** When it was last carried out, on the monotonic clock: older views of the folder do not count. */
  doneMs: number
}

/** A disk that has answered nothing for so long is spoken of; the flag is set when it does. */
const PATIENCE_MS = 2000

/** Creates the one writer of flags. It belongs to WatchMan; everybody else only reads. */
export function createFlagKeeper({ folder, onSettled }: FlagKeeperOptions): FlagKeeper {
  const wishes = new Map<string, Wish>()
  // A disk that hangs must not take all of libuv's threads: lookups of names need them too.
  const limit = pLimit(2)
  let answeredMs = 0

  /** Waits for a disk that does not answer; one that is busy with ten thousand flags answers all the time. */
  function awaitSilence(onSilent: () => void): { end(): void } {
    const wait = (ms: number): NodeJS.Timeout =>
      setTimeout(() => {
        const leftMs = answeredMs + PATIENCE_MS - readMonotonic()
        if (leftMs > 0) timer = wait(leftMs)
        else onSilent()
      }, ms)
    let timer = wait(PATIENCE_MS)
    return { end: () => clearTimeout(timer) }
  }

  async function carryOut(probe: string, wish: Wish): Promise<void> {
    wish.isRunning = true
    let fault: string | undefined
    while (!wish.isDone && fault === undefined) {
      const { flag } = wish
      const impatience = awaitSilence(() => {
        onSettled({ probe, fault: `${folder} did not answer within ${formatDuration(PATIENCE_MS)}` })
      })
      fault = await limit(() => setFlag(folder, probe, flag))
      answeredMs = readMonotonic()
      impatience.end()
      wish.isDone = fault === undefined && wish.flag === flag
    }
    wish.isRunning = false
    wish.doneMs = readMonotonic()
    onSettled({ probe, fault })
  }

  return {
    want(probe, flag) {
      const wish = wishes.get(probe) ?? { flag, isDone: false, isRunning: false, doneMs: 0 }
      wishes.set(probe, wish)
      Object.assign(wish, { flag, isDone: false })
      if (!wish.isRunning) void carryOut(probe, wish)
    },
    drop(probe) {
      this.want(probe, undefined)
      wishes.delete(probe)
    },
    compare(probe, view) {
      const wish = wishes.get(probe)
      if (!wish || wish.isRunning || view.beganMs <= wish.doneMs) return undefined
      const stands = view.flags.has(probe)
      const isChanged = wish.isDone && view.fault === undefined && stands !== (wish.flag !== undefined)
      if (wish.isDone && view.fault === undefined && !isChanged) return undefined
      wish.isDone = false
      void carryOut(probe, wish)
      if (!isChanged) return undefined
      return stands ? 'made by hand' : 'removed by hand'
    },
  }
}

/** Makes or removes one flag; a flag appears whole or not at all. Returns what is wrong, if anything. */
async function setFlag(folder: string, probe: string, flag: Flag | undefined): Promise<string | undefined> {
  const path = join(folder, flagFile(probe))
  try {
    if (flag) await writeFlag(folder, probe, path, flag)
    else await removeFlag(folder, path)
    return undefined
  } catch (error) {
    return describeFault(folder, error as NodeJS.ErrnoException)
  }
}

async function writeFlag(folder: string, probe: string, path: string, flag: Flag): Promise<void> {
  const draft = join(folder, draftFile(probe, process.pid))
  try {
    await writeDraft(folder, draft, formatFlag(flag))
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined) // the first error is the one that tells
    throw error
  }
}

async function writeDraft(folder: string, draft: string, text: string): Promise<void> {
  try {
    await writeFile(draft, text, { mode: 0o644 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    await mkdir(folder, { recursive: true })
    await writeFile(draft, text, { mode: 0o644 })
  }
}

async function removeFlag(folder: string, path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    await mkdir(folder, { recursive: true })
  }
}
