import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Standing } from '../../src/verdict/standing.ts'
import type { Cause } from '../../src/verdict/state.ts'
import { findTrouble, isExplainedBy, listNames } from '../../src/verdict/trouble.ts'

const DAY_MS = 86_400_000
const alive: Standing = { life: 'alive' }
const dead = (cause: Cause | undefined, sinceMs = DAY_MS): Standing => ({ life: 'dead', reason: 'x', cause, sinceMs })
const [late, blind] = [dead('timeout'), dead('unknown')]

const scenarios: { name: string; standings: Standing[]; expected: string | undefined }[] = [
  { name: 'in silence', standings: [alive, alive, alive], expected: undefined },
  { name: 'in two timeouts, though they are all', standings: [late, late], expected: undefined },
  { name: 'in half of the probes', standings: [late, late, late, alive, alive, alive], expected: undefined },
  {
    name: 'in most probes refused',
    standings: [dead(undefined), dead(undefined), dead(undefined), alive],
    expected: undefined,
  },
  { name: 'in most probes timed out', standings: [late, late, late, alive], expected: '3 of 4 probes timed out' },
  {
    name: 'in most probes not checked',
    standings: [alive, blind, blind, blind],
    expected: '3 of 4 probes cannot be checked',
  },
  { name: 'in most probes, of which only half timed out', standings: [late, blind, blind, alive], expected: undefined },
  {
    name: 'in deaths just within the moment',
    standings: [late, late, dead('timeout', DAY_MS + 30_000)],
    expected: '3 of 3 probes timed out',
  },
  {
    name: 'in deaths spread over longer',
    standings: [late, late, dead('timeout', DAY_MS + 30_001)],
    expected: undefined,
  },
  {
    name: 'behind one that has timed out for a day',
    standings: [dead('timeout', 0), late, late, late, alive],
    expected: '3 of 5 probes timed out',
  },
  {
    name: 'before one that timed out long after',
    standings: [late, late, late, dead('timeout', 2 * DAY_MS), alive],
    expected: '3 of 5 probes timed out',
  },
]

for (const { name, standings, expected } of scenarios) {
  test(`findTrouble() finds ${expected ?? 'nothing'} ${name}`, () => {
    const found = findTrouble(new Map(standings.map((standing, index) => [`p${index}`, standing])))
    assert.equal(found?.reason.split(' in the same moment')[0], expected)
  })
}

test('findTrouble() names those who died together, in configuration order, since the first of them', () => {
  const standings = {
    z: dead('timeout', 9000),
    old: dead('timeout', -DAY_MS),
    a: dead('timeout', 8000),
    m: dead('timeout', 8500),
  }
  const trouble = findTrouble(new Map(Object.entries(standings)))
  assert.deepEqual(trouble && [trouble.probes, trouble.sinceMs], [['z', 'a', 'm'], 8000])
})

test('isExplainedBy() leaves deaths of another kind and of another time', () => {
  const trouble = { cause: 'timeout' as const, probes: ['a'], sinceMs: DAY_MS, reason: 'x' }
  const standings = [late, blind, dead(undefined), dead('timeout', 0), dead('timeout', DAY_MS + 30_001), alive]
  assert.deepEqual(
    standings.map((standing) => isExplainedBy(trouble, standing)),
    [true, false, false, false, false, false],
  )
})

test('listNames() names five, and counts the rest', () => {
  assert.equal(listNames(['a', 'b', 'c', 'd', 'e']), 'a, b, c, d, e')
  assert.equal(listNames(['a', 'b', 'c', 'd', 'e', 'f', 'g']), 'a, b, c, d, e and 2 more')
})
