import type { Log } from '../log/log.ts'
import { isStillRunning } from './process.ts'
import { describeFault } from './reader.ts'
import { readSpidermanNotes, type SpidermanNotes, writeSpidermanNotes } from './state-file.ts'

/** The notes that SpiderMan leaves of itself, by which commands find it. */
export interface OwnNotes {
  /** Writes them with this change; resolves when that is done, or has failed. */
  write(change: Partial<SpidermanNotes>): Promise<void>
  /** Looks now and then whether they still stand, and writes them again if not. Ends looking when it is told to. */
  keep(): { end(): void }
}

export interface OwnNotesOptions {
  notes: Omit<SpidermanNotes, 'format'>
  /** The status folder as it is configured now. */
  folder(): string
  log: Log
  everyMs?: number
}

const EVERY_MS = 2000

/** Creates the writer of SpiderMan's notes. What could not be written, was deleted or spoilt is written again. */
export function createOwnNotes({ notes, folder, log, everyMs = EVERY_MS }: OwnNotesOptions): OwnNotes {
  let writing = Promise.resolve()
  let hasFailed = false
  let isLooking = false

  async function writeNow(): Promise<void> {
    try {
      await writeSpidermanNotes(folder(), notes)
      if (hasFailed) log.info('the notes can be written again')
      hasFailed = false
    } catch (error) {
      const fault = describeFault(folder(), error as NodeJS.ErrnoException)
      if (!hasFailed) log.warn(`the notes cannot be written: ${fault}; commands may not find this process`)
      hasFailed = true
    }
  }

  /** One after the other: two at once would take each other's draft. */
  function queue(): Promise<void> {
    writing = writing.then(writeNow)
    return writing
  }

  async function look(isOver: () => boolean): Promise<void> {
    // A disk that hangs holds one thread, and not one more each time.
    if (isLooking) return
    isLooking = true
    try {
      await writing
      const found = await readSpidermanNotes(folder()).catch(() => undefined)
      const isOwn = found?.pid === notes.pid
      // Those of a process that takes over from this one are right.
      const isOfHeir = found !== undefined && !isOwn && isStillRunning(found)
      if (!isOver() && !isOfHeir && (hasFailed || !isOwn)) await queue()
    } finally {
      isLooking = false
    }
  }

  return {
    write(change) {
      Object.assign(notes, change)
      return queue()
    },
    keep() {
      let isOver = false
      const timer = setInterval(() => void look(() => isOver), everyMs)
      return {
        end() {
          isOver = true
          clearInterval(timer)
        },
      }
    },
  }
}
