import { formatDuration } from '../config/duration.ts'
import type { ProbeConfig } from '../config/probes.ts'
import type { Log } from '../log/log.ts'
import type { Catalog } from '../modules/catalog.ts'
import type { FlagKeeper } from '../status/keeper.ts'
import type { FlagReader } from '../status/reader.ts'
import { advance, durationOf, initialState, type Moment, type Outcome, type State } from '../verdict/state.ts'
import type { Flag } from '../verdict/verdict.ts'
import { type CheckResult, runCheck } from './check.ts'
import type { WatchmanMessage } from './messages.ts'
import { prepareProbe, type ReadyProbe } from './prepare.ts'

/** A longer reason is cut: it stands in flags, answers and log lines. */
const MAX_REASON = 500

/** A module that ignores the end of its check holds up the next one at most this long. */
const ABANDON_MS = 30_000

export interface WatcherOptions {
  probe: ProbeConfig
  /** The probe's flag as it stood when the watcher started. */
  flag: Flag | undefined
  catalog: Catalog
  staleAfterMs: number
  keeper: FlagKeeper
  reader: FlagReader
  log: Log
  redact(text: string): string
  send(message: WatchmanMessage): void
  now?: () => Moment
}

/** The life of one probe in WatchMan: its checks, what they add up to, its flag and its reports. */
export interface Watcher {
  /** Makes one check and draws the conclusions. Never rejects. */
  checkOnce(): Promise<void>
  /** Takes note that the flag now agrees with the state, or why it cannot. */
  flagSettled(fault: string | undefined): void
}

export function createWatcher(options: WatcherOptions): Watcher {
  const { probe: config, catalog, staleAfterMs, keeper, reader, log, redact, send } = options
  const now = options.now ?? (() => ({ wallMs: Date.now(), monotonicMs: performance.now() }))
  const about = { probe: config.name, module: config.module }
  const probeLog = createProbeLog(log, config)
  let state = initialState(options.flag, now())
  let ready: ReadyProbe | undefined
  let hasReported = false

  async function check(): Promise<CheckResult> {
    if (!ready) {
      const startedMs = performance.now()
      const prepared = await prepareProbe(config, catalog)
      if (!prepared.probe) {
        const reason = prepared.problems.map((problem) => problem.message).join('; ')
        return { outcome: { kind: 'dead', reason }, tookMs: performance.now() - startedMs, settled: Promise.resolve() }
      }
      ready = prepared.probe
    }
    return runCheck(ready, probeLog)
  }

  function report(isFlagged: boolean, fault?: string): void {
    const { life, reason, since } = state
    send({ kind: 'report', probe: config.name, life, reason, sinceMs: since.wallMs, isFlagged, fault })
    hasReported = true
  }

  function conclude(outcome: Outcome, tookMs: number): void {
    const moment = now()
    const former = state
    state = advance(former, clean(outcome, redact), moment, staleAfterMs)
    logChange(former, moment, outcome, tookMs)
    if (hasReported && state.life === former.life && state.reason === former.reason) return
    // The report goes first: whatever the disk does now, SpiderMan knows.
    report(false)
    const { life, reason, since } = state
    keeper.want(config.name, life === 'dead' ? { reason, sinceMs: since.wallMs } : undefined)
  }

  function logChange(former: State, moment: Moment, outcome: Outcome, tookMs: number): void {
    const fields = { ...about, took_ms: Math.round(tookMs) }
    if (state.life !== former.life) {
      const lasted = former.isAssumed ? {} : { [`was_${former.life}_for`]: formatDuration(durationOf(former, moment)) }
      if (state.life === 'dead')
        log.warn(`${config.name} is dead: ${state.reason}`, { ...fields, reason: state.reason, ...lasted })
      else log.info(`${config.name} is alive again`, { ...fields, ...lasted })
    } else if (state.life === 'dead' && state.reason !== former.reason) {
      log.debug(`${config.name} is still dead: ${state.reason}`, { ...fields, reason: state.reason })
    }
    if (outcome.kind === 'unknown' && former.unknownSinceMs === undefined) {
      log.warn(`${config.name} could not be checked: ${redact(outcome.reason)}`, fields)
    } else if (outcome.kind !== 'unknown' && former.unknownSinceMs !== undefined) {
      log.info(`${config.name} can be checked again`, fields)
    }
    log.debug(`${config.name} was checked: ${outcome.kind}`, fields)
  }

  return {
    async checkOnce() {
      const { outcome, tookMs, settled } = await check()
      conclude(outcome, tookMs)
      void reader.read().then((view) => {
        const change = keeper.compare(config.name, view)
        if (change) log.info(`the flag of ${config.name} was ${change}; the check just made sets it right`, about)
      })
      await settleWithin(settled, ABANDON_MS, () => {
        log.error(`${config.name}: its module still runs a check that ended ${formatDuration(ABANDON_MS)} ago`, about)
      })
    },
    flagSettled: (fault) => report(fault === undefined, fault),
  }
}

function clean(outcome: Outcome, redact: (text: string) => string): Outcome {
  if (outcome.kind === 'alive') return outcome
  const reason = redact(outcome.reason)
    .replace(/[\x00-\x1f\x7f]+/g, ' ')
    .trim()
  return { kind: outcome.kind, reason: reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON - 1)}…` : reason }
}

async function settleWithin(settled: Promise<void>, ms: number, onLate: () => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      onLate()
      resolve()
    }, ms)
  })
  await Promise.race([settled, late])
  clearTimeout(timer)
}

function createProbeLog(log: Log, { name, module }: ProbeConfig): Log {
  const fields = { probe: name, module }
  return {
    debug: (message) => log.debug(`${name}: ${message}`, fields),
    info: (message) => log.info(`${name}: ${message}`, fields),
    warn: (message) => log.warn(`${name}: ${message}`, fields),
    error: (message) => log.error(`${name}: ${message}`, fields),
  }
}
