import assert from 'node:assert/strict'
import type { Moment } from '../../src/clock.ts'
import type { Notice } from '../../src/verdict/notice.ts'
import { nextCheckIn, type Pace } from '../../src/verdict/pace.ts'
import { isFresh, restoreState } from '../../src/verdict/restore.ts'
import type { Rules } from '../../src/verdict/rules.ts'
import type { Evidence, Flag, FolderEvidence, Report } from '../../src/verdict/standing.ts'
import { advance, type Outcome, type Policy, type State } from '../../src/verdict/state.ts'
import { type Decision, decide } from '../../src/verdict/verdict.ts'

/** How a component behaves: it answers, refuses, or lets the deadline pass. */
export type Life = 'alive' | 'refusing' | 'silent'

export const PROBES = ['web', 'mail', 'db-1', 'db-2'] as const
export type Probe = (typeof PROBES)[number]

/** What the world is like for one history. */
export interface Setup {
  policy: Policy
  pace: Pace
  deadlineMs: number
  onStale: Rules['onStale']
  /** Of everything that takes its time. */
  seed: number
}

/** What happens to the world, at a time of its own clock. */
export type Event = { atMs: number } & (
  | { kind: 'component'; probe: Probe; life: Life }
  /** No check can be made meanwhile. */
  | { kind: 'blind'; forMs: number }
  /** WatchMan is stopped (SIGSTOP) and goes on later. */
  | { kind: 'pause'; forMs: number }
  /** WatchMan is killed and started again. */
  | { kind: 'kill'; forMs: number }
  /** DeadPool, or the host with it, is down and starts again. */
  | { kind: 'restart'; forMs: number; isHost: boolean }
  | { kind: 'set clock'; byMs: number }
  | { kind: 'mute'; name: string; forMs: number }
  | { kind: 'drain'; forMs: number }
  /** The status folder can be neither read nor written. */
  | { kind: 'folder fault'; forMs: number }
  | { kind: 'flag by hand'; probe: Probe; stands: boolean }
  /** The disk loses what WatchMan wrote down, or another version cannot read it. */
  | { kind: 'notes lost' }
)

const RULES: Omit<Rules, 'onStale'> = {
  probes: [
    { name: 'web', severity: 'critical', dependsOn: ['db'] },
    { name: 'mail', severity: 'warning', dependsOn: ['web'] },
    { name: 'db-1', severity: 'critical', dependsOn: [] },
    { name: 'db-2', severity: 'critical', dependsOn: [] },
  ],
  groups: [{ name: 'db', severity: 'critical', members: ['db-1', 'db-2'], minAlive: { count: 1 } }],
}

const START_WALL_MS = Date.UTC(2026, 0, 1)
const SLOW_READING_MS = 50
const FLAG_MS = 30
const NOTE_MS = 50
const TICK_MS = 400

interface Watched {
  state: State
  flagged: Pick<Report, 'isFlagged' | 'fault'>
  wanted: Flag | undefined
  /** Counts wishes; a write that ends after a newer wish settles nothing. */
  wishes: number
  isWriting: boolean
  hasReported: boolean
  /** Dead outcomes in a row that a state has to remember, counted apart from it. */
  row: number
}

interface Notes {
  written: Moment
  boot: number
  probes: Map<Probe, { state: State; row: number }>
}

/** Plays one history on the pure parts of DeadPool, and looks at the answer after everything that happens. */
export function playHistory(setup: Setup, events: readonly Event[]): { answers: number; checks: number } {
  const { policy, pace, deadlineMs } = setup
  const rules: Rules = { ...RULES, onStale: setup.onStale }
  const roll = createDice(setup.seed)
  const isSeldomAsked = roll(2) > 0
  const figures = { answers: 0, checks: 0 }

  let timeMs = 0
  let wallOffsetMs = START_WALL_MS
  let bootedMs = -60_000
  const queue: { atMs: number; order: number; run: () => void; of: number | undefined }[] = []
  let order = 0

  const components = new Map(PROBES.map((probe) => [probe, { life: 'alive' as Life, sinceMs: 0 }]))
  let blindUntilMs = 0
  let faultUntilMs = 0

  // What is on the disk.
  const disk = {
    flags: new Map<Probe, Flag>(),
    mutes: new Map<string, Notice>(),
    drain: undefined as Notice | undefined,
  }
  let notes: Notes | undefined
  let noteRestUntilMs = 0

  // WatchMan; each of its lives has a number.
  let life = 0
  let isUp = false
  let pausedUntilMs = 0
  let stoppedMs = 0
  let watched = new Map<Probe, Watched>()

  // SpiderMan.
  let isAnswering = true
  let reports = new Map<string, Report>()
  let checkedMs = new Map<Probe, number>()
  let view: FolderEvidence | undefined

  /** When something last happened after which the answer may be late. */
  let disturbedMs = 0
  /** Critical probes whose death nothing but an alive outcome, a mute or a hand may hide any more. */
  const pinned = new Set<Probe>()

  const now = (): Moment => ({ wallMs: timeMs + wallOffsetMs, monotonicMs: timeMs - bootedMs })
  const hasFault = () => timeMs < faultUntilMs
  const plan = (inMs: number, run: () => void, of?: number) =>
    queue.push({ atMs: timeMs + inMs, order: order++, run, of })

  function startDeadPool(): void {
    isAnswering = true
    reports = new Map()
    checkedMs = new Map(PROBES.map((probe) => [probe, timeMs]))
    view = undefined
    // A new SpiderMan sees notices for the first time, and fixes their ends by the wall clock as it is now.
    if (disk.drain) disk.drain = anchor(disk.drain)
    for (const [name, mute] of disk.mutes) disk.mutes.set(name, anchor(mute))
    startWatchman()
  }

  function anchor(notice: Notice): Notice {
    const { wallMs, monotonicMs } = now()
    return notice.untilMs === undefined ? notice : { ...notice, expiresMs: monotonicMs + notice.untilMs - wallMs }
  }

  function startWatchman(): void {
    isUp = true
    pausedUntilMs = 0
    disturbedMs = timeMs
    // Who starts and cannot read the folder knows of no death.
    if (hasFault()) pinned.clear()
    const readable = hasFault() ? undefined : notes
    watched = new Map(
      PROBES.map((probe) => [probe, restore(probe, readable, hasFault() ? undefined : disk.flags.get(probe))]),
    )
    for (const probe of PROBES) plan(0, () => beginCheck(probe), life)
    plan(0, writeNotesForEver, life)
  }

  function restore(probe: Probe, from: Notes | undefined, flag: Flag | undefined): Watched {
    const record = from?.probes.get(probe)
    const isSameBoot = from?.boot === bootedMs
    const { wallMs, monotonicMs } = now()
    const ageMs = from
      ? isSameBoot
        ? monotonicMs - from.written.monotonicMs
        : Math.abs(wallMs - from.written.wallMs)
      : 0
    const remembered = record && { state: record.state, ageMs, isSameBoot }
    const state = restoreState(remembered, flag, now(), policy.staleAfterMs)
    const isKept = record?.state.life === state.life && isFresh({ ageMs }, policy.staleAfterMs)
    const fresh = { flagged: { isFlagged: false }, wanted: undefined, wishes: 0, isWriting: false, hasReported: false }
    return { ...fresh, state, row: record && isKept ? record.row : 0 }
  }

  function endWatchman(downMs: number, restart: () => void): void {
    if (isUp && timeMs >= pausedUntilMs) stoppedMs = timeMs
    isUp = false
    life++
    plan(downMs, restart, life)
  }

  function beginCheck(probe: Probe): void {
    const startedMs = timeMs
    const isSilent = components.get(probe)?.life === 'silent'
    const tookMs = isSilent ? deadlineMs : roll(Math.min(deadlineMs, 100))
    plan(tookMs, () => endCheck(probe, startedMs), life)
  }

  function endCheck(probe: Probe, startedMs: number): void {
    const one = watched.get(probe) as Watched
    const outcome = observe(probe, startedMs)
    figures.checks++
    conclude(probe, one, outcome)
    checkedMs.set(probe, timeMs)
    // The flag is compared after each check.
    const stands = disk.flags.has(probe)
    if (!one.isWriting && (hasFault() || !one.flagged.isFlagged || stands !== (one.wanted !== undefined)))
      setFlag(probe, one)
    const distanceMs = nextCheckIn(one.state, pace, policy, now())
    const passedMs = timeMs - startedMs
    const steps = distanceMs > 0 ? Math.max(1, Math.ceil(passedMs / distanceMs)) : 0
    plan(Math.max(0, steps * distanceMs - passedMs), () => beginCheck(probe), life)
  }

  function observe(probe: Probe, startedMs: number): Outcome {
    const component = components.get(probe)
    if (timeMs < blindUntilMs) return { kind: 'unknown', reason: 'EMFILE' }
    // A check during which WatchMan itself stood still tells nothing.
    if (timeMs - startedMs > deadlineMs) return { kind: 'unknown', reason: 'WatchMan stood still' }
    if (component?.life === 'alive') return { kind: 'alive' }
    if (component?.life === 'refusing') return { kind: 'dead', reason: 'refused' }
    return { kind: 'dead', reason: 'timed out', cause: 'timeout' }
  }

  function conclude(probe: Probe, one: Watched, outcome: Outcome): void {
    const former = one.state
    one.state = advance(former, outcome, now(), policy)
    if (outcome.kind !== 'unknown') one.row = outcome.kind === 'dead' ? one.row + 1 : 0
    if (one.row >= policy.fall) assert.equal(one.state.life, 'dead', `${probe} failed ${one.row} times and lives`)
    if (one.state.life === 'alive' && outcome.kind === 'alive') pinned.delete(probe)
    if (one.state !== former) plan(NOTE_MS, writeNotes, life)
    if (one.hasReported && one.state.life === former.life && one.state.reason === former.reason) return
    one.flagged = { isFlagged: false }
    report(probe, one)
    one.hasReported = true
    const { reason, since } = one.state
    one.wanted = one.state.life === 'dead' ? { reason, sinceMs: since.wallMs } : undefined
    setFlag(probe, one)
  }

  function report(probe: Probe, { state, flagged }: Watched): void {
    const { life: said, reason, cause, since, unknown } = state
    const doubt = unknown && { reason: unknown.reason, sinceMs: unknown.since.wallMs }
    const arrivedMs = now().monotonicMs
    reports.set(probe, { life: said, reason, cause, sinceMs: since.wallMs, unknown: doubt, ...flagged, arrivedMs })
  }

  function setFlag(probe: Probe, one: Watched): void {
    const wish = ++one.wishes
    one.isWriting = true
    plan(
      roll(FLAG_MS),
      () => {
        if (wish !== one.wishes) return
        one.isWriting = false
        if (!hasFault() && one.wanted) disk.flags.set(probe, one.wanted)
        if (!hasFault() && !one.wanted) disk.flags.delete(probe)
        one.flagged = hasFault() ? { isFlagged: false, fault: 'EIO' } : { isFlagged: true, fault: undefined }
        report(probe, one)
      },
      life,
    )
  }

  function writeNotes(): void {
    // A slow disk is given a rest, so that notes may come long after the flag, or never.
    if (hasFault() || timeMs < noteRestUntilMs) return
    noteRestUntilMs = timeMs + roll(2) * roll(3000)
    const probes = new Map([...watched].map(([probe, { state, row }]) => [probe, { state, row }]))
    notes = { written: now(), boot: bootedMs, probes }
  }

  function writeNotesForEver(): void {
    writeNotes()
    plan(2000, writeNotesForEver, life)
  }

  function happen(event: Event): void {
    switch (event.kind) {
      case 'component': {
        const component = components.get(event.probe)
        const isSame = (component?.life === 'alive') === (event.life === 'alive')
        components.set(event.probe, { life: event.life, sinceMs: isSame && component ? component.sinceMs : timeMs })
        break
      }
      case 'blind':
        blindUntilMs = Math.max(blindUntilMs, timeMs + event.forMs)
        break
      case 'pause':
        if (isUp && timeMs >= pausedUntilMs) stoppedMs = timeMs
        pausedUntilMs = Math.max(pausedUntilMs, timeMs + event.forMs)
        break
      case 'kill':
        if (isAnswering) endWatchman(event.forMs, startWatchman)
        break
      case 'restart':
        isAnswering = false
        endWatchman(event.forMs, () => {
          if (event.isHost) bootedMs = timeMs - 20
          stoppedMs = timeMs
          startDeadPool()
        })
        break
      case 'set clock':
        wallOffsetMs += event.byMs
        break
      case 'mute':
        disk.mutes.set(event.name, makeNotice(event.forMs))
        break
      case 'drain':
        disk.drain = makeNotice(event.forMs)
        break
      case 'folder fault':
        // Nor does a SpiderMan that has neither read the folder nor heard of every probe.
        if (reports.size < PROBES.length) pinned.clear()
        faultUntilMs = Math.max(faultUntilMs, timeMs + event.forMs)
        break
      case 'notes lost':
        notes = undefined
        break
      case 'flag by hand':
        if (hasFault()) break
        disturbedMs = timeMs
        if (event.stands) disk.flags.set(event.probe, { reason: 'by hand', sinceMs: now().wallMs })
        else if (disk.flags.delete(event.probe)) pinned.delete(event.probe)
        break
    }
  }

  function makeNotice(forMs: number): Notice {
    const { wallMs, monotonicMs } = now()
    return { reason: 'work', by: 'alice', sinceMs: wallMs, untilMs: wallMs + forMs, expiresMs: monotonicMs + forMs }
  }

  function readFolder(): FolderEvidence {
    const beganMs = now().monotonicMs
    // Those who ask share a reading that began a moment ago.
    if (view && beganMs - view.beganMs < SLOW_READING_MS && roll(2) === 0) return view
    const seen = {
      flags: new Map<string, Flag>(disk.flags),
      drain: disk.drain,
      mutes: new Map(disk.mutes),
      fault: undefined,
      beganMs,
    }
    const last = view ?? { ...seen, flags: new Map(), drain: undefined, mutes: new Map() }
    view = hasFault() ? { ...last, fault: 'EIO', beganMs } : seen
    return view
  }

  function gather(): Evidence {
    const isAwake = isUp && timeMs >= pausedUntilMs
    const silentMs = isAwake ? 0 : timeMs - stoppedMs
    const { wallMs, monotonicMs } = now()
    const freshMs = policy.staleAfterMs + pace.periodMs + deadlineMs
    const late = [...checkedMs].filter(([, doneMs]) => timeMs - doneMs > freshMs)
    return {
      rules,
      folder: readFolder(),
      reports,
      stale: new Map(late.map(([probe, doneMs]) => [probe, wallMs - (timeMs - doneMs)])),
      watcherSilentSinceMs: silentMs > policy.staleAfterMs ? wallMs - silentMs : undefined,
      nowMs: monotonicMs,
    }
  }

  function look(): void {
    if (!isUp || timeMs < pausedUntilMs || timeMs < blindUntilMs) disturbedMs = timeMs
    if (!isAnswering || (isSeldomAsked && roll(20) > 0)) return
    figures.answers++
    const evidence = gather()
    const decision = decide(evidence)
    const isMuted = (name: string) => stands(evidence.folder.mutes.get(name), evidence.nowMs)
    if (stands(evidence.folder.drain, evidence.nowMs)) assert.equal(decision.status, 'DEAD', 'drained')
    checkPinned(decision, isMuted)
    checkDeath(decision, isMuted)
    checkLife(decision, evidence)
  }

  /** A death that stands on the disk is never forgotten: not by a restart, a pause, a fault, or the clock. */
  function checkPinned(decision: Decision, isMuted: (name: string) => boolean): void {
    if (pinned.has('web') && !isMuted('web'))
      assert.equal(decision.status, 'DEAD', explain('web is dead on disk', decision))
    for (const [probe, { state }] of watched) {
      // Notes may be older than what SpiderMan heard: that the probe lives, and only its flag is not gone yet.
      const isHeardAlive = reports.get(probe)?.life === 'alive'
      if (isUp && state.life === 'dead' && disk.flags.has(probe) && !isHeardAlive && !hasFault()) pinned.add(probe)
    }
  }

  /** Whatever is dead is answered for in time, from when it died or the last disturbance was over. */
  function checkDeath(decision: Decision, isMuted: (name: string) => boolean): void {
    const { fall } = policy
    const boundMs =
      pace.periodMs + deadlineMs + fall * (pace.fastPeriodMs + deadlineMs) + SLOW_READING_MS + FLAG_MS + TICK_MS
    const isLate = (probe: Probe) => {
      const component = components.get(probe)
      return component?.life !== 'alive' && timeMs - Math.max(component?.sinceMs ?? 0, disturbedMs) > boundMs
    }
    const mustDie = [
      ...(isLate('web') && !isMuted('web') ? ['web'] : []),
      ...(isLate('db-1') && isLate('db-2') && !isMuted('db') && !(isMuted('db-1') && isMuted('db-2')) ? ['db'] : []),
    ]
    if (mustDie.length > 0)
      assert.equal(decision.status, 'DEAD', explain(`${mustDie} died ${boundMs} ms ago`, decision))
  }

  /** Where everything has lived for long enough, the answer is OK. */
  function checkLife(decision: Decision, { folder, nowMs }: Evidence): void {
    const { rise, holdMs } = policy
    const boundMs =
      holdMs +
      pace.periodMs +
      deadlineMs +
      (rise + 2) * (pace.fastPeriodMs + deadlineMs) +
      SLOW_READING_MS +
      FLAG_MS +
      TICK_MS
    const isWell = (probe: Probe) => {
      const component = components.get(probe)
      return component?.life === 'alive' && timeMs - Math.max(component.sinceMs, disturbedMs) > boundMs
    }
    if (stands(folder.drain, nowMs) || !isWell('web') || !(isWell('db-1') || isWell('db-2'))) return
    assert.equal(decision.status, 'OK', explain(`all has been alive for ${boundMs} ms`, decision))
  }

  function explain(what: string, { dead }: Decision): string {
    const listed = dead.map(({ name, reason }) => `${name}: ${reason}`).join(', ')
    const states = [...watched].map(([probe, { state }]) => `${probe} ${state.life} ${state.streak}`).join(', ')
    return `at ${timeMs} ms: ${what}; listed: ${listed || 'nothing'}; states: ${states}`
  }

  startDeadPool()
  for (const event of events) queue.push({ atMs: event.atMs, order: order++, run: () => happen(event), of: undefined })
  const endMs = Math.max(0, ...events.map((event) => event.atMs)) + 90_000
  const tick = () => plan(TICK_MS, tick)
  tick()
  const isBefore = (a: (typeof queue)[number], b: (typeof queue)[number]) => a.atMs - b.atMs || a.order - b.order

  for (;;) {
    const next = takeFirst()
    if (!next || next.atMs > endMs) return figures
    timeMs = Math.max(timeMs, next.atMs)
    if (next.of !== undefined && next.of !== life) continue
    if (next.of !== undefined && isUp && timeMs < pausedUntilMs) {
      queue.push({ ...next, atMs: pausedUntilMs })
      continue
    }
    next.run()
    look()
  }

  function takeFirst() {
    let first = 0
    for (let index = 1; index < queue.length; index++) {
      if (isBefore(queue[index] as (typeof queue)[number], queue[first] as (typeof queue)[number]) < 0) first = index
    }
    const [taken] = queue.splice(first, 1)
    return taken
  }
}

/** The end of a notice, told apart from the program's own rule. */
function stands(notice: Notice | undefined, nowMs: number): boolean {
  return notice?.expiresMs !== undefined && nowMs < notice.expiresMs
}

/** Whole numbers below a limit, the same ones for the same seed (mulberry32). */
function createDice(seed: number): (below: number) => number {
  let at = seed >>> 0
  return (below) => {
    at = (at + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(at ^ (at >>> 15), at | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % Math.max(1, below)
  }
}
