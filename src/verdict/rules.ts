/**
 * What a dead probe or group means for the data centre: `critical` counts, `warning` is listed and changes nothing,
 * `shadow` is only logged, as if it had counted.
 */
export type Severity = 'critical' | 'warning' | 'shadow'

export const SEVERITIES = ['critical', 'warning', 'shadow'] as const satisfies Severity[]

/** How many members of a group have to be alive: a number, or a share of those that count. */
export type MinAlive = { count: number } | { percent: number }

/** What the verdict has to know of a probe. */
export interface ProbeRule {
  name: string
  severity: Severity
  /** Probes and groups whose death explains the death of this one. */
  dependsOn: readonly string[]
}

/** Probes that count only together. */
export interface GroupRule {
  name: string
  severity: Severity
  /** Enabled probes; at least one. */
  members: readonly string[]
  minAlive: MinAlive
}

/** How states add up to a verdict, as the configuration says. */
export interface Rules {
  /** The enabled probes, in configuration order. */
  probes: readonly ProbeRule[]
  groups: readonly GroupRule[]
  /** What it means that WatchMan, or one probe's checks, have been silent for longer than `stale_after`. */
  onStale: 'dead' | 'last_known'
}
