import { readFileSync } from 'node:fs'

/** The kernel's unit in `/proc/PID/stat` on every Linux x64 (proc(5), `sysconf(_SC_CLK_TCK)`). */
const TICK_US = 10_000

/** The CPU time that a process has used so far, all its threads together, in microseconds. */
export function cpuUs(pid: number): number {
  // The name before the last ")" may hold anything, even spaces; utime and stime are the 14th and 15th field.
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_US
}

/** The memory that a process has for itself, and its share of what it has together with others (Pss), in bytes. */
export function pssBytes(pid: number): number {
  const [, kib] = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? []
  return Number(kib) * 1024
}
