import { dirname, resolve } from 'node:path'
import { explainIssues } from './explain.ts'
import { ConfigError, formatProblem, type Path } from './problem.ts'
import { watchmanSchema } from './schema.ts'
import { parseSource, readSource } from './source.ts'

/** What commands for the status folder need of a configuration. */
export interface Outline {
  /** Absolute. */
  statusFolder: string
  /** Names of probes and groups, enabled or not, in the order of the file. */
  names: string[]
}

const FOLDER: Path = ['WatchMan', 'probe_status_folder']

/**
 * Reads no more than the outline of a configuration, whatever mistakes there are elsewhere: a token that is not set here
 * keeps nobody from draining a data centre.
 *
 * @throws ConfigError when the file cannot be read, is not YAML, or gives no usable folder
 */
export function readOutline(file: string): Outline {
  const source = parseSource(file, readSource(file))
  const section = (source.value as { WatchMan?: unknown }).WatchMan ?? {}
  const given = typeof section === 'object' ? (section as Record<string, unknown>).probe_status_folder : section
  const schema = watchmanSchema.shape.probe_status_folder
  const parsed = schema.safeParse(given)
  if (!parsed.success) {
    const problems = explainIssues(schema, given, parsed.error.issues)
    const place = source.locate(FOLDER)
    throw new ConfigError(problems.map((problem) => formatProblem(file, { ...problem, path: FOLDER }, place)))
  }
  const names = [['probes'], ['WatchMan', 'probes'], ['groups']].flatMap((path) => source.keysAt(path))
  return { statusFolder: resolve(dirname(file), parsed.data), names }
}
