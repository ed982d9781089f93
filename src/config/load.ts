import { hostname } from 'node:os'
import { dirname, relative, resolve } from 'node:path'
import type * as z from 'zod'
import { DEFAULT_TARGETS, type LogTarget } from '../log/target.ts'
import type { Rules } from '../verdict/rules.ts'
import { explainIssues } from './explain.ts'
import { checkDependencies, type GroupConfig, readGroups } from './groups.ts'
import { type ProbeConfig, readProbes } from './probes.ts'
import { ConfigError, formatProblem, type Path, type Problem } from './problem.ts'
import { genericSchema, topSchema, watchmanSchema, webSchema } from './schema.ts'
import { collectSecrets } from './secrets.ts'
import { parseSource, readSource, type Source } from './source.ts'
import { readTokens } from './tokens.ts'

/** A configuration: defaults filled in, paths absolute, durations in milliseconds, tokens read. */
export interface Config {
  /** Absolute path of the file it was read from; relative paths in it are relative to this file's folder. */
  file: string
  log: LogTarget[]
  web: { port: number; host: string; baseUrl: string; tokens: string[]; name: string }
  watchman: {
    statusFolder: string
    moduleFolder: string | undefined
    staleAfterMs: number
    onStale: Rules['onStale']
    clearOnStart: boolean
  }
  /** In the order of the file. */
  probes: ProbeConfig[]
  /** In the order of the file. */
  groups: GroupConfig[]
  /** Everything in it that must never be shown. */
  secrets: Set<string>
}

/** A configuration as far as it could be read. With a mistake among the problems, what it concerns has its default. */
export interface LoadedConfig {
  config: Config
  problems: Problem[]
  /** The text of the file, for the watcher: both processes have to work from the same. */
  text: string
  /** Writes problems as lines, in the order of the file. */
  format(problems: readonly Problem[]): string[]
}

export interface LoadOptions {
  env?: NodeJS.ProcessEnv
  /** The text of the file, when it was read before. */
  text?: string
}

/**
 * Loads a configuration file, without loading modules. Whoever goes on to use it calls {@link refuseMistakes} first,
 * with the problems that the modules found added.
 *
 * @throws ConfigError when the file cannot be read, or is not YAML
 */
export function loadConfig(
  file: string,
  { env = process.env, text = readSource(file) }: LoadOptions = {},
): LoadedConfig {
  const shownFile = shorten(file)
  const source = parseSource(shownFile, text)
  const problems = dropSampleRemarks(source.value)
  const { web, watchman, generic } = readSections(source, problems)
  const { probes, problems: probeProblems } = readProbes(source)
  const { groups, problems: groupProblems } = readGroups(source, probes)
  problems.push(...probeProblems, ...groupProblems, ...checkDependencies(source, probes, groups))

  const folder = dirname(file)
  const { tokens, problems: tokenProblems } = readTokens(web?.access_token ?? [], folder, env)
  problems.push(...tokenProblems)
  if (probes.every((probe) => !probe.isEnabled) && !problems.some(({ kind }) => kind === 'mistake')) {
    problems.push({ kind: 'warning', path: ['probes'], message: 'no probe is enabled: the answer will always be OK' })
  }
  const log = generic?.log ?? DEFAULT_TARGETS
  const config: Config = {
    file,
    log: Array.isArray(log) ? log : [log],
    web: {
      port: web?.port ?? 9001,
      host: web?.host ?? '0.0.0.0',
      baseUrl: `/${(web?.base_url ?? '').replace(/^\/+|\/+$/g, '')}`,
      tokens,
      name: web?.name ?? hostname(),
    },
    watchman: {
      statusFolder: resolve(folder, watchman?.probe_status_folder ?? 'probe'),
      moduleFolder: watchman?.module_folder === undefined ? undefined : resolve(folder, watchman.module_folder),
      staleAfterMs: watchman?.stale_after ?? 30_000,
      onStale: watchman?.on_stale ?? 'dead',
      clearOnStart: watchman?.clear_on_start ?? false,
    },
    probes,
    groups,
    secrets: new Set([...collectSecrets(source.value), ...tokens]),
  }
  return { config, problems, text, format: createFormat(shownFile, source) }
}

/** How the states of a configuration's probes add up. Members of groups that are disabled are as if not there. */
export function rulesOf({ probes, groups, watchman }: Pick<Config, 'probes' | 'groups' | 'watchman'>): Rules {
  const enabled = probes.filter(({ isEnabled }) => isEnabled)
  const names = new Set(enabled.map(({ name }) => name))
  return {
    probes: enabled.map(({ name, severity, dependsOn }) => ({ name, severity, dependsOn })),
    groups: groups
      .map(({ name, members, minAlive, severity }) => {
        return { name, severity, minAlive, members: members.filter((member) => names.has(member)) }
      })
      .filter(({ members }) => members.length > 0),
    onStale: watchman.onStale,
  }
}

/**
 * Lets a configuration pass that has no mistakes.
 *
 * @throws ConfigError with all of them
 */
export function refuseMistakes({ format }: LoadedConfig, problems: readonly Problem[], kinds = ['mistake']): void {
  const refused = problems.filter((problem) => kinds.includes(problem.kind))
  if (refused.length > 0) throw new ConfigError(format(refused))
}

/** The file's path as people would write it from where they are. */
function shorten(file: string): string {
  const path = relative(process.cwd(), file)
  return path === '' || path.startsWith('..') || `/${path}` === file ? file : path
}

function createFormat(shownFile: string, source: Source): LoadedConfig['format'] {
  return (problems) =>
    problems
      .map((problem) => ({ problem, place: source.locate(problem.path, problem.isKey) }))
      .sort((a, b) => (a.place?.line ?? 0) - (b.place?.line ?? 0) || (a.place?.column ?? 0) - (b.place?.column ?? 0))
      .map(({ problem, place }) => formatProblem(shownFile, problem, place))
}

function readSections(source: Source, problems: Problem[]) {
  const value = source.value as Record<string, unknown>
  function read<Schema extends z.ZodType>(schema: Schema, input: unknown, path: Path): z.output<Schema> | undefined {
    const parsed = schema.safeParse(input)
    if (parsed.success) return parsed.data
    const found = explainIssues(schema, input, parsed.error.issues)
    problems.push(...found.map((problem) => ({ ...problem, path: [...path, ...problem.path] })))
    return undefined
  }
  const top = read(topSchema, value, [])
  // A section that is no mapping was reported above already.
  const hasWeb = top !== undefined || (typeof value.WEB === 'object' && value.WEB !== null)
  return {
    web: hasWeb ? read(webSchema, value.WEB, ['WEB']) : undefined,
    watchman: value.WatchMan ? read(watchmanSchema, value.WatchMan, ['WatchMan']) : undefined,
    generic: value.Generic ? read(genericSchema, value.Generic, ['Generic']) : undefined,
  }
}

/**
 * The seed's sample says `type: gelf (only gelf so far)`: the remark is dropped, with a warning. Changes the value in
 * place, before it is validated.
 */
function dropSampleRemarks(value: unknown): Problem[] {
  const log = (value as { Generic?: { log?: unknown } | null }).Generic?.log
  const targets = Array.isArray(log) ? log : [log]
  return targets.flatMap((target, index): Problem[] => {
    if (typeof target !== 'object' || target === null) return []
    const [, type, remark] = /^(gelf|syslog|console|json)\s*(\(.*\))$/.exec(String(target.type)) ?? []
    if (!type) return []
    target.type = type
    const path = ['Generic', 'log', ...(Array.isArray(log) ? [index] : []), 'type']
    return [{ kind: 'warning', path, message: `"${type}" is taken; the remark "${remark}" belongs behind a #` }]
  })
}
