import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '../e2e/binary.ts'

/** Why a program cannot be started here; where skips are forbidden the tests fail instead. */
export function findMissing(program: string, debianPackage: string): string | false {
  if (process.env.DEADPOOL_TEST_NO_SKIP) return false
  const isThere = spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin:/sbin command -v ${program}`]).status === 0
  return isThere ? false : `${program} is missing: apt-get install ${debianPackage}`
}

/** A server that runs in a folder of its own, in the foreground. */
export interface ServerProcess {
  pid: number
  folder: string
  /** What it wrote to its log so far. */
  log(): string
  /** Makes it hang: it neither answers nor closes. */
  pause(): void
  resume(): void
  /** Ends it at once; the folder goes as well. */
  stop(): Promise<void>
}

export interface ServerOptions {
  program: string
  args: (folder: string) => string[]
  /** Tells that it can be asked, from its log. */
  isReady: (log: string) => boolean
}

/** Starts a server and waits until it is ready. */
export async function startProcess({ program, args, isReady }: ServerOptions): Promise<ServerProcess> {
  const folder = mkdtempSync(join(tmpdir(), `deadpool-${program}-`))
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` }
  const child = spawn(program, args(folder), { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  let failure: Error | undefined
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (log += text))
  child.on('error', (error) => (failure = error))
  const kill = () => void child.kill('SIGKILL')
  process.once('exit', kill)

  async function stop(): Promise<void> {
    if (!failure) await end(child)
    process.off('exit', kill)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }

  try {
    await waitFor(program, () => {
      if (failure) throw new Error(`it ended at once: ${failure.message}`)
      if (child.exitCode !== null) throw new Error(`it ended at once:\n${log}`)
      return isReady(log)
    })
  } catch (error) {
    await stop()
    throw error
  }
  return {
    pid: child.pid ?? 0,
    folder,
    log: () => log,
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    stop,
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}
