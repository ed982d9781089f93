import type { Log } from '../log/log.ts'

const REPORT_EVERY_MS = 10_000

/** Counts the requests that were answered 511. */
export interface StrangerCount {
  /** @param hasToken whether the request carried a token, though a wrong one */
  count(hasToken: boolean): void
}

/**
 * Creates the count of requests without a valid token. A wrong token is most likely a monitor that was set up wrong, so
 * it is worth a warning; none at all is what every scanner sends. Neither may fill the log: the first one is told at
 * once, the others every ten seconds as a number.
 */
export function createStrangerCount(log: Log): StrangerCount {
  const wrong = createTally(
    () => log.warn('a request came with a wrong token and was answered 511'),
    (count) => log.warn(`${count} more requests with a wrong token in the last 10 s`),
  )
  const none = createTally(
    () => log.info('a request came without a token and was answered 511'),
    (count) => log.debug(`${count} more requests without a token in the last 10 s`),
  )
  return { count: (hasToken) => (hasToken ? wrong() : none()) }
}

/** Calls `first` for what happens for the first time in a while, and `more` with the number of what followed. */
function createTally(first: () => void, more: (count: number) => void): () => void {
  let count = 0
  let isCounting = false
  function report(): void {
    isCounting = count > 0
    if (!isCounting) return
    more(count)
    count = 0
    setTimeout(report, REPORT_EVERY_MS).unref()
  }
  return () => {
    if (isCounting) {
      count++
      return
    }
    isCounting = true
    first()
    setTimeout(report, REPORT_EVERY_MS).unref()
  }
}
