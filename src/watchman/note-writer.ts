import { readMonotonic } from '../clock.ts'
import type { Log } from '../log/log.ts'
import { describeFault } from '../status/reader.ts'

/** Writes WatchMan's notes when there is something to write, and not more often than the disk and the CPU can bear. */
export interface NoteWriter {
  /** Something changed that a restart has to know: written within a moment. */
  hurry(): void
  /** Writes now, for the last time; waits no longer than that for the disk. */
  finish(withinMs: number): Promise<void>
}

export interface NoteWriterOptions {
  /** Writes the notes as they are now. */
  write(): Promise<void>
  folder: string
  log: Log
}

/** Figures alone, such as the time of the last check, are written this often. */
const IDLE_MS = 2000
const HURRY_MS = 50

/** Making and writing notes takes at most one part in that many of the time. */
const SHARE = 30

export function createNoteWriter({ write, folder, log }: NoteWriterOptions): NoteWriter {
  let timer: NodeJS.Timeout | undefined
  let dueMs = 0
  let writing: Promise<void> | undefined
  let restUntilMs = 0
  let hasFailed = false
  let isWanted = false
  let isFinished = false
  plan(IDLE_MS)

  function plan(inMs: number): void {
    const atMs = Math.max(readMonotonic() + inMs, restUntilMs)
    if (writing || isFinished || (timer && dueMs <= atMs)) return
    clearTimeout(timer)
    dueMs = atMs
    timer = setTimeout(() => void run(), Math.max(0, atMs - readMonotonic()))
  }

  async function run(): Promise<void> {
    timer = undefined
    isWanted = false
    const startedMs = readMonotonic()
    writing = write().then(works, fails)
    await writing
    writing = undefined
    restUntilMs = readMonotonic() + SHARE * (readMonotonic() - startedMs)
    plan(isWanted ? HURRY_MS : IDLE_MS)
  }

  function works(): void {
    if (hasFailed) log.info('the notes can be written again')
    hasFailed = false
  }

  function fails(error: NodeJS.ErrnoException): void {
    if (!hasFailed) {
      log.warn(
        `the notes cannot be written: ${describeFault(folder, error)}; a restart would not know streaks and holds`,
      )
    }
    hasFailed = true
  }

  return {
    hurry() {
      isWanted = true
      plan(HURRY_MS)
    },
    async finish(withinMs) {
      isFinished = true
      clearTimeout(timer)
      const late = new Promise<void>((resolve) => setTimeout(resolve, withinMs).unref())
      const last = async () => {
        await writing
        await write()
      }
      await Promise.race([last().catch(() => undefined), late])
    },
  }
}
