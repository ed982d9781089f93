import { explainIssues } from '../config/explain.ts'
import type { CheckContext, FactSpec, Facts, Probe } from './define-probe.ts'
import { createKeep } from './keep.ts'
import { DEFAULT_TIMEOUT_MS, type Description, type PreparedQuery } from './module.ts'
import { explainNetworkError } from './network-error.ts'
import { listQueryKeys } from './query-keys.ts'

/** What `Probe` says of itself, as plain data. */
export function describeProbe(probe: Probe): Description {
  return {
    summary: probe.summary,
    // Listed for the one who reads it, not for WatchMan's start.
    get query() {
      return listQueryKeys(probe.query)
    },
    facts: describeFacts(probe.facts),
    factsVary: probe.factsOf !== undefined,
    criteria: { ...probe.criteria } as Description['criteria'],
  }
}

function describeFacts(facts: Record<string, string | FactSpec>): Record<string, FactSpec> {
  const entries = Object.entries(facts)
  return Object.fromEntries(entries.map(([name, spec]) => [name, typeof spec === 'string' ? { about: spec } : spec]))
}

/** Validates a query with the module's schema and readies its checks to run on this thread. */
export async function prepareQuery(probe: Probe, query: unknown): Promise<PreparedQuery> {
  const parsed = await probe.query.safeParseAsync(query)
  const timeout = parsed.success ? (parsed.data as { timeout?: unknown } | null)?.timeout : undefined
  const keep = createKeep()
  return {
    problems: parsed.success ? [] : explainIssues(probe.query, query, parsed.error.issues),
    facts: parsed.success && probe.factsOf ? describeFacts(probe.factsOf(parsed.data)) : {},
    criteria: { ...(parsed.success && probe.criteriaOf?.(parsed.data)) } as Description['criteria'],
    timeoutMs: typeof timeout === 'number' && timeout > 0 ? timeout * 1000 : DEFAULT_TIMEOUT_MS,
    observe: (signal, log) => observe(probe, parsed.data, { signal, log, keep }),
    close: keep.close,
  }
}

async function observe(probe: Probe, query: unknown, context: CheckContext): Promise<Facts> {
  const facts = await ask(probe, query, context)
  if (typeof facts !== 'object' || facts === null) {
    throw new TypeError(`probe() returned ${facts === null ? 'null' : typeof facts} instead of facts`)
  }
  return facts as Facts
}

async function ask(probe: Probe, query: unknown, context: CheckContext): Promise<unknown> {
  try {
    return await probe.probe(query, context)
  } catch (error) {
    throw explainNetworkError(error)
  }
}
