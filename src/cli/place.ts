import { resolve } from 'node:path'
import { type FindOptions, findConfig } from '../config/find.ts'
import { type Outline, readOutline } from '../config/outline.ts'
import { ConfigError } from '../config/problem.ts'
import { NO_ANSWER } from '../status/answer-within.ts'
import { describeFault } from '../status/reader.ts'

/** Where a command is told to look: a status folder, or a configuration that names one. */
export interface Place {
  folder: string | undefined
  config: string | undefined
}

/** What this process was started in. */
export type Surroundings = Omit<FindOptions, 'option'>

/**
 * Finds the status folder: the one that was named, else the configuration's.
 *
 * @throws ConfigError when there is neither
 */
export function findFolder(place: Place, around: Surroundings): string {
  if (place.folder !== undefined) return resolve(around.cwd, place.folder)
  return findOutline(place, around).statusFolder
}

/** @throws ConfigError that says how to do without a configuration */
export function findOutline({ config }: Place, around: Surroundings): Outline {
  try {
    return readOutline(findConfig({ option: config, ...around }))
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new ConfigError([...error.lines, 'the status folder can also be named with "--folder DIR"'])
  }
}

/** What a command came to: what it prints, and its exit code. */
export interface Printout {
  out: string
  err?: string
  code: 0 | 1 | 2
  /** Set when a disk does not answer: a thread waits for it, and the process cannot end in good order. */
  isDiskHanging?: boolean
}

/** One line that says why a command failed, as every error of the command line looks. */
export function fail(message: string, code: 1 | 2 = 1): Printout {
  return { out: '', err: `deadpool: ${message}\n`, code }
}

/** A failure for a fault of the disk; what is no such fault is thrown on. */
export function failForDisk(what: string, folder: string, error: unknown, code: 1 | 2 = 1): Printout {
  if (!(error instanceof Error) || !('code' in error)) throw error
  const message = `${what}: ${describeFault(folder, error as NodeJS.ErrnoException)}`
  return { ...fail(message, code), isDiskHanging: error.code === NO_ANSWER }
}
