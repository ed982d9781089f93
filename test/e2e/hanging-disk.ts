import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { finallyDo, makeFolder, skip, waitFor } from './binary.ts'
import { isMissing } from './nginx.ts'

/** A folder on a disk that stops answering when the test says so: a FUSE mount, whose server is then stopped. */
export interface HangingDisk {
  /** Where DeadPool sees it. */
  folder: string
  /** The same files on the disk below, which never hangs: a test can look at them at any time. */
  below: string
  /** Stops it. It answers again after the test at the latest, or what waits for it could not even be killed. */
  hang(): void
  resume(): void
}

/** Mounts the disk as `folder`/probe; without one, the host cannot and the test was skipped. */
export async function mountHangingDisk(context: TestContext, folder: string): Promise<HangingDisk | undefined> {
  if (process.getuid?.() !== 0) return void skip(context, 'needs root, to mount a disk that hangs')
  if (isMissing(context, 'bindfs', 'bindfs')) return undefined
  const below = makeFolder(context)
  const mounted = join(folder, 'probe')
  mkdirSync(mounted)
  // Nothing is answered from the kernel's memory, as it is not by a network's disk that hangs.
  const server = spawn('bindfs', ['-f', '-o', 'attr_timeout=0,entry_timeout=0,negative_timeout=0', below, mounted])
  let complaint = ''
  server.stderr.on('data', (chunk) => (complaint += chunk))
  const end = new Promise((resolve) => server.once('close', resolve))
  const resume = () => server.kill('SIGCONT')
  finallyDo(context, async () => {
    resume()
    spawnSync('umount', ['-l', mounted])
    server.kill('SIGKILL')
    await end
  })
  try {
    await waitFor('the mount', () => {
      if (server.exitCode !== null) throw new Error(`it ended at once: ${complaint}`)
      return readFileSync('/proc/mounts', 'utf8').includes(` ${mounted} fuse`)
    })
  } catch (error) {
    return void skip(context, `this host mounts no FUSE disk: ${(error as Error).message}`)
  }
  return {
    folder: mounted,
    below,
    hang() {
      finallyDo(context, resume)
      server.kill('SIGSTOP')
    },
    resume,
  }
}
