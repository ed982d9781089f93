import type { Path } from '../config/problem.ts'
import type { CriterionSpec, FactSpec, Facts, ProbeLog } from './define-probe.ts'
import type { QueryKey } from './query-keys.ts'

/** What a module says of itself. */
export interface Description {
  summary: string
  query: QueryKey[]
  facts: Record<string, FactSpec>
  /** Whether a query can give rise to further facts. */
  factsVary: boolean
  criteria: Record<string, CriterionSpec | CriterionSpec[]>
}

/** A query as the module took it. */
export interface PreparedQuery {
  /** What the module finds wrong, by path below `query`; with any, the rest must not be used. */
  problems: { path: Path; message: string; isKey?: boolean }[]
  /** The facts that this query gives rise to, beside those of the module. */
  facts: Record<string, FactSpec>
  /** The criteria that this query gives rise to, beside those of the module. */
  criteria: Description['criteria']
  timeoutMs: number
  /** Makes one check. Rejects as the module throws; whoever calls keeps the deadline. */
  observe(signal: AbortSignal, log: ProbeLog): Promise<Facts>
  /** There will be no further check: what is kept between them is closed. */
  close(): void
}

/** Where a module came from: inside the program, or a file in the module folder. */
export type Origin = { kind: 'stock' } | { kind: 'file'; path: string; isStock: boolean }

/** A loaded module, wherever it runs. */
export interface Module {
  name: string
  origin: Origin
  description: Description
  prepare(query: unknown): Promise<PreparedQuery>
}

/** Thrown when a module cannot be used at all: it does not load, or exports no `Probe`. */
export class ModuleError extends Error {
  override name = 'ModuleError'
}

/** The deadline of a check whose query has no `timeout`. */
export const DEFAULT_TIMEOUT_MS = 5000
