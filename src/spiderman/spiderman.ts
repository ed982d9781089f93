import { fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { type Carried, nameBuild } from '../carried/carried.ts'
import { readClocks } from '../clock.ts'
import { type Config, type LoadedConfig, rulesOf } from '../config/load.ts'
import { createRedactor } from '../config/secrets.ts'
import { createLog, type ProcessLog } from '../log/create-log.ts'
import { createLogSwitch } from '../log/log-switch.ts'
import { DEFAULT_TIMEOUT_MS } from '../modules/module.ts'
import { answerWithin, FOLDER_TIMEOUT_MS } from '../status/answer-within.ts'
import { claimFolder } from '../status/claim.ts'
import { createOwnNotes } from '../status/own-notes.ts'
import { readOwnIdentity } from '../status/process.ts'
import { createFlagReader } from '../status/reader.ts'
import { readWatchmanNotes, type SpidermanNotes, toRecollection } from '../status/state-file.ts'
import { checkSelf } from '../systemd/self-check.ts'
import { createService } from '../systemd/service.ts'
import { passOn, type ServiceSurroundings } from '../systemd/surroundings.ts'
import type { Handover } from '../upgrade/messages.ts'
import type { Predecessor } from '../upgrade/predecessor.ts'
import { type Heir, handOver, type Program, UpgradeError } from '../upgrade/successor.ts'
import { isFresh } from '../verdict/restore.ts'
import type { Report } from '../verdict/standing.ts'
import { ACTIVITY_FD, openActivityFile } from '../watchman/activity.ts'
import { ROLE_VARIABLE, WATCHMAN_ROLE, type WatchmanMessage } from '../watchman/messages.ts'
import { type Assignment, createSupervisor, distrustFlag } from '../watchman/supervisor.ts'
import { createVerdictSource, type VerdictSource } from './evidence.ts'
import { createAppSwitch, createGivenListener, createListener, findMismatch, type Listener } from './listener.ts'
import { createResponder } from './responder.ts'
import { createRound, longestRound } from './round.ts'
import { type Address, ListenError, type ListeningServer, listen } from './server.ts'

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
   * @throws ListenError when the new address cannot be listened on, FolderTakenError when another DeadPool works with the
   * new status folder; everything is as before then
   */
  follow(valid: ValidConfig): Promise<void>
  noteReloading(): void
  /** Takes note of how a reload went: what kept the new configuration from being taken. */
  noteReload(mistakes: readonly string[]): void
  /**
   * Starts the program again, and lets the new process take over; no request fails meanwhile. If it does, this one is only
   * to be stopped; if not, the log says why, and everything is as before.
   *
   * @param signal aborted when this process is to stop meanwhile
   * @returns the process that has taken over
   */
  upgrade(signal: AbortSignal): Promise<Heir | undefined>
  log: ProcessLog
  /** Stops both processes; flags stay as they are. */
  stop(reason: string): Promise<void>
}

/** What the process runs that is being forked, which is what this one runs (proc(5)). */
const OWN_PROGRAM = '/proc/self/exe'

/** The verdict is looked at this often even if nobody asks, so that the log tells when it turned. */
const LOOK_MS = 1000

/** How this SpiderMan comes to be. */
export interface Origin {
  surroundings: ServiceSurroundings
  program: Omit<Program, 'args'> & { args(configFile: string): string[] }
  /** The process that this one takes over from. */
  predecessor: Predecessor | undefined
}

/**
 * Starts to answer, and WatchMan.
 *
 * @throws ListenError, FolderTakenError
 */
export async function startSpiderMan(valid: ValidConfig, carried: Carried, origin: Origin): Promise<SpiderMan> {
  const { surroundings, program, predecessor } = origin
  let { config } = valid.loaded
  const version = nameBuild(carried)
  const notes: Omit<SpidermanNotes, 'format'> = {
    ...readOwnIdentity(),
    startedMs: Date.now(),
    version,
    url: `http://${config.web.host}:${config.web.port}${config.web.baseUrl}`,
    config: config.file,
    loadedMs: Date.now(),
  }
  if (!predecessor) await claimFolder(config.watchman.statusFolder, notes)
  const log = createLogSwitch(await openLog(config))
  for (const remark of surroundings.remarks) log.warn(remark)
  tellRemarks(valid)

  const roundMs = longestRound(config.probes, valid.timeouts)
  const handover = await predecessor?.begin(roundMs)
  let formerFolder = handover && handover.folder !== config.watchman.statusFolder ? handover.folder : undefined
  if (formerFolder !== undefined) await claimFolder(config.watchman.statusFolder, notes)
  let reader = openReader()
  const activity = openActivityFile()
  const round = createRound()
  const watcher = createSupervisor({
    spawn: () => forkWatchMan(config.probes.length, activity?.fd),
    assignment: assignmentOf(valid, formerFolder),
    reports: handover ? trust(handover) : await recallReports(config),
    isContinued: handover !== undefined,
    describeActivity,
    onMessage(message) {
      round.note(message)
      predecessor?.relay(relayed(message))
    },
    log,
  })
  let verdicts = openVerdicts()
  /** What the responder goes by, which during a reload is not yet what is configured. */
  let answering = config.web
  const app = createAppSwitch(openResponder())
  const service = createService({ surroundings, examine, log })
  // Listening comes before the fork: a port in use must not leave a watcher behind.
  const listener = predecessor && handover ? await takeOver(handover, predecessor) : await openListener()
  if (!predecessor) watcher.launch()
  const ownNotes = createOwnNotes({ notes, folder: () => config.watchman.statusFolder, log })
  if (handover) notes.predecessor = { pid: handover.pid, version: handover.version }
  const noting = ownNotes.write({ url: addressOf() })
  const looking = setInterval(look, LOOK_MS)
  const keeping = ownNotes.keep()
  log.info(`DeadPool ${version} answers at ${addressOf()}${tellOrigin()}`, { config: config.file })
  if (predecessor) {
    // The one before ends only then, and whoever asked for this looks for the notes when it has.
    await answerWithin(FOLDER_TIMEOUT_MS, noting).catch(() => undefined)
    predecessor.ready(version, listener.take)
    becomeReady()
  } else {
    service.starting(roundMs)
    void round.isOverWithin(roundMs).then(becomeReady)
  }

  async function openListener(): Promise<Listener> {
    const { sockets } = surroundings
    if (sockets.length === 0) return createListener(app, config.web)
    const servers = await Promise.all(sockets.map((socket) => listen(app, socket)))
    const mismatch = findMismatch(
      config.web,
      servers.map(({ where }) => where),
    )
    if (mismatch) log.warn(mismatch)
    return createGivenListener(servers.map((server, index) => ({ name: sockets[index]?.name ?? '', server })))
  }

  async function takeOver({ address }: Handover, from: Predecessor): Promise<Listener> {
    // What can fail comes before the sockets: from then on requests come.
    const isMoved = address && !isDeepStrictEqual(address, { host: config.web.host, port: config.web.port })
    // Both addresses are bound for a while, which one port allows only for hosts that do not include each other.
    const isSamePort = address?.port === config.web.port
    const moved = isMoved
      ? await createListener(app, config.web).catch((error) => {
          throw isSamePort && error instanceof ListenError ? explainOverlap(config.web, address) : error
        })
      : undefined
    watcher.launch()
    if (!(await round.isOverWithin(roundMs))) {
      throw new UpgradeError(['the WatchMan of the new process says nothing; its log may tell why'])
    }
    const opening: Promise<{ name: string; server: ListeningServer }>[] = []
    await from.takeSockets((name, server) => {
      opening.push(listen(app, { server }).then((opened) => ({ name, server: opened })))
    })
    const opened = await Promise.all(opening)
    const [first] = opened
    if (!address || !first) return createGivenListener(opened)
    moved?.answerForAWhile(first.server, address)
    return moved ?? createListener(app, address, first.server)
  }

  /** Where the sockets come from, if not from the configuration. */
  function tellOrigin(): string {
    const from = handover ? `, in the place of process ${handover.pid}` : ''
    const given = listener.handOn()
    if (given.address) return from
    const names = given.sockets.map(({ name }) => name)
    return `, on ${names.length === 1 ? 'the passed socket' : 'the passed sockets'} ${names.join(', ')}${from}`
  }

  function becomeReady(): void {
    service.ready()
    look()
  }

  /** What the one before is told, which answers by the flags of its own folder: none of this one's stands there. */
  function relayed(message: WatchmanMessage): WatchmanMessage {
    return message.kind === 'report' && formerFolder !== undefined ? { ...message, isFlagged: false } : message
  }

  function look(): void {
    void verdicts.read().then(service.show)
  }

  /** What is wrong with the way that requests take, or with what answers rest on. */
  async function examine(timeoutMs: number): Promise<string | undefined> {
    if (watcher.silentSinceMs() !== undefined) return 'WatchMan is silent'
    const { tokens, baseUrl } = answering
    return checkSelf({ places: listener.places(), path: baseUrl, token: tokens[0] ?? '', timeoutMs })
  }

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

  return {
    url: listener.url,
    isDiskHanging: () => reader.isHanging(),
    log,
    noteReloading: service.reloading,
    noteReload(mistakes) {
      service.reloaded()
      void ownNotes.write({ reload: { atMs: Date.now(), mistakes: [...mistakes] } })
    },
    async upgrade(signal) {
      const { file } = program
      log.info(`an upgrade begins: ${file} is started, to take over from this process (${process.pid})`)
      try {
        // Under this number its end is the end of all others, as in a container.
        if (process.pid === 1) throw new UpgradeError(['process 1 cannot be replaced while it runs; restart it'])
        const heir = await handOver({
          program: { file, args: program.args(config.file) },
          env: { ...process.env, ...passOn(surroundings) },
          rest: watcher.stop,
          giveAway: listener.giveAway,
          goOn: watcher.launch,
          handover: () => ({
            pid: process.pid,
            version,
            reports: [...watcher.reports],
            folder: config.watchman.statusFolder,
          }),
          handOn: listener.handOn,
          onReport: watcher.overhear,
          signal,
        })
        await service.handTo(heir.pid)
        return heir
      } catch (error) {
        const faults = error instanceof UpgradeError ? error.reasons : [`the upgrade failed: ${error}`]
        if (signal.aborted) return undefined
        for (const fault of faults) log.error(fault)
        log.error('no other process has taken over; everything goes on as before')
        void ownNotes.write({ upgrade: { atMs: Date.now(), faults: [...faults] } })
        return undefined
      }
    },
    async follow(next) {
      const former = config
      const fresh = next.loaded.config
      // What can still fail comes first.
      if (fresh.watchman.statusFolder !== former.watchman.statusFolder) {
        await claimFolder(fresh.watchman.statusFolder, notes)
      }
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
      app.answerWith(openResponder())
      answering = config.web
      void ownNotes.write({ url: addressOf(), loadedMs: Date.now() })
      log.info(`the configuration was loaded again; DeadPool answers at ${addressOf()}`, { config: fresh.file })
    },
    async stop(reason) {
      clearInterval(looking)
      keeping.end()
      log.info(`stopping: ${reason}`)
      service.stopping()
      // Whoever keeps a connection is answered meanwhile, and rightly.
      await listener.drain()
      await Promise.all([listener.close(), watcher.stop()])
      await log.close()
    },
  }
}

function explainOverlap({ host, port }: Address, former: Address): ListenError {
  const why = `the process that is to be replaced listens on ${former.host}:${port}`
  return new ListenError(`cannot listen on ${host}:${port}: ${why}; change WEB.host by "deadpool reload", then upgrade`)
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

/** What was heard by another process is as good; that the flags stand is not known here yet. */
function trust({ reports }: Handover): [string, Report][] {
  return reports.map(([probe, report]) => [probe, distrustFlag(report)])
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
  // A pipe for its input, since /dev/null may be missing or spoilt.
  const stdio: ('pipe' | 'inherit' | 'ipc' | number)[] = ['pipe', 'inherit', 'inherit', 'ipc']
  if (activityFd !== undefined) stdio[ACTIVITY_FD] = activityFd
  const child = fork(script, [], {
    // The file that this process runs, though another one stands at its path by now: of another version, or broken.
    ...(existsSync(OWN_PROGRAM) ? { execPath: OWN_PROGRAM, argv0: process.execPath } : {}),
    env: { UV_THREADPOOL_SIZE: String(threads), ...process.env, [ROLE_VARIABLE]: WATCHMAN_ROLE },
    stdio,
  })
  child.stdin?.on('error', () => undefined).destroy()
  return child
}
