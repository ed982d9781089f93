import type { CriterionSpec } from '../modules/define-probe.ts'
import type { Severity } from '../verdict/rules.ts'
import { RESERVED_NAMES } from '../verdict/verdict.ts'
import { formatDuration } from './duration.ts'
import { explainIssues } from './explain.ts'
import type { Path, Problem } from './problem.ts'
import { findNameFault, probeSchema } from './schema.ts'
import type { Source } from './source.ts'

/** The configuration of one probe. */
export interface ProbeConfig {
  name: string
  /** Where it stands in the file. */
  path: Path
  module: string
  isEnabled: boolean
  periodMs: number
  /** The period while outcomes disagree with the state; `periodMs` where none is given. */
  fastPeriodMs: number
  fall: number
  rise: number
  holdMs: number
  severity: Severity
  /** Names of probes and groups. */
  dependsOn: readonly string[]
  /** In the module's own format; the module validates it. */
  query: unknown
  criteria: Record<string, CriterionSpec | CriterionSpec[]> | undefined
}

const TOP: Path = ['probes']
const INNER: Path = ['WatchMan', 'probes']

/** The names of all probes in the file, those with mistakes too. */
export function namesOfProbes(source: Source): string[] {
  return [TOP, INNER].flatMap((parent) => source.keysAt(parent))
}

/** Reads all probes, in the order of the file. One with a mistake is there as far as it could be read. */
export function readProbes(source: Source): { probes: ProbeConfig[]; problems: Problem[] } {
  const problems = checkPlaces(source)
  const names = [TOP, INNER].flatMap((parent) =>
    source.keysAt(parent).map((name) => ({ name, path: [...parent, name] })),
  )
  problems.push(...checkNames(names))
  const probes: ProbeConfig[] = []
  for (const { name, path } of names) {
    const given = valueAt(source.value, path)
    const parsed = probeSchema.safeParse(given)
    if (!parsed.success) {
      const found = explainIssues(probeSchema, given, parsed.error.issues)
      problems.push(...found.map((problem) => ({ ...problem, path: [...path, ...problem.path] })))
      const rest = salvage(name, path, given)
      if (rest) probes.push(rest)
      continue
    }
    const { module, isEnabled, period: periodMs, query = {}, success_criteria: criteria, ...rest } = parsed.data
    const { fast_period: fastPeriodMs = periodMs, fall, rise, hold: holdMs, severity, depends_on: dependsOn } = rest
    if (fastPeriodMs > periodMs) problems.push(explainSlowFastPeriod(path, fastPeriodMs, periodMs))
    const rules = { fastPeriodMs, fall, rise, holdMs, severity, dependsOn }
    probes.push({ name, path, module, isEnabled, periodMs, ...rules, query, criteria })
  }
  return { probes, problems }
}

/** Of a probe with a mistake, what its module can still look at: so that all its mistakes are told in one go. */
function salvage(name: string, path: Path, given: unknown): ProbeConfig | undefined {
  if (typeof given !== 'object' || given === null) return undefined
  const { module, query = {}, success_criteria } = given as Record<string, unknown>
  if (typeof module !== 'string') return undefined
  const criteria = salvageCriteria(success_criteria)
  const rules = { fastPeriodMs: 3000, fall: 1, rise: 1, holdMs: 0, severity: 'critical', dependsOn: [] } as const
  return { name, path, module, isEnabled: true, periodMs: 3000, ...rules, query, criteria }
}

/** The facts whose criteria have the right form, whatever is wrong with those of others. */
function salvageCriteria(given: unknown): ProbeConfig['criteria'] {
  if (typeof given !== 'object' || given === null) return undefined
  const read = Object.entries(given).map(([fact, each]) => {
    return probeSchema.shape.success_criteria.safeParse({ [fact]: each }).data
  })
  const criteria = Object.assign({}, ...read)
  return Object.keys(criteria).length > 0 ? criteria : undefined
}

function explainSlowFastPeriod(path: Path, fastPeriodMs: number, periodMs: number): Problem {
  const message = `${formatDuration(fastPeriodMs)} is longer than the period; at most ${formatDuration(periodMs)} is allowed`
  return { kind: 'mistake', path: [...path, 'fast_period'], message }
}

function checkPlaces(source: Source): Problem[] {
  const [top, inner] = [source.keysAt(TOP).length, source.keysAt(INNER).length]
  if (top > 0 && inner > 0) {
    const message = 'probes are given in two places; keep them all under "probes" at the top, or all here'
    return [{ kind: 'mistake', path: INNER, message, isKey: true }]
  }
  const isAbsent = valueAt(source.value, TOP) === undefined && valueAt(source.value, INNER) === undefined
  if (!isAbsent) return []
  return [{ kind: 'mistake', path: TOP, message: 'is missing; name at least one probe' }]
}

function checkNames(names: { name: string; path: Path }[]): Problem[] {
  const seen = new Map<string, string>()
  return names.flatMap(({ name, path }): Problem[] => {
    const fold = name.toLowerCase()
    const message = findNameFault(name, 'probe') ?? findReserved(name) ?? findClash(seen.get(fold))
    seen.set(fold, name)
    return message ? [{ kind: 'mistake', path, message, isKey: true }] : []
  })
}

/** Says that a name means something else already, in whatever case. */
export function findReserved(name: string): string | undefined {
  const reserved = RESERVED_NAMES.find((each) => each.toLowerCase() === name.toLowerCase())
  return reserved && `"${reserved}" is a name of DeadPool's own; choose another`
}

function findClash(twin: string | undefined): string | undefined {
  if (twin === undefined) return undefined
  return `differs from "${twin}" only in case: their flags would be one file on some disks`
}

/** What stands at `path`, or undefined. */
export function valueAt(value: unknown, path: Path): unknown {
  let at = value
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined
    at = (at as Record<string | number, unknown>)[key]
  }
  return at ?? undefined
}
