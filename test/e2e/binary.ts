import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** The built binary. */
export const BINARY = join(import.meta.dirname, '../../dist/deadpool')

export const TOKEN = 'e2e-token-0123456789'

/** What a finished run left behind. */
export interface Finished {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  cwd?: string
  env?: NodeJS.ProcessEnv
  uid?: number
  /** Another copy of the binary. */
  binary?: string
}

/** Runs the binary until it ends by itself. */
export async function runBinary(
  args: string[],
  { cwd, env, uid, binary = BINARY }: RunOptions = {},
): Promise<Finished> {
  const child = spawn(binary, args, {
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
    ...(uid === undefined ? {} : { uid, gid: uid }),
  })
  const output = collect(child)
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
  const [code, signal] = await ended(child)
  clearTimeout(timer)
  return { code, signal, stdout: output.stdout(), stderr: output.stderr() }
}

/** A line of the JSON log. */
export interface LogLine {
  time: string
  level: string
  message: string
  role: string
  [field: string]: unknown
}

/** A DeadPool at work in a folder of its own. */
export interface DeadPool {
  pid: number
  folder: string
  url: string
  /** The process as it was started. */
  child: ChildProcess
  /** All lines of its JSON log so far. */
  log(): LogLine[]
  output(): string
  /** Asks it as Cloudflare does. */
  ask(init?: RequestInit, path?: string): Promise<{ status: number; text: string; headers: Headers }>
  /** Waits until it answers this status, and gives the answer. */
  becomes(status: number, withinMs?: number): Promise<string>
  watcherPid(): number
  stop(signal?: NodeJS.Signals): Promise<Finished>
}

export interface StartOptions extends RunOptions {
  /** YAML under `probes:`. */
  probes: string
  /** YAML lines for WEB, WatchMan and Generic; a JSON log and a free port are the default. */
  web?: string
  watchman?: string
  generic?: string
  /** YAML behind everything else, such as `groups:`. */
  after?: string
  folder?: string
  /** A command that ends by running the one that follows it in its own place: `prlimit`, `sh -c '… exec "$@"' sh`. */
  through?: string[]
}

/** Starts the binary on a configuration made of parts, on a free port of 127.0.0.1; it is stopped after the test. */
export async function startDeadPool(context: TestContext, options: StartOptions): Promise<DeadPool> {
  const folder = options.folder ?? makeFolder(context)
  const file = join(folder, 'deadpool.yml')
  writeFileSync(file, writeConfig(options))
  const { through = [], binary = BINARY } = options
  const [program = binary, ...args] = [...through, binary, '--config', file]
  const child = spawn(program, args, {
    env: { ...process.env, ...options.env },
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  })
  const output = collect(child)
  const end = ended(child)
  finallyDo(context, async () => {
    // A watcher that a test stopped would hold the pipes open for ever.
    const watchers = isRunning(child.pid as number) ? childrenOf(child.pid as number) : []
    for (const pid of [child.pid as number, ...watchers]) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
    await end
  })
  const log = () => parseLog(output.stdout())
  const url = await waitFor('the address it listens on', () => {
    if (child.exitCode !== null) throw new Error(`it ended at once: ${output.stderr()}${output.stdout()}`)
    const line = log().find(({ message }) => message.includes(' answers at '))
    return line && /answers at (http:\S+)/.exec(line.message)?.[1]
  })

  async function ask(init: RequestInit = {}, path = ''): ReturnType<DeadPool['ask']> {
    const headers = new Headers(init.headers)
    if (!headers.has('authorization')) headers.set('authorization', `Bearer ${TOKEN}`)
    const response = await fetch(new URL(path, url), { ...init, headers, signal: AbortSignal.timeout(5000) })
    return { status: response.status, text: await response.text(), headers: response.headers }
  }

  return {
    pid: child.pid as number,
    folder,
    url,
    child,
    log,
    output: () => output.stdout() + output.stderr(),
    ask,
    becomes: (status, withinMs = 10_000) =>
      waitFor(
        `an answer ${status}`,
        async () => {
          const answer = await ask()
          return answer.status === status ? answer.text : undefined
        },
        withinMs,
      ),
    watcherPid: () => childrenOf(child.pid as number)[0] as number,
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      const [code, endSignal] = await end
      return { code, signal: endSignal, stdout: output.stdout(), stderr: output.stderr() }
    },
  }
}

const endings = new WeakMap<TestContext, (() => unknown)[]>()

/** Does something when the test is over, whatever came of it; what was asked last is done first. */
export function finallyDo(context: TestContext, action: () => unknown): void {
  const actions = endings.get(context) ?? []
  actions.push(action)
  if (endings.has(context)) return
  endings.set(context, actions)
  context.after(async () => {
    const failures: unknown[] = []
    for (const each of actions.reverse()) {
      try {
        await each()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'the test could not be cleared away')
  })
}

/** Skips a test that this host cannot run, saying what it takes; where skips are forbidden, as in CI, the test fails. */
export function skip(context: TestContext, why: string): void {
  if (process.env.DEADPOOL_TEST_NO_SKIP) throw new Error(`this test may not be skipped here: ${why}`)
  context.skip(why)
}

/** Makes a folder that goes with the test. */
export function makeFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-e2e-'))
  finallyDo(context, () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function writeConfig({
  probes,
  web = '',
  watchman = '',
  generic = '  log: { type: json, level: debug }',
  after = '',
}: StartOptions): string {
  const indent = (text: string, by: string) => text.replace(/^(?=.)/gm, by)
  return `Generic:
${generic}
WEB:
  port: 0
  host: 127.0.0.1
  access_token: ${TOKEN}
  name: "TEST SERVER"
${indent(web.trim(), '  ')}
WatchMan:
  probe_status_folder: probe
${indent(watchman.trim(), '  ')}
probes:
${indent(probes.trim(), '  ')}
${after}
`
}

/** Calls `look` until it gives something, and fails with what was waited for. */
export async function waitFor<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  withinMs = 10_000,
): Promise<T> {
  const endMs = performance.now() + withinMs
  let failure: unknown
  while (performance.now() < endMs) {
    try {
      const found = await look()
      if (found !== undefined && found !== false) return found
      failure = undefined
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('it ended at once')) throw error
      failure = error
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`waited ${withinMs} ms in vain for ${what}`, { cause: failure })
}

/** The processes whose parent is `pid`, read from /proc. */
export function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return text === '' ? [] : text.split(' ').map(Number)
}

/** Tells whether a process is there (a zombie is not). */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

function collect(child: ChildProcess) {
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (chunk) => (stdout += chunk))
  child.stderr?.on('data', (chunk) => (stderr += chunk))
  return { stdout: () => stdout, stderr: () => stderr }
}

function ended(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  return new Promise((resolve) => child.once('close', (code, signal) => resolve([code, signal])))
}

function parseLog(text: string): LogLine[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as LogLine]
      } catch {
        return [] // the last line is still being written
      }
    })
}
