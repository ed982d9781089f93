import { readFileSync, readlinkSync } from 'node:fs'
import { readBootId } from '../clock.ts'

/** Names a process for good: its number alone may be another one's some day. */
export interface ProcessIdentity {
  pid: number
  /** The host's run. */
  boot: string
  /** When in it the process began, in ticks. */
  startTicks: number
  /** Where that number counts (pid_namespaces(7)); absent where nothing tells, and in notes of former versions. */
  pidNamespace?: string | undefined
}

/** This process. */
export function readOwnIdentity(): ProcessIdentity {
  return {
    pid: process.pid,
    boot: readBootId(),
    startTicks: readStartTicks(process.pid) ?? 0,
    pidNamespace: readPidNamespace(),
  }
}

function readPidNamespace(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return undefined
  }
}

/** When a process began (proc(5): field 22 of stat, in ticks since the host started); undefined when it is gone. */
export function readStartTicks(pid: number): number | undefined {
  const seen = readStat(pid)
  return seen?.isZombie ? undefined : seen?.startTicks
}

function readStat(pid: number): { isZombie: boolean; startTicks: number } | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    return fields[19] === undefined ? undefined : { isZombie: fields[0] === 'Z', startTicks: Number(fields[19]) }
  } catch {
    return undefined
  }
}

/** Whether exactly this process still runs. */
export function isStillRunning({ pid, boot, startTicks }: Partial<ProcessIdentity>): boolean {
  if (pid === undefined || !boot || startTicks === undefined) return false
  return boot === readBootId() && readStartTicks(pid) === startTicks
}

/** Whether exactly this process has ended for certain; one of another host, container or run of the host may run there. */
export function hasEnded({ pid, boot, startTicks, pidNamespace }: Partial<ProcessIdentity>): boolean {
  if (pid === undefined || !boot || boot !== readBootId()) return false
  if (pidNamespace === undefined || pidNamespace !== readPidNamespace()) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return true
  }
  const seen = readStat(pid) // hidden on some hosts from other users
  return seen !== undefined && (seen.isZombie || seen.startTicks !== startTicks)
}
