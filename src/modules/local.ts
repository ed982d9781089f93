import { explainIssues } from '../config/explain.ts'
import type { Facts, Probe, ProbeLog } from './define-probe.ts'
import { DEFAULT_TIMEOUT_MS, type Description, type PreparedQuery } from './module.ts'

/** What `Probe` says of itself, as plain data. */
export function describeProbe(probe: Probe): Description {
  return {
    summary: probe.summary,
    facts: { ...probe.facts },
    criteria: { ...probe.criteria } as Description['criteria'],
  }
}

/** Validates a query with the module's schema and readies its checks to run on this thread. */
export async function prepareQuery(probe: Probe, query: unknown): Promise<PreparedQuery> {
  const parsed = await probe.query.safeParseAsync(query)
  const timeout = parsed.success ? (parsed.data as { timeout?: unknown } | null)?.timeout : undefined
  return {
    problems: parsed.success ? [] : explainIssues(probe.query, query, parsed.error.issues),
    timeoutMs: typeof timeout === 'number' && timeout > 0 ? timeout * 1000 : DEFAULT_TIMEOUT_MS,
    observe: async (signal: AbortSignal, log: ProbeLog): Promise<Facts> => {
      const facts = await probe.probe(parsed.data, { signal, log })
      if (typeof facts !== 'object' || facts === null) {
        throw new TypeError(`probe() returned ${facts === null ? 'null' : typeof facts} instead of facts`)
      }
      return facts
    },
  }
}
