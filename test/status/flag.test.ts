import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { draftFile, flagFile, formatFlag, isDraftFile, parseFlag, probeOfFile } from '../../src/status/flag.ts'

test('formatFlag() writes the reason, then since when', () => {
  const text = formatFlag({ reason: 'status: 503 is not one of 200', sinceMs: Date.UTC(2026, 0, 2, 3, 4, 5, 6) })
  assert.equal(text, 'status: 503 is not one of 200\nsince 2026-01-02T03:04:05.006Z\n')
})

test('parseFlag() reads back what formatFlag() wrote', () => {
  const reason = fc.stringMatching(/^[!-~А-я](?:[ -~А-я]{0,80}[!-~А-я])?$/).filter((text) => !/\s{2}/.test(text))
  fc.assert(
    fc.property(
      reason,
      fc.date({ min: new Date(0), max: new Date('9999-01-01'), noInvalidDate: true }),
      (text, date) => {
        const flag = { reason: text, sinceMs: date.getTime() }
        assert.deepEqual(parseFlag(formatFlag(flag), 7), { ...flag, isOurs: true })
      },
    ),
  )
})

const byHand = [
  { name: 'an empty file', text: '', reason: 'no reason given' },
  { name: 'a word', text: 'maintenance', reason: 'maintenance' },
  { name: 'several lines', text: 'disk swap\nask Olga\n', reason: 'disk swap' },
  { name: 'control characters', text: 'a\x1b[31mred\x00', reason: 'a [31mred' },
  { name: 'an impossible time', text: 'x\nsince yesterday\n', reason: 'x' },
]
for (const { name, text, reason } of byHand) {
  test(`parseFlag() takes ${name} as made by hand, since the time of the file`, () => {
    assert.deepEqual(parseFlag(text, 7), { reason, sinceMs: 7, isOurs: false })
  })
}

test('probeOfFile() knows flags, and no drafts or other files', () => {
  assert.equal(probeOfFile(flagFile('elastic')), 'elastic')
  assert.equal(probeOfFile('elastic.dead.bak'), undefined)
  assert.equal(probeOfFile('notes.txt'), undefined)
  assert.equal(probeOfFile(draftFile('elastic', 12)), undefined)
  assert.ok(isDraftFile(draftFile('elastic', 12)))
  assert.ok(!isDraftFile('elastic.dead'))
})
