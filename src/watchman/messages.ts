import type { Report } from '../verdict/verdict.ts'

/** What SpiderMan tells WatchMan: the configuration that it validated, so that both always work from the same. */
export interface StartMessage {
  kind: 'start'
  file: string
  text: string
}

/** What WatchMan tells SpiderMan. */
export type WatchmanMessage =
  /** Sent on a timer of the loop that runs the checks: as long as they come, checks are made. */
  { kind: 'heartbeat' } | ({ kind: 'report'; probe: string } & Omit<Report, 'arrivedMs'>)

/** How often WatchMan sends a heartbeat: at least four fit into `stale_after`. */
export function heartbeatPeriod(staleAfterMs: number): number {
  return Math.min(1000, staleAfterMs / 4)
}

/** The environment variable that tells a process its role; `argv` shifts in a packaged binary. */
export const ROLE_VARIABLE = 'DEADPOOL_ROLE'
export const WATCHMAN_ROLE = 'watchman'
