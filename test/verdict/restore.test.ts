import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Moment } from '../../src/clock.ts'
import { type Heard, isFresh, restoreState } from '../../src/verdict/restore.ts'
import { advance, holdLeft, initialState, type State } from '../../src/verdict/state.ts'

const STALE_MS = 30_000
const WRITTEN: Moment = { wallMs: 1_000_000, monotonicMs: 50_000 }
const later = (ms: number): Moment => ({ wallMs: WRITTEN.wallMs + ms, monotonicMs: WRITTEN.monotonicMs + ms })
const alive = { life: 'alive', reason: '', since: WRITTEN, streak: 2, doubt: 'slow' } as const satisfies State
const dead = { life: 'dead', reason: 'refused', since: WRITTEN, streak: 1 } as const satisfies State
const unknown = { reason: 'EMFILE', count: 4, since: WRITTEN }
const flag = { reason: 'by hand', sinceMs: 900_000 }

const heardDead: Heard = { life: 'dead', reason: 'no space', sinceMs: WRITTEN.wallMs }
const heardAlive: Heard = { life: 'alive', reason: '', sinceMs: WRITTEN.wallMs }

const scenarios: {
  name: string
  state?: State
  ageMs?: number
  hasFlag?: boolean
  isSameBoot?: boolean
  heard?: Heard
  expected: Partial<State>
}[] = [
  { name: 'nothing: assumed alive', expected: { life: 'alive', isAssumed: true, streak: 0 } },
  { name: 'a flag alone: dead by its word', hasFlag: true, expected: { life: 'dead', reason: 'by hand', streak: 0 } },
  { name: 'a fresh alive state: as it was', state: alive, expected: alive },
  {
    name: 'a fresh alive state and a flag: dead by the flag',
    state: alive,
    hasFlag: true,
    expected: { life: 'dead', reason: 'by hand' },
  },
  { name: 'an alive state at the age of stale_after: as it was', state: alive, ageMs: STALE_MS, expected: alive },
  {
    name: 'an older alive state: assumed alive',
    state: alive,
    ageMs: STALE_MS + 1,
    expected: { life: 'alive', isAssumed: true, streak: 0 },
  },
  { name: 'a fresh dead state and its flag: as it was', state: dead, hasFlag: true, expected: dead },
  { name: 'a fresh dead state whose flag is gone: as it was', state: dead, expected: dead },
  {
    name: 'an old dead state: dead, its row forgotten',
    state: dead,
    ageMs: 1e9,
    expected: { life: 'dead', reason: 'refused', streak: 0 },
  },
  { name: 'a fresh row of unknown outcomes: as it was', state: { ...alive, unknown }, expected: { ...alive, unknown } },
  {
    name: 'a row of unknown outcomes of an earlier run of the host: forgotten',
    state: { ...alive, unknown },
    isSameBoot: false,
    expected: { unknown: undefined, streak: 2 },
  },
  {
    name: 'a death that was heard and could not be written: dead',
    heard: heardDead,
    expected: { life: 'dead', reason: 'no space', streak: 0 },
  },
  {
    name: 'a death that was heard after an alive state was written: dead',
    state: alive,
    heard: heardDead,
    expected: { life: 'dead', reason: 'no space', streak: 0 },
  },
  {
    name: 'a revival that was heard after a dead state was written: alive, whatever its flag says',
    state: dead,
    hasFlag: true,
    heard: heardAlive,
    expected: { life: 'alive', streak: 0 },
  },
  { name: 'what was heard and written alike: as it was written', state: dead, heard: heardDead, expected: dead },
]

for (const { name, state, ageMs = 1000, hasFlag = false, isSameBoot = true, heard, expected } of scenarios) {
  test(`restoreState() makes of ${name}`, () => {
    const remembered = state && { state, ageMs, isSameBoot }
    const restored = restoreState(remembered, hasFlag ? flag : undefined, later(ageMs), STALE_MS, heard)
    const found = Object.fromEntries(Object.keys(expected).map((key) => [key, restored[key as keyof State]]))
    assert.deepEqual(found, expected)
  })
}

test('restoreState() goes on with fall where it was', () => {
  const policy = { fall: 3, rise: 1, holdMs: 0, staleAfterMs: STALE_MS }
  const restored = restoreState({ state: alive, ageMs: 1000, isSameBoot: true }, undefined, later(1000), STALE_MS)
  assert.equal(advance(restored, { kind: 'dead', reason: 'x' }, later(1001), policy).life, 'dead')
})

test('restoreState() goes on with the hold where it was, in the same run of the host and in a later one', () => {
  for (const isSameBoot of [true, false]) {
    const now = isSameBoot ? later(4000) : { wallMs: later(4000).wallMs, monotonicMs: 10 }
    const restored = restoreState({ state: dead, ageMs: 4000, isSameBoot }, undefined, now, STALE_MS)
    assert.equal(holdLeft(restored, now, { holdMs: 10_000 }), 6000)
  }
})

test('restoreState() lets no hold last longer than it should when the wall clock is set back after a start of the host', () => {
  const now = { wallMs: 5, monotonicMs: 10 }
  const restored = restoreState({ state: dead, ageMs: 4000, isSameBoot: false }, undefined, now, STALE_MS)
  assert.equal(holdLeft(restored, { wallMs: 10_005, monotonicMs: 10_010 }, { holdMs: 10_000 }), 0)
})

test('restoreState() changes nothing when it is done twice', () => {
  const once = restoreState({ state: dead, ageMs: 0, isSameBoot: false }, undefined, later(10), STALE_MS)
  assert.deepEqual(restoreState({ state: once, ageMs: 0, isSameBoot: true }, undefined, later(20), STALE_MS), once)
  const assumed = initialState(undefined, later(0))
  assert.deepEqual(restoreState({ state: assumed, ageMs: 0, isSameBoot: true }, undefined, later(20), STALE_MS), {
    ...assumed,
    unknown: undefined,
  })
})

test('isFresh() believes notes up to stale_after, included', () => {
  assert.deepEqual(
    [0, STALE_MS, STALE_MS + 1].map((ageMs) => isFresh({ ageMs }, STALE_MS)),
    [true, true, false],
  )
})
