import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nextCheckIn } from '../../src/verdict/pace.ts'
import type { State } from '../../src/verdict/state.ts'

const NOW = { wallMs: 1_000_000, monotonicMs: 100_000 }
const PACE = { periodMs: 10_000, fastPeriodMs: 1000 }
const POLICY = { fall: 3, rise: 2, holdMs: 0, staleAfterMs: 30_000 }
const stateOf = (part: Partial<State> = {}): State => ({ life: 'alive', reason: '', since: NOW, streak: 0, ...part })
const unknownSo = (count: number): Partial<State> => ({ unknown: { reason: 'EMFILE', count, since: NOW } })
const deadFor = (ms: number): Partial<State> => {
  return { life: 'dead', since: { wallMs: NOW.wallMs - ms, monotonicMs: NOW.monotonicMs - ms } }
}

const scenarios: { name: string; state: Partial<State>; holdMs?: number; expectedMs: number }[] = [
  { name: 'alive', state: {}, expectedMs: 10_000 },
  { name: 'alive and in doubt', state: { streak: 1 }, expectedMs: 1000 },
  { name: 'dead', state: deadFor(0), expectedMs: 10_000 },
  { name: 'dead and recovering', state: { ...deadFor(0), streak: 1 }, expectedMs: 1000 },
  {
    name: 'recovered, with much of its hold to go',
    state: { ...deadFor(0), streak: 2 },
    holdMs: 60_000,
    expectedMs: 10_000,
  },
  {
    name: 'recovered, with some of its hold to go',
    state: { ...deadFor(56_000), streak: 2 },
    holdMs: 60_000,
    expectedMs: 4000,
  },
  {
    name: 'recovered, with next to nothing of its hold to go',
    state: { ...deadFor(59_999), streak: 2 },
    holdMs: 60_000,
    expectedMs: 1000,
  },
  { name: 'not checked this time', state: unknownSo(1), expectedMs: 0 },
  { name: 'not checked twice', state: unknownSo(2), expectedMs: 100 },
  { name: 'not checked three times', state: unknownSo(3), expectedMs: 200 },
  { name: 'not checked a thousand times', state: unknownSo(1000), expectedMs: 10_000 },
]

for (const { name, state, holdMs = 0, expectedMs } of scenarios) {
  test(`nextCheckIn() is ${expectedMs} ms for a probe that is ${name}`, () => {
    assert.equal(nextCheckIn(stateOf(state), PACE, { ...POLICY, holdMs }, NOW), expectedMs)
  })
}

test('nextCheckIn() is never longer than the period, nor shorter than fast_period after a check that was made', () => {
  const states = fc.record({
    life: fc.constantFrom('alive' as const, 'dead' as const),
    streak: fc.nat(5),
    count: fc.nat(100),
    ageMs: fc.nat(100_000),
    holdMs: fc.nat(100_000),
  })
  fc.assert(
    fc.property(states, ({ life, streak, count, ageMs, holdMs }) => {
      const state = stateOf({ ...deadFor(ageMs), life, streak, ...(count > 0 ? unknownSo(count) : {}) })
      const inMs = nextCheckIn(state, PACE, { ...POLICY, holdMs }, NOW)
      assert.ok(inMs <= PACE.periodMs, `${inMs}`)
      if (count === 0) assert.ok(inMs >= PACE.fastPeriodMs, `${inMs}`)
      else assert.equal(inMs === 0, count === 1)
    }),
  )
})
