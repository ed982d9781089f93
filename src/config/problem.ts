/** The keys from the top of the configuration down to one value. */
export type Path = readonly (string | number)[]

/** One thing that is wrong, or doubtful, in a configuration. */
export interface Problem {
  /**
   * `mistake`: DeadPool refuses to start. `broken`: a module that does not load; its probes cannot be checked, the others
   * run.
   * `warning`: it runs, but probably not as meant.
   */
  kind: 'mistake' | 'broken' | 'warning'
  path: Path
  /** What was found and what is allowed, a phrase that follows the path. */
  message: string
  /** Whether the key itself is wrong, rather than its value. */
  isKey?: boolean
}

/** Where a problem stands in the file; lines and columns count from 1. */
export interface Place {
  line: number
  column: number
}

/** Thrown when a configuration cannot be used; `lines` holds one finished line for each mistake. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  readonly lines: readonly string[]
  /** Set when a disk does not answer: a thread waits for it, and the process cannot end in good order. */
  readonly isDiskHanging: boolean

  constructor(lines: readonly string[], { isDiskHanging = false } = {}) {
    super(lines.join('\n'))
    this.lines = lines
    this.isDiskHanging = isDiskHanging
  }
}

/** Writes a problem as `FILE:LINE:COLUMN PATH: MESSAGE`. */
export function formatProblem(file: string, problem: Problem, place: Place | undefined): string {
  const where = place ? `${file}:${place.line}:${place.column}` : file
  const path = formatPath(problem.path)
  return path === '' ? `${where}: ${problem.message}` : `${where} ${path}: ${problem.message}`
}

/** Writes a path as `probes.elastic.query[0]`; a key that would be unreadable so is quoted. */
export function formatPath(path: Path): string {
  let text = ''
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`
    else if (/^[\w$-]{1,100}$/.test(key)) text += text === '' ? key : `.${key}`
    else text += `[${JSON.stringify(key.length > 60 ? `${key.slice(0, 60)}…` : key)}]`
  }
  return text
}
