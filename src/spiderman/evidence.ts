import { readMonotonic } from '../clock.ts'
import type { Log } from '../log/log.ts'
import type { FlagReader, FolderView } from '../status/reader.ts'
import { describeNotice } from '../verdict/notice.ts'
import type { Rules } from '../verdict/rules.ts'
import type { Evidence, Report } from '../verdict/standing.ts'
import { type Decision, decide, decideOne, type Verdict } from '../verdict/verdict.ts'

/** What SpiderMan knows through WatchMan. */
export interface WatcherView {
  reports: ReadonlyMap<string, Report>
  stale: ReadonlyMap<string, number>
  version(): number
  silentSinceMs(): number | undefined
}

export interface VerdictSourceOptions {
  rules: Rules
  reader: FlagReader
  watcher: WatcherView
  log: Log
  /** The monotonic clock, in milliseconds. */
  now?: () => number
}

/** Gives the verdict of this moment, on everything or on one name. It never rejects, and never waits for a probe. */
export interface VerdictSource {
  read(): Promise<Verdict>
  /** The verdict on one probe or group by itself; undefined when there is none of that name. */
  readOne(name: string): Promise<Verdict | undefined>
  has(name: string): boolean
  /** Goes on by other rules. */
  follow(rules: Rules): void
}

/**
 * Creates the source of verdicts. While nothing changed it gives the same objects, so that the cost of an answer does not
 * grow with the number of probes.
 */
export function createVerdictSource(options: VerdictSourceOptions): VerdictSource {
  const { reader, watcher, log, now = readMonotonic } = options
  let { rules } = options
  let names = namesOf(rules)
  let decision: Decision | undefined
  let evidence: Evidence | undefined
  let single = new Map<string, Verdict | undefined>()
  let basis: unknown[] = []
  let versionSeenMs = 0

  async function look(): Promise<{ decision: Decision; evidence: Evidence }> {
    const folder = await reader.read()
    const fresh = basisOf(folder)
    const isSame = fresh.length === basis.length && fresh.every((part, index) => part === basis[index])
    if (decision && evidence && isSame && now() < decision.validUntilMs) return { decision, evidence }
    if (fresh[0] !== basis[0]) versionSeenMs = now()
    if (folder.fault !== basis[2]) logFault(log, folder.fault)
    const former = decision
    const { reports, stale } = watcher
    evidence = { rules, folder, reports, stale, watcherSilentSinceMs: watcher.silentSinceMs(), nowMs: now() }
    decision = decide(evidence)
    single = new Map()
    basis = fresh
    logNotices(log, former, decision)
    logTurn(log, former, decision)
    return { decision, evidence }
  }

  /** Everything but time that the verdict depends on, as parts that are the same only if nothing changed. */
  function basisOf(folder: FolderView): unknown[] {
    const version = watcher.version()
    // A reading from before the last report is weighed differently from one after it.
    const isReadBefore = version !== basis[0] || folder.beganMs <= versionSeenMs
    const { flags, drain, mutes, fault, replacedMs } = folder
    return [version, isReadBefore, fault, flags, drain, mutes, replacedMs, watcher.silentSinceMs(), rules]
  }

  return {
    read: async () => (await look()).decision,
    async readOne(name) {
      const seen = await look()
      if (!single.has(name)) single.set(name, decideOne(seen.decision, name, seen.evidence))
      return single.get(name)
    },
    has: (name) => names.has(name),
    follow(next) {
      rules = next
      names = namesOf(next)
    },
  }
}

function namesOf({ probes, groups }: Rules): Set<string> {
  return new Set([...probes, ...groups].map(({ name }) => name))
}

function logFault(log: Log, fault: string | undefined): void {
  if (fault === undefined) log.info('the status folder can be read again')
  else log.error(`the status folder cannot be read: ${fault}; answers follow the checks`)
}

/** Says when somebody drains or mutes something, and when that ends. */
function logNotices(log: Log, former: Decision | undefined, { drain, items }: Decision): void {
  if (drain && drain !== former?.drain) log.warn(`drained ${describeNotice(drain)}: ${drain.reason}`)
  if (!drain && former?.drain) log.warn('no longer drained')
  for (const [name, { mute }] of items) {
    const before = former?.items.get(name)?.mute
    if (mute && mute !== before) log.warn(`${name} is muted ${describeNotice(mute)}: ${mute.reason}`)
    if (!mute && before) log.warn(`${name} is no longer muted`)
  }
}

/** Says when the answer turns, which is what moves clients. */
function logTurn(log: Log, former: Verdict | undefined, verdict: Verdict): void {
  if (former?.status === verdict.status) return
  const dead = verdict.dead.map(({ name }) => name)
  const names = dead.length > 10 ? `${dead.slice(0, 10).join(', ')} and ${dead.length - 10} more` : dead.join(', ')
  if (verdict.status === 'DEAD') log.warn(`the answer is 503 from now on: ${names}`, { dead: dead.length })
  else log.info('the answer is 200 from now on')
}
