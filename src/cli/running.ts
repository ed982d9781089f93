import { realpathSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Carried } from '../carried/carried.ts'
import { readBootId } from '../clock.ts'
import { type LoadedConfig, loadConfig } from '../config/load.ts'
import { answerWithin, FOLDER_TIMEOUT_MS } from '../status/answer-within.ts'
import { readStartTicks } from '../status/process.ts'
import { explainUnusable, readSpidermanNotes, type SpidermanNotes } from '../status/state-file.ts'
import { checkConfig } from './check-config.ts'
import { fail, failForDisk, type Printout } from './place.ts'

export interface AskOptions {
  carried: Carried
  /** The configuration that was found or named, unless only the status folder was. */
  config: string | undefined
}

/** What the running DeadPool is asked for by a signal. */
export interface Request {
  signal: NodeJS.Signals
  /** What was asked for, as a noun, and what came of it when that failed. */
  what: string
  failure: string
  timeoutMs: number
  /** What its notes say of it by now, in the light of the ones before; undefined while they say nothing. */
  answerOf(now: SpidermanNotes, before: SpidermanNotes): Printout | undefined
}

const LOOK_MS = 100

/**
 * Asks the DeadPool that works with this status folder for something, and waits for its word. A configuration with
 * mistakes is refused before anybody is asked.
 *
 * @throws ConfigError with every mistake
 */
export async function askRunning(folder: string, request: Request, options: AskOptions): Promise<Printout> {
  const { carried, config } = options
  let { failure } = request
  try {
    const notes = await answerWithin(FOLDER_TIMEOUT_MS, readSpidermanNotes(folder))
    const unusable = notes ? undefined : await answerWithin(FOLDER_TIMEOUT_MS, explainUnusable(folder, 'SpiderMan'))
    if (unusable) return fail(`${failure}: ${unusable}; ${remedy(request.signal)}`)
    const fault = findFault(folder, notes, config)
    if (fault !== undefined || !notes) return fail(fault ?? '')
    const loaded = await checkRunning(notes, carried)
    process.kill(notes.pid, request.signal)
    failure = `process ${notes.pid} was asked for the ${request.what}, but how it went cannot be read; see its log`
    // By a changed configuration the notes move with the folder.
    return await waitForWord([...new Set([folder, loaded.config.watchman.statusFolder])], notes, request)
  } catch (error) {
    return failForDisk(failure, folder, error)
  }
}

/** A DeadPool at work mends its notes; those of another format only another version understands. */
function remedy(signal: NodeJS.Signals): string {
  const pid = '"$(systemctl show --property=MainPID --value deadpool)"'
  return `try again in some seconds, or do it by the signal: kill -s ${signal.slice(3)} ${pid}`
}

async function waitForWord(folders: string[], before: SpidermanNotes, request: Request): Promise<Printout> {
  const { what, timeoutMs, answerOf } = request
  const endMs = performance.now() + timeoutMs
  while (performance.now() < endMs) {
    await sleep(LOOK_MS)
    const isGone = findProcess(before) === 'gone'
    let isInherited = false
    for (const folder of folders) {
      const notes = await answerWithin(FOLDER_TIMEOUT_MS, readSpidermanNotes(folder))
      const answer = notes && answerOf(notes, before)
      if (answer) return answer
      isInherited ||= notes !== undefined && isHeir(notes, before)
    }
    if (isGone && !isInherited) {
      const unless = `unless the notes in ${folders.at(-1)} cannot be written, as on a read-only disk`
      return fail(`process ${before.pid} ended, and no other has taken over, ${unless}; see its log`)
    }
  }
  return fail(`process ${before.pid} did not say within ${timeoutMs / 1000} s how the ${what} went; see its log`)
}

/** Whether these notes are of a process that took over from the one of those before. */
export function isHeir({ pid, predecessor }: SpidermanNotes, before: SpidermanNotes): boolean {
  return predecessor?.pid === before.pid && pid !== before.pid
}

/** @throws ConfigError with every mistake in what DeadPool would load now */
async function checkRunning({ config }: SpidermanNotes, carried: Carried): Promise<LoadedConfig> {
  const loaded = loadConfig(config)
  process.chdir(dirname(config)) // to which the modules' paths are relative
  await checkConfig(withoutTokens(loaded), carried)
  return loaded
}

/** The running DeadPool has an environment and rights of its own, and says itself what is wrong with its tokens. */
function withoutTokens(loaded: LoadedConfig): LoadedConfig {
  return { ...loaded, problems: loaded.problems.filter(({ path }) => path[1] !== 'access_token') }
}

/** Why the DeadPool that left these notes cannot be asked for anything; undefined when it can. */
function findFault(folder: string, notes: SpidermanNotes | undefined, config: string | undefined): string | undefined {
  const hint = 'if probe_status_folder was changed, name the former one by "--folder DIR"'
  if (!notes) return `DeadPool is not running: it left no notes in ${folder}; ${hint}`
  if (config !== undefined && resolveLinks(config) !== resolveLinks(notes.config)) {
    return `the DeadPool of ${folder} works by ${notes.config}, not by ${config}; name that one by --config`
  }
  switch (findProcess(notes)) {
    case 'gone':
      return `DeadPool is not running: process ${notes.pid}, which left its notes in ${folder}, has ended`
    case 'forbidden':
      return `process ${notes.pid} belongs to another user; do it as that user or as root`
    case 'other':
      return `DeadPool is not running: process ${notes.pid} is another program by now, unless DeadPool runs in another container; then do it there`
    case 'ours':
      return undefined
  }
}

/** Whether a process is the one that left the notes: a signal must not reach whoever got its number since. */
function findProcess({ pid, boot, startTicks }: SpidermanNotes): 'ours' | 'other' | 'gone' | 'forbidden' {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? 'forbidden' : 'gone'
  }
  // As ExecReload= of a unit: systemd vouches for its main process, which the unit hides from this one's sight.
  if (process.env.MAINPID === String(pid)) return 'ours'
  const ticks = readStartTicks(pid)
  if (boot !== readBootId() || ticks === undefined) return 'gone'
  return ticks === startTicks ? 'ours' : 'other'
}

function resolveLinks(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path // gone by now: then its name has to do
  }
}
