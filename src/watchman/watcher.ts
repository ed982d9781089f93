import { type Moment, readClocks } from '../clock.ts'
import { formatDuration } from '../config/duration.ts'
import type { ProbeConfig } from '../config/probes.ts'
import type { Log } from '../log/log.ts'
import type { Catalog } from '../modules/catalog.ts'
import type { FlagKeeper } from '../status/keeper.ts'
import type { FlagReader } from '../status/reader.ts'
import type { ProbeRecord } from '../status/state-file.ts'
import { nextCheckIn } from '../verdict/pace.ts'
import { advance, durationOf, type Outcome, type Policy, type State } from '../verdict/state.ts'
import type { Step } from './activity.ts'
import { type CheckResult, runCheck } from './check.ts'
import type { WatchmanMessage } from './messages.ts'
import { prepareProbe, type ReadyProbe } from './prepare.ts'
import type { Stalls } from './stalls.ts'
import type { TroubleLog } from './trouble-log.ts'

/** A longer reason is cut: it stands in flags, answers and log lines. */
const MAX_REASON = 500

/** A module that ignores the end of its check holds up the next one at most this long. */
const ABANDON_MS = 30_000

/** What all watchers of a WatchMan share. */
export interface WatcherSurroundings {
  catalog: Catalog
  keeper: FlagKeeper
  reader: FlagReader
  stalls: Pick<Stalls, 'between'>
  log: Log
  /** The lines about changes go through it. */
  troubles: TroubleLog
  redact(text: string): string
  send(message: WatchmanMessage): void
  /** Called when a state or a streak changed. */
  onChange(): void
  staleAfterMs(): number
  now?: () => Moment
}

export interface WatcherOptions {
  probe: ProbeConfig
  /** The state to begin with. */
  state: State
  /** The counts to go on from. */
  counts?: ProbeRecord['counts'] | undefined
  onStep(step: Step): void
  onChecked(): void
}

/** The life of one probe in WatchMan: its checks, what they add up to, its flag and its reports. */
export interface Watcher {
  /** Makes one check and draws the conclusions; tells when the next is due, in milliseconds from its start. Never rejects. */
  checkOnce(): Promise<number>
  /** Takes note that the flag now agrees with the state, or why it cannot. */
  flagSettled(fault: string | undefined): void
  state(): State
  record(): ProbeRecord
  /** Nothing that it still learns counts. */
  retire(): void
}

export function createWatcher(options: WatcherOptions, around: WatcherSurroundings): Watcher {
  const { probe: config, onStep, onChecked } = options
  const { catalog, keeper, reader, stalls, log, troubles, redact, send, onChange } = around
  const now = around.now ?? readClocks
  const about = { probe: config.name, module: config.module }
  const probeLog = createProbeLog(log, config)
  const counts = { ...(options.counts ?? { alive: 0, dead: 0, unknown: 0 }) }
  let state = options.state
  let ready: ReadyProbe | undefined
  let hasReported = false
  let flagged: { isFlagged: boolean; fault?: string | undefined } = { isFlagged: false }
  let last: ProbeRecord['last']
  let isRetired = false

  function policy(): Policy {
    const { fall, rise, holdMs } = config
    return { fall, rise, holdMs, staleAfterMs: around.staleAfterMs() }
  }

  async function check(): Promise<CheckResult> {
    if (!ready) {
      const startedMs = now().monotonicMs
      const prepared = await prepareProbe(config, catalog)
      if (!prepared.probe) {
        const reason = prepared.problems.map((problem) => problem.message).join('; ')
        const tookMs = now().monotonicMs - startedMs
        return { outcome: { kind: 'unknown', reason }, facts: undefined, tookMs, settled: Promise.resolve() }
      }
      ready = prepared.probe
      if (isRetired) ready.close()
    }
    return runCheck(ready, { log: probeLog, stalls, onStep })
  }

  function report(): void {
    const { life, reason, cause, since, unknown } = state
    const doubt = unknown && { reason: unknown.reason, sinceMs: unknown.since.wallMs }
    send({ kind: 'report', probe: config.name, life, reason, cause, sinceMs: since.wallMs, unknown: doubt, ...flagged })
    hasReported = true
  }

  function conclude(outcome: Outcome, tookMs: number): void {
    const moment = now()
    const former = state
    counts[outcome.kind]++
    last = { atMs: moment.wallMs, tookMs: Math.round(tookMs * 10) / 10, outcome: outcome.kind }
    state = advance(former, clean(outcome, redact), moment, policy())
    logChange(former, moment, outcome, tookMs)
    const isTurned = state.life !== former.life || state.reason !== former.reason
    if (isTurned || isOtherwise(state, former)) onChange()
    if (!hasReported || isTurned) {
      // The report goes first: whatever the disk does now, SpiderMan knows.
      flagged = { isFlagged: false }
      report()
      const { life, reason, since } = state
      keeper.want(config.name, life === 'dead' ? { reason, sinceMs: since.wallMs } : undefined)
    } else if (state.cause !== former.cause || state.unknown?.reason !== former.unknown?.reason) report()
  }

  function logChange(former: State, moment: Moment, outcome: Outcome, tookMs: number): void {
    const fields = { ...about, took_ms: Math.round(tookMs) }
    const { name } = config
    const cause = state.unknown ? 'unknown' : state.cause
    const write = (level: 'warn' | 'info' | 'debug', message: string, more = {}) =>
      troubles.write(name, cause, { level, message, fields: { ...fields, ...more } })
    if (state.life !== former.life) {
      const lasted = former.isAssumed ? {} : { [`was_${former.life}_for`]: formatDuration(durationOf(former, moment)) }
      if (state.life === 'dead') write('warn', `${name} is dead: ${state.reason}`, { reason: state.reason, ...lasted })
      else write('info', `${name} is alive again`, lasted)
    } else if (state.life === 'dead' && state.reason !== former.reason) {
      write('debug', `${name} is still dead: ${state.reason}`, { reason: state.reason })
    } else if (state.life === 'alive' && state.streak > 0 && outcome.kind === 'dead') {
      log.info(`${name} failed, ${state.streak} of ${config.fall} in a row: ${state.doubt}`, fields)
    }
    if (outcome.kind === 'unknown' && former.unknown === undefined) {
      write('warn', `${name} could not be checked: ${redact(outcome.reason)}`)
    } else if (outcome.kind !== 'unknown' && former.unknown !== undefined) {
      write('info', `${name} can be checked again`)
    }
    log.debug(`${name} was checked: ${outcome.kind}`, fields)
  }

  function compareFlag(): void {
    void reader.read().then((view) => {
      if (isRetired) return
      const change = keeper.compare(config.name, view)
      if (change) log.info(`the flag of ${config.name} was ${change}; the check just made sets it right`, about)
    })
  }

  return {
    async checkOnce() {
      const { outcome, tookMs, settled } = await check()
      if (isRetired) return config.periodMs
      conclude(outcome, tookMs)
      onChecked()
      compareFlag()
      await settleWithin(settled, ABANDON_MS, () => {
        log.error(`${config.name}: its module still runs a check that ended ${formatDuration(ABANDON_MS)} ago`, about)
      })
      return nextCheckIn(state, config, policy(), now())
    },
    flagSettled(fault) {
      flagged = { isFlagged: fault === undefined, fault }
      report()
    },
    state: () => state,
    record: () => ({
      module: config.module,
      state,
      policy: policy(),
      periodMs: config.periodMs,
      timeoutMs: ready?.timeoutMs,
      ...flagged,
      last,
      counts,
    }),
    retire() {
      isRetired = true
      ready?.close()
    },
  }
}

/** Whether a restart would go on differently, though the state is the same. */
function isOtherwise(state: State, former: State): boolean {
  const { streak, isAssumed, unknown } = state
  return streak !== former.streak || isAssumed !== former.isAssumed || unknown?.count !== former.unknown?.count
}

function clean(outcome: Outcome, redact: (text: string) => string): Outcome {
  if (outcome.kind === 'alive') return outcome
  const reason = redact(outcome.reason)
    .replace(/[\x00-\x1f\x7f]+/g, ' ')
    .trim()
  return { ...outcome, reason: reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON - 1)}…` : reason }
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
