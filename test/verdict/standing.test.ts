import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Flag, type Report, standingOf } from '../../src/verdict/standing.ts'
import { evidenceOf, reportOf } from './evidence.ts'

const flag: Flag = { reason: 'by flag', sinceMs: 1 }
const dead = (part: Partial<Report> = {}) => reportOf({ life: 'dead', reason: 'by report', isFlagged: true, ...part })
const alive = (part: Partial<Report> = {}) => reportOf(part)

const scenarios: { name: string; flag?: Flag; report?: Report; fault?: string; expected: string }[] = [
  { name: 'no flag and no report', expected: 'alive' },
  { name: 'a flag that nobody reported on', flag, expected: 'by flag' },
  { name: 'a flag and the report that made it', flag, report: dead(), expected: 'by report' },
  { name: 'a flag removed by hand', report: dead(), expected: 'alive' },
  { name: 'a flag made by hand', flag, report: alive(), expected: 'by flag' },
  { name: 'a dead report whose flag is not written yet', report: dead({ isFlagged: false }), expected: 'by report' },
  {
    name: 'an alive report whose flag is not removed yet',
    flag,
    report: alive({ isFlagged: false }),
    expected: 'alive',
  },
  { name: 'a dead report newer than the reading', report: dead({ arrivedMs: 901 }), expected: 'by report' },
  { name: 'a dead report of the moment of the reading', report: dead({ arrivedMs: 900 }), expected: 'by report' },
  { name: 'a dead report just older than the reading', report: dead({ arrivedMs: 899.9 }), expected: 'alive' },
  { name: 'an alive report newer than the reading', flag, report: alive({ arrivedMs: 901 }), expected: 'alive' },
  { name: 'an unreadable folder and a dead report', report: dead(), fault: 'EIO', expected: 'by report' },
  { name: 'an unreadable folder and an alive report', flag, report: alive(), fault: 'EIO', expected: 'alive' },
  { name: 'an unreadable folder, no report, and a flag seen before', flag, fault: 'EIO', expected: 'by flag' },
]

for (const { name, flag: given, report, fault, expected } of scenarios) {
  test(`standingOf() with ${name} is ${expected}`, () => {
    const flags = new Map(given ? [['a', given]] : [])
    const standing = standingOf('a', evidenceOf({ folder: { flags, fault }, reports: { a: report } }))
    assert.equal(standing.life === 'dead' ? standing.reason : 'alive', expected)
  })
}

const staleness = [
  { name: 'an alive probe dead', report: alive(), onStale: 'dead', expected: 'WatchMan does not get its checks done' },
  { name: 'an alive probe the last known under last_known', report: alive(), onStale: 'last_known', expected: 'alive' },
  {
    name: 'a dead probe dead for its own reason',
    report: dead({ isFlagged: false }),
    onStale: 'dead',
    expected: 'by report',
  },
] as const
for (const { name, report, onStale, expected } of staleness) {
  test(`standingOf() calls ${name} when its checks do not get done`, () => {
    const standing = standingOf(
      'a',
      evidenceOf({ rules: { onStale }, reports: { a: report }, stale: new Map([['a', 7]]) }),
    )
    assert.equal(standing.life === 'dead' ? standing.reason : 'alive', expected)
  })
}

const replaced = [
  { name: 'is dead as reported before the folder was another', arrivedMs: 100, hasFlag: false, expected: 'by report' },
  { name: 'is dead as reported at that very moment', arrivedMs: 200, hasFlag: false, expected: 'by report' },
  {
    name: 'is alive when a flag said to stand there since is missing',
    arrivedMs: 201,
    hasFlag: false,
    expected: 'alive',
  },
  { name: 'is dead with its flag', arrivedMs: 100, hasFlag: true, expected: 'by report' },
]
for (const { name, arrivedMs, hasFlag, expected } of replaced) {
  test(`standingOf() in a folder that took the place of another ${name}`, () => {
    const flags = new Map(hasFlag ? [['a', flag]] : [])
    const report = dead({ isFlagged: true, arrivedMs })
    const standing = standingOf('a', evidenceOf({ folder: { flags, replacedMs: 200 }, reports: { a: report } }))
    assert.equal(standing.life === 'dead' ? standing.reason : 'alive', expected)
  })
}

test('standingOf() calls no probe stale while WatchMan says nothing at all', () => {
  const silent = evidenceOf({ reports: { a: alive() }, stale: new Map([['a', 7]]), watcherSilentSinceMs: 5 })
  assert.equal(standingOf('a', silent).life, 'alive')
})
