import type { Log } from '../log/log.ts'

export interface WatchdogOptions {
  /** How long the manager waits for a sign of life, in milliseconds. */
  watchdogMs: number
  /** Gives a sign of life. */
  feed(): void
  /** What is wrong, if anything; it may take its time. */
  examine(): Promise<string | undefined>
  log: Log
}

/**
 * Gives the manager a sign of life twice in the time that it waits, each after an examination that found nothing wrong.
 * While one goes on, no other begins: an answer that is late is a sign of life when it comes.
 *
 * @returns what ends it
 */
export function feedWatchdog({ watchdogMs, feed, examine, log }: WatchdogOptions): () => void {
  let isExamining = false
  let isOver = false
  let fault: string | undefined

  async function look(): Promise<void> {
    if (isExamining) return
    isExamining = true
    const found = await examine()
    isExamining = false
    if (isOver) return
    if (found === undefined) {
      if (fault !== undefined) log.info('the watchdog of the service manager is fed again')
      feed()
    } else if (found !== fault) {
      log.error(`the watchdog of the service manager is not fed: ${found}; it will restart DeadPool`)
    }
    fault = found
  }

  void look()
  const timer = setInterval(() => void look(), watchdogMs / 2)
  return () => {
    isOver = true
    clearInterval(timer)
  }
}
