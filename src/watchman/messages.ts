import type { Heard } from '../verdict/restore.ts'
import type { Report } from '../verdict/standing.ts'

/**
 * What SpiderMan tells WatchMan: the configuration that it validated, so that both always work from the same. `start` is
 * said once, `reload` whenever there is a new one that the running WatchMan can take.
 */
export interface ConfigMessage {
  kind: 'start' | 'reload'
  file: string
  text: string
  /** Grows with every configuration; tells of which one WatchMan speaks. */
  generation: number
  /** The status folder before the present one, if there was another: its notes tell the states. */
  formerFolder?: string | undefined
  /** What an earlier WatchMan of this SpiderMan said of the probes last. */
  heard?: readonly [probe: string, heard: Heard][] | undefined
  /** Whether an earlier WatchMan of this SpiderMan began its work: what is done at the start of DeadPool was done then. */
  isAgain?: boolean
}

/** What SpiderMan tells WatchMan. */
export type SpidermanMessage =
  | ConfigMessage
  /** Write the notes and end: another WatchMan takes over. */
  | { kind: 'stop' }

/** What WatchMan tells SpiderMan. */
export type WatchmanMessage =
  /**
   * Sent on a timer of the loop that runs the checks: as long as they come, checks can be made. `checked` are the probes
   * whose checks were finished since the last one, by their places among the enabled ones of that generation.
   */
  | { kind: 'heartbeat'; generation: number; checked: number[] }
  /** The same, said as soon as every probe has been checked once since WatchMan began. */
  | { kind: 'ready'; generation: number; checked: number[] }
  | ({ kind: 'report'; probe: string } & Omit<Report, 'arrivedMs'>)

/** How often WatchMan sends a heartbeat: at least four fit into `stale_after`. */
export function heartbeatPeriod(staleAfterMs: number): number {
  return Math.min(1000, staleAfterMs / 4)
}

/** The environment variable that tells a process its role; `argv` shifts in a packaged binary. */
export const ROLE_VARIABLE = 'DEADPOOL_ROLE'
export const WATCHMAN_ROLE = 'watchman'
/** A SpiderMan that takes the place of the one that started it. */
export const SUCCESSOR_ROLE = 'successor'
