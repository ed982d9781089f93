import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import stringWidth from 'string-width'
import { fit, writeTable } from '../../src/cli/table.ts'
import { roughly, toClock } from '../../src/cli/words.ts'

test('fit() leaves what fits, and cuts between characters', () => {
  assert.equal(fit('elastic', 7), 'elastic')
  assert.equal(fit('elastic', 6), 'elast…')
  assert.equal(fit('日本語', 6), '日本語')
  assert.equal(fit('日本語', 5), '日本…')
  assert.equal(fit('日本語', 4), '日…')
  assert.equal(fit('e\u0301e\u0301e\u0301', 2), 'e\u0301…')
  assert.equal(fit('x'.repeat(100_000), 3), 'xx…')
})

test('fit() is never wider than the terminal', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 40 }), (text, width) => {
      assert.ok(stringWidth(fit(text, width)) <= width)
    }),
  )
})

test('writeTable() aligns columns by what is seen', () => {
  const rows = [
    [{ text: 'a' }, { text: 'x' }],
    [{ text: '日本', color: 'red' as const }, { text: 'y\n' }],
  ]
  assert.deepEqual(writeTable(rows, { width: undefined, color: false }), ['a     x', '日本  y\\n'])
  assert.deepEqual(writeTable(rows, { width: 7, color: true }), ['a     x', '\x1b[31m日本\x1b[39m  …'])
})

const durations = [
  [0, 'under 1 s'],
  [1000, '1 s'],
  [59_999, '59 s'],
  [60_000, '1 min'],
  [3_599_999, '59 min'],
  [3_600_000, '1 h'],
  [18_750_000, '5 h 12 min'],
  [349_999_999, '4 d 1 h'],
] as const
for (const [ms, text] of durations) test(`roughly() writes ${ms} ms as ${text}`, () => assert.equal(roughly(ms), text))

test('toClock() gives the date of what is not within the last day', () => {
  const now = new Date(2026, 10, 25, 14, 3, 5).getTime()
  assert.equal(toClock(now - 3_600_000, now), '13:03:05')
  assert.equal(toClock(now - 90_000_000, now), '2026-11-24 13:03')
  assert.equal(toClock(Number.NaN, now), 'unknown')
})
