import { test } from 'node:test'
import fc from 'fast-check'
import { type Event, PROBES, playHistory, type Setup } from './world.ts'

/**
 * How many histories are played: `DEADPOOL_HISTORIES=100000 npm test -- test/verdict/model.test.ts` for a long run. A
 * failure prints its seed and path; `DEADPOOL_SEED` and `DEADPOOL_PATH` play that one again.
 */
const HISTORIES = Number(process.env.DEADPOOL_HISTORIES ?? 400)
const { DEADPOOL_SEED: SEED, DEADPOOL_PATH: PATH } = process.env

const LAST_MS = 120_000
const short = fc.integer({ min: 1, max: 4000 })
const long = fc.integer({ min: 1, max: 40_000 })
const probes = fc.constantFrom(...PROBES)
const kind = <T extends string>(name: T) => fc.constant(name)

const happenings: fc.Arbitrary<Omit<Event, 'atMs'>>[] = [
  fc.record({ kind: kind('component'), probe: probes, life: fc.constantFrom('alive', 'refusing', 'silent') }),
  fc.record({ kind: kind('blind'), forMs: long }),
  fc.record({ kind: kind('pause'), forMs: long }),
  fc.record({ kind: kind('kill'), forMs: short }),
  fc.record({ kind: kind('restart'), forMs: short, isHost: fc.boolean() }),
  fc.record({ kind: kind('set clock'), byMs: fc.constantFrom(-1e11, -3_600_000, -5000, 5000, 3_600_000, 1e11) }),
  fc.record({ kind: kind('mute'), name: fc.constantFrom('web', 'db', 'db-1'), forMs: long }),
  fc.record({ kind: kind('drain'), forMs: long }),
  fc.record({ kind: kind('folder fault'), forMs: long }),
  fc.record({ kind: kind('notes lost') }),
  fc.record({ kind: kind('flag by hand'), probe: probes, stands: fc.boolean() }),
]
const [component, ...others] = happenings as [fc.Arbitrary<Omit<Event, 'atMs'>>, ...fc.Arbitrary<Omit<Event, 'atMs'>>[]]
const weighted = fc.oneof({ weight: 8, arbitrary: component }, ...others)
const events = fc.array(
  fc.tuple(fc.integer({ min: 0, max: LAST_MS }), weighted).map(([atMs, what]) => ({ ...what, atMs }) as Event),
  { maxLength: 20 },
)

const setups: fc.Arbitrary<Setup> = fc
  .record({
    policy: fc.record({
      fall: fc.integer({ min: 1, max: 3 }),
      rise: fc.integer({ min: 1, max: 3 }),
      holdMs: fc.constantFrom(0, 3000, 15_000),
      staleAfterMs: fc.constantFrom(5000, 20_000),
    }),
    periodMs: fc.constantFrom(1000, 3000, 10_000),
    fastShare: fc.constantFrom(1, 2, 5),
    deadlineMs: fc.constantFrom(200, 900, 2500),
    onStale: fc.constantFrom('dead' as const, 'last_known' as const),
    seed: fc.nat(),
  })
  .map(({ periodMs, fastShare, ...rest }) => ({ ...rest, pace: { periodMs, fastPeriodMs: periodMs / fastShare } }))

test('the answer follows the components in time, through restarts, pauses, faults and clocks that jump', () => {
  const figures = { answers: 0, checks: 0 }
  const startedMs = performance.now()
  fc.assert(
    fc.property(setups, events, (setup, history) => {
      const { answers, checks } = playHistory(setup, history)
      figures.answers += answers
      figures.checks += checks
    }),
    {
      numRuns: HISTORIES,
      // A failing history is made smaller for a while; what is found by then is told.
      interruptAfterTimeLimit: 60_000 + 20 * HISTORIES,
      markInterruptAsFailure: true,
      ...(SEED === undefined ? {} : { seed: Number(SEED) }),
      ...(PATH === undefined ? {} : { path: PATH }),
      reporter: report,
    },
  )
  const tookS = ((performance.now() - startedMs) / 1000).toFixed(1)
  if (HISTORIES > 400) {
    process.stdout.write(`${HISTORIES} histories, ${figures.checks} checks, ${figures.answers} answers in ${tookS} s\n`)
  }
})

/** Fails as fast-check does, and says how to play the failing history again. */
function report(run: fc.RunDetails<[Setup, Event[]]>): void {
  if (!run.failed) return
  const again = `DEADPOOL_SEED=${run.seed} DEADPOOL_PATH=${run.counterexamplePath} npm test -- test/verdict/model.test.ts`
  throw new Error(`${fc.defaultReportMessage(run)}\n\nPlay it again: ${again}`, { cause: run.errorInstance })
}
