import type { Printout } from './place.ts'
import { type AskOptions, askRunning, isHeir } from './running.ts'

const TIMEOUT_MS = 15_000

/**
 * Lets the DeadPool that works with this status folder load its configuration again, and tells how that went; see
 * {@link askRunning}.
 *
 * @throws ConfigError with every mistake
 */
export function reload(folder: string, options: AskOptions & { timeoutMs?: number }): Promise<Printout> {
  const { timeoutMs = TIMEOUT_MS } = options
  return askRunning(
    folder,
    {
      signal: 'SIGHUP',
      what: 'reload',
      failure: 'not reloaded',
      timeoutMs,
      answerOf(now, before) {
        const { reload: done, config } = now
        // One that is being replaced leaves it to its heir.
        const isNews = now.pid === before.pid ? done?.atMs !== before.reload?.atMs : isHeir(now, before)
        if (!done || !isNews) return undefined
        if (done.mistakes.length === 0) return { out: `reloaded: DeadPool works by ${config} as it is now\n`, code: 0 }
        const lines = [...done.mistakes, 'deadpool: not reloaded: everything goes on as before']
        return { out: '', err: `${lines.join('\n')}\n`, code: 1 }
      },
    },
    options,
  )
}
