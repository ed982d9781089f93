import { type ChildProcess, type SendHandle, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { formatDuration } from '../config/duration.ts'
import type { HandedOn } from '../spiderman/listener.ts'
import type { Connection } from '../spiderman/server.ts'
import { ROLE_VARIABLE, SUCCESSOR_ROLE } from '../watchman/messages.ts'
import type { Handover, PredecessorMessage, SuccessorMessage } from './messages.ts'
import { findProgramFault } from './program.ts'

/** Thrown when the other process did not take over; the lines say why. */
export class UpgradeError extends Error {
  override name = 'UpgradeError'
  readonly reasons: readonly string[]

  constructor(reasons: readonly string[]) {
    super(reasons.join('\n'))
    this.reasons = reasons
  }
}

/** How this program is started again. */
export interface Program {
  file: string
  args: readonly string[]
}

export interface HandOverOptions {
  program: Program
  env: NodeJS.ProcessEnv
  /** Ends WatchMan, so that there are never two of them. */
  rest(): Promise<void>
  /** Accepts no more connections, and gives away those that clients keep. */
  giveAway(give: (connection: Connection) => Promise<void>): Promise<void>
  /** Starts WatchMan again. */
  goOn(): void
  /** What to hand over, asked for when WatchMan has ended. */
  handover(): Omit<Handover, 'sockets'>
  handOn(): HandedOn
  onReport(report: Extract<SuccessorMessage, { kind: 'report' }>): void
  /** Aborted when this process is to stop, and the other one with it. */
  signal: AbortSignal
}

/** The process that has taken over. */
export interface Heir {
  pid: number
  /** Stops it as if it had been told itself; resolves when it is gone. */
  stop(): Promise<void>
}

/** How long the other process may take to say its first word, and then to load its configuration, which may be large. */
const START_TIMEOUT_MS = 10_000
const PREPARE_TIMEOUT_MS = 60_000
/** So long nobody may make checks, or tell of them. */
const SILENCE_TIMEOUT_MS = 15_000
/** What the other process may take longer than it says. */
const GRACE_MS = 5000
/** How long a process that is told to stop may take. */
const STOP_TIMEOUT_MS = 3000
const KILL_TIMEOUT_MS = 1000
/** How long the last words of a process may be under way when it has ended. */
const LAST_WORDS_MS = 500

/**
 * Starts the program again, and lets the new process take over. This one answers alone until the other is ready; its
 * WatchMan ends before the other one's begins. When the other process does not become ready, or does not stay, it is
 * ended, and WatchMan starts again here.
 *
 * @throws UpgradeError; everything is as before then, unless `signal` is aborted
 */
export async function handOver(options: HandOverOptions): Promise<Heir> {
  const { program, env, rest, giveAway, goOn, signal } = options
  const fault = findProgramFault(program.file)
  if (fault !== undefined) throw new UpgradeError([fault])
  const child = start(program, env)
  child.stdin?.on('error', () => undefined).destroy()
  const heir = listenTo(child, options)
  let isResting = false
  let isServing = false
  try {
    await heir.says('started', START_TIMEOUT_MS)
    const { readyWithinMs } = await heir.says('prepared', PREPARE_TIMEOUT_MS)
    isResting = true
    await rest()
    const { sockets, address } = options.handOn()
    tell(child, { kind: 'begin', ...options.handover(), address, sockets: sockets.length })
    const untilMs = performance.now() + readyWithinMs + GRACE_MS
    await heir.says('open', untilMs - performance.now(), SILENCE_TIMEOUT_MS)
    isServing = true
    for (const [index, { name, server }] of sockets.entries()) {
      const left = sockets.length - index - 1
      child.send({ kind: 'socket', name, left } satisfies PredecessorMessage, server, undefined, () => undefined)
    }
    const ready = await heir.says('ready', Math.max(GRACE_MS, untilMs - performance.now()), SILENCE_TIMEOUT_MS)
    await heir.says('proven', GRACE_MS)
    if (ready.takesConnections) await giveAway((connection) => passTo(child, connection))
    return { pid: child.pid as number, stop: () => end(child) }
  } catch (error) {
    if (signal.aborted && isServing) await end(child)
    else await kill(child)
    if (isResting && !signal.aborted) goOn()
    throw error
  }
}

function start({ file, args }: Program, env: NodeJS.ProcessEnv): ChildProcess {
  try {
    return spawn(file, args, {
      cwd: '/',
      env: { ...env, [ROLE_VARIABLE]: SUCCESSOR_ROLE },
      stdio: ['pipe', 'inherit', 'inherit', 'ipc'],
    })
  } catch (error) {
    throw new UpgradeError([explainStart(file, error as NodeJS.ErrnoException)])
  }
}

/** What is said of codes of which the path says nothing. */
const START_FAULTS: Record<string, string> = {
  EACCES: 'it may not be run (EACCES); is it a file with mode 755?',
  ENOENT: 'it is not there, or what it runs by is not (ENOENT)',
  EAGAIN: 'this user may have no more processes (EAGAIN)',
  EMFILE: 'this process has no file descriptors left (EMFILE)',
  ENFILE: 'this host has no file descriptors left (ENFILE)',
  ENOMEM: 'this host is out of memory (ENOMEM)',
}

function explainStart(file: string, { code = '', message }: NodeJS.ErrnoException): string {
  return `${file} cannot be started: ${START_FAULTS[code] ?? (code || message)}`
}

function tell(child: ChildProcess, message: PredecessorMessage): void {
  child.send(message, () => undefined) // one that has ended is told by its end
}

function passTo(child: ChildProcess, connection: Connection): Promise<void> {
  return new Promise((resolve) => {
    const message: PredecessorMessage = { kind: 'connection' }
    child.send(message, connection as unknown as SendHandle, undefined, () => resolve())
  })
}

/** What a child has to say next; whatever else it does is a failure. */
interface Listening {
  /** Waits for this message for so long, but not longer than `silenceMs` without any. */
  says<Kind extends SuccessorMessage['kind']>(
    kind: Kind,
    withinMs: number,
    silenceMs?: number,
  ): Promise<Extract<SuccessorMessage, { kind: Kind }>>
}

function listenTo(child: ChildProcess, { program, onReport, signal }: HandOverOptions): Listening {
  const heard = new Map<SuccessorMessage['kind'], SuccessorMessage>()
  const who = () => `the new process (${child.pid})`
  let spokeMs = performance.now()
  let failure: UpgradeError | undefined
  let wake = () => {}
  const fail = (...reasons: string[]) => {
    failure ??= new UpgradeError(reasons)
    wake()
  }
  child.on('message', (message: unknown) => {
    const said = understand(message)
    spokeMs = performance.now()
    if (said?.kind === 'report') return onReport(said)
    if (said?.kind === 'failed') return fail(...said.reasons)
    if (said) heard.set(said.kind, said)
    wake()
  })
  child.on('error', (error: NodeJS.ErrnoException) => {
    if (child.pid === undefined) fail(explainStart(program.file, error))
  })
  child.on('exit', (code, by) => {
    const tell = () => fail(`${who()} ended at once, by ${by ?? `exit code ${code}`}`)
    // What it said before its end may still be on its way.
    if (!child.connected) return tell()
    child.once('disconnect', tell)
    setTimeout(tell, LAST_WORDS_MS)
  })
  if (signal.aborted) fail('DeadPool is being stopped')
  signal.addEventListener('abort', () => fail('DeadPool is being stopped'), { once: true })

  return {
    async says(kind, withinMs, silenceMs = Infinity) {
      const endMs = performance.now() + withinMs
      spokeMs = performance.now()
      const leftMs = () => Math.min(endMs, spokeMs + silenceMs) - performance.now()
      for (;;) {
        // If this process was stopped for a while, what was said meanwhile is waiting to be read.
        if (leftMs() <= 0) await new Promise((resolve) => setImmediate(resolve))
        if (failure) throw failure
        const said = heard.get(kind)
        if (said) return said as Extract<SuccessorMessage, { kind: typeof kind }>
        if (leftMs() <= 0) break
        const timer = setTimeout(() => wake(), leftMs())
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        clearTimeout(timer)
      }
      const isLate = performance.now() >= endMs
      throw new UpgradeError([
        isLate
          ? `${who()} did not say "${kind}" within ${formatDuration(withinMs)}`
          : `${who()} said nothing for ${formatDuration(silenceMs)}`,
      ])
    },
  }
}

/** What the other process said, if it makes sense: it may be of another version, or another program altogether. */
function understand(message: unknown): SuccessorMessage | undefined {
  const said = (message ?? {}) as Partial<Record<string, unknown>>
  const isWhole = {
    prepared: () => Number.isFinite(said.readyWithinMs),
    started: () => true,
    open: () => true,
    ready: () => true,
    proven: () => true,
    heartbeat: () => true,
    failed: () => Array.isArray(said.reasons),
    report: () => typeof said.probe === 'string' && (said.life === 'alive' || said.life === 'dead'),
  }[String(said.kind)]
  return isWhole?.() ? (message as SuccessorMessage) : undefined
}

/** Stops the process in good order. */
async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGTERM')
  if (!(await isGoneWithin(child, STOP_TIMEOUT_MS))) await kill(child)
}

/** Ends the process at once, and its WatchMan, which may be unable to notice. */
async function kill(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return
  const others = childrenOf(child.pid)
  child.kill('SIGKILL')
  for (const pid of others) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It noticed, and is gone.
    }
  }
  // One that waits for a disk does not even die of that, until the disk answers.
  await isGoneWithin(child, KILL_TIMEOUT_MS)
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
  } catch {
    return [] // it is gone
  }
}

async function isGoneWithin(child: ChildProcess, ms: number): Promise<boolean> {
  const isGone = () => child.exitCode !== null || child.signalCode !== null
  if (isGone()) return true
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms)
    child.once('exit', () => {
      clearTimeout(timer)
      resolve()
    })
  })
  return isGone()
}
