import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatNotice, muteFile, nameOfMute, parseNotice } from '../../src/status/notice-file.ts'
import type { Notice } from '../../src/verdict/notice.ts'

const FILE_MS = Date.UTC(2026, 0, 2, 3, 4, 5)
const HOUR_MS = 3_600_000
const until = { text: 'until 2026-01-02T08:00:00Z', ms: Date.UTC(2026, 0, 2, 8) }

const scenarios: { name: string; text: string; expected: Partial<Notice> }[] = [
  { name: 'an empty file', text: '', expected: { reason: 'no reason given', by: '' } },
  { name: 'an empty line, as editors leave one', text: '\n', expected: { reason: 'no reason given' } },
  { name: 'a reason', text: 'disk swap\n', expected: { reason: 'disk swap' } },
  { name: 'a reason without a line end', text: 'disk swap', expected: { reason: 'disk swap' } },
  { name: 'several lines', text: 'disk swap\nask Olga\n', expected: { reason: 'disk swap', by: '' } },
  { name: 'a reason behind empty lines', text: '\n\n  disk swap\n', expected: { reason: 'disk swap' } },
  {
    name: 'lines that end with CRLF',
    text: `disk swap\r\nby alice\r\n${until.text}\r\n`,
    expected: { reason: 'disk swap', by: 'alice', untilMs: until.ms },
  },
  { name: 'a byte order mark', text: '\ufeffby alice\n', expected: { reason: 'no reason given', by: 'alice' } },
  { name: 'an end alone', text: `${until.text}\n`, expected: { reason: 'no reason given', untilMs: until.ms } },
  {
    name: 'an end behind the reason',
    text: `disk swap\n${until.text}`,
    expected: { reason: 'disk swap', untilMs: until.ms },
  },
  {
    name: 'an end before the reason',
    text: `${until.text}\ndisk swap`,
    expected: { reason: 'disk swap', untilMs: until.ms },
  },
  {
    name: 'a duration from the time of the file',
    text: 'for 30m',
    expected: { reason: 'no reason given', untilMs: FILE_MS + HOUR_MS / 2 },
  },
  {
    name: 'a duration from a time that is told',
    text: 'x\nfor 2h\nsince 2026-01-02T00:00:00Z',
    expected: { sinceMs: Date.UTC(2026, 0, 2), untilMs: Date.UTC(2026, 0, 2, 2) },
  },
  { name: 'an end and a duration: the end counts', text: `${until.text}\nfor 30m`, expected: { untilMs: until.ms } },
  {
    name: 'the first of two ends',
    text: `x\n${until.text}\nuntil 2027-01-01T00:00:00Z`,
    expected: { untilMs: until.ms },
  },
  {
    name: 'a reason that begins with "for"',
    text: 'for the new racks\nby bob',
    expected: { reason: 'for the new racks', by: 'bob' },
  },
  {
    name: 'a reason that begins with "by"',
    text: 'by order of Olga',
    expected: { reason: 'by order of Olga', by: '' },
  },
  {
    name: 'a reason that begins with "since"',
    text: 'since the move nothing works',
    expected: { reason: 'since the move nothing works' },
  },
  {
    name: 'a reason that begins with "until" and ends with a number',
    text: 'until rack 5',
    expected: { reason: 'until rack 5' },
  },
  { name: 'a reason that is no time for all its digits', text: 'until 5', expected: { reason: 'until 5' } },
  { name: 'a day as an end', text: 'until 2026-02-01', expected: { untilMs: Date.UTC(2026, 1) } },
  {
    name: 'an end with an offset',
    text: 'until 2026-01-02 10:00+02:00',
    expected: { untilMs: Date.UTC(2026, 0, 2, 8) },
  },
  {
    name: 'an end that cannot be read',
    text: 'x\nuntil tomorrow\nsince Friday 12',
    expected: { reason: 'x', sinceMs: FILE_MS },
  },
  { name: 'control characters', text: 'a\x1b[31mred\x00\tb', expected: { reason: 'a [31mred b' } },
  { name: 'garbage', text: '\x00\xff\n\x01\n', expected: { reason: '\xff' } },
]

for (const { name, text, expected } of scenarios) {
  test(`parseNotice() reads ${name}`, () => {
    for (const kind of ['drain', 'mute'] as const) {
      const endMs = kind === 'mute' ? (expected.sinceMs ?? FILE_MS) + HOUR_MS : undefined
      const complete = { sinceMs: FILE_MS, untilMs: endMs, ...expected }
      const { reason = complete.reason, by = complete.by, ...times } = parseNotice(text, FILE_MS, kind)
      assert.deepEqual({ reason, by, ...times }, { reason, by, ...complete })
    }
  })
}

test('parseNotice() ends a mute that does not say when an hour after it was written, and a drain never', () => {
  assert.equal(parseNotice('x', FILE_MS, 'mute').untilMs, FILE_MS + HOUR_MS)
  assert.equal(parseNotice('x', FILE_MS, 'drain').untilMs, undefined)
})

test('parseNotice() reads back what formatNotice() wrote', () => {
  const words = fc.stringMatching(/^[!-~А-я](?:[ -~А-я]{0,40}[!-~А-я])?$/).map((text) => text.replace(/\s+/g, ' '))
  const times = fc
    .date({ min: new Date(0), max: new Date('9999-01-01'), noInvalidDate: true })
    .map((date) => date.getTime())
  const notices = fc.record(
    {
      // A reason may begin like another line, as long as it is none.
      reason: words.filter((text) => !/^(by|since|until|for) /.test(text)),
      by: words,
      sinceMs: times,
      untilMs: fc.option(times, { nil: undefined }),
    },
    { noNullPrototype: true },
  )
  fc.assert(fc.property(notices, (notice) => assert.deepEqual(parseNotice(formatNotice(notice), 7, 'drain'), notice)))
})

test('parseNotice() makes of any text a notice with a reason, and of any mute one that ends', () => {
  const text = fc.oneof(
    fc.string(),
    fc
      .array(fc.tuple(fc.constantFrom('by', 'since', 'until', 'for', ''), fc.string()))
      .map((lines) => lines.map((words) => words.join(' ')).join('\n')),
  )
  fc.assert(
    fc.property(text, (given) => {
      const notice = parseNotice(given, FILE_MS, 'mute')
      assert.notEqual(notice.reason, '')
      assert.ok(Number.isFinite(notice.sinceMs) && Number.isFinite(notice.untilMs))
    }),
  )
})

test('formatNotice() writes one line for each thing said, whatever line ends are in them', () => {
  const text = formatNotice({ reason: 'disk\nuntil 2099-01-01', by: 'alice\r\nfor 9h', sinceMs: 0, untilMs: 60_000 })
  assert.equal(
    text,
    'disk until 2099-01-01\nby alice for 9h\nsince 1970-01-01T00:00:00.000Z\nuntil 1970-01-01T00:01:00.000Z\n',
  )
})

test('nameOfMute() knows mutes, and no drafts or other files', () => {
  assert.equal(nameOfMute(muteFile('elastic')), 'elastic')
  for (const file of ['elastic.dead', '.elastic.mute.12~', '.mute', 'elastic.mute~', 'mute'])
    assert.equal(nameOfMute(file), undefined)
})
