import { formatDuration } from '../config/duration.ts'
import type { LogLevel } from './log.ts'

/** Keeps count of what a log target loses, and tells once when it fails and once when it works again. */
export interface Outage {
  readonly isOpen: boolean
  begin(reason: string): void
  /** Counts lines that are lost. A target that loses lines without having failed fails by this, for being slow by default. */
  drop(lines: number, reason?: string): void
  end(): void
  /** Says what was lost, at the very end of the log. */
  close(): void
}

/** Where an outage is told: to all the other targets, and to the target itself once it works again. */
export type Tell = (level: LogLevel, message: string, alsoSelf: boolean) => void

/** Watches over one target; `target` is how people know it, such as `gelf tcp graylog:12201`. */
export function createOutage(target: string, tell: Tell): Outage {
  let since: number | undefined
  let dropped = 0

  function begin(reason: string) {
    if (since !== undefined) return
    since = performance.now()
    tell('error', `log target ${target} fails: ${reason}`, false)
  }

  function takeLoss(): string {
    const loss = dropped === 1 ? '1 line was dropped' : `${dropped} lines were dropped`
    dropped = 0
    return loss
  }

  return {
    get isOpen() {
      return since !== undefined
    },
    begin,
    drop(lines, reason = 'it takes lines too slowly') {
      if (lines === 0) return
      dropped += lines
      begin(reason)
    },
    end() {
      if (since === undefined) return
      const lasted = formatDuration(performance.now() - since)
      since = undefined
      tell('warn', `log target ${target} works again after ${lasted}; ${takeLoss()}`, true)
    },
    close() {
      if (dropped > 0) tell('warn', `log target ${target} still fails at the end; ${takeLoss()}`, false)
    },
  }
}
