import { isStillRunning } from '../status/process.ts'
import type { SpidermanNotes } from '../status/state-file.ts'
import type { Printout } from './place.ts'
import { type AskOptions, askRunning, isHeir } from './running.ts'

/** Longer than any first round of checks that is not a mistake. */
const TIMEOUT_MS = 180_000

/**
 * Lets the DeadPool that works with this status folder start its program again, which may be a newer one by now, and hand
 * over to it; tells how that went. See {@link askRunning}.
 *
 * @throws ConfigError with every mistake
 */
export function upgrade(folder: string, options: AskOptions & { timeoutMs?: number }): Promise<Printout> {
  const { timeoutMs = TIMEOUT_MS } = options
  return askRunning(
    folder,
    {
      signal: 'SIGUSR2',
      what: 'upgrade',
      failure: 'not upgraded',
      timeoutMs,
      answerOf(now, before) {
        // What comes next, such as removing the former binary, may rely on it that the former one is gone.
        if (isHeir(now, before)) return isStillRunning(before) ? undefined : { out: describe(before, now), code: 0 }
        if (now.pid !== before.pid || !now.upgrade || now.upgrade.atMs === before.upgrade?.atMs) return undefined
        const lines = [...now.upgrade.faults, 'deadpool: not upgraded: everything goes on as before']
        return { out: '', err: `${lines.join('\n')}\n`, code: 1 }
      },
    },
    options,
  )
}

function describe(before: SpidermanNotes, after: SpidermanNotes): string {
  const from = `process ${before.pid} (${before.version})`
  return `upgraded: process ${after.pid} (${after.version}) answers at ${after.url} in the place of ${from}\n`
}
