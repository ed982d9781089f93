import { readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { SpidermanNotes } from '../status/state-file.ts'

/** Why the DeadPool that left these notes cannot be asked for anything; undefined when it can. */
export function findFault(
  folder: string,
  notes: SpidermanNotes | undefined,
  config: string | undefined,
): string | undefined {
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
export function findProcess({ pid, config, startedMs }: SpidermanNotes): 'ours' | 'other' | 'gone' | 'forbidden' {
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
