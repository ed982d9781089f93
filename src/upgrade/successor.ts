import { type ChildProcess, spawn } from 'node:child_process'
import { formatDuration } from '../config/duration.ts'
import type { HandedOn } from '../spiderman/listener.ts'
import { ROLE_VARIABLE, SUCCESSOR_ROLE } from '../watchman/messages.ts'
import type { Handover, PredecessorMessage, SuccessorMessage } from './messages.ts'

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
  /** Starts WatchMan again. */
  goOn(): void
  /** What to hand over, asked for when WatchMan has ended. */
  handover(): Omit<Handover, 'sockets'>
  handOn(): HandedOn
  onReport(report: Extract<SuccessorMessage, { kind: 'report' }>): void
}

/** How long the other process may take to load its configuration, and then to say that it can answer. */
const PREPARE_TIMEOUT_MS = 10_000
const OPEN_TIMEOUT_MS = 10_000
/** What it may take longer than it says. */
const GRACE_MS = 5000

/**
 * Starts the program again, and lets the new process take over: this one listens and answers all the while, and its
 * WatchMan ends before the other one's begins. When the other process does not become ready it is ended, and WatchMan
 * starts again here.
 *
 * @returns the process that has taken over
 * @throws UpgradeError; everything is as before then
 */
export async function handOver(options: HandOverOptions): Promise<ChildProcess> {
  const { program, env, rest, goOn, onReport } = options
  const child = spawn(program.file, program.args, {
    cwd: '/',
    env: { ...env, [ROLE_VARIABLE]: SUCCESSOR_ROLE },
    stdio: ['pipe', 'inherit', 'inherit', 'ipc'],
  })
  child.stdin?.on('error', () => undefined).destroy()
  const listenFor = createListening(child, program.file, onReport)
  let isResting = false
  try {
    const { readyWithinMs } = await listenFor('prepared', PREPARE_TIMEOUT_MS)
    isResting = true
    await rest()
    const { sockets, address } = options.handOn()
    tell(child, { kind: 'begin', ...options.handover(), address, sockets: sockets.length })
    await listenFor('open', OPEN_TIMEOUT_MS)
    for (const [index, { name, server }] of sockets.entries()) {
      child.send({ kind: 'socket', name, left: sockets.length - index - 1 } satisfies PredecessorMessage, server)
    }
    await listenFor('ready', readyWithinMs + GRACE_MS)
    return child
  } catch (error) {
    await endNow(child)
    if (isResting) goOn()
    throw error
  }
}

function tell(child: ChildProcess, message: PredecessorMessage): void {
  child.send(message, () => undefined) // one that has ended is told by its end
}

/** Waits for what the child has to say next; whatever else it says or does is a failure. */
function createListening(child: ChildProcess, file: string, onReport: HandOverOptions['onReport']) {
  const heard = new Map<SuccessorMessage['kind'], SuccessorMessage>()
  let failure: UpgradeError | undefined
  let wake = () => {}
  const fail = (...reasons: string[]) => {
    failure ??= new UpgradeError(reasons)
    wake()
  }
  child.on('message', (message: SuccessorMessage) => {
    if (message.kind === 'report') return onReport(message)
    if (message.kind === 'failed') return fail(...message.reasons)
    heard.set(message.kind, message)
    wake()
  })
  child.on('error', (error: NodeJS.ErrnoException) => fail(`${file} cannot be started: ${error.code ?? error.message}`))
  child.on('exit', (code, signal) => {
    // What it said before its end may still be on its way.
    setImmediate(() => fail(`the new process (${child.pid}) ended at once, by ${signal ?? `exit code ${code}`}`))
  })

  return async function listenFor<Kind extends SuccessorMessage['kind']>(
    kind: Kind,
    withinMs: number,
  ): Promise<Extract<SuccessorMessage, { kind: Kind }>> {
    const timer = setTimeout(() => {
      fail(`the new process (${child.pid}) was not ${kind} within ${formatDuration(withinMs)}`)
    }, withinMs)
    while (!heard.has(kind) && !failure) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    clearTimeout(timer)
    if (failure) throw failure
    return heard.get(kind) as Extract<SuccessorMessage, { kind: Kind }>
  }
}

/** Its WatchMan notices at once, and ends too. */
async function endNow(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}
