import type { ChildProcess } from 'node:child_process'
import { formatDuration } from '../config/duration.ts'
import type { Log } from '../log/log.ts'
import type { Report } from '../verdict/verdict.ts'
import type { StartMessage, WatchmanMessage } from './messages.ts'

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5000

/** A watcher that lived this long was well; its next restart comes quickly again. */
const WELL_MS = 10_000

/** How long a watcher may take to end by itself, and then after SIGKILL. */
const STOP_TIMEOUT_MS = 1000
const KILL_TIMEOUT_MS = 500

/**
 * Silence is counted in small steps of SpiderMan's own timer, each at most this long. If SpiderMan itself was stopped
 * for a minute, that minute is not WatchMan's silence: its messages are waiting to be read.
 */
const TICK_MS = 250

export interface Supervisor {
  /** Forks WatchMan for the first time. */
  launch(): void
  /** What WatchMan last said of each probe; it outlives the WatchMan that said it. */
  reports: ReadonlyMap<string, Report>
  /** Grows with every report. */
  version(): number
  /** Since when WatchMan has been silent, once that is longer than `staleAfterMs`; in milliseconds of the wall clock. */
  silentSinceMs(): number | undefined
  /** Ends WatchMan, and resolves when it is gone. */
  stop(): Promise<void>
}

export interface SupervisorOptions {
  /** Forks a watcher. */
  spawn(): ChildProcess
  start: StartMessage
  staleAfterMs: number
  log: Log
}

/**
 * Creates the supervisor of WatchMan, which keeps it running once it is launched: a watcher that ends is started again,
 * after a pause that grows while it keeps ending.
 */
export function createSupervisor({ spawn, start, staleAfterMs, log }: SupervisorOptions): Supervisor {
  const reports = new Map<string, Report>()
  let version = 0
  let silentMs = 0
  let heardWallMs = Date.now()
  let tickedMs = 0
  let ticker: NodeJS.Timeout | undefined
  let pauseMs = FIRST_PAUSE_MS
  let child: ChildProcess | undefined
  let restart: NodeJS.Timeout | undefined
  let isStopping = false

  function tick(): void {
    const nowMs = performance.now()
    silentMs += Math.min(nowMs - tickedMs, 2 * TICK_MS)
    tickedMs = nowMs
  }

  function hear(message: WatchmanMessage): void {
    silentMs = 0
    heardWallMs = Date.now()
    if (message.kind !== 'report') return
    const { kind: _, probe, ...report } = message
    reports.set(probe, { ...report, arrivedMs: performance.now() })
    version++
  }

  function fork(): void {
    const startedMs = performance.now()
    let isOver = false
    const end = (how: string) => {
      if (isOver) return
      isOver = true
      child = undefined
      if (isStopping) return
      if (performance.now() - startedMs > WELL_MS) pauseMs = FIRST_PAUSE_MS
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
    started.on('message', hear)
    started.on('error', (error) => {
      // Whatever failed, there must never be two watchers: this one ends, and its exit starts the next.
      if (started.pid === undefined) end(error.message)
      else started.kill('SIGKILL')
    })
    started.on('exit', (code, signal) => end(signal ? `killed by ${signal}` : `exit code ${code}`))
    // A watcher that dies before it reads this reports itself by its exit.
    started.send(start, () => undefined)
  }

  return {
    launch() {
      tickedMs = performance.now()
      heardWallMs = Date.now()
      ticker = setInterval(tick, TICK_MS)
      fork()
    },
    reports,
    version: () => version,
    silentSinceMs: () => (silentMs > staleAfterMs ? heardWallMs : undefined),
    async stop() {
      isStopping = true
      clearInterval(ticker)
      clearTimeout(restart)
      if (!child) return
      const ending = child
      const gone = new Promise<void>((resolve) => ending.once('exit', () => resolve()))
      if (ending.connected) ending.disconnect()
      if (await isOverWithin(gone, STOP_TIMEOUT_MS)) return
      ending.kill('SIGKILL')
      // A process that waits for a frozen disk does not even obey that; it is gone when the disk answers.
      await isOverWithin(gone, KILL_TIMEOUT_MS)
    },
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
