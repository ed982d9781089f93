import { closeSync, existsSync, fstatSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * What WatchMan is doing, in a few bytes that SpiderMan can read when WatchMan itself can no longer speak: a file in
 * memory, without a name, that both have open.
 */
export type Step = 'asking' | 'judging'

const STEPS: readonly Step[] = ['asking', 'judging']

/** The place of the file among WatchMan's open files; 3 is the channel to SpiderMan. */
export const ACTIVITY_FD = 4

/** Generation, place of the probe, step plus one; each a 32-bit number. */
const BYTES = 12

/** SpiderMan's side. */
export interface ActivityFile {
  fd: number
  /** What was noted last: the probe by its place among the enabled ones of that generation. */
  read(): { generation: number; index: number; step: Step } | undefined
  close(): void
}

/** Makes the file; undefined where there is no place for it, and then nobody can be named. */
export function openActivityFile(): ActivityFile | undefined {
  const folder = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
  const path = join(folder, `.deadpool-${process.pid}-${process.hrtime.bigint()}`)
  try {
    const fd = openSync(path, 'wx+', 0o600)
    unlinkSync(path)
    // Its room is taken now: noting something must not fail on a full disk.
    writeSync(fd, Buffer.alloc(BYTES), 0, BYTES, 0)
    return { fd, read: () => readActivity(fd), close: () => closeSync(fd) }
  } catch {
    return undefined // a read-only or full place: it only ever served a line of the log
  }
}

function readActivity(fd: number): ReturnType<ActivityFile['read']> {
  const bytes = Buffer.alloc(BYTES)
  if (readSync(fd, bytes, 0, BYTES, 0) < BYTES) return undefined
  const step = STEPS[bytes.readUInt32LE(8) - 1]
  return step && { generation: bytes.readUInt32LE(0), index: bytes.readUInt32LE(4), step }
}

/** WatchMan's side: notes a step before it is made, in about two microseconds. */
export type NoteActivity = (generation: number, index: number, step: Step) => void

export function createActivityNote(): NoteActivity {
  if (!isActivityFile(ACTIVITY_FD)) return () => {}
  const bytes = Buffer.alloc(BYTES)
  return (generation, index, step) => {
    bytes.writeUInt32LE(generation, 0)
    bytes.writeUInt32LE(index, 4)
    bytes.writeUInt32LE(STEPS.indexOf(step) + 1, 8)
    writeSync(ACTIVITY_FD, bytes, 0, BYTES, 0)
  }
}

/** Whatever else may be open there must not be written to. */
function isActivityFile(fd: number): boolean {
  try {
    const { nlink, size } = fstatSync(fd)
    return nlink === 0 && size === BYTES
  } catch {
    return false // SpiderMan found no place for it
  }
}
