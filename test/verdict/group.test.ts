import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { countNeeded, standingOfGroup } from '../../src/verdict/group.ts'
import type { MinAlive } from '../../src/verdict/rules.ts'
import type { Standing } from '../../src/verdict/standing.ts'
import type { Cause } from '../../src/verdict/state.ts'

const dead = (sinceMs: number, reason = 'refused', cause?: Cause): Standing => ({
  life: 'dead',
  reason,
  cause,
  sinceMs,
})
const alive: Standing = { life: 'alive' }

const scenarios: {
  name: string
  members: Record<string, Standing>
  minAlive?: MinAlive
  muted?: string[]
  expected: Standing
}[] = [
  { name: 'alive while enough members are', members: { a: alive, b: dead(1) }, expected: alive },
  {
    name: 'dead since the member died that left too few',
    members: { a: dead(7), b: alive, c: dead(5), d: dead(9) },
    minAlive: { count: 2 },
    expected: { ...dead(9), reason: '1 of 4 alive, 2 needed (a: refused; c: refused; d: refused)' } as Standing,
  },
  {
    name: 'dead by a percentage, which is rounded up',
    members: { a: dead(1), b: dead(2), c: alive },
    minAlive: { percent: 50 },
    expected: { ...dead(2), reason: '1 of 3 alive, 2 needed (a: refused; b: refused)' } as Standing,
  },
  {
    name: 'alive when the dead member is muted and the others are enough',
    members: { a: dead(1), b: alive },
    minAlive: { count: 2 },
    muted: ['a'],
    expected: alive,
  },
  { name: 'alive when all members are muted', members: { a: dead(1), b: dead(1) }, muted: ['a', 'b'], expected: alive },
  {
    name: 'dead by the members that are not muted, and says so of them only',
    members: { a: dead(1), b: dead(3), c: alive },
    minAlive: { count: 2 },
    muted: ['a'],
    expected: { ...dead(3), reason: '1 of 2 alive, 2 needed (b: refused)' } as Standing,
  },
  {
    name: 'dead of what all its dead members died of, timeouts before ignorance',
    members: { a: dead(1, 'x', 'unknown'), b: dead(2, 'y', 'timeout') },
    expected: dead(2, '0 of 2 alive, 1 needed (a: x; b: y)', 'timeout'),
  },
  {
    name: 'dead of nothing in common when one member died otherwise',
    members: { a: dead(1, 'x', 'unknown'), b: dead(2, 'y') },
    expected: dead(2, '0 of 2 alive, 1 needed (a: x; b: y)'),
  },
  {
    name: 'dead with five members named at most, and long reasons cut',
    members: Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => [name, dead(1, 'x'.repeat(500))])),
    expected: dead(
      1,
      `0 of 7 alive, 1 needed (${['a', 'b', 'c', 'd', 'e'].map((name) => `${name}: ${'x'.repeat(119)}…`).join('; ')}; and 2 more)`,
    ),
  },
]

for (const { name, members, minAlive = { count: 1 }, muted = [], expected } of scenarios) {
  test(`standingOfGroup() is ${name}`, () => {
    assert.deepEqual(standingOf(members, minAlive, muted), expected)
  })
}

const counts: [MinAlive, counted: number, needed: number][] = [
  [{ count: 2 }, 3, 2],
  [{ count: 5 }, 3, 3],
  [{ count: 1 }, 0, 0],
  [{ percent: 50 }, 4, 2],
  [{ percent: 50 }, 5, 3],
  [{ percent: 100 }, 7, 7],
  [{ percent: 7 }, 100, 7],
  [{ percent: 33.3 }, 3, 1],
  [{ percent: 0.000001 }, 3, 1],
]
for (const [minAlive, counted, needed] of counts) {
  test(`countNeeded() of ${JSON.stringify(minAlive)} and ${counted} members is ${needed}`, () => {
    assert.equal(countNeeded(minAlive, counted), needed)
  })
}

const minAlives: fc.Arbitrary<MinAlive> = fc.oneof(
  fc.record({ count: fc.integer({ min: 1, max: 9 }) }),
  fc.record({ percent: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.double({ min: 1e-9, max: 100, noNaN: true })) }),
)
const crews = fc.array(fc.record({ isDead: fc.boolean(), isMuted: fc.boolean() }), { minLength: 1, maxLength: 8 })

test('standingOfGroup() is dead when all members are dead and one of them is not muted', () => {
  fc.assert(
    fc.property(crews, minAlives, (crew, minAlive) => {
      const members = Object.fromEntries(crew.map((_, index) => [`m${index}`, dead(index)]))
      const muted = crew.flatMap(({ isMuted }, index) => (isMuted ? [`m${index}`] : []))
      assert.equal(standingOf(members, minAlive, muted).life, muted.length < crew.length ? 'dead' : 'alive')
    }),
  )
})

test('standingOfGroup() never dies of a mute, nor of a member that comes back', () => {
  fc.assert(
    fc.property(crews, minAlives, fc.nat(7), (crew, minAlive, at) => {
      const life = (changed: typeof crew) => {
        const members = Object.fromEntries(changed.map(({ isDead }, index) => [`m${index}`, isDead ? dead(1) : alive]))
        const muted = changed.flatMap(({ isMuted }, index) => (isMuted ? [`m${index}`] : []))
        return standingOf(members, minAlive, muted).life
      }
      fc.pre(life(crew) === 'alive')
      const change = (part: Partial<(typeof crew)[number]>) => {
        return crew.map((each, index) => (index === at % crew.length ? { ...each, ...part } : each))
      }
      assert.equal(life(change({ isMuted: true })), 'alive')
      assert.equal(life(change({ isDead: false })), 'alive')
    }),
    { numRuns: 1000 },
  )
})

function standingOf(members: Record<string, Standing>, minAlive: MinAlive, muted: string[]): Standing {
  const rule = { name: 'g', severity: 'critical' as const, members: Object.keys(members), minAlive }
  return standingOfGroup(rule, new Map(Object.entries(members)), (name) => muted.includes(name))
}
