import { styleText } from 'node:util'
import { formatText } from './line-text.ts'
import type { LogLevel } from './log.ts'
import type { LogEntry, Reporter } from './reporter.ts'
import type { StreamWriter } from './stream-writer.ts'

const COLORS = { error: 'red', warn: 'yellow', info: 'green', debug: 'gray' } as const satisfies Record<
  LogLevel,
  string
>

/**
 * Lines for people: `14:03:05.123 WARN  elastic is dead: status: 503 is not one of 200  module=url_probe was_for="5 min 3 s"`.
 * On a terminal the clock of this host, elsewhere the full date in UTC, for there the line may be read much later.
 */
export function createConsoleReporter(writer: StreamWriter, look: { isTerminal: boolean; color: boolean }): Reporter {
  return {
    write(entry) {
      const time = look.isTerminal ? toClock(entry.time) : entry.time.toISOString()
      const level = entry.level.toUpperCase().padEnd(5)
      const text = formatText(entry)
      if (look.color) writer.write(`${paint('gray', time)} ${paint(COLORS[entry.level], level)} ${text}`)
      else writer.write(`${time} ${level} ${text}`)
    },
    close: (withinMs) => writer.close(withinMs),
  }
}

/** Tells whether lines for people are coloured: as configured, else on a terminal unless `NO_COLOR` is set (no-color.org). */
export function wantsColor(configured: boolean | undefined, isTerminal: boolean, env: NodeJS.ProcessEnv): boolean {
  return configured ?? (isTerminal && !env.NO_COLOR && env.TERM !== 'dumb')
}

function toClock(time: LogEntry['time']): string {
  const [hours, minutes, seconds] = [time.getHours(), time.getMinutes(), time.getSeconds()].map(twoDigits)
  return `${hours}:${minutes}:${seconds}.${String(time.getMilliseconds()).padStart(3, '0')}`
}

function twoDigits(count: number): string {
  return String(count).padStart(2, '0')
}

function paint(color: (typeof COLORS)[LogLevel], text: string): string {
  return styleText(color, text, { validateStream: false })
}
