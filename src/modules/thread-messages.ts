import type { Facts } from './define-probe.ts'
import type { Description, PreparedQuery } from './module.ts'

/** What the watcher asks a module thread. `key` names a query, `id` one request. */
export type ThreadRequest =
  | { kind: 'prepare'; id: number; key: number; query: unknown }
  | { kind: 'check'; id: number; key: number }
  | { kind: 'abort'; id: number }
  /** There will be no further check of this query. */
  | { kind: 'close'; key: number }

/** What a module thread answers. */
export type ThreadReply =
  | { kind: 'ready'; description: Description }
  | { kind: 'failed'; reason: string }
  | ({ kind: 'prepared'; id: number } & Pick<PreparedQuery, 'problems' | 'facts' | 'criteria' | 'timeoutMs'>)
  /** `unread` are the facts that could not be asked for. */
  | { kind: 'facts'; id: number; facts: Facts; unread: Record<string, ThrownInThread> }
  | { kind: 'error'; id: number; error: ThrownInThread }
  /** The check waits for the resolver, or no longer does. */
  | { kind: 'resolving'; id: number; name: string | undefined }
  /** A secret that the module read: whatever quotes it must be redacted. */
  | { kind: 'secret'; secret: string }
  | { kind: 'log'; id: number; level: 'debug' | 'info' | 'warn' | 'error'; message: string }

/** An error as it crosses threads: classes and causes do not survive, so what tells dead from unknown is copied. */
export interface ThrownInThread {
  name: string
  message: string
  code?: string | undefined
}

/** The `workerData` of a module thread. */
export interface ThreadStart {
  role: 'module'
  file: string
}
