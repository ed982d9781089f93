import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { advance, durationOf, initialState, type Moment, type Outcome, type State } from '../../src/verdict/state.ts'

const STALE_MS = 30_000
const at = (ms: number): Moment => ({ wallMs: 1_000_000 + ms, monotonicMs: ms })

const scenarios: {
  name: string
  outcomes: [ms: number, outcome: Outcome][]
  life: State['life']
  reason: string
  sinceMs: number
}[] = [
  {
    name: 'stays alive',
    outcomes: [
      [0, { kind: 'alive' }],
      [3000, { kind: 'alive' }],
    ],
    life: 'alive',
    reason: '',
    sinceMs: 0,
  },
  {
    name: 'dies at the first dead outcome',
    outcomes: [
      [0, { kind: 'alive' }],
      [3000, { kind: 'dead', reason: 'refused' }],
    ],
    life: 'dead',
    reason: 'refused',
    sinceMs: 3000,
  },
  {
    name: 'keeps its time of death while the reason changes',
    outcomes: [
      [0, { kind: 'dead', reason: 'refused' }],
      [3000, { kind: 'dead', reason: 'timed out' }],
    ],
    life: 'dead',
    reason: 'timed out',
    sinceMs: 0,
  },
  {
    name: 'comes back at the first alive outcome',
    outcomes: [
      [0, { kind: 'dead', reason: 'x' }],
      [3000, { kind: 'alive' }],
    ],
    life: 'alive',
    reason: '',
    sinceMs: 3000,
  },
  {
    name: 'is held alive by unknown outcomes',
    outcomes: [
      [0, { kind: 'alive' }],
      [3000, { kind: 'unknown', reason: 'EMFILE' }],
      [32_999, { kind: 'unknown', reason: 'EMFILE' }],
    ],
    life: 'alive',
    reason: '',
    sinceMs: 0,
  },
  {
    name: 'is held dead by unknown outcomes, with its own reason',
    outcomes: [
      [0, { kind: 'dead', reason: 'refused' }],
      [3000, { kind: 'unknown', reason: 'EMFILE' }],
    ],
    life: 'dead',
    reason: 'refused',
    sinceMs: 0,
  },
  {
    name: 'dies when nothing is known for stale_after',
    outcomes: [
      [0, { kind: 'alive' }],
      [3000, { kind: 'unknown', reason: 'EMFILE' }],
      [33_000, { kind: 'unknown', reason: 'EMFILE' }],
    ],
    life: 'dead',
    reason: 'cannot check: EMFILE',
    sinceMs: 33_000,
  },
  {
    name: 'counts unknown outcomes anew after a known one',
    outcomes: [
      [0, { kind: 'unknown', reason: 'x' }],
      [20_000, { kind: 'alive' }],
      [40_000, { kind: 'unknown', reason: 'x' }],
      [60_000, { kind: 'unknown', reason: 'x' }],
    ],
    life: 'alive',
    reason: '',
    sinceMs: 0,
  },
]

for (const { name, outcomes, life, reason, sinceMs } of scenarios) {
  test(`advance() ${name}`, () => {
    let state = initialState(undefined, at(0))
    for (const [ms, outcome] of outcomes) state = advance(state, outcome, at(ms), STALE_MS)
    assert.equal(state.life, life)
    assert.equal(state.reason, reason)
    assert.equal(state.since.wallMs, at(sinceMs).wallMs)
  })
}

test('advance() forgets that a state was assumed at the first known outcome, and not before', () => {
  const assumed = initialState(undefined, at(0))
  assert.equal(assumed.isAssumed, true)
  assert.equal(advance(assumed, { kind: 'unknown', reason: 'x' }, at(1), STALE_MS).isAssumed, true)
  assert.equal(advance(assumed, { kind: 'alive' }, at(1), STALE_MS).isAssumed, undefined)
})

test('initialState() takes the reason and the time of a flag', () => {
  const state = initialState({ reason: 'refused', sinceMs: 500 }, at(0))
  assert.deepEqual(state, { life: 'dead', reason: 'refused', since: { wallMs: 500 } })
})

test('durationOf() measures on the monotonic clock, whatever the wall clock does', () => {
  const state = advance(initialState(undefined, at(0)), { kind: 'dead', reason: 'x' }, at(1000), STALE_MS)
  assert.equal(durationOf(state, { wallMs: 0, monotonicMs: 6000 }), 5000)
})

test('durationOf() falls back on the wall clock for a state of an earlier run, and is never negative', () => {
  const state = initialState({ reason: 'x', sinceMs: 1_000_000 }, at(0))
  assert.equal(durationOf(state, { wallMs: 1_007_000, monotonicMs: 1 }), 7000)
  assert.equal(durationOf(state, { wallMs: 0, monotonicMs: 1 }), 0)
})

test('advance() follows every known outcome, whatever came before', () => {
  const outcome = fc.oneof(
    fc.constant<Outcome>({ kind: 'alive' }),
    fc.constant<Outcome>({ kind: 'dead', reason: 'd' }),
    fc.constant<Outcome>({ kind: 'unknown', reason: 'u' }),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 40_000 }), outcome), { maxLength: 50 }), (steps) => {
      let state = initialState(undefined, at(0))
      let ms = 0
      let unknownSince: number | undefined
      for (const [stepMs, next] of steps) {
        ms += stepMs
        const former = state
        state = advance(state, next, at(ms), STALE_MS)
        unknownSince = next.kind === 'unknown' ? (unknownSince ?? ms) : undefined
        if (next.kind !== 'unknown') assert.equal(state.life, next.kind)
        else if (ms - (unknownSince as number) >= STALE_MS) assert.equal(state.life, 'dead')
        else assert.equal(state.life, former.life)
        if (state.life === former.life) assert.deepEqual(state.since, former.since)
        else assert.equal(state.since.monotonicMs, ms)
      }
    }),
  )
})
