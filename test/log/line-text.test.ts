import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cutBytes, formatText, toOneLine } from '../../src/log/line-text.ts'
import type { LogEntry } from '../../src/log/reporter.ts'

function entry(message: string, fields: LogEntry['fields'] = {}): LogEntry {
  return { time: new Date(0), level: 'warn', message, role: 'WatchMan', name: 'TEST', fields }
}

const texts = [
  {
    name: 'leaves out what the message says already',
    message: 'elastic is dead: status: 503 is not one of 200',
    fields: { probe: 'elastic', module: 'url_probe', reason: 'status: 503 is not one of 200', was_for_s: 303.2 },
    text: 'elastic is dead: status: 503 is not one of 200  module=url_probe was_for="5 min 3 s"',
  },
  {
    name: 'keeps a value that is only a part of a word',
    message: 'status 503',
    fields: { status: 3, other: 503, name_: 'stat' },
    text: 'status 503  status=3 name_=stat',
  },
  {
    name: 'writes milliseconds, quotes and booleans readably',
    message: 'checked',
    fields: { time_ms: 12, query: 'a "b" c', empty: '', isDead: true },
    text: String.raw`checked  time="12 ms" query="a \"b\" c" empty="" isDead=true`,
  },
  {
    name: 'cannot be made to look like another field by a value',
    message: 'x',
    fields: { reason: 'y probe=z' },
    text: 'x  reason="y probe=z"',
  },
  {
    name: 'escapes what ends a line, in message and fields',
    message: 'dead\nalive\r\x1b[2J\u2028\u202e\u0085',
    fields: { reason: 'a\nb', id_: 'c\x00' },
    text: String.raw`dead\nalive\r\x1b[2J\u2028\u202e\x85  reason="a\nb" id_=c\x00`,
  },
]

for (const { name, message, fields, text } of texts) {
  test(`formatText() ${name}`, () => {
    assert.equal(formatText(entry(message, fields as LogEntry['fields'])), text)
  })
}

test('formatText() keeps within 8,000 bytes and still shows the fields', () => {
  const text = formatText(entry('ж'.repeat(100_000), { reason: 'я'.repeat(100_000), probe: 'elastic' }))
  assert.ok(Buffer.byteLength(text) <= 8000, `${Buffer.byteLength(text)} bytes`)
  assert.match(text, /ж… {2}reason=я+… probe=elastic$/)
})

test('toOneLine() leaves letters of all scripts as they are', () => {
  assert.equal(toOneLine('Ошибка: ümlaut 日本 👍'), 'Ошибка: ümlaut 日本 👍')
})

test('cutBytes() never cuts inside a character', () => {
  for (let max = 4; max < 30; max++) {
    const cut = cutBytes('aж日👍'.repeat(3), max)
    assert.ok(Buffer.byteLength(cut) <= max)
    assert.ok(!cut.includes('\ufffd'), cut)
  }
  assert.equal(cutBytes('aж日👍', 10), 'aж日👍')
})
