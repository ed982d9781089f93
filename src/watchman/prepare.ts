import type { ProbeConfig } from '../config/probes.ts'
import type { Path, Problem } from '../config/problem.ts'
import { findNameFault } from '../config/schema.ts'
import { CriterionError, compileCriterion } from '../criteria/criterion.ts'
import type { Explaining, FactCriterion } from '../criteria/judge.ts'
import type { Catalog } from '../modules/catalog.ts'
import type { CriterionSpec } from '../modules/define-probe.ts'
import { Unknown } from '../modules/errors.ts'
import { type Module, ModuleError, type PreparedQuery } from '../modules/module.ts'
import { suggest } from '../suggest.ts'

/** A probe that can be checked. */
export interface ReadyProbe {
  config: ProbeConfig
  timeoutMs: number
  observe: PreparedQuery['observe']
  close: PreparedQuery['close']
  criteria: FactCriterion[]
  /** The facts that say in words what is wrong. */
  explaining: Explaining[]
}

/** A probe made ready, or everything that is wrong with it, by path from the top of the configuration. */
export type Prepared = { probe: ReadyProbe; problems: [] } | { probe: undefined; problems: Problem[] }

/** Loads the module of a probe, lets it validate the query, and compiles the criteria. Never rejects. */
export async function prepareProbe(config: ProbeConfig, catalog: Catalog): Promise<Prepared> {
  const missing = findModuleFault(config.module, catalog)
  if (missing) return fail(mistake([...config.path, 'module'], missing))
  let module: Module
  let query: PreparedQuery
  try {
    module = await catalog.open(config.module)
    query = await module.prepare(config.query)
  } catch (error) {
    const message = `module "${config.module}" cannot be used: ${error instanceof Error ? error.message : error}`
    return fail({
      kind: error instanceof ModuleError || error instanceof Unknown ? 'broken' : 'mistake',
      path: [...config.path, 'module'],
      message,
    })
  }
  const problems = query.problems.map(({ path, ...rest }): Problem => {
    return { kind: 'mistake', ...rest, path: [...config.path, 'query', ...path] }
  })
  const criteria = compileCriteria(config, module, query)
  problems.push(...criteria.problems)
  if (problems.length > 0) return fail(...problems)
  return {
    probe: { config, ...query, criteria: criteria.list, explaining: findExplaining(module, query) },
    problems: [],
  }
}

function findExplaining({ description }: Module, query: PreparedQuery): Explaining[] {
  return Object.entries({ ...description.facts, ...query.facts }).flatMap(([fact, { explains }]) =>
    explains ? [{ fact, of: explains === true ? 'all' : explains }] : [],
  )
}

function fail(...problems: Problem[]): Prepared {
  return { probe: undefined, problems }
}

function mistake(path: Path, message: string): Problem {
  return { kind: 'mistake', path, message }
}

function findModuleFault(name: string, catalog: Catalog): string | undefined {
  const fault = findNameFault(name, 'module')
  if (fault) return fault
  if (catalog.has(name)) return undefined
  const meant = suggest(name, catalog.names())
  const hint = meant ? `; did you mean "${meant}"?` : `; there are ${catalog.names().join(', ')}`
  return `"${name}" is not a module${hint}`
}

function compileCriteria(
  config: ProbeConfig,
  module: Module,
  query: PreparedQuery,
): { list: FactCriterion[]; problems: Problem[] } {
  const { criteria: defaults } = module.description
  const facts = { ...module.description.facts, ...query.facts }
  const base = [...config.path, 'success_criteria']
  const specs = config.criteria ?? { ...defaults, ...query.criteria }
  const list: FactCriterion[] = []
  const problems: Problem[] = []
  if (Object.keys(specs).length === 0) {
    const message = `is missing; module "${config.module}" has no criteria of its own, so name a fact to judge: ${Object.keys(facts).join(', ')}`
    problems.push(mistake(base, message))
  }
  for (const [fact, given] of Object.entries(specs)) {
    if (!Object.hasOwn(facts, fact)) {
      // Of a query with mistakes it is not known which facts it gives rise to.
      if (query.problems.length > 0 && module.description.factsVary) continue
      problems.push({
        ...mistake([...base, fact], explainUnknownFact(fact, module.name, Object.keys(facts))),
        isKey: true,
      })
      continue
    }
    if (Array.isArray(given) && given.length === 0) {
      problems.push(mistake([...base, fact], 'an empty list judges nothing; at least one criterion is needed'))
    }
    for (const [spec, path] of spread(given, [...base, fact])) {
      try {
        list.push({ fact, judge: compileCriterion(spec, facts[fact]?.type) })
      } catch (error) {
        if (!(error instanceof CriterionError)) throw error
        problems.push(mistake([...path, ...error.path], error.message))
      }
    }
  }
  return { list, problems }
}

function spread(given: CriterionSpec | CriterionSpec[], path: Path): (readonly [CriterionSpec, Path])[] {
  return Array.isArray(given) ? given.map((spec, index) => [spec, [...path, index]] as const) : [[given, path]]
}

function explainUnknownFact(fact: string, module: string, known: string[]): string {
  const meant = suggest(fact, known)
  const hint = meant ? `did you mean "${meant}"?` : `it reports ${known.join(', ')}`
  return `is not a fact that module "${module}" reports; ${hint}`
}
