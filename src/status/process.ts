import { readFileSync } from 'node:fs'
import { readBootId } from '../clock.ts'

/** Names a process for good: its number alone may be another one's some day. */
export interface ProcessIdentity {
  pid: number
  /** The host's run. */
  boot: string
  /** When in it the process began, in ticks. */
  startTicks: number
}

/** This process. */
export function readOwnIdentity(): ProcessIdentity {
  return { pid: process.pid, boot: readBootId(), startTicks: readStartTicks(process.pid) ?? 0 }
}

/** When a process began (proc(5): field 22 of stat, in ticks since the host started); undefined when it is gone. */
export function readStartTicks(pid: number): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    return fields[0] === 'Z' || fields[19] === undefined ? undefined : Number(fields[19])
  } catch {
    return undefined
  }
}

/** Whether exactly this process still runs. */
export function isStillRunning({ pid, boot, startTicks }: Partial<ProcessIdentity>): boolean {
  if (pid === undefined || !boot || startTicks === undefined) return false
  return boot === readBootId() && readStartTicks(pid) === startTicks
}
