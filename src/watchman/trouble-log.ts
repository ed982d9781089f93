import type { Log, LogFields, LogLevel } from '../log/log.ts'
import type { Cause } from '../verdict/state.ts'
import { describeTrouble, isCrowd } from '../verdict/trouble.ts'

/** A line about one probe. */
export interface ProbeLine {
  level: LogLevel
  message: string
  fields: LogFields
}

/**
 * Writes the lines about probes that change; when most of them fail at once in a way that speaks of this host, one line
 * says so instead.
 */
export interface TroubleLog {
  /**
   * @param cause why the probe's state speaks of this host now, if it does
   */
  write(probe: string, cause: Cause | undefined, line: ProbeLine): void
  /** Takes a probe that is no longer there out of the count. */
  forget(probe: string): void
}

/** Lines that could be part of a crowd wait this long for the others. */
const WAIT_MS = 1000

/** @param countProbes how many probes there are */
export function createTroubleLog(log: Log, countProbes: () => number): TroubleLog {
  const troubled = new Map<string, Cause>()
  let waiting: ProbeLine[] = []
  let isWaiting = false
  let isTold = false

  function flush(): void {
    isWaiting = false
    const lines = waiting
    waiting = []
    const crowd = findCrowd()
    // Those that can be judged again are told by their number; what dies in that moment is not one of them.
    const isHidden = ({ level }: ProbeLine) => crowd !== undefined || (isTold && level === 'info')
    if (crowd && !isTold) log.error(describeTrouble(crowd, namesOf(crowd), countProbes()))
    if (!crowd && isTold) log.info(`most probes can be judged again; ${troubled.size} of ${countProbes()} cannot yet`)
    for (const line of lines) log[isHidden(line) ? 'debug' : line.level](line.message, line.fields)
    isTold = crowd !== undefined
  }

  function findCrowd(): Cause | undefined {
    return (['timeout', 'unknown'] as const).find((cause) => isCrowd(namesOf(cause).length, countProbes()))
  }

  function namesOf(cause: Cause): string[] {
    return [...troubled].filter(([, each]) => each === cause).map(([name]) => name)
  }

  return {
    write(probe, cause, line) {
      const wasTroubled = troubled.delete(probe)
      if (cause) troubled.set(probe, cause)
      if (!cause && !wasTroubled) return log[line.level](line.message, line.fields)
      waiting.push(line)
      if (!isWaiting) setTimeout(flush, WAIT_MS)
      isWaiting = true
    },
    forget: (probe) => void troubled.delete(probe),
  }
}
