/** Structured details of a log line: `probe`, `module`, `reason`, `was_for_s` … */
export type LogFields = Record<string, string | number | boolean | undefined>

/** The log that every part writes to. It never throws and never waits. */
export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

/** How much a line matters. */
export type LogLevel = keyof Log
