import { globSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { makeFolder, skip } from './binary.ts'

/** A system clock that the test can set, for the programs that run with its environment: libfaketime. */
export interface FakeClock {
  env: NodeJS.ProcessEnv
  /** Sets their clock to the true time and so many seconds. It counts at once, in programs that run as well. */
  set(offsetSeconds: number): void
}

/** Creates the clock, true at first; without one, libfaketime is missing and the test was skipped. */
export function createFakeClock(context: TestContext): FakeClock | undefined {
  const [library] = globSync('/usr/lib/{,*/}faketime/libfaketimeMT.so.1')
  if (!library) return void skip(context, 'libfaketime is missing: apt-get install libfaketime')
  const file = join(makeFolder(context), 'offset')

  function set(offsetSeconds: number): void {
    // Renamed into place: a file read while it is being written would be a jump of its own.
    writeFileSync(`${file}.new`, `${offsetSeconds < 0 ? '' : '+'}${offsetSeconds}\n`)
    renameSync(`${file}.new`, file)
  }

  set(0)
  return {
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      // As with a real clock that is set: the monotonic one goes on, and files keep their times.
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
    },
    set,
  }
}
