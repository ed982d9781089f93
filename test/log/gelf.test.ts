import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { createGelfReporter, formatGelf } from '../../src/log/gelf.ts'
import { splitIntoChunks } from '../../src/log/gelf-chunks.ts'
import type { LogLevel } from '../../src/log/log.ts'
import { createOutage } from '../../src/log/outage.ts'
import type { LogEntry } from '../../src/log/reporter.ts'
import { type LogTarget, logTarget } from '../../src/log/target.ts'
import { listenTcp, listenUdp, reassemble } from './listeners.ts'
import { until } from './until.ts'

const time = new Date('2026-11-22T14:03:05.123Z')

function entry(message: string, fields: LogEntry['fields'] = {}, level: LogLevel = 'warn'): LogEntry {
  return { time, level, message, role: 'WatchMan', name: 'TEST SERVER', fields }
}

function openGelf(target: object) {
  const parsed = logTarget.parse({ type: 'gelf', server: '127.0.0.1', ...target }) as LogTarget & { type: 'gelf' }
  return createGelfReporter(
    parsed,
    createOutage('gelf', (_, message) => assert.fail(message)),
  )
}

/** Every rule of the GELF 1.1 specification that a message of ours can break. */
function checkGelf(gelf: Record<string, unknown>): void {
  const standard = new Set(['version', 'host', 'short_message', 'full_message', 'timestamp', 'level'])
  assert.equal(gelf.version, '1.1')
  assert.equal(gelf.host, hostname())
  assert.ok(typeof gelf.short_message === 'string' && gelf.short_message !== '' && !gelf.short_message.includes('\n'))
  assert.ok(typeof gelf.timestamp === 'number' && gelf.timestamp > 1e9 && gelf.timestamp < 1e10)
  assert.ok([3, 4, 6, 7].includes(gelf.level as number))
  assert.ok(!('_id' in gelf))
  for (const [key, value] of Object.entries(gelf)) {
    assert.ok(standard.has(key) || /^_[\w.-]+$/.test(key), key)
    assert.ok(typeof value === 'string' || Number.isFinite(value), `${key}: ${value}`)
  }
}

test('createGelfReporter() sends gzipped GELF 1.1 over UDP', async (t) => {
  const udp = await listenUdp(t)
  const reporter = openGelf({ port: udp.port })
  reporter.write(
    entry('elastic is dead: refused', {
      probe: 'elastic',
      module: 'url_probe',
      reason: 'refused',
      was_for_s: 3.5,
      ok: false,
    }),
  )
  await reporter.close(500)
  const datagram = await until('the datagram is there', () => udp.datagrams[0])
  assert.deepEqual([...datagram.subarray(0, 2)], [0x1f, 0x8b])
  const gelf = JSON.parse(gunzipSync(datagram).toString())
  checkGelf(gelf)
  assert.deepEqual(gelf, {
    version: '1.1',
    host: hostname(),
    short_message: 'elastic is dead: refused',
    timestamp: 1795356185.123,
    level: 4,
    _role: 'WatchMan',
    _name: 'TEST SERVER',
    _probe: 'elastic',
    _module: 'url_probe',
    _reason: 'refused',
    _was_for_s: 3.5,
    _ok: 'false',
  })
})

test('createGelfReporter() sends plain JSON when not told to compress', async (t) => {
  const udp = await listenUdp(t)
  const reporter = openGelf({ port: udp.port, compress: false })
  for (const level of ['error', 'warn', 'info', 'debug'] as const) reporter.write(entry(level, {}, level))
  await reporter.close(500)
  await until('all are there', () => udp.datagrams.length === 4)
  const levels = udp.datagrams
    .map((datagram) => JSON.parse(String(datagram)))
    .map((gelf) => [gelf.short_message, gelf.level])
  assert.deepEqual(Object.fromEntries(levels), { error: 3, warn: 4, info: 6, debug: 7 })
})

for (const compress of [true, false]) {
  test(`createGelfReporter() chunks what is above 8,192 bytes, ${compress ? 'gzipped' : 'plain'}`, async (t) => {
    const udp = await listenUdp(t)
    const reporter = openGelf({ port: udp.port, compress })
    const bodies = [0, 1].map(() => randomBytes(30_000).toString('base64'))
    for (const body of bodies) reporter.write(entry(`first line\n${body}`, { body }))
    await reporter.close(500)
    const messages = await until('both messages are whole', () => {
      const whole = reassemble(udp.datagrams)
      return whole.length === 2 && whole
    })
    assert.ok(udp.datagrams.length >= 10 && udp.datagrams.every(({ length }) => length <= 8192))
    const gelfs = messages.map((message) => JSON.parse(String(compress ? gunzipSync(message) : message)))
    gelfs.forEach(checkGelf)
    assert.deepEqual(gelfs.map((gelf) => gelf._body).sort(), [...bodies].sort())
    assert.ok(
      gelfs.every((gelf) => gelf.short_message === 'first line' && gelf.full_message === `first line\n${gelf._body}`),
    )
  })
}

test('splitIntoChunks() sends 8,192 bytes whole and 8,193 in two chunks', () => {
  assert.deepEqual(
    splitIntoChunks(Buffer.alloc(8192)).map(({ length }) => length),
    [8192],
  )
  assert.deepEqual(
    splitIntoChunks(Buffer.alloc(8193)).map(({ length }) => length),
    [8192, 12 + 13],
  )
})

test('formatGelf() shortens what 128 chunks cannot carry, and says so', () => {
  const noise = randomBytes(1_500_000).toString('base64')
  const text = formatGelf(entry(`short\n${noise}`, { body: noise, probe: 'elastic' }))
  const chunks = splitIntoChunks(Buffer.from(text))
  assert.ok(chunks.length > 1 && chunks.length <= 128, `${chunks.length} chunks`)
  const gelf = JSON.parse(text)
  checkGelf(gelf)
  assert.equal(gelf._shortened, 'true')
  assert.equal(gelf._probe, 'elastic')
  assert.ok(gelf.full_message.length >= 100_000 && noise.startsWith(gelf._body))
})

const shorts = [
  { name: 'a single line has no full message', message: 'one', short: 'one', full: undefined },
  { name: 'several lines', message: 'one\ntwo', short: 'one', full: 'one\ntwo' },
  { name: 'an empty message', message: '', short: '-', full: '' },
  { name: 'an empty first line', message: '\ntwo', short: '-', full: '\ntwo' },
  { name: 'a long line', message: 'x'.repeat(300), short: 'x'.repeat(250), full: 'x'.repeat(300) },
  {
    name: 'a cut pair',
    message: `${'x'.repeat(249)}👍y`,
    short: `${'x'.repeat(249)}\ufffd`,
    full: `${'x'.repeat(249)}👍y`,
  },
]

for (const { name, message, short, full } of shorts) {
  test(`formatGelf() short_message: ${name}`, () => {
    const gelf = JSON.parse(formatGelf(entry(message)))
    assert.deepEqual([gelf.short_message, gelf.full_message], [short, full])
  })
}

test('createGelfReporter() ends each message with NUL over TCP, and none has one inside', async (t) => {
  const tcp = await listenTcp(t)
  const reporter = openGelf({ port: tcp.port, protocol: 'tcp' })
  const long = randomBytes(200_000).toString('base64')
  reporter.write(entry('first \0 line', { reason: 'a\0b' }))
  reporter.write(entry('second', { long }))
  reporter.write(entry('third'))
  await reporter.close(500)
  await until('all three are there', () => tcp.text.split('\0').length === 4)
  assert.ok(tcp.chunks.length > 1, 'the messages came in several packets')
  const messages = tcp.text.split('\0')
  assert.equal(messages.pop(), '')
  const gelfs = messages.map((message) => JSON.parse(message))
  gelfs.forEach(checkGelf)
  assert.deepEqual(
    gelfs.map((gelf) => gelf.short_message),
    ['first \0 line', 'second', 'third'],
  )
  assert.equal(gelfs[0]._reason, 'a\0b')
  assert.equal(gelfs[1]._long, long)
})
