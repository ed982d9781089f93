import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPaceMeter } from '../../src/watchman/pace-meter.ts'

function meterAt(): { meter: ReturnType<typeof createPaceMeter>; pass(ms: number): void } {
  let nowMs = 1_000_000
  const meter = createPaceMeter({ now: () => nowMs })
  return { meter, pass: (ms) => (nowMs += ms) }
}

test('createPaceMeter() has figures before the first check too, but no pace', () => {
  const { meter } = meterAt()
  assert.deepEqual(meter.read(), { lateP50Ms: 0, lateP99Ms: 0, lateMaxMs: 0, skipped: 0 })
})

test('createPaceMeter() tells how many checks started, how late, and what was left out', () => {
  const { meter, pass } = meterAt()
  for (let index = 0; index < 99; index++) meter.start(2, 0)
  meter.start(150, 3)
  pass(10_000)
  const { checksPerSecond, lateP50Ms, lateP99Ms, lateMaxMs, skipped } = meter.read()
  assert.deepEqual([checksPerSecond, lateP50Ms, lateP99Ms, skipped], [10, 2, 2, 3])
  // A histogram keeps three digits.
  assert.ok(Math.abs(lateMaxMs - 150) < 0.2, `${lateMaxMs}`)
})

test('createPaceMeter() takes a check that is on time', () => {
  const { meter, pass } = meterAt()
  meter.start(0, 0)
  pass(9999)
  assert.equal(meter.read().checksPerSecond, undefined)
  pass(1)
  assert.deepEqual(meter.read(), { checksPerSecond: 0.1, lateP50Ms: 0, lateP99Ms: 0, lateMaxMs: 0, skipped: 0 })
})

test('createPaceMeter() tells of the last minute or two, and forgets what was before', () => {
  const { meter, pass } = meterAt()
  meter.start(500, 7)
  pass(61_000)
  meter.start(1, 0)
  pass(1000)
  const both = meter.read()
  assert.deepEqual([both.skipped, both.lateMaxMs > 499], [7, true])
  pass(60_000)
  meter.start(1, 0)
  pass(1000)
  const { skipped, lateMaxMs } = meter.read()
  assert.equal(skipped, 0)
  assert.ok(lateMaxMs < 2, `${lateMaxMs}`)
})
