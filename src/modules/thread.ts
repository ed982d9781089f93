import type { Worker } from 'node:worker_threads'
import pLimit from 'p-limit'
import type { Carried } from '../carried/carried.ts'
import { formatDuration } from '../config/duration.ts'
import { learnSecret } from '../config/secrets.ts'
import type { Log } from '../log/log.ts'
import type { Facts, ProbeLog } from './define-probe.ts'
import { Unknown } from './errors.ts'
import { currentLookupWatch, type LookupWatch } from './lookup.ts'
import { type Description, ModuleError, type PreparedQuery } from './module.ts'
import type { ThreadReply, ThreadRequest, ThreadStart, ThrownInThread } from './thread-messages.ts'
import { reviveError, reviveFacts } from './thrown.ts'

/** A module that has not said that it is ready after this long is taken for one that loops. */
const LOAD_TIMEOUT_MS = 5000

/** So many load at a time: a dozen at once would keep each other from being ready in time. */
const loading = pLimit(2)

/** A query that has not been validated after this long, with all those before it, is taken for one that never will be. */
const PREPARE_TIMEOUT_MS = 10_000

/** How long after an abort a module thread may stay silent before it is ended and started anew. */
const GRACE_MS = 1000

const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 30_000

/** A module in a worker thread of its own: what it blocks or breaks harms only its own probes. */
export interface ModuleThread {
  description: Description
  prepare(query: unknown): Promise<PreparedQuery>
  close(): Promise<void>
}

interface ThreadOptions {
  name: string
  file: string
  carried: Carried
  log: Log
}

interface Pending {
  resolve(reply: ThreadReply): void
  reject(error: Error): void
  log?: ProbeLog
  lookups?: LookupWatch | undefined
}

/** One run of the worker, from its start to its end. */
interface Run {
  worker: Worker
  pending: Map<number, Pending>
  description: Description
  prepared: Set<number>
  startedMs: number
  isLoaded: boolean
  isEnded: boolean
}

/**
 * Starts the thread of a module and waits until the module is loaded. A thread that crashes or stops answering is
 * started anew when it is next needed, after a growing pause.
 *
 * @throws ModuleError when the module does not load, exports no `Probe`, or does not finish loading
 */
export async function createModuleThread({ name, file, carried, log }: ThreadOptions): Promise<ModuleThread> {
  const queries: unknown[] = []
  let nextId = 1
  let pauseMs = FIRST_PAUSE_MS
  let notBeforeMs = 0
  let lastFault: Error = new Unknown(`module "${name}" was not started`)
  let isClosed = false
  let current: Promise<Run> | undefined = loading(start)

  function start(): Promise<Run> {
    return new Promise((resolve, reject) => {
      const worker = carried.startModuleThread({ role: 'module', file } satisfies ThreadStart)
      const run: Run = {
        worker,
        pending: new Map(),
        description: { summary: '', query: [], facts: {}, factsVary: false, criteria: {} },
        prepared: new Set(),
        startedMs: performance.now(),
        isLoaded: false,
        isEnded: false,
      }
      const timer = setTimeout(
        () => end(`it did not finish loading within ${formatDuration(LOAD_TIMEOUT_MS)}`),
        LOAD_TIMEOUT_MS,
      )
      const end = (fault: string) => {
        clearTimeout(timer)
        finish(run, fault)
        reject(new ModuleError(fault))
      }
      worker.on('message', (message: ThreadReply) => {
        if (message.kind === 'failed') return end(message.reason)
        if (message.kind === 'secret') return learnSecret(message.secret)
        if (message.kind !== 'ready') return receive(run, message)
        clearTimeout(timer)
        run.description = message.description
        run.isLoaded = true
        resolve(run)
      })
      worker.on('error', (error: unknown) => end(`it crashed: ${error instanceof Error ? error.message : error}`))
      worker.on('exit', () => end('its thread ended'))
    })
  }

  /** Ends a run: whoever waits for it learns that this host could not ask, and the next start waits a while. */
  function finish(run: Run, fault: string): void {
    if (run.isEnded) return
    run.isEnded = true
    current = undefined
    const livedMs = performance.now() - run.startedMs
    lastFault = run.isLoaded ? new Unknown(`module "${name}" stopped: ${fault}`) : new ModuleError(fault)
    pauseMs = livedMs > LONGEST_PAUSE_MS ? FIRST_PAUSE_MS : Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
    notBeforeMs = performance.now() + pauseMs
    for (const { reject } of run.pending.values()) reject(lastFault)
    run.pending.clear()
    void run.worker.terminate()
    if (!isClosed && run.isLoaded) log.error(`module "${name}" stopped: ${fault}`, { module: name })
  }

  function receive(run: Run, message: Exclude<ThreadReply, { kind: 'ready' | 'failed' | 'secret' }>): void {
    const waiting = run.pending.get(message.id)
    if (!waiting) return
    if (message.kind === 'resolving') {
      if (waiting.lookups) waiting.lookups.resolving = message.name
      return
    }
    if (message.kind === 'log') {
      waiting.log?.[message.level](message.message)
      return
    }
    run.pending.delete(message.id)
    waiting.resolve(message)
  }

  function running(): Promise<Run> {
    if (current) return current
    if (isClosed) return Promise.reject(new Unknown(`module "${name}" is closed`))
    if (performance.now() < notBeforeMs) return Promise.reject(lastFault)
    current = loading(start)
    return current
  }

  function ask(run: Run, request: Exclude<ThreadRequest, { kind: 'close' }>, log?: ProbeLog): Promise<ThreadReply> {
    return new Promise((resolve, reject) => {
      const waiting = { resolve, reject, lookups: currentLookupWatch() }
      run.pending.set(request.id, log ? { ...waiting, log } : waiting)
      run.worker.postMessage(request)
    })
  }

  async function prepare(run: Run, key: number): Promise<Extract<ThreadReply, { kind: 'prepared' }>> {
    const late = `it did not validate a query within ${formatDuration(PREPARE_TIMEOUT_MS)}`
    const timer = setTimeout(() => finish(run, late), PREPARE_TIMEOUT_MS)
    const asking = ask(run, { kind: 'prepare', id: nextId++, key, query: queries[key] })
    const reply = await asking.finally(() => clearTimeout(timer))
    if (reply.kind === 'error') throw new ModuleError(`it failed at the query: ${describeThrown(reply.error)}`)
    if (reply.kind !== 'prepared') throw new ModuleError('it did not take its query')
    if (reply.problems.length === 0) run.prepared.add(key)
    return reply
  }

  /** In a thread that was started anew: a file that the query names may be gone since it was first taken. */
  async function prepareAgain(run: Run, key: number): Promise<void> {
    const { problems } = await prepare(run, key)
    if (problems.length === 0) return
    const faults = problems.map(({ path, message }) => `${path.join('.')}: ${message}`)
    throw new Unknown(`module "${name}" does not take its query any more: ${faults.join('; ')}`)
  }

  /** After an abort: a thread whose check does not end is blocked, or leaks; only ending it helps either way. */
  function supervise(run: Run, checkId: number): void {
    const timer = setTimeout(() => {
      if (!run.pending.has(checkId)) return
      finish(run, `it did not stop within ${formatDuration(GRACE_MS)} after the end of a check`)
    }, GRACE_MS)
    timer.unref()
  }

  /** The run that has taken the query; a check that waits for it shows that. */
  async function ready(key: number): Promise<Run> {
    const watch = currentLookupWatch()
    if (watch) watch.starting = name
    const run = await running()
    if (!run.prepared.has(key)) await prepareAgain(run, key)
    if (watch) watch.starting = undefined
    return run
  }

  async function observe(key: number, signal: AbortSignal, log: ProbeLog): Promise<Facts> {
    const run = await ready(key)
    signal.throwIfAborted()
    const id = nextId++
    const onAbort = () => {
      run.worker.postMessage({ kind: 'abort', id } satisfies ThreadRequest)
      supervise(run, id)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const reply = await ask(run, { kind: 'check', id, key }, log)
      if (reply.kind === 'facts') return reviveFacts(reply.facts, reply.unread)
      throw reply.kind === 'error' ? reviveError(reply.error) : new ModuleError('it answered out of turn')
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  function closeQuery(key: number): void {
    queries[key] = undefined
    void current?.then(
      ({ worker, isEnded }) => {
        if (!isEnded) worker.postMessage({ kind: 'close', key } satisfies ThreadRequest)
      },
      () => {},
    ) // a thread that does not start keeps nothing
  }

  const { description } = await current
  return {
    description,
    async prepare(query) {
      const key = queries.push(query) - 1
      const { problems, facts, criteria, timeoutMs } = await prepare(await running(), key)
      return {
        problems,
        facts,
        criteria,
        timeoutMs,
        observe: (signal, log) => observe(key, signal, log),
        close: () => closeQuery(key),
      }
    },
    async close() {
      isClosed = true
      const run = await current?.catch(() => undefined)
      await run?.worker.terminate()
    },
  }
}

function describeThrown({ name, message }: ThrownInThread): string {
  return name === 'Error' ? message : `${name}: ${message}`
}
