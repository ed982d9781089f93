import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Carried } from '../carried/carried.ts'
import { type LoadedConfig, loadConfig } from '../config/load.ts'
import { answerWithin, FOLDER_TIMEOUT_MS } from '../status/answer-within.ts'
import { readSpidermanNotes, type SpidermanNotes } from '../status/state-file.ts'
import { checkConfig } from './check-config.ts'
import { fail, failForDisk, type Printout } from './place.ts'
import { findFault, findProcess } from './running.ts'

export interface ReloadOptions {
  carried: Carried
  /** The configuration that was found or named, unless only the status folder was. */
  config: string | undefined
  timeoutMs?: number
}

const TIMEOUT_MS = 15_000
const LOOK_MS = 100

/**
 * Lets the DeadPool that works with this status folder load its configuration again, and tells how that went. A
 * configuration with mistakes is refused before anybody is asked.
 *
 * @throws ConfigError with every mistake
 */
export async function reload(folder: string, options: ReloadOptions): Promise<Printout> {
  const { carried, config, timeoutMs = TIMEOUT_MS } = options
  try {
    const notes = await answerWithin(FOLDER_TIMEOUT_MS, readSpidermanNotes(folder))
    const fault = findFault(folder, notes, config)
    if (fault !== undefined || !notes) return fail(fault ?? '')
    const loaded = await checkRunning(notes, carried)
    process.kill(notes.pid, 'SIGHUP')
    // By a changed configuration the notes move with the folder.
    const folders = [...new Set([folder, loaded.config.watchman.statusFolder])]
    return await waitForReload(folders, notes, timeoutMs)
  } catch (error) {
    return failForDisk('not reloaded', folder, error)
  }
}

/** @throws ConfigError with every mistake in what DeadPool would load now */
export async function checkRunning({ config }: SpidermanNotes, carried: Carried): Promise<LoadedConfig> {
  const loaded = loadConfig(config)
  process.chdir(dirname(config)) // to which the modules' paths are relative
  await checkConfig(withoutTokens(loaded), carried)
  return loaded
}

/** The running DeadPool has an environment and rights of its own, and says itself what is wrong with its tokens. */
function withoutTokens(loaded: LoadedConfig): LoadedConfig {
  return { ...loaded, problems: loaded.problems.filter(({ path }) => path[1] !== 'access_token') }
}

async function waitForReload(folders: string[], before: SpidermanNotes, timeoutMs: number): Promise<Printout> {
  const endMs = performance.now() + timeoutMs
  while (performance.now() < endMs) {
    await sleep(LOOK_MS)
    for (const folder of folders) {
      const { pid, reload: done, config } = (await readSpidermanNotes(folder)) ?? {}
      if (pid !== before.pid || !done || done.atMs === before.reload?.atMs) continue
      if (done.mistakes.length === 0) return { out: `reloaded: DeadPool works by ${config} as it is now\n`, code: 0 }
      const lines = [...done.mistakes, 'deadpool: not reloaded: everything goes on as before']
      return { out: '', err: `${lines.join('\n')}\n`, code: 1 }
    }
    if (findProcess(before) === 'gone') return fail(`process ${before.pid} ended meanwhile; see its log`)
  }
  return fail(`process ${before.pid} did not say within ${timeoutMs / 1000} s how the reload went; see its log`)
}
