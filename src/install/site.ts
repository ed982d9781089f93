import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, lstatSync, mkdirSync, realpathSync } from 'node:fs'
import { dirname, join, resolve, sep } from 'node:path'

/** Thrown for a step that cannot be done; what was done before stays. */
export class StepError extends Error {
  override name = 'StepError'
}

/** The root that is installed into, and what was done to it so far. */
export interface Site {
  root: string
  /** Whether this is the host itself, and not another root. */
  isHost: boolean
  isDry: boolean
  /** A line for each step. */
  lines: string[]
  /**
   * Where a path of the site is on this host.
   *
   * @throws StepError when a link leads out of the root
   */
  at(path: string): string
  /** Tells of a step that was done; in a dry run, that it would be. `did` is a participle: `written`. */
  did(what: string, did: string): void
  /** Tells something that is so, in a dry run too. */
  say(what: string, text: string): void
}

/** @throws StepError when there is no such folder */
export function openSite({ root, isDry }: { root: string; isDry: boolean }, lines: string[] = []): Site {
  const path = resolve(root)
  if (!existsSync(path) || !lstatSync(realpathSync(path)).isDirectory())
    throw new StepError(`${path} is not a folder; --root takes the root of another system, or an empty folder`)
  const real = realpathSync(path)
  const say = (what: string, text: string) => void lines.push(`${what}: ${text}`)
  return {
    root: real,
    isHost: real === '/',
    isDry,
    lines,
    say,
    did: (what, did) => say(what, isDry ? `would be ${did}` : did),
    at(inner) {
      const place = join(real, inner)
      // What is there may be a link itself.
      const end = realpathSync(existsSync(place) ? place : findAbove(place))
      if (end !== real && !end.startsWith(real === '/' ? '/' : real + sep))
        throw new StepError(`${inner} leads out of ${real}, to ${end}: a link in it is not relative; mend that first`)
      return place
    },
  }
}

/** The nearest folder above a path that is there. */
function findAbove(path: string): string {
  let above = dirname(path)
  while (!existsSync(above)) {
    const isDangling = lstatSync(above, { throwIfNoEntry: false })?.isSymbolicLink()
    if (isDangling) throw new StepError(`${above} is a link to a place that is not there; mend that first`)
    above = dirname(above)
  }
  return above
}

/** Makes a folder with all above it; everybody may enter those that were not there, whatever the umask. */
export function makeFolders(path: string): void {
  if (existsSync(path)) return
  makeFolders(dirname(path))
  mkdirSync(path)
  chmodSync(path, 0o755)
}

/** Runs a program of this host, without its output; undefined when it is not there. */
export function runTool(program: string, ...args: string[]): string | undefined {
  // A service's environment, or sudo's, may lack the folders of the administrator.
  // An empty one would be the working directory, where anybody may have put a program.
  const PATH = `${process.env.PATH ? `${process.env.PATH}:` : ''}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`
  try {
    return execFileSync(program, args, { env: { ...process.env, PATH, LC_ALL: 'C' }, encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    const { code, stderr, message } = error as Error & { code?: string; stderr?: string }
    if (code === 'ENOENT') return undefined
    throw new StepError(`"${[program, ...args].join(' ')}" failed: ${stderr?.trim() || message}`)
  }
}
