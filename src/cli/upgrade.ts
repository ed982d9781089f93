import { setTimeout as sleep } from 'node:timers/promises'
import type { Carried } from '../carried/carried.ts'
import { answerWithin, FOLDER_TIMEOUT_MS } from '../status/answer-within.ts'
import { readSpidermanNotes, type SpidermanNotes } from '../status/state-file.ts'
import { fail, failForDisk, type Printout } from './place.ts'
import { checkRunning } from './reload.ts'
import { findFault, findProcess } from './running.ts'

export interface UpgradeOptions {
  carried: Carried
  /** The configuration that was found or named, unless only the status folder was. */
  config: string | undefined
  timeoutMs?: number
}

/** Longer than any first round of checks that is not a mistake. */
const TIMEOUT_MS = 180_000
const LOOK_MS = 100

/**
 * Lets the DeadPool that works with this status folder start its program again, which may be a newer one by now, and hand
 * over to it; tells how that went. A configuration with mistakes is refused before anybody is asked.
 *
 * @throws ConfigError with every mistake
 */
export async function upgrade(folder: string, options: UpgradeOptions): Promise<Printout> {
  const { carried, config, timeoutMs = TIMEOUT_MS } = options
  try {
    const notes = await answerWithin(FOLDER_TIMEOUT_MS, readSpidermanNotes(folder))
    const fault = findFault(folder, notes, config)
    if (fault !== undefined || !notes) return fail(fault ?? '')
    const loaded = await checkRunning(notes, carried)
    process.kill(notes.pid, 'SIGUSR2')
    // By a changed configuration the notes move with the folder.
    return await waitForUpgrade([...new Set([folder, loaded.config.watchman.statusFolder])], notes, timeoutMs)
  } catch (error) {
    return failForDisk('not upgraded', folder, error)
  }
}

async function waitForUpgrade(folders: string[], before: SpidermanNotes, timeoutMs: number): Promise<Printout> {
  const endMs = performance.now() + timeoutMs
  while (performance.now() < endMs) {
    await sleep(LOOK_MS)
    const isGone = findProcess(before) === 'gone'
    for (const folder of folders) {
      const notes = await readSpidermanNotes(folder)
      if (notes?.predecessor?.pid === before.pid && notes.pid !== before.pid) {
        // What comes next, such as removing the former binary, may rely on it.
        if (isGone) return { out: describe(before, notes), code: 0 }
      } else if (notes?.pid === before.pid && notes.upgrade && notes.upgrade.atMs !== before.upgrade?.atMs) {
        const lines = [...notes.upgrade.faults, 'deadpool: not upgraded: everything goes on as before']
        return { out: '', err: `${lines.join('\n')}\n`, code: 1 }
      }
    }
    if (isGone) return fail(`process ${before.pid} ended, and no other has taken over; see its log`)
  }
  return fail(`process ${before.pid} did not say within ${timeoutMs / 1000} s how the upgrade went; see its log`)
}

function describe(before: SpidermanNotes, after: SpidermanNotes): string {
  const from = `process ${before.pid} (${before.version})`
  return `upgraded: process ${after.pid} (${after.version}) answers at ${after.url} in the place of ${from}\n`
}
