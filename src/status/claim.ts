import { mkdir, stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { answerWithin, FOLDER_TIMEOUT_MS } from './answer-within.ts'
import { isStillRunning } from './process.ts'
import { readSpidermanNotes, type SpidermanNotes, writeSpidermanNotes } from './state-file.ts'

/** Thrown when another DeadPool works with the status folder; the message says which, and what to do. */
export class FolderTakenError extends Error {
  override name = 'FolderTakenError'
}

const TRIES = 50
const PAUSE_MS = 10

/**
 * Makes sure that this DeadPool is the only one of the status folder, by the notes that it leaves there: of those that start
 * at the same moment, one looks and writes at a time. Notes of a process that is gone, or of another run of the host, do not count,
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
  await mkdir(folder, { recursive: true })
  const { dev, ino } = await stat(folder, { bigint: true })
  const lock = await takeName(`deadpool:${dev}:${ino}`)
  try {
    const found = await readSpidermanNotes(folder)
    if (found && found.pid !== notes.pid && isStillRunning(found)) throw new FolderTakenError(explain(folder, found))
    await writeSpidermanNotes(folder, notes)
  } finally {
    lock?.close()
  }
}

/**
 * Takes a name that one process of this host has at a time, that of an abstract socket (unix(7)): the kernel takes it back
 * from one that is killed. Undefined when somebody keeps it, which must not keep DeadPool from starting.
 */
async function takeName(name: string): Promise<Server | undefined> {
  for (let tried = 0; tried < TRIES; tried++) {
    const server = createServer().unref()
    const isTaken = new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen({ path: `\0${name}` }, () => resolve(true))
    })
    if (await isTaken) return server
    await sleep(PAUSE_MS)
  }
  return undefined
}

function explain(folder: string, { pid, version, url, config }: SpidermanNotes): string {
  const who = `another DeadPool (process ${pid}, ${version}, ${url}, by ${config}) works with ${folder}`
  return `${who}; stop it, let it be replaced by "deadpool upgrade", or set another WatchMan.probe_status_folder`
}
