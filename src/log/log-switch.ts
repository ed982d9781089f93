import type { ProcessLog } from './create-log.ts'

/** A log whose targets can be exchanged while everybody goes on writing to it. */
export type LogSwitch = ProcessLog & {
  /** Writes to another log from now on, and closes the one before. */
  switchTo(next: ProcessLog): Promise<void>
  /** Takes other secrets out of what is written. */
  redactBy(redact: (text: string) => string): void
}

export function createLogSwitch(first: ProcessLog): LogSwitch {
  let current = first
  return {
    debug: (message, fields) => current.debug(message, fields),
    info: (message, fields) => current.info(message, fields),
    warn: (message, fields) => current.warn(message, fields),
    error: (message, fields) => current.error(message, fields),
    redactBy: (redact) => current.redactBy(redact),
    async switchTo(next) {
      const former = current
      current = next
      await former.close()
    },
    close: () => current.close(),
  }
}
