import { readMonotonic } from '../clock.ts'
import type { Log } from '../log/log.ts'
import { listNames } from '../verdict/trouble.ts'
import type { Verdict } from '../verdict/verdict.ts'
import { createNotifier } from './notifier.ts'
import type { ServiceSurroundings } from './surroundings.ts'
import { feedWatchdog } from './watchdog.ts'

/** DeadPool as the service manager sees it; without one nothing of this does anything. */
export interface Service {
  /** The first checks are being made, which may take so long. */
  starting(withinMs: number): void
  ready(): void
  reloading(): void
  reloaded(): void
  /** Shows the verdict in words, in `systemctl status`. */
  show(verdict: Verdict): void
  /** Makes another process the one that the manager watches; resolves when it knows. */
  handTo(pid: number): Promise<void>
  stopping(): void
}

export interface ServiceOptions {
  surroundings: Pick<ServiceSurroundings, 'notifySocket' | 'watchdogMs'>
  /** What is wrong with this DeadPool, if anything. */
  examine(timeoutMs: number): Promise<string | undefined>
  log: Log
}

/** systemd waits 90 s for a start unless its unit says otherwise; only a longer one is announced. */
const USUAL_START_MS = 60_000

export function createService({ surroundings, examine, log }: ServiceOptions): Service {
  const { notifySocket, watchdogMs } = surroundings
  const notifier = createNotifier({ notifySocket, log })
  let isReady = false
  let isReloading = false
  let shown: string | undefined
  let isHandedOver = false
  let endWatchdog = () => {}

  /**
   * How things are, said again with each sign of life. Before systemd 246 `systemd-notify` did not wait until the manager
   * had read its message, and of a sender that is gone the manager does not know whose it was: a lost READY=1 would be a
   * failed start.
   */
  function standing(): string[] {
    return [...(isReloading ? [] : ['READY=1']), ...(shown === undefined ? [] : [`STATUS=${shown}`])]
  }

  return {
    starting(withinMs) {
      notifier.status('making the first checks')
      if (withinMs > USUAL_START_MS)
        void notifier.say(`EXTEND_TIMEOUT_USEC=${toMicroseconds(withinMs + USUAL_START_MS)}`)
    },
    ready() {
      isReady = true
      void notifier.say('READY=1')
      if (notifier.isWanted && watchdogMs !== undefined) {
        const feed = () => void notifier.say('WATCHDOG=1', ...standing())
        endWatchdog = feedWatchdog({ watchdogMs, feed, examine: () => examine(watchdogMs), log })
      }
    },
    reloading() {
      isReloading = true
      if (isReady) void notifier.say('RELOADING=1', `MONOTONIC_USEC=${toMicroseconds(readMonotonic())}`)
    },
    reloaded() {
      isReloading = false
      if (isReady) void notifier.say('READY=1')
    },
    show(verdict) {
      if (!isReady || isHandedOver) return
      shown = describe(verdict)
      notifier.status(shown)
    },
    async handTo(pid) {
      isHandedOver = true
      endWatchdog()
      // Twice, for the same reason: a manager that did not hear it would take the end of this process for that of all.
      await notifier.say(`MAINPID=${pid}`)
      await notifier.say(`MAINPID=${pid}`)
    },
    stopping() {
      endWatchdog()
      // What goes on is the service, though this process ends.
      if (!isHandedOver) void notifier.say('STOPPING=1', 'STATUS=stopped')
      // systemd shows the last status as long as the service is stopped: it must not be a verdict.
      isReady = false
    },
  }
}

function describe({ status, dead, warnings }: Verdict): string {
  const what =
    status === 'OK' ? 'OK: the answer is 200' : `DEAD: the answer is 503 for ${listNames(dead.map(({ name }) => name))}`
  if (warnings.length === 0) return what
  return `${what}; ${warnings.length} warning${warnings.length === 1 ? '' : 's'}`
}

function toMicroseconds(ms: number): number {
  return Math.round(ms * 1000)
}
