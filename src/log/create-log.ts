import { type ConsolaReporter, createConsola, LogLevels } from 'consola/core'
import type { Log, LogFields, LogLevel } from './log.ts'
import type { OpenTarget } from './open-target.ts'
import { type OpenOptions, openTargets } from './open-targets.ts'
import type { LogEntry } from './reporter.ts'

export interface LogOptions extends OpenOptions {
  /** The server's own name, `WEB.name`. */
  name: string
  /** Which process speaks: SpiderMan or WatchMan. */
  role: string
  /** Takes the secrets out of a text. Every message and every text field goes through it before any target sees it. */
  redact: (text: string) => string
}

/** The log of one process. */
export type ProcessLog = Log & {
  /** Sends what is left, half a second at most. What is logged afterwards may be lost. */
  close(): Promise<void>
  /** Takes other secrets out of what is written from now on. */
  redactBy(redact: (text: string) => string): void
}

const CLOSE_MS = 500

/** Names that targets use for what every line has; a field called so gets a `_` behind it. */
const RESERVED = new Set(['time', 'level', 'message', 'role', 'name', 'id'])

/**
 * Creates the log of one process on consola, with a reporter for each target. No call of it throws or waits. A target that
 * fails slows nothing and loses its oldest lines; the others and stderr are told once when it fails and once when it works.
 */
export async function createLog(options: LogOptions): Promise<ProcessLog> {
  const { name, role } = options
  let { redact } = options

  const toEntry = (level: LogLevel, message: string, fields: LogFields): LogEntry => ({
    time: new Date(),
    level,
    message: clean(message, redact),
    role,
    name,
    fields: cleanFields(fields, redact),
  })
  const targets = await openTargets(options, (level, message) => toEntry(level, message, {}))
  const consola = createConsola({
    level: Math.max(...targets.map(({ level }) => LogLevels[level])),
    reporters: targets.map(toConsolaReporter),
    throttle: Number.NEGATIVE_INFINITY, // Or equal lines within a second would be held back and merged.
  })

  const write =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (LogLevels[level] > consola.level) return
      consola[level].raw(toEntry(level, message, fields))
    }

  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    redactBy(next) {
      redact = next
    },
    async close() {
      await Promise.all(targets.map(({ reporter }) => reporter.close(CLOSE_MS)))
    },
  }
}

function toConsolaReporter({ level, reporter, outage }: OpenTarget): ConsolaReporter {
  return {
    log(line) {
      if (line.level > LogLevels[level]) return
      try {
        reporter.write(line.args[0])
      } catch (error) {
        outage.drop(1, (error as Error).message)
      }
    },
  }
}

function cleanFields(fields: LogFields, redact: (text: string) => string): LogEntry['fields'] {
  const cleaned: LogEntry['fields'] = {}
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined || value === null) continue
    const plain = key.replace(/[^\w.-]/g, '_')
    const isKept = typeof value === 'boolean' || Number.isFinite(value)
    cleaned[RESERVED.has(plain) ? `${plain}_` : plain] = isKept ? value : clean(value, redact)
  }
  return cleaned
}

/** A text without secrets; half characters, left where a text was cut, would not survive every receiver. */
function clean(text: unknown, redact: (text: string) => string): string {
  try {
    return redact(String(text)).toWellFormed()
  } catch {
    return '(not shown, for its secrets could not be taken out)'
  }
}
