import type { ProbeConfig } from '../config/probes.ts'
import { DEFAULT_TIMEOUT_MS } from '../modules/module.ts'
import { firstDelay } from '../watchman/loop.ts'
import type { WatchmanMessage } from '../watchman/messages.ts'

/** The first round of checks, as it is heard of. */
export interface Round {
  note(message: WatchmanMessage): void
  /** Waits until every probe was checked once, but no longer than that; tells whether WatchMan was heard at all. */
  isOverWithin(ms: number): Promise<boolean>
}

/** What the start of a WatchMan may take. */
const START_MS = 3000

export function createRound(): Round {
  let isHeard = false
  let end = () => {}
  const isOver = new Promise<void>((resolve) => {
    end = resolve
  })
  return {
    note({ kind }) {
      isHeard = true
      if (kind === 'ready') end()
    },
    async isOverWithin(ms) {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, ms)
      })
      await Promise.race([isOver, late])
      clearTimeout(timer)
      return isHeard
    },
  }
}

/** When the deadlines of the first checks of all these probes have passed, in milliseconds from the start of WatchMan. */
export function longestRound(probes: readonly ProbeConfig[], timeouts: ReadonlyMap<string, number>): number {
  const enabled = probes.filter(({ isEnabled }) => isEnabled)
  const ends = enabled.map(({ name, periodMs }, index) => {
    return firstDelay(index, enabled.length, periodMs) + (timeouts.get(name) ?? DEFAULT_TIMEOUT_MS)
  })
  return START_MS + Math.max(0, ...ends)
}
