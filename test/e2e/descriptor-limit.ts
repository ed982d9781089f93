import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'

/** So many file descriptors a process may have, which is little more than Node itself needs. */
export const LIMIT = 64

/** The command through which a program has no more; see `StartOptions.through`. The hard limit goes down too, or Node would raise its own. */
export const THROUGH_LIMIT = ['sh', '-c', `ulimit -n ${LIMIT}; exec "$@"`, 'sh']

/** Sets the limit of a running process, up to its hard one, which stays. */
export function limitDescriptors(pid: number, limit: number): void {
  execFileSync('prlimit', ['--pid', `${pid}`, `--nofile=${limit}:`])
}

/** How many file descriptors a process has open. */
export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}
