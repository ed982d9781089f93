import { fork } from 'node:child_process'
import { isDeepStrictEqual } from 'node:util'
import type { Carried } from '../carried/carried.ts'
import { readClocks } from '../clock.ts'
import { type Config, type LoadedConfig, rulesOf } from '../config/load.ts'
import { createRedactor } from '../config/secrets.ts'
import { createLog, type ProcessLog } from '../log/create-log.ts'
import { createLogSwitch } from '../log/log-switch.ts'
import { DEFAULT_TIMEOUT_MS } from '../modules/module.ts'
import { answerWithin, FOLDER_TIMEOUT_MS } from '../status/answer-within.ts'
import { createFlagReader, describeFault } from '../status/reader.ts'
import { readWatchmanNotes, type SpidermanNotes, toRecollection, writeSpidermanNotes } from '../status/state-file.ts'
import { isFresh } from '../verdict/restore.ts'
import type { Report } from '../verdict/standing.ts'
import { ACTIVITY_FD, openActivityFile } from '../watchman/activity.ts'
import { ROLE_VARIABLE, WATCHMAN_ROLE } from '../watchman/messages.ts'
import { type Assignment, createSupervisor } from '../watchman/supervisor.ts'
import { createVerdictSource, type VerdictSource } from './evidence.ts'
import { createListener } from './listener.ts'
import { createResponder } from './responder.ts'

/** A configuration that was found good, with what its modules said of it. */
export interface ValidConfig {
  loaded: LoadedConfig
  /** The deadline of each probe's checks, in milliseconds. */
  timeouts: ReadonlyMap<string, number>
  /** What is to be said of it in the log, by level. */
  remarks: { level: 'warn' | 'error'; line: string }[]
}

/** A SpiderMan at work, and WatchMan under it. */
export interface SpiderMan {
  url(): string
  /** Whether the status folder's disk does not answer: a thread waits for it, and cannot be ended in good order. */
  isDiskHanging(): boolean
  /**
   * Goes on by another configuration; no request fails meanwhile.
   *
   * @throws ListenError when the new address cannot be listened on; everything is as before then
   */
  follow(valid: ValidConfig): Promise<void>
  /** Takes note of how a reload went: what kept the new configuration from being taken. */
  noteReload(mistakes: readonly string[]): void
  log: ProcessLog
  /** Stops both processes; flags stay as they are. */
  stop(reason: string): Promise<void>
}

/** The verdict is looked at this often even if nobody asks, so that the log tells when it turned. */
const LOOK_MS = 1000

/**
 * Starts to answer, and WatchMan.
 *
 * @throws ListenError
 */
export async function startSpiderMan(valid: ValidConfig, carried: Carried): Promise<SpiderMan> {
  let { config } = valid.loaded
  let formerFolder: string | undefined
  const log = createLogSwitch(await openLog(config))
  tellRemarks(valid)

  let reader = openReader()
  const activity = openActivityFile()
  const watcher = createSupervisor({
    spawn: () => forkWatchMan(config.probes.length, activity?.fd),
    assignment: assignmentOf(valid),
    reports: await recallReports(config),
    describeActivity,
    log,
  })
  let verdicts = openVerdicts()
  // Listening comes before the fork: a port in use must not leave a watcher behind.
  const listener = await createListener(openResponder(), config.web)
  watcher.launch()
  const notes: Omit<SpidermanNotes, 'format'> = {
    pid: process.pid,
    startedMs: Date.now(),
    version: carried.version,
    url: addressOf(),
    config: config.file,
    loadedMs: Date.now(),
  }
  let writing = Promise.resolve()
  writeNotes({})
  const looking = setInterval(() => void verdicts.read(), LOOK_MS)
  log.info(`DeadPool ${carried.version} answers at ${addressOf()}`, { config: config.file })

  function addressOf(): string {
    return `${listener.url()}${config.web.baseUrl}`
  }

  function openReader() {
    const { statusFolder: folder } = config.watchman
    // What WatchMan said of a dead probe need not be read again from its flag.
    return createFlagReader({
      folder,
      probes: enabledNames(config),
      isKnown: (probe) => watcher.reports.get(probe)?.life === 'dead',
    })
  }

  function openVerdicts(): VerdictSource {
    return createVerdictSource({ rules: rulesOf(config), reader, watcher, log })
  }

  function openResponder() {
    const { baseUrl, tokens, name } = config.web
    return createResponder({ baseUrl, tokens, name, verdicts, log })
  }

  function tellRemarks({ remarks }: ValidConfig): void {
    for (const { level, line } of remarks) log[level](line)
  }

  function describeActivity(generation: number): string | undefined {
    const last = activity?.read()
    const probe = last?.generation === generation && config.probes.filter(({ isEnabled }) => isEnabled)[last.index]
    if (!probe) return undefined
    const what = last.step === 'asking' ? 'it was asking' : 'it was judging what was said by'
    return `${what} ${probe.name} (module ${probe.module})`
  }

  /** Writes one after the other: two at once would take each other's draft. */
  function writeNotes(change: Partial<SpidermanNotes>): void {
    Object.assign(notes, change)
    const { statusFolder: folder } = config.watchman
    writing = writing
      .then(() => writeSpidermanNotes(folder, notes))
      .catch((error) => {
        const fault = describeFault(folder, error)
        log.warn(`the notes cannot be written: ${fault}; "deadpool reload" does not find this process`)
      })
  }

  return {
    url: listener.url,
    isDiskHanging: () => reader.isHanging(),
    log,
    noteReload: (mistakes) => writeNotes({ reload: { atMs: Date.now(), mistakes: [...mistakes] } }),
    async follow(next) {
      const former = config
      const fresh = next.loaded.config
      // The one thing that can still fail comes first.
      await listener.moveTo(fresh.web)
      config = fresh
      if (!isDeepStrictEqual(logSettings(fresh), logSettings(former))) await log.switchTo(await openLog(fresh))
      else log.redactBy(createRedactor(fresh.secrets))
      tellRemarks(next)
      if (fresh.watchman.statusFolder === former.watchman.statusFolder) {
        reader.follow(enabledNames(fresh))
        verdicts.follow(rulesOf(fresh))
      } else {
        formerFolder = former.watchman.statusFolder
        reader = openReader()
        verdicts = openVerdicts()
      }
      const isRestart = !isDeepStrictEqual(settingsOfWatchMan(fresh), settingsOfWatchMan(former))
      watcher.assign(assignmentOf(next, formerFolder), { isRestart })
      listener.answerWith(openResponder())
      writeNotes({ url: addressOf(), loadedMs: Date.now() })
      log.info(`the configuration was loaded again; DeadPool answers at ${addressOf()}`, { config: fresh.file })
    },
    async stop(reason) {
      clearInterval(looking)
      log.info(`stopping: ${reason}`)
      await Promise.all([listener.close(), watcher.stop()])
      await log.close()
    },
  }
}

function openLog(config: Config): Promise<ProcessLog> {
  return createLog({
    targets: config.log,
    name: config.web.name,
    role: 'SpiderMan',
    redact: createRedactor(config.secrets),
  })
}

function logSettings({ log, web }: Config): unknown {
  return [log, web.name]
}

/** What a running WatchMan cannot change: a change of it takes a new process. */
function settingsOfWatchMan({ watchman, ...config }: Config): unknown {
  return [logSettings({ watchman, ...config }), watchman.statusFolder, watchman.moduleFolder]
}

function enabledNames({ probes }: Config): string[] {
  return probes.filter(({ isEnabled }) => isEnabled).map(({ name }) => name)
}

function assignmentOf({ loaded, timeouts }: ValidConfig, formerFolder?: string): Assignment {
  const { config, text } = loaded
  const { staleAfterMs } = config.watchman
  const probes = config.probes
    .filter(({ isEnabled }) => isEnabled)
    .map(({ name, periodMs }) => {
      return { name, freshForMs: staleAfterMs + periodMs + (timeouts.get(name) ?? DEFAULT_TIMEOUT_MS) }
    })
  return { config: { file: config.file, text, formerFolder }, staleAfterMs, probes }
}

/** What WatchMan said of the probes before this process started; of those that lived, only if that is not long ago. */
async function recallReports({ watchman }: Config): Promise<[string, Report][]> {
  if (watchman.clearOnStart) return []
  try {
    const notes = await answerWithin(FOLDER_TIMEOUT_MS, readWatchmanNotes(watchman.statusFolder))
    if (!notes) return []
    const recollection = toRecollection(notes, readClocks())
    const isKept = isFresh(recollection, watchman.staleAfterMs)
    return Object.entries(notes.probes).flatMap(([name, { state, isFlagged, fault }]): [string, Report][] => {
      const { life, reason, cause, since, unknown } = state
      if (state.isAssumed || (life === 'alive' && !isKept)) return []
      const doubt = isKept && unknown ? { reason: unknown.reason, sinceMs: unknown.since.wallMs } : undefined
      // That the flag of a dead probe is missing may have many reasons while nobody watched: the next check tells.
      const isBelieved = life === 'alive' && isFlagged
      const report = { life, reason, cause, sinceMs: since.wallMs, unknown: doubt, fault, arrivedMs: 0 }
      return [[name, { ...report, isFlagged: isBelieved }]]
    })
  } catch {
    return [] // the flags tell who is dead; what is wrong with the folder is told by those who need it
  }
}

/**
 * Forks this program again as the watcher. The role goes by the environment: `argv` shifts in a packaged binary. The
 * thread pool is sized for the probes, as every lookup of a name holds one of its threads.
 */
function forkWatchMan(probeCount: number, activityFd: number | undefined) {
  const threads = Math.min(64, Math.max(8, probeCount + 4))
  const script = process.argv[1] ?? process.execPath
  const stdio: ('ignore' | 'inherit' | 'ipc' | number)[] = ['ignore', 'inherit', 'inherit', 'ipc']
  if (activityFd !== undefined) stdio[ACTIVITY_FD] = activityFd
  return fork(script, [], {
    env: { UV_THREADPOOL_SIZE: String(threads), ...process.env, [ROLE_VARIABLE]: WATCHMAN_ROLE },
    stdio,
  })
}
