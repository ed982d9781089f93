import { readMonotonic } from '../clock.ts'
import { formatDuration } from '../config/duration.ts'
import { judgeFacts } from '../criteria/judge.ts'
import type { Facts, ProbeLog } from '../modules/define-probe.ts'
import { Dead, Unknown } from '../modules/errors.ts'
import { type LookupWatch, watchLookups } from '../modules/lookup.ts'
import { ModuleError } from '../modules/module.ts'
import { findCode } from '../modules/thrown.ts'
import type { Outcome } from '../verdict/state.ts'
import type { ReadyProbe } from './prepare.ts'
import type { Stalls } from './stalls.ts'

/** One check as it ended. */
export interface CheckResult {
  outcome: Outcome
  /** What was observed, if anything. */
  facts: Facts | undefined
  tookMs: number
  /** Resolves when the module is done as well; a module that ignores its signal can be much later than the check. */
  settled: Promise<void>
}

/** What a check needs to know of this process. */
export interface CheckSurroundings {
  log: ProbeLog
  stalls: Pick<Stalls, 'between'>
  /** Told before each part of a check that could keep the loop for itself. */
  onStep?: (step: 'asking' | 'judging') => void
}

/** A loop that stood still for this share of a check's deadline may have missed what the target said. */
const STALL_SHARE = 0.25

/**
 * Makes one check: asks the module for facts and judges them. The deadline is kept whatever the module does: at its end
 * the signal is aborted and the check is over. What this host itself kept from succeeding is unknown, not dead. Never
 * rejects.
 */
export async function runCheck(
  probe: Pick<ReadyProbe, 'timeoutMs' | 'observe' | 'criteria'> & Partial<Pick<ReadyProbe, 'explaining'>>,
  { log, stalls, onStep = () => {} }: CheckSurroundings,
): Promise<CheckResult> {
  const startedMs = readMonotonic()
  const controller = new AbortController()
  const lookups: LookupWatch = { resolving: undefined }
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<Observed>((resolve) => {
    timer = setTimeout(() => {
      resolve({ outcome: judgeDeadline(probe.timeoutMs, lookups) })
      controller.abort(new DOMException('the time of the check is over', 'TimeoutError'))
    }, probe.timeoutMs)
  })
  onStep('asking')
  const observing = watchLookups(lookups, () => observe(probe, controller.signal, log))
  const observed = await Promise.race([observing, deadline])
  clearTimeout(timer)
  const endedMs = readMonotonic()
  const stalledMs = stalls.between(startedMs, endedMs)
  if (observed.facts) onStep('judging')
  const outcome = observed.facts ? judge(observed.facts, probe) : observed.outcome
  return {
    facts: observed.facts,
    outcome: excuse(outcome, stalledMs, probe.timeoutMs),
    tookMs: endedMs - startedMs,
    settled: observing.then(() => undefined),
  }
}

/** What came of asking: facts to be judged, or an outcome already. */
type Observed = { facts: Facts } | { facts?: never; outcome: Outcome }

async function observe(
  { observe }: Pick<ReadyProbe, 'observe'>,
  signal: AbortSignal,
  log: ProbeLog,
): Promise<Observed> {
  try {
    return { facts: await observe(signal, log) }
  } catch (error) {
    return { outcome: judgeError(error) }
  }
}

function judge(
  facts: Facts,
  { criteria, explaining }: Pick<ReadyProbe, 'criteria'> & Partial<Pick<ReadyProbe, 'explaining'>>,
): Outcome {
  try {
    const reason = judgeFacts(facts, criteria, explaining)
    return reason === undefined ? { kind: 'alive' } : { kind: 'dead', reason }
  } catch (error) {
    return judgeError(error)
  }
}

/** While a module is being started, or a name looked up, the target has not even been asked. */
function judgeDeadline(timeoutMs: number, { resolving, starting }: LookupWatch): Outcome {
  const within = formatDuration(timeoutMs)
  if (starting !== undefined) {
    return { kind: 'unknown', reason: `module "${starting}" was still being started after ${within}` }
  }
  if (resolving === undefined) return { kind: 'dead', reason: `timed out after ${within}`, cause: 'timeout' }
  return { kind: 'unknown', reason: `the resolver of this host did not answer for ${resolving} within ${within}` }
}

/** A check that failed while WatchMan itself stood still says nothing of the target. */
function excuse(outcome: Outcome, stalledMs: number, timeoutMs: number): Outcome {
  if (outcome.kind !== 'dead' || stalledMs < timeoutMs * STALL_SHARE) return outcome
  const reason = `WatchMan itself stood still for ${formatDuration(stalledMs)} of the check (which came to: ${outcome.reason})`
  return { kind: 'unknown', reason }
}

/** An error's message, and its cause's where that says more: libraries wrap what the system said. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const message = error.message || error.name
  const { cause } = error
  if (!(cause instanceof Error) || isInOwnWords(error) || message.includes(cause.message)) return message
  return `${message}: ${describeError(cause)}`
}

/** What a module says itself is whole. */
function isInOwnWords(error: Error): boolean {
  return error instanceof Dead || error instanceof Unknown
}

/** Codes that tell of this host's own trouble: the target was never reached, so nothing is known about it. */
const OWN_TROUBLE: Record<string, string> = {
  EMFILE: 'this process has no file descriptors left',
  ENFILE: 'this host has no file descriptors left',
  ENOMEM: 'this host is out of memory',
  ENOBUFS: 'this host is out of network buffers',
  EADDRNOTAVAIL: 'this host has no free local port or address for the connection',
  ENETDOWN: 'the network of this host is down',
  ENETUNREACH: 'this host has no route to the network',
  EAI_AGAIN: 'the resolver of this host does not answer',
  EAI_FAIL: 'the resolver of this host failed',
  EAI_MEMORY: 'this host is out of memory',
  EACCES: 'this host does not allow it',
  EPERM: 'this host does not allow it',
}

/** Errors that JavaScript itself throws: a bug in the module says nothing about the target. */
const BUGS = new Set([
  'TypeError',
  'ReferenceError',
  'RangeError',
  'SyntaxError',
  'EvalError',
  'AssertionError',
  'DataCloneError',
])

/** Tells what an error of a module says: the target's trouble is dead, this host's own is unknown. */
export function judgeError(error: unknown): Outcome {
  const message = describeError(error)
  if (error instanceof Dead) return { kind: 'dead', reason: message }
  if (error instanceof Unknown || error instanceof ModuleError) return { kind: 'unknown', reason: message }
  const code = findCode(error)
  const own = code === undefined ? undefined : OWN_TROUBLE[code]
  if (own) return { kind: 'unknown', reason: `${own} (${code})` }
  const isMisuse = code === undefined || /^ERR_(?:INVALID|MISSING|OUT_OF_RANGE)/.test(code)
  if (isMisuse && error instanceof Error && BUGS.has(error.name)) {
    return { kind: 'unknown', reason: `the module has a bug: ${error.name}: ${message}` }
  }
  return { kind: 'dead', reason: message }
}
