import { fstatSync } from 'node:fs'
import { formatText } from './line-text.ts'
import { createLoggerPipe, type LoggerOptions } from './logger-pipe.ts'
import type { Outage } from './outage.ts'
import { type Reporter, SEVERITY } from './reporter.ts'
import type { StreamWriter } from './stream-writer.ts'
import { FACILITIES, type LogTarget } from './target.ts'

/** Sends to this host's syslog through `logger`: Node has no Unix datagram sockets. */
export function createLoggerReporter(
  target: LogTarget & { type: 'syslog' },
  outage: Outage,
  options: LoggerOptions,
): Reporter {
  const logger = createLoggerPipe(outage, options)
  const facility = FACILITIES[target.facility]
  return {
    write: (entry) => logger.send(`<${facility * 8 + SEVERITY[entry.level]}>${formatText(entry)}`, entry),
    close: (withinMs) => logger.close(withinMs),
  }
}

/** Writes to stderr with the level as `<N>` in front, which the journal reads (sd-daemon(3)). */
export function createJournalReporter(writer: StreamWriter): Reporter {
  return {
    write: (entry) => writer.write(`<${SEVERITY[entry.level]}>${formatText(entry)}`),
    close: (withinMs) => writer.close(withinMs),
  }
}

/**
 * Tells whether stderr goes to the journal: systemd then names its device and inode in `JOURNAL_STREAM` (systemd.exec(5)),
 * which children inherit even when their own stderr goes elsewhere.
 */
export function isJournal(env: NodeJS.ProcessEnv): boolean {
  if (!env.JOURNAL_STREAM) return false
  try {
    const { dev, ino } = fstatSync(2, { bigint: true })
    return env.JOURNAL_STREAM === `${dev}:${ino}`
  } catch {
    return false // Without a stderr there is no journal behind it.
  }
}
