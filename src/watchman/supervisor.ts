import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { readMonotonic } from '../clock.ts'
import { formatDuration } from '../config/duration.ts'
import type { Log } from '../log/log.ts'
import type { Report } from '../verdict/standing.ts'
import { createFreshness } from './freshness.ts'
import { type ConfigMessage, heartbeatPeriod, type SpidermanMessage, type WatchmanMessage } from './messages.ts'

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5000

/** A watcher that lived this long, or was through its first round, was well; its next restart comes quickly again. */
const WELL_MS = 10_000

/** How long a watcher may take to end by itself, and then after SIGKILL. */
const STOP_TIMEOUT_MS = 1000
const KILL_TIMEOUT_MS = 500

/**
 * Silence is counted in small steps of SpiderMan's own timer, each at most this long. If SpiderMan itself was stopped
 * for a minute, that minute is not WatchMan's silence: its messages are waiting to be read.
 */
const TICK_MS = 250

/** A watcher that is silent for half of `stale_after` is killed, so that another one can be at work before it is over. */
const SHORTEST_HANG_MS = 2000
const LONGEST_HANG_MS = 15_000

/** What WatchMan is to do, and how it is to be judged. */
export interface Assignment {
  config: Omit<ConfigMessage, 'kind' | 'generation' | 'heard' | 'isAgain'>
  staleAfterMs: number
  /** The enabled probes in their order, and how long the last check of each counts as fresh. */
  probes: readonly { name: string; freshForMs: number }[]
}

export interface Supervisor {
  /** Forks WatchMan: for the first time, or again after a stop. */
  launch(): void
  /** Gives WatchMan another configuration; by a new process where `isRestart`, which goes on where the old one was. */
  assign(assignment: Assignment, options: { isRestart: boolean }): void
  /** What WatchMan last said of each probe; it outlives the WatchMan that said it. */
  reports: ReadonlyMap<string, Report>
  /** Probes that were not checked for too long: since when, in milliseconds of the wall clock. */
  stale: ReadonlyMap<string, number>
  /** Grows with every report, and whenever `stale` changes. */
  version(): number
  /** Since when WatchMan has been silent, once that is longer than `staleAfterMs`; in milliseconds of the wall clock. */
  silentSinceMs(): number | undefined
  /** Takes note of what the WatchMan of another process said, while this one has none. */
  overhear(report: Extract<WatchmanMessage, { kind: 'report' }>): void
  /** Ends WatchMan, and resolves when it is gone. Its silence is none until the next launch. */
  stop(): Promise<void>
}

export interface SupervisorOptions {
  /** Forks a watcher. */
  spawn(): ChildProcess
  assignment: Assignment
  /** What is known of the probes from before. */
  reports?: Iterable<[string, Report]>
  /** Says what a WatchMan of this generation of the configuration was doing last; undefined when nobody knows. */
  describeActivity?: (generation: number) => string | undefined
  /** Whether this goes on with what another process began: what is done at the start of DeadPool was done then. */
  isContinued?: boolean
  /** Hears everything that WatchMan says, when it counts already. */
  onMessage?: (message: WatchmanMessage) => void
  log: Log
}

/**
 * Creates the supervisor of WatchMan, which keeps it running once it is launched: a watcher that ends is started again,
 * after a pause that grows while it keeps ending; one that hangs is killed.
 */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { spawn, log, describeActivity = () => undefined, onMessage = () => undefined } = options
  const reports = new Map(options.reports)
  const freshness = createFreshness()
  let { assignment } = options
  let generation = 1
  let version = 0
  let silentMs = 0
  let heardWallMs = Date.now()
  /** As `silentMs`, but of the present watcher alone. */
  let quietMs = 0
  let isHeard = false
  let wasHeard = options.isContinued ?? false
  let tickedMs = 0
  let ticker: NodeJS.Timeout | undefined
  let pauseMs = FIRST_PAUSE_MS
  let child: ChildProcess | undefined
  let restart: NodeJS.Timeout | undefined
  let isReady = false
  /** Of `quietMs`, what a signal that stopped the watcher accounts for. */
  let excusedMs = 0
  let isStopTold = false
  let isReplaced = false
  let isStopping = false
  freshness.follow(assignment.probes)
  /** The probes in their order, by the generations of the configuration that WatchMan may still speak of. */
  const orders = new Map([[generation, namesOf(assignment)]])

  function tick(): void {
    const nowMs = readMonotonic()
    const passedMs = Math.min(nowMs - tickedMs, 2 * TICK_MS)
    silentMs += passedMs
    quietMs += passedMs
    tickedMs = nowMs
    if (freshness.pass(passedMs, Date.now())) version++
    if (quietMs - excusedMs > hangLimit()) endHanging()
  }

  /** Until it has said its first word it may be reading a large configuration. */
  function hangLimit(): number {
    if (!isHeard) return LONGEST_HANG_MS
    return Math.min(LONGEST_HANG_MS, Math.max(SHORTEST_HANG_MS, assignment.staleAfterMs / 2))
  }

  /** Kills a watcher that says nothing any more; one that somebody stopped by a signal is left to that somebody. */
  function endHanging(): void {
    if (!child?.pid || child.killed) return
    const silent = formatDuration(quietMs)
    if (isStopped(child.pid)) {
      // When it goes on, it has all of its time again.
      excusedMs = quietMs
      if (isStopTold) return
      isStopTold = true
      log.error(
        `WatchMan (process ${child.pid}) was stopped by a signal and is silent for ${silent}; go on with "kill -CONT ${child.pid}"`,
      )
      return
    }
    const activity = describeActivity(generation)
    log.error(`WatchMan hangs: it is silent for ${silent}${activity ? `, while ${activity}` : ''}; killing it`)
    child.kill('SIGKILL')
  }

  function hear(message: WatchmanMessage, isLeaving: boolean): void {
    // One that stood still has stood still for all of its probes.
    const stoodStill = isHeard && quietMs > 3 * heartbeatPeriod(assignment.staleAfterMs)
    if (stoodStill && freshness.forgive(quietMs, Date.now())) version++
    silentMs = 0
    quietMs = 0
    heardWallMs = Date.now()
    isHeard = true
    wasHeard = true
    excusedMs = 0
    isStopTold = false
    switch (message.kind) {
      case 'ready':
      case 'heartbeat':
        isReady ||= message.kind === 'ready'
        freshness.refresh(namesAt(message))
        break
      case 'report':
        note(message, isLeaving)
    }
    onMessage(message)
  }

  function note({ kind: _, probe, ...said }: Extract<WatchmanMessage, { kind: 'report' }>, isLeaving: boolean): void {
    const report = { ...said, arrivedMs: readMonotonic() }
    reports.set(probe, isLeaving ? distrustFlag(report) : report)
    version++
  }

  /** The probes that were checked: no check may get lost because the configuration was loaded again meanwhile. */
  function namesAt({ generation: spokenOf, checked }: Extract<WatchmanMessage, { checked: number[] }>): string[] {
    for (const each of orders.keys()) if (each < spokenOf) orders.delete(each)
    const order = orders.get(spokenOf) ?? []
    return checked.flatMap((place) => order[place] ?? [])
  }

  function fork(): void {
    const startedMs = readMonotonic()
    let isOver = false
    quietMs = 0
    isHeard = false
    excusedMs = 0
    isStopTold = false
    isReady = false
    isReplaced = false
    const end = (how: string) => {
      if (isOver) return
      isOver = true
      child = undefined
      if (isStopping) return
      if (isReplaced) return fork()
      if (isReady || readMonotonic() - startedMs > WELL_MS) pauseMs = FIRST_PAUSE_MS
      log.error(`WatchMan ended (${how}); starting it again in ${formatDuration(pauseMs)}`)
      restart = setTimeout(fork, pauseMs)
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
    }
    let started: ChildProcess
    try {
      started = spawn()
    } catch (error) {
      end((error as Error).message)
      return
    }
    child = started
    // What one sent before its end can arrive when the next one is there already.
    started.on('message', (message: WatchmanMessage) => hear(message, isReplaced || started !== child))
    started.on('error', (error) => {
      // Whatever failed, there must never be two watchers: this one ends, and its exit starts the next.
      if (started.pid === undefined) end(error.message)
      else started.kill('SIGKILL')
    })
    started.on('exit', (code, signal) => end(signal ? `killed by ${signal}` : `exit code ${code}`))
    tell(started, { kind: 'start', generation, ...assignment.config, heard: hearsay(), isAgain: wasHeard })
  }

  /** What the watchers before said: the disk may not have it, or have it older. */
  function hearsay(): ConfigMessage['heard'] {
    const told = [...reports].filter(([, { arrivedMs }]) => arrivedMs > 0)
    return told.map(([probe, { life, reason, cause, sinceMs }]) => [probe, { life, reason, cause, sinceMs }])
  }

  /** A watcher that dies before it reads this reports itself by its exit. */
  function tell(to: ChildProcess, message: SpidermanMessage): void {
    to.send(message, () => undefined)
  }

  return {
    launch() {
      isStopping = false
      tickedMs = readMonotonic()
      silentMs = 0
      heardWallMs = Date.now()
      ticker = setInterval(tick, TICK_MS)
      fork()
    },
    assign(next, { isRestart }) {
      assignment = next
      generation++
      orders.set(generation, namesOf(next))
      freshness.follow(next.probes)
      const names = new Set(namesOf(next))
      for (const name of reports.keys()) if (!names.has(name)) reports.delete(name)
      // It may work in another folder, where none of the flags stands: until it has said more, what was said counts.
      if (isRestart) for (const [name, report] of reports) reports.set(name, distrustFlag(report))
      version++
      // One that is just being started again takes the new configuration by itself.
      if (!child) return
      if (!isRestart) return tell(child, { kind: 'reload', generation, ...next.config })
      isReplaced = true
      const replaced = child
      tell(replaced, { kind: 'stop' })
      setTimeout(() => replaced.kill('SIGKILL'), STOP_TIMEOUT_MS).unref()
    },
    reports,
    stale: freshness.stale,
    version: () => version,
    silentSinceMs: () => (silentMs > assignment.staleAfterMs ? heardWallMs : undefined),
    overhear: (report) => note(report, false),
    async stop() {
      isStopping = true
      clearInterval(ticker)
      clearTimeout(restart)
      if (!child) return
      const ending = child
      const gone = new Promise<void>((resolve) => ending.once('exit', () => resolve()))
      tell(ending, { kind: 'stop' })
      if (await isOverWithin(gone, STOP_TIMEOUT_MS)) return
      ending.kill('SIGKILL')
      // One that waits for a disk does not even die of that, until the disk answers; then it is gone.
      await isOverWithin(gone, KILL_TIMEOUT_MS)
    },
  }
}

function namesOf({ probes }: Assignment): string[] {
  return probes.map(({ name }) => name)
}

/** The same report, of which the flag of a dead probe is not yet said to stand. */
export function distrustFlag(report: Report): Report {
  return report.life === 'dead' ? { ...report, isFlagged: false } : report
}

/** Whether a process is stopped by a signal or a debugger (proc(5): the state after the name in brackets). */
function isStopped(pid: number): boolean {
  try {
    return /\) [Tt] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false // it is gone already
  }
}

async function isOverWithin(over: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms)
  })
  const isOver = await Promise.race([over.then(() => true as const), late])
  clearTimeout(timer)
  return isOver
}
