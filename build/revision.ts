import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const home = join(import.meta.dirname, '..')

/** What is being built. */
export interface Revision {
  /** `version` of package.json. */
  version: string
  /** The commit, shortened, with `+` when the tree differs from it; empty outside of a repository. */
  commit: string
  /** Seconds since 1970 that everything made from this commit carries as its time: `SOURCE_DATE_EPOCH`, else the commit's. */
  epoch: number | undefined
}

/** Reads the commit; only changes in `paths` count as changes. */
export function readRevision(paths: readonly string[]): Revision {
  const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))
  const named = process.env.SOURCE_DATE_EPOCH
  if (named !== undefined && !/^\d{1,11}$/.test(named)) {
    throw new Error(
      `SOURCE_DATE_EPOCH "${named}" is not a number of seconds; unset it, or write as: git log -1 --format=%ct`,
    )
  }
  try {
    const isChanged = git('status', '--porcelain', '--', ...paths) !== ''
    const commit = git('rev-parse', '--short=12', 'HEAD') + (isChanged ? '+' : '')
    return { version, commit, epoch: Number(named ?? git('log', '-1', '--format=%ct')) }
  } catch {
    return { version, commit: '', epoch: named === undefined ? undefined : Number(named) } // an exported tree, or no git
  }
}

/**
 * The version that packages carry, with the commit and its time, so that a later commit is a later version for dpkg, rpm
 * and SemVer alike: `0.1.0+git20261125184409.d6d5cda705ec`, and `.dirty` behind it when the tree had changes.
 *
 * @throws Error outside of a repository, as nothing tells which commit it is
 */
export function toPackageVersion({ version, commit, epoch }: Revision): string {
  if (commit === '' || epoch === undefined) {
    throw new Error('A release is made from a commit; run it in a clone of the repository, with git installed')
  }
  const time = new Date(epoch * 1000).toISOString().replace(/\D/g, '').slice(0, 14)
  return `${version}+git${time}.${commit.replace('+', '.dirty')}`
}

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: home, encoding: 'utf8', stdio: 'pipe' }).trim()
}
