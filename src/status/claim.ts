import { answerWithin, FOLDER_TIMEOUT_MS } from './answer-within.ts'
import { isStillRunning } from './process.ts'
import { linkSpidermanNotes, readSpidermanNotes, type SpidermanNotes, setAsideSpidermanNotes } from './state-file.ts'

/** Thrown when another DeadPool works with the status folder; the message says which, and what to do. */
export class FolderTakenError extends Error {
  override name = 'FolderTakenError'
}

const TRIES = 5

/**
 * Makes sure that this DeadPool is the only one of the status folder, by the notes that it leaves there: of two that start
 * at the same moment, one gets there first. Notes of a process that is gone, or of another run of the host, do not count,
 * so nothing is left over from a crash. What the disk does not allow is no obstacle.
 *
 * @throws FolderTakenError
 */
export async function claimFolder(folder: string, notes: Omit<SpidermanNotes, 'format'>): Promise<void> {
  try {
    await answerWithin(FOLDER_TIMEOUT_MS, claim(folder, notes))
  } catch (error) {
    // Whoever needs the folder says what is wrong with it.
    if (error instanceof FolderTakenError) throw error
  }
}

async function claim(folder: string, notes: Omit<SpidermanNotes, 'format'>): Promise<void> {
  for (let tried = 0; tried < TRIES; tried++) {
    const found = await readSpidermanNotes(folder)
    if (found && found.pid !== notes.pid && isStillRunning(found)) throw new FolderTakenError(explain(folder, found))
    await setAsideSpidermanNotes(folder, found)
    if (await linkSpidermanNotes(folder, notes)) return
  }
}

function explain(folder: string, { pid, version, url, config }: SpidermanNotes): string {
  const who = `another DeadPool (process ${pid}, ${version}, ${url}, by ${config}) works with ${folder}`
  return `${who}; stop it, let it be replaced by "deadpool upgrade", or set another WatchMan.probe_status_folder`
}
