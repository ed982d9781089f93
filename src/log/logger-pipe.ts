import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { createBackOff } from './back-off.ts'
import { createLineQueue } from './line-queue.ts'
import type { Outage } from './outage.ts'
import type { LogEntry } from './reporter.ts'
import { waitAtMost } from './wait-at-most.ts'

export interface LoggerOptions {
  /** The folders in which `logger` is searched, as in `$PATH`. */
  path: string
  /** The socket of syslog, where it is not `/dev/log`. */
  socket: string | undefined
  /** Takes the entries while `logger` does not. */
  fallback: (entry: LogEntry) => void
}

/** Hands lines to this host's syslog. */
export interface LoggerPipe {
  /** A line opens with its priority, `<30>`; the entry is what the line was made of. */
  send(line: string, entry: LogEntry): void
  close(withinMs: number): Promise<void>
}

type Logger = ChildProcessByStdio<Writable, Readable, Readable>
type Line = { text: string; entry: LogEntry }

const MAX_REASON = 500
const MAX_PIPE_BYTES = 64 << 10
/** `logger` ends when it cannot pass a line on, and does not say which. What it got this short before is sent again. */
const RECENT_MS = 1000
const RECENT_LINES = 1000
/** So many new starts, almost 4 s, the lines wait for a syslog that worked before: it is probably being restarted. */
const PATIENT_TRIES = 4

/**
 * Keeps one `logger --prio-prefix` (util-linux 2.27 or newer) running and writes to it. While there is no `logger` or no
 * syslog behind it, the entries go to `fallback` and it is tried again with back-off. It is out of reach for a Ctrl-C,
 * so that the last lines arrive, and ends with its input when this process dies.
 */
export function createLoggerPipe(outage: Outage, { path, socket, fallback }: LoggerOptions): LoggerPipe {
  const options = ['--prio-prefix', '--tag=deadpool', `--id=${process.pid}`, '--size=8192', '--socket-errors=on']
  if (socket !== undefined) options.push(`--socket=${socket}`)
  const queue = createLineQueue<Line>()
  const backOff = createBackOff()
  let recent: { line: Line; at: number }[] = []
  let logger: Logger | undefined
  let retry: NodeJS.Timeout | undefined
  let hasWorked = false
  let isOut = false
  let isClosing = false
  let tries = 0

  function start() {
    retry = undefined
    let fresh: Logger
    try {
      fresh = spawn('logger', options, { stdio: 'pipe', detached: true, env: { PATH: path } })
    } catch (error) {
      return onEnd((error as Error).message)
    }
    logger = fresh
    detach(fresh)
    let reason = ''
    const trial = setTimeout(onWorks, RECENT_MS).unref()
    fresh.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (reason.length < MAX_REASON) reason += text
    })
    fresh.stdout.resume()
    fresh.stdin.on('error', () => {}) // It tells that the child has ended, and so does "close".
    fresh.stdin.on('drain', pump)
    fresh.on('error', (error: NodeJS.ErrnoException) => {
      reason = error.code === 'ENOENT' ? '"logger" is not installed' : error.message
    })
    fresh.on('close', (code, signal) => {
      clearTimeout(trial)
      if (!isClosing || code !== 0) onEnd(reason.trim() || `logger ended with ${signal ?? code}`)
    })
    pump()
  }

  function onWorks() {
    hasWorked = true
    isOut = false
    tries = 0
    backOff.works()
    pump()
  }

  function onEnd(reason: string) {
    logger = undefined
    const since = performance.now() - RECENT_MS
    const waiting = recent.filter(({ at }) => at >= since).map(({ line }) => line)
    for (let line = queue.shift(); line; line = queue.shift()) waiting.push(line)
    recent = []
    isOut ||= isClosing || !hasWorked || ++tries > PATIENT_TRIES
    if (isOut) {
      outage.begin(reason)
      for (const { entry } of waiting) fallback(entry)
    } else {
      for (const line of waiting) enqueue(line)
    }
    if (!isClosing) retry = setTimeout(start, backOff.next()).unref()
  }

  function enqueue(line: Line) {
    outage.drop(queue.push(line, line.text.length))
  }

  function pump() {
    if (!logger || isOut) return
    while (logger.stdin.writableLength < MAX_PIPE_BYTES) {
      const line = queue.shift()
      if (!line) break
      logger.stdin.write(`${line.text}\n`)
      remember(line)
    }
    if (queue.size > 0) return
    outage.end()
    if (isClosing) logger.stdin.end()
  }

  function remember(line: Line) {
    const now = performance.now()
    recent.push({ line, at: now })
    while (recent.length > RECENT_LINES || (recent[0] && recent[0].at < now - RECENT_MS)) recent.shift()
  }

  return {
    send(text, entry) {
      if (isOut) return fallback(entry)
      enqueue({ text, entry })
      if (!logger && !retry && !isClosing) start()
      else pump()
    },
    async close(withinMs) {
      isClosing = true
      clearTimeout(retry)
      if (!logger && queue.size > 0) start()
      if (logger) {
        const last: Logger = logger
        const ended = new Promise((resolve) => last.on('close', resolve))
        if (isOut) last.stdin.end()
        else pump()
        await waitAtMost(withinMs, ended)
        last.kill()
      }
      for (let line = queue.shift(); line; line = queue.shift()) fallback(line.entry)
      outage.close()
    },
  }
}

/** Lets this process end while the child still runs. */
function detach(logger: Logger): void {
  logger.unref()
  for (const pipe of [logger.stdin, logger.stdout, logger.stderr]) (pipe as Partial<Socket>).unref?.()
}
