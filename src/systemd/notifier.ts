import { spawn } from 'node:child_process'
import type { Log } from '../log/log.ts'

/** Tells the service manager how things are: sd_notify(3). */
export interface Notifier {
  /** Whether anybody wants to hear it. */
  isWanted: boolean
  /** Says this after everything that was said before; resolves when the manager has it, or cannot be told. */
  say(...assignments: string[]): Promise<void>
  /** Says how things are, if that is news. Of several statuses that wait the last one is said. */
  status(text: string): void
}

export interface NotifierOptions {
  notifySocket: string | undefined
  log: Log
  /** The folders in which `systemd-notify` is searched, as in `$PATH`. */
  path?: string
}

/** A manager that has not taken a message by then will not: the next one is tried. */
const TIMEOUT_MS = 5000

const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin'

/**
 * Creates the notifier. Node has no Unix datagram sockets, so each message is one run of `systemd-notify`, which comes
 * with systemd; it waits until the manager has read the message, so that the manager can still see whose it is. One runs
 * at a time, which keeps the order. The manager must take messages of all processes of the service (`NotifyAccess=all`).
 */
export function createNotifier({ notifySocket, log, path = process.env.PATH }: NotifierOptions): Notifier {
  let last = Promise.resolve()
  let isMissing = false
  let hasFailed = false
  let shown = ''
  let isStatusWaiting = false

  function run(assignments: readonly string[]): Promise<void> {
    if (isMissing) return Promise.resolve()
    return new Promise((resolve) => {
      const env = { NOTIFY_SOCKET: notifySocket, PATH: path || DEFAULT_PATH }
      const child = spawn('systemd-notify', assignments, { env, stdio: ['ignore', 'ignore', 'pipe'] })
      const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
      let said = ''
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        if (said.length < 300) said += text
      })
      child.on('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(timer)
        // One that could not be killed is no missing one.
        if (child.pid === undefined) isMissing = error.code === 'ENOENT'
        fail(isMissing ? '"systemd-notify" is not installed' : error.message)
        resolve()
      })
      child.on('close', (code, signal) => {
        clearTimeout(timer)
        if (code === 0) hasFailed = false
        else if (child.pid !== undefined) fail(said.trim() || `systemd-notify ended with ${signal ?? code}`)
        resolve()
      })
    })
  }

  /** Said once, until it works again: whoever runs without systemd's tools knows it. */
  function fail(reason: string): void {
    if (!hasFailed) log.warn(`the service manager cannot be told how DeadPool is: ${reason}`)
    hasFailed = true
  }

  function enqueue(assignments: () => readonly string[]): Promise<void> {
    last = last.then(() => run(assignments()))
    return last
  }

  return {
    isWanted: notifySocket !== undefined,
    say: (...assignments) => (notifySocket === undefined ? Promise.resolve() : enqueue(() => assignments)),
    status(text) {
      if (notifySocket === undefined || text === shown) return
      shown = text
      if (isStatusWaiting) return
      isStatusWaiting = true
      void enqueue(() => {
        isStatusWaiting = false
        return [`STATUS=${shown}`]
      })
    },
  }
}
