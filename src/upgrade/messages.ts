import type { Address } from '../spiderman/server.ts'
import type { Report } from '../verdict/standing.ts'
import type { WatchmanMessage } from '../watchman/messages.ts'

/**
 * What the process that hands over tells the one that takes over. The two may be of different versions: what is here may
 * be added to, but not changed.
 */
export type PredecessorMessage =
  /** Its WatchMan has ended: from here on the other one's may write flags. */
  | ({ kind: 'begin' } & Handover)
  /** Comes with the handle of a socket to listen on; `left` are the ones still to come. */
  | { kind: 'socket'; name: string; left: number }
  /** Comes with a connection that a client keeps, on which nothing is under way. */
  | { kind: 'connection' }

/** Everything that is handed over but the sockets. */
export interface Handover {
  pid: number
  version: string
  /** What WatchMan said of the probes last. */
  reports: [probe: string, report: Report][]
  /** The status folder that these were written down in. */
  folder: string
  /** Where the socket listens; undefined for sockets that a service manager passed. */
  address?: Address | undefined
  /** How many sockets come. */
  sockets: number
}

/** What the process that takes over says, in this order. */
export type SuccessorMessage =
  /** It is a DeadPool that is starting. */
  | { kind: 'started' }
  /** The configuration is good: WatchMan may be stopped. From `begin` on it needs at most so long to be ready. */
  | { kind: 'prepared'; readyWithinMs: number }
  /** Its first round of checks is done, and it can answer: the sockets may come. */
  | { kind: 'open' }
  /** It answers; whether it knows what to do with `connection`. */
  | { kind: 'ready'; version: string; takesConnections?: boolean }
  /** It has answered for a while: until then the other process can take back everything. */
  | { kind: 'proven' }
  /** At any time: it cannot go on. */
  | { kind: 'failed'; reasons: string[] }
  /** From `begin` on: what its WatchMan said, since the other process still answers. */
  | Extract<WatchmanMessage, { kind: 'report' }>
  /** From `begin` on: its WatchMan said something else. */
  | { kind: 'heartbeat' }
