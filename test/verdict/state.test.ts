import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Moment } from '../../src/clock.ts'
import { advance, durationOf, holdLeft, initialState, type Outcome, type Policy } from '../../src/verdict/state.ts'

const at = (ms: number): Moment => ({ wallMs: 1_000_000 + ms, monotonicMs: ms })
const alive: Outcome = { kind: 'alive' }
const dead = (reason = 'refused'): Outcome => ({ kind: 'dead', reason })
const unknown = (reason = 'EMFILE'): Outcome => ({ kind: 'unknown', reason })
const policyOf = (part: Partial<Policy> = {}): Policy => {
  return { fall: 1, rise: 1, holdMs: 0, staleAfterMs: 30_000, ...part }
}

type Step = readonly [ms: number, outcome: Outcome]

const scenarios: {
  name: string
  policy?: Partial<Policy>
  steps: Step[]
  life: 'alive' | 'dead'
  reason?: string
  sinceMs: number
}[] = [
  {
    name: 'stays alive',
    steps: [
      [0, alive],
      [3000, alive],
    ],
    life: 'alive',
    sinceMs: 0,
  },
  {
    name: 'dies at the first dead outcome',
    steps: [
      [0, alive],
      [3000, dead()],
    ],
    life: 'dead',
    reason: 'refused',
    sinceMs: 3000,
  },
  {
    name: 'keeps its time of death while the reason changes',
    steps: [
      [0, dead()],
      [3000, dead('closed')],
    ],
    life: 'dead',
    reason: 'closed',
    sinceMs: 0,
  },
  {
    name: 'comes back at the first alive outcome',
    steps: [
      [0, dead()],
      [3000, alive],
    ],
    life: 'alive',
    sinceMs: 3000,
  },
  {
    name: 'is held alive by unknown outcomes',
    steps: [
      [0, alive],
      [3000, unknown()],
      [32_999, unknown()],
    ],
    life: 'alive',
    sinceMs: 0,
  },
  {
    name: 'is held dead by unknown outcomes, with its own reason',
    steps: [
      [0, dead()],
      [3000, unknown()],
    ],
    life: 'dead',
    reason: 'refused',
    sinceMs: 0,
  },
  {
    name: 'dies when nothing is known for exactly stale_after',
    steps: [
      [0, alive],
      [3000, unknown()],
      [33_000, unknown('ENOMEM')],
    ],
    life: 'dead',
    reason: 'cannot check: ENOMEM',
    sinceMs: 33_000,
  },
  {
    name: 'counts unknown outcomes anew after a known one',
    steps: [
      [0, unknown()],
      [20_000, alive],
      [40_000, unknown()],
      [60_000, unknown()],
    ],
    life: 'alive',
    sinceMs: 0,
  },
  {
    name: 'keeps its time of death, and says why nobody knows better, when nothing is known for stale_after',
    steps: [
      [0, dead()],
      [3000, unknown()],
      [33_000, unknown()],
    ],
    life: 'dead',
    reason: 'cannot check: EMFILE',
    sinceMs: 0,
  },
  {
    name: 'stays alive one outcome short of fall',
    policy: { fall: 3 },
    steps: [
      [0, dead()],
      [1000, dead()],
    ],
    life: 'alive',
    sinceMs: 0,
  },
  {
    name: 'dies at the last of fall outcomes, with its reason',
    policy: { fall: 3 },
    steps: [
      [0, dead('a')],
      [1000, dead('b')],
      [2000, dead('c')],
    ],
    life: 'dead',
    reason: 'c',
    sinceMs: 2000,
  },
  {
    name: 'begins to count anew after an alive outcome',
    policy: { fall: 3 },
    steps: [
      [0, dead()],
      [1000, dead()],
      [2000, alive],
      [3000, dead()],
      [4000, dead()],
    ],
    life: 'alive',
    sinceMs: 0,
  },
  {
    name: 'lets an unknown outcome neither add to a row of dead ones nor end it',
    policy: { fall: 3 },
    steps: [
      [0, dead()],
      [1000, unknown()],
      [2000, dead()],
      [3000, unknown()],
      [4000, dead()],
    ],
    life: 'dead',
    reason: 'refused',
    sinceMs: 4000,
  },
  {
    name: 'stays dead one outcome short of rise',
    policy: { rise: 2 },
    steps: [
      [0, dead()],
      [1000, alive],
      [2000, dead('closed')],
      [3000, alive],
    ],
    life: 'dead',
    reason: 'closed',
    sinceMs: 0,
  },
  {
    name: 'comes back at the last of rise outcomes',
    policy: { rise: 2 },
    steps: [
      [0, dead()],
      [1000, alive],
      [2000, alive],
    ],
    life: 'alive',
    sinceMs: 2000,
  },
  {
    name: 'stays dead while the hold lasts, however many outcomes are alive',
    policy: { holdMs: 10_000 },
    steps: [
      [0, dead()],
      [1000, alive],
      [2000, alive],
      [9999, alive],
    ],
    life: 'dead',
    reason: 'refused',
    sinceMs: 0,
  },
  {
    name: 'comes back at the very end of the hold when enough outcomes were alive',
    policy: { holdMs: 10_000, rise: 2 },
    steps: [
      [0, dead()],
      [9000, alive],
      [10_000, alive],
    ],
    life: 'alive',
    sinceMs: 10_000,
  },
  {
    name: 'measures the hold from the death, not from the last dead outcome',
    policy: { holdMs: 10_000 },
    steps: [
      [0, dead()],
      [9999, dead()],
      [10_000, alive],
    ],
    life: 'alive',
    sinceMs: 10_000,
  },
  {
    name: 'wants rise alive outcomes after it was dead because nothing was known',
    policy: { rise: 2, staleAfterMs: 5000 },
    steps: [
      [0, unknown()],
      [5000, unknown()],
      [6000, alive],
    ],
    life: 'dead',
    reason: 'cannot check: EMFILE',
    sinceMs: 5000,
  },
]

for (const { name, policy, steps, life, reason = '', sinceMs } of scenarios) {
  test(`advance() ${name}`, () => {
    const state = run(steps, policyOf(policy))
    assert.deepEqual([state.life, state.reason, state.since], [life, reason, at(sinceMs)])
  })
}

test('advance() tells a death by timeout, and one by ignorance, from others', () => {
  const policy = policyOf({ staleAfterMs: 0 })
  assert.equal(advance(initialState(undefined, at(0)), dead(), at(1), policy).cause, undefined)
  assert.equal(run([[1, { kind: 'dead', reason: 'x', cause: 'timeout' }]], policy).cause, 'timeout')
  assert.equal(run([[1, unknown()]], policy).cause, 'unknown')
  assert.equal(
    run(
      [
        [1, unknown()],
        [2, dead()],
      ],
      policy,
    ).cause,
    undefined,
  )
})

test('advance() keeps what the last outcome against an alive state said, until one speaks for it', () => {
  const policy = policyOf({ fall: 3 })
  assert.equal(
    run(
      [
        [0, dead('a')],
        [1, dead('b')],
      ],
      policy,
    ).doubt,
    'b',
  )
  assert.equal(
    run(
      [
        [0, dead('a')],
        [1, unknown()],
      ],
      policy,
    ).doubt,
    'a',
  )
  assert.equal(
    run(
      [
        [0, dead('a')],
        [1, alive],
      ],
      policy,
    ).doubt,
    undefined,
  )
})

test('advance() forgets that a state was assumed when an outcome settles it, and not before', () => {
  const policy = policyOf({ fall: 2 })
  assert.equal(initialState(undefined, at(0)).isAssumed, true)
  assert.equal(run([[1, unknown()]], policy).isAssumed, true)
  assert.equal(run([[1, alive]], policy).isAssumed, undefined)
  assert.equal(
    run(
      [
        [1, dead()],
        [2, dead()],
      ],
      policy,
    ).isAssumed,
    undefined,
  )
})

test('initialState() takes the reason and the time of a flag', () => {
  const state = initialState({ reason: 'refused', sinceMs: 999_500 }, at(0))
  assert.deepEqual([state.life, state.reason, state.since.wallMs, state.streak], ['dead', 'refused', 999_500, 0])
})

test('durationOf() measures on the monotonic clock, whatever the wall clock does', () => {
  const state = run([[1000, dead()]], policyOf())
  assert.equal(durationOf(state, { wallMs: 0, monotonicMs: 6000 }), 5000)
})

test('durationOf() falls back on the wall clock for a moment of an earlier run of the host, and is never negative', () => {
  const since = { wallMs: 1_000_000 }
  assert.equal(durationOf({ since }, { wallMs: 1_007_000, monotonicMs: 1 }), 7000)
  assert.equal(durationOf({ since }, { wallMs: 0, monotonicMs: 1 }), 0)
})

test('holdLeft() counts what had passed before a start, by the time of the flag', () => {
  const state = initialState({ reason: 'x', sinceMs: at(-4000).wallMs }, at(0))
  assert.equal(holdLeft(state, at(0), { holdMs: 10_000 }), 6000)
  assert.equal(holdLeft(state, at(7000), { holdMs: 10_000 }), 0)
})

for (const { name, flagMs, jumpMs } of [
  { name: 'the time of the flag is years ahead', flagMs: 1e12, jumpMs: 0 },
  { name: 'the wall clock is set back by years afterwards', flagMs: 0, jumpMs: -1e12 },
]) {
  test(`advance() ends the hold of a flag in time when ${name}`, () => {
    const policy = policyOf({ holdMs: 10_000 })
    const started = initialState({ reason: 'x', sinceMs: at(flagMs).wallMs }, at(0))
    const later = { wallMs: at(10_000).wallMs + jumpMs, monotonicMs: 10_000 }
    assert.equal(advance(started, alive, later, policy).life, 'alive')
  })
}

const outcomes = fc.oneof(
  { weight: 3, arbitrary: fc.constant(alive) },
  { weight: 3, arbitrary: fc.constantFrom(dead('a'), dead('b')) },
  { weight: 2, arbitrary: fc.constantFrom(unknown('u'), unknown('v')) },
)
const histories = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 4000 }), outcomes), { maxLength: 60 })
  .map((steps) => steps.map(([, outcome], index) => [sum(steps.slice(0, index + 1)), outcome] as const))
const policies = fc.record({
  fall: fc.integer({ min: 1, max: 4 }),
  rise: fc.integer({ min: 1, max: 4 }),
  holdMs: fc.constantFrom(0, 1000, 5000, 20_000),
  staleAfterMs: fc.constantFrom(1000, 3000, 10_000),
})

test('advance() comes to what the whole history says, for any history and policy', () => {
  fc.assert(
    fc.property(histories, policies, (history, policy) => {
      let state = initialState(undefined, at(0))
      for (const [index, [ms, outcome]] of history.entries()) {
        state = advance(state, outcome, at(ms), policy)
        const { life, reason, since } = state
        assert.deepEqual({ life, reason, sinceMs: since.monotonicMs }, readHistory(history.slice(0, index + 1), policy))
      }
    }),
    { numRuns: 2000 },
  )
})

test('advance() never changes a state against the last outcome, nor before fall, rise and hold allow', () => {
  fc.assert(
    fc.property(histories, policies, (history, policy) => {
      let state = initialState(undefined, at(0))
      for (const [index, [ms, outcome]] of history.entries()) {
        const former = state
        state = advance(former, outcome, at(ms), policy)
        if (state.life === former.life) {
          assert.deepEqual(state.since, former.since)
          continue
        }
        const known = history.slice(0, index + 1).filter(([, { kind }]) => kind !== 'unknown')
        const needed = state.life === 'alive' ? policy.rise : policy.fall
        if (outcome.kind !== 'unknown') {
          assert.deepEqual(
            known.slice(-needed).map(([, { kind }]) => kind),
            Array(needed).fill(state.life),
          )
        }
        if (state.life === 'alive') assert.ok(ms - (former.since.monotonicMs as number) >= policy.holdMs)
      }
    }),
    { numRuns: 1000 },
  )
})

test('advance() comes to the same whatever the wall clock does', () => {
  fc.assert(
    fc.property(
      histories,
      policies,
      fc.array(fc.integer(), { minLength: 60, maxLength: 60 }),
      (history, policy, jumps) => {
        let [state, jumped] = [initialState(undefined, at(0)), initialState(undefined, at(0))]
        for (const [index, [ms, outcome]] of history.entries()) {
          state = advance(state, outcome, at(ms), policy)
          jumped = advance(jumped, outcome, { wallMs: jumps[index] as number, monotonicMs: ms }, policy)
          assert.equal(jumped.life, state.life)
          assert.equal(jumped.since.monotonicMs, state.since.monotonicMs)
        }
      },
    ),
  )
})

function run(steps: readonly Step[], policy: Policy) {
  let state = initialState(undefined, at(0))
  for (const [ms, outcome] of steps) state = advance(state, outcome, at(ms), policy)
  return state
}

/**
 * The rules read off the history as a person would: look back from each outcome over those that still count, which are
 * those after the last change and after the last moment at which nobody knew anything.
 */
function readHistory(history: readonly Step[], { fall, rise, holdMs, staleAfterMs }: Policy) {
  let verdict = { life: 'alive' as 'alive' | 'dead', reason: '', sinceMs: 0 }
  let countsFrom = 0
  for (const [index, [ms, outcome]] of history.entries()) {
    const upToNow = history.slice(0, index + 1)
    const lastKnown = upToNow.findLastIndex(([, { kind }]) => kind !== 'unknown')
    const firstUnknown = upToNow[lastKnown + 1]
    if (firstUnknown && ms - firstUnknown[0] >= staleAfterMs && outcome.kind === 'unknown') {
      const sinceMs = verdict.life === 'dead' ? verdict.sinceMs : ms
      verdict = { life: 'dead', reason: `cannot check: ${outcome.reason}`, sinceMs }
      countsFrom = index + 1
      continue
    }
    if (outcome.kind === 'unknown') continue
    if (outcome.kind === 'dead' && verdict.life === 'dead') verdict = { ...verdict, reason: outcome.reason }
    const kinds = upToNow.slice(countsFrom).flatMap(([, { kind }]) => (kind === 'unknown' ? [] : [kind]))
    const inARow = kinds.length - 1 - kinds.findLastIndex((kind) => kind !== outcome.kind)
    if (outcome.kind === 'dead' && verdict.life === 'alive' && inARow >= fall) {
      verdict = { life: 'dead', reason: outcome.reason, sinceMs: ms }
      countsFrom = index + 1
    }
    if (outcome.kind === 'alive' && verdict.life === 'dead' && inARow >= rise && ms - verdict.sinceMs >= holdMs) {
      verdict = { life: 'alive', reason: '', sinceMs: ms }
      countsFrom = index + 1
    }
  }
  return verdict
}

function sum(steps: readonly (readonly [ms: number, unknown])[]): number {
  return steps.reduce((total, [ms]) => total + ms, 0)
}
