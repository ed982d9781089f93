import type { LogLevel } from './log.ts'

/** One event as every reporter gets it. Secrets are already out of its texts, control characters are not. */
export interface LogEntry {
  time: Date
  level: LogLevel
  message: string
  /** The process that speaks: SpiderMan or WatchMan. */
  role: string
  /** The server's own name, `WEB.name`. */
  name: string
  /** Names are of `[\w.-]` and none of them is `time`, `level`, `message`, `role`, `name` or `id`. */
  fields: Record<string, string | number | boolean>
}

/** Sends entries to one log target. */
export interface Reporter {
  /** Takes an entry without waiting; what cannot be sent now is queued up to a bound or dropped. */
  write(entry: LogEntry): void
  /** Sends what can still be sent in that time, then gives up sockets and children. */
  close(withinMs: number): Promise<void>
}

/** The severities of syslog (RFC 5424, 6.2.1), which GELF uses as well: the smaller, the worse. */
export const SEVERITY: Record<LogLevel, number> = { error: 3, warn: 4, info: 6, debug: 7 }
