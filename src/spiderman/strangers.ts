import type { Log } from '../log/log.ts'

const REPORT_EVERY_MS = 10_000
/** A monitor asks a few times in that. */
const REPORT_FORMER_EVERY_MS = 60_000

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

/**
 * Creates the count of requests with another token than the first of the list, which is told once a minute: as long as
 * somebody sends a former one, it must not be taken away.
 */
export function createFormerTokenCount(tokenCount: number, log: Log): (place: number) => void {
  const tallies = Array.from({ length: tokenCount }, (_, index) => {
    const which = `token ${index + 1} of ${tokenCount} in WEB.access_token`
    return createTally(
      () => log.info(`${which} is in use: do not take it away yet`),
      (count) => log.info(`${which} is still in use: ${count} more requests in the last 60 s`),
      REPORT_FORMER_EVERY_MS,
    )
  })
  return (place) => place > 1 && tallies[place - 1]?.()
}

/** Calls `first` for what happens for the first time in a while, and `more` with the number of what followed. */
function createTally(first: () => void, more: (count: number) => void, everyMs = REPORT_EVERY_MS): () => void {
  let count = 0
  let isCounting = false
  function report(): void {
    isCounting = count > 0
    if (!isCounting) return
    more(count)
    count = 0
    setTimeout(report, everyMs).unref()
  }
  return () => {
    if (isCounting) {
      count++
      return
    }
    isCounting = true
    first()
    setTimeout(report, everyMs).unref()
  }
}
