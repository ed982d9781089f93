import { formatDuration } from '../config/duration.ts'
import { judgeFacts } from '../criteria/judge.ts'
import type { Facts, ProbeLog } from '../modules/define-probe.ts'
import { Dead, Unknown } from '../modules/errors.ts'
import { ModuleError } from '../modules/module.ts'
import { findCode } from '../modules/thrown.ts'
import type { Outcome } from '../verdict/state.ts'
import type { ReadyProbe } from './prepare.ts'

/** One check as it ended. */
export interface CheckResult {
  outcome: Outcome
  tookMs: number
  /** Resolves when the module is done as well; a module that ignores its signal can be much later than the check. */
  settled: Promise<void>
}

/**
 * Makes one check: asks the module for facts and judges them. The deadline is kept whatever the module does: at its end
 * the signal is aborted and the check is over. Never rejects.
 */
export async function runCheck(
  probe: Pick<ReadyProbe, 'timeoutMs' | 'observe' | 'criteria'>,
  log: ProbeLog,
): Promise<CheckResult> {
  const startedMs = performance.now()
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<Outcome>((resolve) => {
    timer = setTimeout(() => {
      resolve({ kind: 'dead', reason: `timed out after ${formatDuration(probe.timeoutMs)}` })
      controller.abort(new DOMException('the time of the check is over', 'TimeoutError'))
    }, probe.timeoutMs)
  })
  const observing = observe(probe, controller.signal, log)
  const outcome = await Promise.race([observing, deadline])
  clearTimeout(timer)
  return { outcome, tookMs: performance.now() - startedMs, settled: observing.then(() => undefined) }
}

async function observe(
  { observe, criteria }: Pick<ReadyProbe, 'observe' | 'criteria'>,
  signal: AbortSignal,
  log: ProbeLog,
): Promise<Outcome> {
  let facts: Facts
  try {
    facts = await observe(signal, log)
  } catch (error) {
    return judgeError(error)
  }
  const reason = judgeFacts(facts, criteria)
  return reason === undefined ? { kind: 'alive' } : { kind: 'dead', reason }
}

/** An error's message, and its cause's where that says more: libraries wrap what the system said. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const message = error.message || error.name
  const { cause } = error
  if (!(cause instanceof Error) || error instanceof Dead || message.includes(cause.message)) return message
  return `${message}: ${describeError(cause)}`
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
  if (error instanceof Dead || error instanceof ModuleError) return { kind: 'dead', reason: message }
  if (error instanceof Unknown) return { kind: 'unknown', reason: message }
  const code = findCode(error)
  const own = code === undefined ? undefined : OWN_TROUBLE[code]
  if (own) return { kind: 'unknown', reason: `${own} (${code})` }
  const isMisuse = code === undefined || /^ERR_(?:INVALID|MISSING|OUT_OF_RANGE)/.test(code)
  if (isMisuse && error instanceof Error && BUGS.has(error.name)) {
    return { kind: 'unknown', reason: `the module has a bug: ${error.name}: ${message}` }
  }
  return { kind: 'dead', reason: message }
}
