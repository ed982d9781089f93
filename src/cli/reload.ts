import { readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Carried } from '../carried/carried.ts'
import { type LoadedConfig, loadConfig } from '../config/load.ts'
import { answerWithin, FOLDER_TIMEOUT_MS } from '../status/answer-within.ts'
import { readSpidermanNotes, type SpidermanNotes } from '../status/state-file.ts'
import { checkConfig } from './check-config.ts'
import { fail, failForDisk, type Printout } from './place.ts'

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
    const loaded = loadConfig(notes.config)
    process.chdir(dirname(notes.config)) // to which the modules' paths are relative
    await checkConfig(withoutTokens(loaded), carried)
    process.kill(notes.pid, 'SIGHUP')
    // By a changed configuration the notes move with the folder.
    const folders = [...new Set([folder, loaded.config.watchman.statusFolder])]
    return await waitForReload(folders, notes, timeoutMs)
  } catch (error) {
    return failForDisk('not reloaded', folder, error)
  }
}

/** The running DeadPool has an environment and rights of its own, and says itself what is wrong with its tokens. */
function withoutTokens(loaded: LoadedConfig): LoadedConfig {
  return { ...loaded, problems: loaded.problems.filter(({ path }) => path[1] !== 'access_token') }
}

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
      return `DeadPool is not running: process ${notes.pid} is another program by now`
    case 'ours':
      return undefined
  }
}

/**
 * Whether a process is the DeadPool that left the notes: it runs a program of this one's name, and it either stands in
 * the folder of that configuration or began before the notes did. A signal must not reach whoever got its number since.
 */
function findProcess({ pid, config, startedMs }: SpidermanNotes): 'ours' | 'other' | 'gone' | 'forbidden' {
  try {
    process.kill(pid, 0)
    // As ExecReload= of a unit: systemd vouches for its main process, which the unit hides from this one's sight.
    if (process.env.MAINPID === String(pid)) return 'ours'
    const program = readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, '')
    if (basename(program) !== basename(process.execPath)) return 'other'
    const stands = readlinkSync(`/proc/${pid}/cwd`) === resolveLinks(dirname(config))
    return stands || startOf(pid) < startedMs ? 'ours' : 'other'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'EPERM' || code === 'EACCES' ? 'forbidden' : 'gone'
  }
}

/** When a process began, in milliseconds of the wall clock (proc(5): field 22 of stat, in ticks of 10 ms). */
function startOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  const bootSeconds = Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1])
  return bootSeconds * 1000 + Number(fields[19]) * 10
}

function resolveLinks(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path // gone by now: then its name has to do
  }
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
