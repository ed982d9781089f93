import type { Notice } from './notice.ts'
import type { Rules } from './rules.ts'
import type { Cause } from './state.ts'

/** What WatchMan last said of a probe, over IPC. */
export interface Report {
  life: 'alive' | 'dead'
  reason: string
  cause?: Cause | undefined
  sinceMs: number
  /** Set while the last check could not be made: why, and since when; the state is held meanwhile. */
  unknown?: { reason: string; sinceMs: number } | undefined
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

/** The status folder as it was read from `beganMs` on (monotonic clock); with a `fault`, as it was last seen. */
export interface FolderEvidence {
  flags: ReadonlyMap<string, Flag>
  drain: Notice | undefined
  /** By the name of what is muted. */
  mutes: ReadonlyMap<string, Notice>
  fault: string | undefined
  beganMs: number
  /** When another folder took the place of the one before (monotonic clock), if one did. */
  replacedMs?: number | undefined
}

/** Everything that a verdict rests on. */
export interface Evidence {
  rules: Rules
  folder: FolderEvidence
  reports: ReadonlyMap<string, Report>
  /** Probes that WatchMan has not finished a check of for too long: since when, in milliseconds of the wall clock. */
  stale: ReadonlyMap<string, number>
  /** Set when WatchMan has been silent for longer than `stale_after`: since when, in milliseconds of the wall clock. */
  watcherSilentSinceMs: number | undefined
  /** The moment of the verdict, on the monotonic clock. */
  nowMs: number
}

/** Whether a probe or a group is alive, and if not, why and since when (milliseconds of the wall clock). */
export type Standing = { life: 'alive' } | { life: 'dead'; reason: string; cause?: Cause | undefined; sinceMs: number }

const ALIVE: Standing = { life: 'alive' }

/**
 * How a probe stands. A flag counts as it stands, whoever made or removed it. It is overruled only where the disk cannot
 * be believed: while WatchMan has not (or cannot) set it, while the folder cannot be read, and when the report is newer
 * than the reading. That a flag is missing from a folder which took the place of another says nothing, until WatchMan has
 * set it there.
 */
export function standingOf(probe: string, evidence: Evidence): Standing {
  const seen = weigh(probe, evidence)
  // A WatchMan that says nothing at all is a reason of its own.
  const staleSinceMs = evidence.watcherSilentSinceMs === undefined ? evidence.stale.get(probe) : undefined
  if (seen.life === 'dead' || staleSinceMs === undefined || evidence.rules.onStale === 'last_known') return seen
  return { life: 'dead', reason: 'WatchMan does not get its checks done', cause: 'unknown', sinceMs: staleSinceMs }
}

function weigh(probe: string, { folder, reports }: Evidence): Standing {
  const flag = folder.flags.get(probe)
  const report = reports.get(probe)
  if (!report) return toStanding(flag)
  const reportRules = !report.isFlagged || folder.fault !== undefined || report.arrivedMs >= folder.beganMs
  const isMissingForSure = folder.replacedMs === undefined || report.arrivedMs > folder.replacedMs
  if (!reportRules && !flag && isMissingForSure) return ALIVE
  if (report.life === 'dead') {
    return { life: 'dead', reason: report.reason, cause: report.cause, sinceMs: report.sinceMs }
  }
  return reportRules ? ALIVE : toStanding(flag)
}

function toStanding(flag: Flag | undefined): Standing {
  return flag ? { life: 'dead', reason: flag.reason, sinceMs: flag.sinceMs } : ALIVE
}
