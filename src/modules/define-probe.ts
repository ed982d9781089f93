import type * as z from 'zod'
import type { Keep } from './keep.ts'

/** What a check observed: a flat record of named facts, such as `{ status: 200, time_ms: 12 }`. */
export type Facts = Record<string, unknown>

/** One judgement of one fact, as it is written under `success_criteria`. */
export interface CriterionSpec {
  type: string
  query: unknown
}

/** What a module may say in DeadPool's log; the core adds the probe's and the module's name. */
export interface ProbeLog {
  debug(message: string): void
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

/** What kind of value a fact is. A criterion of another kind is then a mistake of the configuration. */
export type FactType = 'text' | 'number' | 'boolean' | 'list' | 'record'

/** What a module says of a fact. */
export interface FactSpec {
  /** Its meaning, in a few words without a full stop. */
  about: string
  /** Without it any criterion is taken, and judged by what the check reports. */
  type?: FactType
  /** Of a number: `ms`, `s`, `percent`, `bytes`, `days` … */
  unit?: string
  /**
   * Whether it says in words what other facts leave open: it is quoted after the reasons when a criterion fails; where facts
   * are named, when a criterion of one of these fails.
   */
  explains?: boolean | string[]
}

export interface CheckContext {
  /** Aborted when the check's time is over. Close what is open and stop; nobody waits for the result any more. */
  signal: AbortSignal
  log: ProbeLog
  /** What one check of a probe leaves for its next. */
  keep: Keep
}

/**
 * The description of a module.
 *
 * @template Schema the Zod schema of the probe's `query`
 * @template Names the names of the facts the module can report
 */
export interface ProbeDefinition<Schema extends z.ZodType = z.ZodType, Names extends string = string> {
  /** One sentence: what the module asks. `deadpool modules` shows it. */
  summary: string
  /**
   * Validates `probes.<name>.query`. A number called `timeout` in its output is the check's deadline in seconds,
   * kept by the core; without one it is 5 seconds.
   */
  query: Schema
  /**
   * The facts that a check can report, each with its meaning: a text, or with its type and unit as well. Criteria may
   * name only these, and those of `factsOf`.
   */
  facts: Record<Names, string | FactSpec>
  /** Further facts that a query gives rise to, such as those it names itself. */
  factsOf?(query: z.output<Schema>): Record<string, string | FactSpec>
  /** The criteria of a probe that has no `success_criteria`. */
  criteria?: Partial<Record<NoInfer<Names>, CriterionSpec | CriterionSpec[]>>
  /** Further ones of them that a query gives rise to. */
  criteriaOf?(query: z.output<Schema>): Partial<Record<NoInfer<Names>, CriterionSpec | CriterionSpec[]>>
  /**
   * Makes one check and returns what it observed, without judging it. Throws `Dead` when the target gave no facts and
   * `Unknown` when this host could not ask. A fact that alone could not be asked for may be a getter that throws `Unknown`:
   * it matters then only to a probe that judges it.
   */
  probe(
    query: z.output<Schema>,
    context: CheckContext,
  ): Promise<Partial<Record<NoInfer<Names>, unknown>>> | Partial<Record<NoInfer<Names>, unknown>>
}

const FACT_TYPES: readonly FactType[] = ['text', 'number', 'boolean', 'list', 'record']

const BRAND = Symbol.for('deadpool.probe')

/** A module's definition that went through {@link defineProbe}. */
export type Probe = ProbeDefinition

/**
 * Declares what a module asks and which facts it reports: `export const Probe = defineProbe({ … })`.
 *
 * @throws TypeError when a part of the definition is missing or is not of its kind
 */
export function defineProbe<Schema extends z.ZodType, Names extends string>(
  definition: ProbeDefinition<Schema, Names>,
): Probe {
  const fault = findFault(definition)
  if (fault) throw new TypeError(`defineProbe(): ${fault}`)
  return Object.freeze({ ...definition, [BRAND]: true }) as unknown as Probe
}

/** Tells whether `value` was made by {@link defineProbe}, by this copy of it or another. */
export function isProbe(value: unknown): value is Probe {
  return typeof value === 'object' && value !== null && BRAND in value
}

function findFault(definition: unknown): string | undefined {
  if (typeof definition !== 'object' || definition === null) return 'the definition is not an object'
  const { summary, query, facts, factsOf, criteria, criteriaOf, probe } = definition as Record<string, unknown>
  if (typeof summary !== 'string' || summary === '') return '"summary" is missing; write one sentence'
  if (typeof query !== 'object' || query === null || !('_zod' in query)) {
    return '"query" is missing; give a schema such as z.strictObject({ … })'
  }
  if (typeof facts !== 'object' || facts === null || Object.keys(facts).length === 0) {
    return '"facts" is missing; name each fact with its meaning'
  }
  const vague = Object.entries(facts).find(([, about]) => !isFactSpec(about))
  if (vague) return `"facts.${vague[0]}" has no meaning; write a text, or { about, type, unit }`
  if (factsOf !== undefined && typeof factsOf !== 'function') return '"factsOf" is not a function'
  if (criteriaOf !== undefined && typeof criteriaOf !== 'function') return '"criteriaOf" is not a function'
  if (typeof probe !== 'function') return '"probe" is missing; give the function that makes one check'
  const stranger = Object.keys(criteria ?? {}).find((fact) => !Object.hasOwn(facts, fact))
  if (stranger !== undefined) return `"criteria" judges "${stranger}", which is not among "facts"`
  return undefined
}

function isFactSpec(given: unknown): boolean {
  if (typeof given === 'string') return given !== ''
  if (typeof given !== 'object' || given === null) return false
  const { about, type } = given as Partial<FactSpec>
  return typeof about === 'string' && (type === undefined || FACT_TYPES.includes(type))
}
