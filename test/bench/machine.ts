import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'

/** One line that says what the figures were measured on, and of which commit. */
export function describeMachine(): string {
  const [cpu] = cpus()
  const parts = [
    `${cpus().length} × ${cpu?.model.trim() ?? 'unknown CPU'}`,
    `${Math.round(totalmem() / 2 ** 30)} GiB`,
    `Linux ${release()}`,
    `Node ${process.versions.node}`,
    `commit ${readCommit()}`,
    new Date().toISOString().slice(0, 10),
  ]
  return `Measured on ${parts.join(', ')}.`
}

/** The commit of the checkout, with `+` when the tree differs from it. */
function readCommit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' }).trim()
  try {
    return git('rev-parse', '--short=12', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+')
  } catch {
    return 'unknown' // an exported tree, or no git
  }
}
