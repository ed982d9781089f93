import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { waitFor } from '../e2e/binary.ts'

const STOP_MS = 3000

const running = new Set<ChildProcess>()
// Nothing that the benchmark started outlives it.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Starts a program; it is killed at the latest when the benchmark ends. What it says on standard error is shown. */
export function startProgram(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'], ...options })
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

/** Starts one of the programs in this folder on the Node that runs the benchmark. */
export function startScript(name: string, args: readonly string[] = []): ChildProcess {
  const stdio: SpawnOptions['stdio'] = ['ignore', 'inherit', 'inherit', 'ipc']
  return startProgram(process.execPath, [`${import.meta.dirname}/${name}`, ...args], { stdio })
}

/** Ends a program and waits until it is gone. */
export async function stopProgram(child: ChildProcess): Promise<void> {
  if (!running.has(child)) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await gone
  clearTimeout(timer)
}

/** Waits until somebody listens on a port of 127.0.0.1. */
export async function waitForPort(port: number): Promise<void> {
  await waitFor(`a listener on port ${port}`, () => canConnect(port), 30_000)
}

function canConnect(port: number): Promise<true | undefined> {
  const { promise, resolve } = Promise.withResolvers<true | undefined>()
  const socket = connect(port, '127.0.0.1')
  socket.once('connect', () => resolve(true)).once('error', () => resolve(undefined))
  return promise.finally(() => socket.destroy())
}

/** The path of a program, or undefined where it is not installed. */
export function findProgram(name: string): string | undefined {
  const { status, stdout } = spawnSync('sh', ['-c', 'PATH=$PATH:/usr/sbin:/sbin command -v "$0"', name])
  return status === 0 ? stdout.toString().trim() : undefined
}
