/** What WatchMan last said of a probe, over IPC. */
export interface Report {
  life: 'alive' | 'dead'
  reason: string
  sinceMs: number
  /** Whether the flag on disk agrees. Until it does, or when it cannot, the report counts instead of the flag. */
  isFlagged: boolean
  /** Why the flag cannot be made or removed. */
  fault?: string | undefined
  /** When it arrived, on the monotonic clock. */
  arrivedMs: number
}

/** What a flag says: the reason, and since when, in milliseconds of the wall clock. */
export interface Flag {
  reason: string
  sinceMs: number
}

/** Everything that a verdict rests on. */
export interface Evidence {
  /** The enabled probes, in configuration order. */
  probes: readonly string[]
  /** The status folder as it was read from `beganMs` on (monotonic clock); with a `fault`, as it was last seen. */
  folder: { flags: ReadonlyMap<string, Flag>; fault: string | undefined; beganMs: number }
  reports: ReadonlyMap<string, Report>
  /** Set when WatchMan has been silent for longer than `stale_after`: since when, in milliseconds of the wall clock. */
  watcherSilentSinceMs: number | undefined
}

/** One line of the list of the dead. */
export interface DeadEntry {
  probe: string
  reason: string
  sinceMs: number
}

/** What all states add up to for the data centre. */
export interface Verdict {
  status: 'OK' | 'DEAD'
  /** In configuration order, WatchMan itself first. */
  dead: readonly DeadEntry[]
  warnings: readonly string[]
}

/** The name under which the watcher itself stands among the dead; no probe may have it. */
export const WATCHER = 'WatchMan'

/** Weighs flags and reports. Time enters as an argument; nothing is read and nothing waited for. */
export function decide(evidence: Evidence): Verdict {
  const dead: DeadEntry[] = []
  if (evidence.watcherSilentSinceMs !== undefined) {
    const reason = 'silent: nobody checks the components any more'
    dead.push({ probe: WATCHER, reason, sinceMs: evidence.watcherSilentSinceMs })
  }
  for (const probe of evidence.probes) {
    const entry = judge(probe, evidence)
    if (entry) dead.push({ probe, ...entry })
  }
  return { status: dead.length > 0 ? 'DEAD' : 'OK', dead, warnings: findWarnings(evidence) }
}

/**
 * A flag counts as it stands, whoever made or removed it. It is overruled only where the disk cannot be believed: while
 * WatchMan has not (or cannot) set it, while the folder cannot be read, and when the report is newer than the reading.
 */
function judge(probe: string, { folder, reports }: Evidence): Flag | undefined {
  const flag = folder.flags.get(probe)
  const report = reports.get(probe)
  if (!report) return flag
  const reportRules = !report.isFlagged || folder.fault !== undefined || report.arrivedMs >= folder.beganMs
  if (!reportRules && !flag) return undefined
  if (report.life === 'dead') return { reason: report.reason, sinceMs: report.sinceMs }
  return reportRules ? undefined : flag
}

function findWarnings({ probes, folder, reports }: Evidence): string[] {
  const warnings: string[] = []
  if (folder.fault !== undefined) {
    warnings.push(`the status folder cannot be read: ${folder.fault}; the answer comes from the last checks`)
  }
  const faults = new Map<string, string[]>()
  const unchecked: string[] = []
  for (const probe of probes) {
    const report = reports.get(probe)
    if (!report) unchecked.push(probe)
    else if (report.fault !== undefined) faults.set(report.fault, [...(faults.get(report.fault) ?? []), probe])
  }
  for (const [fault, names] of faults) warnings.push(`the flag of ${list(names)} cannot be set: ${fault}`)
  if (unchecked.length > 0) warnings.push(`not checked yet: ${list(unchecked)}`)
  return warnings
}

/** Names for one line: the first five, and how many more there are. */
function list(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ')
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown
}
