import { access, constants, mkdir, stat } from 'node:fs/promises'
import type { Carried } from '../carried/carried.ts'
import { findExposure } from '../config/exposure.ts'
import { type LoadedConfig, loadConfig, refuseMistakes } from '../config/load.ts'
import { ConfigError } from '../config/problem.ts'
import { ListenError } from '../spiderman/server.ts'
import { type Origin, startSpiderMan, type ValidConfig } from '../spiderman/spiderman.ts'
import { answerWithin, FOLDER_TIMEOUT_MS, NO_ANSWER } from '../status/answer-within.ts'
import { FolderTakenError } from '../status/claim.ts'
import { describeFault } from '../status/reader.ts'
import type { Heir } from '../upgrade/successor.ts'
import { validateProbes } from './validate.ts'

/** A DeadPool at work. */
export interface Running {
  /** Whether the status folder's disk does not answer: a thread waits for it, and cannot be ended in good order. */
  isDiskHanging(): boolean
  /** Loads the configuration again. With a mistake in it, everything goes on as before and the log says why. */
  reload(): Promise<void>
  /** Lets another process take over; tells whether it did, and this one is only to be stopped. */
  upgrade(): Promise<boolean>
  /** Ends this process, after another one has taken over. */
  retire(): Promise<void>
  /** Stops both processes, and one that is just taking over, or has; flags stay as they are. */
  stop(reason: string): Promise<unknown>
}

/**
 * Starts SpiderMan and WatchMan. Everything is validated before anything listens or forks; only a module that does not
 * load is no obstacle, since it concerns its own probes alone.
 *
 * @throws ConfigError, ListenError, FolderTakenError
 */
export async function run(loaded: LoadedConfig, carried: Carried, origin: Origin): Promise<Running> {
  const spiderman = await startSpiderMan(await validate(loaded, carried), carried, origin)
  /** Reloads and upgrades, one after the other. */
  let last: Promise<unknown> = Promise.resolve()
  let upgrading: Promise<unknown> = Promise.resolve()
  let heir: Heir | undefined
  const ending = new AbortController()
  let ended: Promise<void> | undefined
  let stopped: Promise<unknown> | undefined

  async function reloadOnce(): Promise<void> {
    // Who asks for a reload means what runs from now on.
    if (heir) return pass(heir.pid, 'SIGHUP')
    if (ending.signal.aborted) return
    spiderman.noteReloading()
    const mistakes = await follow().catch((error: unknown) => explainRefusal(error))
    for (const line of mistakes) spiderman.log.error(line)
    if (mistakes.length > 0) spiderman.log.error('the configuration was not loaded again; everything goes on as before')
    spiderman.noteReload(mistakes)
  }

  async function follow(): Promise<string[]> {
    await spiderman.follow(await validate(loadConfig(loaded.config.file), carried))
    return []
  }

  async function upgradeOnce(): Promise<boolean> {
    if (heir || ending.signal.aborted) return false // asked for twice: the first one has done it
    heir = await spiderman.upgrade(ending.signal)
    return heir !== undefined
  }

  /** Once, whoever asks. */
  function end(reason: string): Promise<void> {
    ended ??= spiderman.stop(reason)
    return ended
  }

  return {
    isDiskHanging: spiderman.isDiskHanging,
    reload() {
      const reloading = last.then(reloadOnce)
      last = reloading
      return reloading
    },
    upgrade() {
      const once = last.then(upgradeOnce)
      last = once
      upgrading = once
      return once
    },
    async retire() {
      await end('another process has taken over')
      await stopped
    },
    stop(reason) {
      ending.abort()
      stopped ??= Promise.all([end(reason), upgrading.then(() => heir?.stop())])
      return stopped
    },
  }
}

/** Passes on a signal to a process that may be gone by now. */
function pass(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // Then there is nobody whom the signal could be meant for.
  }
}

function explainRefusal(error: unknown): string[] {
  if (error instanceof ConfigError) return [...error.lines]
  if (error instanceof ListenError || error instanceof FolderTakenError) return [error.message]
  return [`the reload failed: ${error instanceof Error ? (error.stack ?? error.message) : error}`]
}

/** @throws ConfigError with every mistake */
async function validate(loaded: LoadedConfig, carried: Carried): Promise<ValidConfig> {
  const { problems: found, timeouts } = await validateProbes(loaded.config, carried, { probes: 'enabled' })
  const problems = [...loaded.problems, ...found, ...findExposure(loaded)]
  refuseMistakes(loaded, problems)
  await readyFolder(loaded)
  const linesOf = (kind: 'broken' | 'warning') => loaded.format(problems.filter((problem) => problem.kind === kind))
  const remarks: ValidConfig['remarks'] = [
    ...linesOf('broken').map((line) => ({ level: 'error' as const, line })),
    ...linesOf('warning').map((line) => ({ level: 'warn' as const, line })),
  ]
  return { loaded, timeouts, remarks }
}

/** Makes the status folder, and makes sure at the start that flags can be kept in it. */
async function readyFolder({ config, format }: LoadedConfig): Promise<void> {
  const folder = config.watchman.statusFolder
  try {
    await answerWithin(FOLDER_TIMEOUT_MS, makeFolder(folder))
  } catch (error) {
    const fault = error as NodeJS.ErrnoException
    const message = `flags cannot be kept there: ${describeFault(folder, fault)}`
    const lines = format([{ kind: 'mistake', path: ['WatchMan', 'probe_status_folder'], message }])
    throw new ConfigError(lines, { isDiskHanging: fault.code === NO_ANSWER })
  }
}

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  if (!(await stat(folder)).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' })
  await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
}
