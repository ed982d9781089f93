import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judgeTrend, percentile } from './flat.ts'

const minutes = (count: number, valueAt: (second: number) => number) =>
  Array.from({ length: count * 60 }, (_, second) => valueAt(second))

const cases = [
  { name: 'a line', what: 'mean', values: minutes(6, () => 500), isFlat: true },
  {
    name: 'a beat between two values',
    what: 'mean',
    values: minutes(6, (second) => (second % 2 ? 900 : 100)),
    isFlat: true,
  },
  { name: 'a warm-up', what: 'peak', values: minutes(6, (second) => Math.min(400, 100 + 3 * second)), isFlat: true },
  {
    name: 'the saw of a garbage collector',
    what: 'peak',
    values: minutes(9, (second) => 110 + (second % 150)),
    isFlat: true,
  },
  {
    name: 'a saw whose teeth grow',
    what: 'peak',
    values: minutes(9, (second) => 110 + (second % 150) + second / 4),
    isFlat: false,
  },
  { name: 'a slow leak of sockets', what: 'mean', values: minutes(10, (second) => 500 + second / 2), isFlat: false },
] as const

for (const { name, what, values, isFlat } of cases) {
  test(`judgeTrend() calls ${name} ${isFlat ? 'flat' : 'not flat'}`, () => {
    const trend = judgeTrend({ name: 'x', unit: ' MB', what, values: [...values] })
    assert.equal(trend.isFlat, isFlat, trend.text)
  })
}

test('judgeTrend() says how much it was, and how steep', () => {
  const values = minutes(3, (second) => second)
  assert.equal(
    judgeTrend({ name: 'memory', unit: ' MB', what: 'peak', values }).text,
    'memory: peak 119.0, then 179.0 MB, slope 60.0 MB a minute: NOT FLAT',
  )
})

test('percentile() gives the value that so many do not exceed', () => {
  assert.equal(percentile([3, 1, 2], 0.99), 3)
  assert.equal(percentile([4, 3, 1, 2], 0.5), 3)
  assert.ok(Number.isNaN(percentile([], 0.5)))
})
