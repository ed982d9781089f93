import type { Log } from '../log/log.ts'
import type { FlagReader, FolderView } from '../status/reader.ts'
import { decide, type Report, type Verdict } from '../verdict/verdict.ts'

/** What SpiderMan knows through WatchMan. */
export interface WatcherView {
  reports: ReadonlyMap<string, Report>
  version(): number
  silentSinceMs(): number | undefined
}

export interface VerdictSourceOptions {
  /** The enabled probes, in configuration order. */
  probes: readonly string[]
  reader: FlagReader
  watcher: WatcherView
  log: Log
}

/** Gives the verdict of this moment. It never rejects, and never waits for a probe. */
export type ReadVerdict = () => Promise<Verdict>

/**
 * Creates the source of verdicts. While nothing changed it gives the same object, so that the cost of an answer does not
 * grow with the number of probes.
 */
export function createVerdictSource({ probes, reader, watcher, log }: VerdictSourceOptions): ReadVerdict {
  let verdict: Verdict | undefined
  let basis: unknown[] = []
  let versionSeenMs = 0

  return async () => {
    const folder = await reader.read()
    const fresh = basisOf(folder)
    const isSame = fresh.length === basis.length && fresh.every((part, index) => part === basis[index])
    if (verdict && isSame) return verdict
    if (fresh[0] !== basis[0]) versionSeenMs = performance.now()
    const former = verdict
    if (folder.fault !== basis[3]) logFault(log, folder.fault)
    verdict = decide({ probes, folder, reports: watcher.reports, watcherSilentSinceMs: watcher.silentSinceMs() })
    basis = fresh
    logTurn(log, former, verdict)
    return verdict
  }

  /** Everything that the verdict depends on, as parts that are the same only if nothing changed. */
  function basisOf(folder: FolderView): unknown[] {
    const version = watcher.version()
    // A reading from before the last report is weighed differently from one after it.
    const isReadBefore = version !== basis[0] || folder.beganMs <= versionSeenMs
    return [version, isReadBefore, folder.flags, folder.fault, watcher.silentSinceMs()]
  }
}

function logFault(log: Log, fault: string | undefined): void {
  if (fault === undefined) log.info('the status folder can be read again')
  else log.error(`the status folder cannot be read: ${fault}; answers follow the checks`)
}

/** Says when the answer turns, which is what moves clients. */
function logTurn(log: Log, former: Verdict | undefined, verdict: Verdict): void {
  if (former?.status === verdict.status) return
  const dead = verdict.dead.map(({ probe }) => probe)
  const names = dead.length > 10 ? `${dead.slice(0, 10).join(', ')} and ${dead.length - 10} more` : dead.join(', ')
  if (verdict.status === 'DEAD') log.warn(`the answer is 503 from now on: ${names}`, { dead: dead.length })
  else log.info('the answer is 200 from now on')
}
