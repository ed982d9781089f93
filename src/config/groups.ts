import { suggest } from '../suggest.ts'
import type { MinAlive, Severity } from '../verdict/rules.ts'
import { explainIssues } from './explain.ts'
import { findReserved, namesOfProbes, type ProbeConfig, valueAt } from './probes.ts'
import type { Path, Problem } from './problem.ts'
import { findNameFault, groupSchema } from './schema.ts'
import type { Source } from './source.ts'

/** The configuration of one group. */
export interface GroupConfig {
  name: string
  /** Where it stands in the file. */
  path: Path
  /** Names of probes, enabled or not. */
  members: readonly string[]
  minAlive: MinAlive
  severity: Severity
}

const TOP: Path = ['groups']

/** Reads all groups, in the order of the file; one with a mistake in its shape is left out. */
export function readGroups(
  source: Source,
  probes: readonly ProbeConfig[],
): { groups: GroupConfig[]; problems: Problem[] } {
  const problems: Problem[] = []
  const groups: GroupConfig[] = []
  const given = (source.value as { groups?: Record<string, unknown> | null }).groups ?? {}
  const names = namesOfProbes(source)
  const taken = new Map(names.map((name) => [name.toLowerCase(), `the probe "${name}"`]))
  for (const name of source.keysAt(TOP)) {
    const path = [...TOP, name]
    const nameFault = findNameFault(name, 'group') ?? findReserved(name) ?? findTwin(name, taken)
    if (nameFault) problems.push({ kind: 'mistake', path, message: nameFault, isKey: true })
    taken.set(name.toLowerCase(), `the group "${name}"`)
    const parsed = groupSchema.safeParse(given[name])
    if (!parsed.success) {
      const found = explainIssues(groupSchema, given[name], parsed.error.issues)
      problems.push(...found.map((problem) => ({ ...problem, path: [...path, ...problem.path] })))
      continue
    }
    const { members, min_alive: minAlive, severity } = parsed.data
    const group = { name, path, members, minAlive, severity }
    const isList = Array.isArray(valueAt(given[name], ['members']))
    problems.push(...checkMembers(group, probes, names, isList))
    groups.push(group)
  }
  problems.push(...checkSeverities(groups, probes))
  return { groups, problems }
}

function findTwin(name: string, taken: ReadonlyMap<string, string>): string | undefined {
  const twin = taken.get(name.toLowerCase())
  return twin && `${twin} has this name already, in whatever case; each can be asked by name, so choose another`
}

function checkMembers(
  { path, members, minAlive }: GroupConfig,
  probes: readonly ProbeConfig[],
  names: readonly string[],
  isList: boolean,
): Problem[] {
  const problems: Problem[] = []
  const base = [...path, 'members']
  for (const [index, member] of members.entries()) {
    const place = isList ? [...base, index] : base
    if (members.indexOf(member) !== index) {
      problems.push({ kind: 'mistake', path: place, message: `"${member}" is there twice; keep one` })
    } else if (!names.includes(member)) {
      problems.push({ kind: 'mistake', path: place, message: explainStranger(member, 'probe', names) })
    }
  }
  const enabled = members.filter((member) => probes.some(({ name, isEnabled }) => name === member && isEnabled))
  if (problems.length === 0) problems.push(...checkMinAlive(path, minAlive, members.length, enabled.length))
  return problems
}

function checkMinAlive(path: Path, minAlive: MinAlive, members: number, enabled: number): Problem[] {
  if ('count' in minAlive && minAlive.count > members) {
    const message = `${minAlive.count} is more than the group has members; at most ${members} is allowed`
    return [{ kind: 'mistake', path: [...path, 'min_alive'], message }]
  }
  if (enabled === 0) {
    return [{ kind: 'warning', path, message: 'has no enabled member; the group does not count', isKey: true }]
  }
  if ('count' in minAlive && minAlive.count > enabled) {
    const message = `only ${enabled} of the members are enabled; all of them have to be alive`
    return [{ kind: 'warning', path: [...path, 'min_alive'], message }]
  }
  return []
}

function checkSeverities(groups: readonly GroupConfig[], probes: readonly ProbeConfig[]): Problem[] {
  return probes.flatMap(({ name, severity, path }): Problem[] => {
    const group = groups.find(({ members }) => members.includes(name))
    if (!group || severity === 'critical') return []
    const message = `has no effect; "${name}" counts only through the group "${group.name}"`
    return [{ kind: 'warning', path: [...path, 'severity'], message, isKey: true }]
  })
}

/** Checks that whatever a probe depends on is there, and that nothing depends on itself. */
export function checkDependencies(
  source: Source,
  probes: readonly ProbeConfig[],
  groups: readonly GroupConfig[],
): Problem[] {
  // A probe or group with a mistake of its own is there all the same.
  const names = [...namesOfProbes(source), ...source.keysAt(TOP)]
  const known = new Set(names)
  const problems = probes.flatMap(({ path, dependsOn }) => {
    const base = [...path, 'depends_on']
    const isList = Array.isArray(valueAt(source.value, base))
    return dependsOn.flatMap((name, index): Problem[] => {
      if (known.has(name)) return []
      const message = explainStranger(name, 'probe or group', names)
      return [{ kind: 'mistake', path: isList ? [...base, index] : base, message }]
    })
  })
  const circle = problems.length === 0 ? findCircle(probes, groups) : undefined
  if (circle) {
    const message = `goes in a circle: ${circle.names.join(' → ')}; leave one of them out`
    problems.push({ kind: 'mistake', path: [...circle.path, 'depends_on'], message })
  }
  return problems
}

function explainStranger(name: string, thing: string, names: readonly string[]): string {
  const meant = suggest(name, names)
  const shown = names.slice(0, 20).join(', ')
  return `"${name}" is not the name of a ${thing}; ${meant ? `did you mean "${meant}"?` : `there are ${shown}`}`
}

/** The first circle of dependencies; a group leans on its members. Chains may be longer than the stack is deep. */
function findCircle(
  probes: readonly ProbeConfig[],
  groups: readonly GroupConfig[],
): { names: string[]; path: Path } | undefined {
  const leansOn = new Map<string, readonly string[]>(groups.map(({ name, members }) => [name, members]))
  for (const { name, dependsOn } of probes) leansOn.set(name, dependsOn)
  const done = new Set<string>()
  for (const { name } of probes) {
    const names = findCircleFrom(name, leansOn, done)
    // The way to a circle may begin outside of it.
    const probe = names && probes.find((each) => names.includes(each.name))
    if (names && probe) return { names, path: probe.path }
  }
  return undefined
}

/** Follows everything that `start` leans on; what leads to no circle is added to `done`. */
function findCircleFrom(
  start: string,
  leansOn: ReadonlyMap<string, readonly string[]>,
  done: Set<string>,
): string[] | undefined {
  const trail: { name: string; rest: string[] }[] = []
  const onTrail = new Set<string>()
  let next: string | undefined = start
  while (next !== undefined) {
    const name = next
    if (onTrail.has(name)) {
      const names = trail.map((step) => step.name)
      return [...names.slice(names.indexOf(name)), name]
    }
    if (!done.has(name)) {
      trail.push({ name, rest: [...(leansOn.get(name) ?? [])].reverse() })
      onTrail.add(name)
    }
    next = trail.at(-1)?.rest.pop()
    while (next === undefined && trail.length > 0) {
      const left = trail.pop()?.name ?? ''
      onTrail.delete(left)
      done.add(left)
      next = trail.at(-1)?.rest.pop()
    }
  }
  return undefined
}
