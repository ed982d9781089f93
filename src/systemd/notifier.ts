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
  /** A manager that has not taken a message by then will not: the next one is tried. */
  timeoutMs?: number
}

const TIMEOUT_MS = 5000

const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin'

/**
 * Creates the notifier. Node has no Unix datagram sockets, so each message is one run of `systemd-notify`, which comes
 * with systemd; it waits until the manager has read the message, so that the manager can still see whose it is. One runs
 * at a time, which keeps the order. The manager must take messages of all processes of the service (`NotifyAccess=all`).
 */
export function createNotifier(options: NotifierOptions): Notifier {
  const { notifySocket, log, path = process.env.PATH, timeoutMs = TIMEOUT_MS } = options
  let last = Promise.resolve()
  let hasFailed = false
  let shown = ''
  let isStatusWaiting = false

  async function run(assignments: readonly string[]): Promise<void> {
    const fault = await tell(assignments)
    // Said once, until it works again: whoever runs without systemd's tools knows it.
    if (fault !== undefined && !hasFailed) log.warn(`the service manager cannot be told how DeadPool is: ${fault}`)
    hasFailed = fault !== undefined
  }

  /** Resolves with what kept the manager from hearing it, if anything did; never rejects. */
  function tell(assignments: readonly string[]): Promise<string | undefined> {
    const env = { NOTIFY_SOCKET: notifySocket, PATH: path || DEFAULT_PATH }
    const { promise, resolve } = Promise.withResolvers<string | undefined>()
    try {
      // Pipes, since /dev/null may be missing or spoilt.
      const child = spawn('systemd-notify', assignments, { env, stdio: 'pipe' })
      const timer = setTimeout(() => {
        child.kill('SIGKILL')
        // One that waits for a disk does not even die of that; what is said next does not wait for it.
        resolve(`systemd-notify did not end within ${timeoutMs / 1000} s`)
      }, timeoutMs)
      let said = ''
      child.on('error', ({ code, message }: NodeJS.ErrnoException) => {
        clearTimeout(timer)
        // One that could not be killed is no missing one.
        resolve(code === 'ENOENT' && child.pid === undefined ? '"systemd-notify" is not installed' : message)
      })
      child.on('close', (code, signal) => {
        clearTimeout(timer)
        if (child.pid !== undefined) {
          resolve(code === 0 ? undefined : said.trim() || `systemd-notify ended with ${signal ?? code}`)
        }
      })
      // Where there were no descriptors for it, there are no pipes either.
      child.stdin?.on('error', () => undefined).destroy()
      child.stdout?.resume()
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        if (said.length < 300) said += text
      })
    } catch (error) {
      resolve((error as Error).message)
    }
    return promise
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
