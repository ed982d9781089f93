import type { Writable } from 'node:stream'
import type { Outage } from './outage.ts'
import { waitAtMost } from './wait-at-most.ts'

/** Writes lines to stdout or stderr. */
export interface StreamWriter {
  write(line: string): void
  close(withinMs: number): Promise<void>
}

const MAX_WAITING_BYTES = 1 << 20

/**
 * Writes lines to a stream whose reader may be slow, stopped or gone: none of it blocks or throws. Node writes to a
 * terminal blocking, so that Ctrl-S would stop the program; pipes and files are left as Node has them.
 */
export function createStreamWriter(stream: Writable & { isTTY?: boolean }, outage: Outage): StreamWriter {
  if (stream.isTTY) unblock(stream)
  stream.on('error', (error) => {
    outage.begin(error.message)
    outage.drop(1)
  })
  stream.on('drain', () => outage.end())

  return {
    write(line) {
      if (stream.writableLength > MAX_WAITING_BYTES) return outage.drop(1)
      try {
        stream.write(`${line}\n`)
      } catch (error) {
        // Node writes to a file at once, and a full disk throws out of here.
        outage.begin((error as Error).message)
        outage.drop(1)
      }
    },
    async close(withinMs) {
      if (stream.writableLength > 0) await waitAtMost(withinMs, new Promise((resolve) => stream.write('', resolve)))
      outage.close()
    },
  }
}

/** Not a documented interface, hence the care; without it the writer works all the same, only blocking. */
function unblock(stream: Writable): void {
  const handle = (stream as { _handle?: { setBlocking?: (on: boolean) => void } })._handle
  handle?.setBlocking?.(false)
}
