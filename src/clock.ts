import { readFileSync } from 'node:fs'

/** A moment on both clocks: the wall clock is for people and files, the monotonic one measures. */
export interface Moment {
  wallMs: number
  /** Of the host's monotonic clock, which all processes share until the host starts anew. */
  monotonicMs: number
}

/** The host's monotonic clock, in milliseconds; nobody can set it. */
export function readMonotonic(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6
}

/** This moment. */
export function readClocks(): Moment {
  return { wallMs: Date.now(), monotonicMs: readMonotonic() }
}

/** Names the present run of the host: monotonic moments are comparable only within one. Empty where Linux does not say. */
export function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return '' // no /proc: moments of an earlier process are then measured on the wall clock
  }
}
