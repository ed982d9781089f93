import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatDuration, parseDuration, seconds } from '../../src/config/duration.ts'

const readings: [unknown, number | undefined][] = [
  [3, 3000],
  [0.5, 500],
  ['3', 3000],
  ['500ms', 500],
  ['3s', 3000],
  ['2m', 120_000],
  ['1.5h', 5_400_000],
  ['1d', 86_400_000],
  [' 2 s ', 2000],
  ['3 sec', undefined],
  ['1h30m', undefined],
  ['', undefined],
  ['s', undefined],
  [Number.NaN, undefined],
  [Number.POSITIVE_INFINITY, undefined],
  [true, undefined],
]
for (const [text, ms] of readings) {
  test(`parseDuration() reads ${JSON.stringify(text)} as ${ms} ms`, () => assert.equal(parseDuration(text), ms))
}

const writings: [number, string][] = [
  [0, '0 ms'],
  [250, '250 ms'],
  [1500, '1.5 s'],
  [2000, '2 s'],
  [59_400, '59 s'],
  [61_000, '1 min 1 s'],
  [3_600_000, '1 h'],
  [18_720_000, '5 h 12 min'],
  [90_000_000, '1 d 1 h'],
]
for (const [ms, text] of writings)
  test(`formatDuration() writes ${ms} ms as ${text}`, () => assert.equal(formatDuration(ms), text))

test('seconds() gives seconds, and keeps to its limits', () => {
  assert.equal(seconds().parse('250ms'), 0.25)
  for (const value of [0, -1, '11m', 'soon', null]) assert.equal(seconds().safeParse(value).success, false)
})
