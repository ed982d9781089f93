import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decide, type Evidence, type Flag, type Report, type Verdict } from '../../src/verdict/verdict.ts'

const FLAG: Flag = { reason: 'by flag', sinceMs: 1 }
const dead = (more: Partial<Report> = {}): Report => ({
  life: 'dead',
  reason: 'by report',
  sinceMs: 2,
  isFlagged: true,
  arrivedMs: 100,
  ...more,
})
const alive = (more: Partial<Report> = {}): Report => dead({ life: 'alive', reason: '', ...more })

const scenarios: { name: string; flag?: Flag; report?: Report; fault?: string; beganMs?: number; expected: string }[] =
  [
    { name: 'no flag and no report', expected: 'alive' },
    { name: 'a flag that nobody reported on', flag: FLAG, expected: 'by flag' },
    { name: 'a flag and the report that made it', flag: FLAG, report: dead(), expected: 'by report' },
    { name: 'a flag removed by hand', report: dead(), expected: 'alive' },
    { name: 'a flag made by hand', flag: FLAG, report: alive(), expected: 'by flag' },
    { name: 'a dead report whose flag is not written yet', report: dead({ isFlagged: false }), expected: 'by report' },
    {
      name: 'a dead report whose flag cannot be written',
      report: dead({ isFlagged: false, fault: 'ENOSPC' }),
      expected: 'by report',
    },
    {
      name: 'an alive report whose flag is not removed yet',
      flag: FLAG,
      report: alive({ isFlagged: false }),
      expected: 'alive',
    },
    {
      name: 'a flag that cannot be removed',
      flag: FLAG,
      report: alive({ isFlagged: false, fault: 'EROFS' }),
      expected: 'alive',
    },
    {
      name: 'a dead report newer than the reading of the folder',
      report: dead({ arrivedMs: 300 }),
      expected: 'by report',
    },
    {
      name: 'an alive report newer than the reading of the folder',
      flag: FLAG,
      report: alive({ arrivedMs: 300 }),
      expected: 'alive',
    },
    { name: 'an unreadable folder and a dead report', report: dead(), fault: 'EIO', expected: 'by report' },
    { name: 'an unreadable folder and an alive report', flag: FLAG, report: alive(), fault: 'EIO', expected: 'alive' },
    { name: 'an unreadable folder, no report, and a flag seen before', flag: FLAG, fault: 'EIO', expected: 'by flag' },
  ]

for (const { name, flag, report, fault, beganMs = 200, expected } of scenarios) {
  test(`decide() with ${name} says ${expected}`, () => {
    const verdict = decide(evidence({ elastic: { flag, report } }, { fault, beganMs }))
    const reasons = verdict.dead.map(({ probe, reason }) => `${probe}: ${reason}`)
    assert.deepEqual(reasons, expected === 'alive' ? [] : [`elastic: ${expected}`])
    assert.equal(verdict.status, expected === 'alive' ? 'OK' : 'DEAD')
  })
}

test('decide() lists the dead in configuration order, WatchMan first', () => {
  const verdict = decide({
    ...evidence({ zeta: { flag: FLAG }, alpha: { flag: FLAG }, 10: { flag: FLAG } }),
    probes: ['zeta', 'alpha', '10'],
    watcherSilentSinceMs: 5,
  })
  assert.deepEqual(
    verdict.dead.map(({ probe }) => probe),
    ['WatchMan', 'zeta', 'alpha', '10'],
  )
  assert.equal(verdict.dead[0]?.sinceMs, 5)
})

test('decide() passes over flags of probes that are not enabled', () => {
  const verdict = decide({ ...evidence({ old: { flag: FLAG } }), probes: ['elastic'] })
  assert.equal(verdict.status, 'OK')
})

test('decide() warns of the folder, of flags that cannot be set, and of probes not checked yet', () => {
  const fault = 'no space left'
  const verdict = decide(
    evidence(
      { a: { report: dead({ isFlagged: false, fault }) }, b: { report: dead({ isFlagged: false, fault }) }, c: {} },
      { fault: 'EIO' },
    ),
  )
  assert.deepEqual(verdict.warnings, [
    'the status folder cannot be read: EIO; the answer comes from the last checks',
    'the flag of a, b cannot be set: no space left',
    'not checked yet: c',
  ])
})

test('decide() is OK exactly when nothing is listed, and lists no probe twice', () => {
  const report = fc.option(
    fc.record({
      life: fc.constantFrom('alive' as const, 'dead' as const),
      isFlagged: fc.boolean(),
      arrivedMs: fc.nat(400),
    }),
    { nil: undefined },
  )
  const one = fc.record({ flag: fc.option(fc.constant(FLAG), { nil: undefined }), report })
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), one), fc.boolean(), (probes, hasFault) => {
      const complete = Object.fromEntries(
        Object.entries(probes).map(([name, { flag, report: part }]) => [name, { flag, report: part && dead(part) }]),
      )
      const verdict: Verdict = decide(evidence(complete, { fault: hasFault ? 'EIO' : undefined }))
      assert.equal(verdict.status === 'OK', verdict.dead.length === 0)
      assert.equal(new Set(verdict.dead.map((entry) => entry.probe)).size, verdict.dead.length)
      // What was reported dead and is not on disk for a reason of the disk's own is never forgotten.
      for (const [name, { report: part }] of Object.entries(complete)) {
        if (part?.life === 'dead' && (hasFault || !part.isFlagged))
          assert.ok(verdict.dead.some((entry) => entry.probe === name))
      }
    }),
  )
})

function evidence(
  probes: Record<string, { flag?: Flag | undefined; report?: Report | undefined }>,
  { fault, beganMs = 200 }: { fault?: string | undefined; beganMs?: number } = {},
): Evidence {
  const entries = Object.entries(probes)
  return {
    probes: entries.map(([name]) => name),
    folder: { flags: new Map(entries.flatMap(([name, { flag }]) => (flag ? [[name, flag]] : []))), fault, beganMs },
    reports: new Map(entries.flatMap(([name, { report }]) => (report ? [[name, report]] : []))),
    watcherSilentSinceMs: undefined,
  }
}
