import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { test } from 'node:test'
import { createOutage } from '../../src/log/outage.ts'
import type { LogEntry } from '../../src/log/reporter.ts'
import { formatRfc5424 } from '../../src/log/rfc5424.ts'
import { createSyslogReporter } from '../../src/log/syslog.ts'
import { type LogTarget, logTarget } from '../../src/log/target.ts'
import { listenTcp, listenUdp } from './listeners.ts'
import { skipWithoutRsyslog, startRsyslog } from './rsyslog.ts'
import { until } from './until.ts'

function entry(message: string, fields: LogEntry['fields'] = {}): LogEntry {
  return {
    time: new Date('2026-11-22T14:03:05.123Z'),
    level: 'warn',
    message,
    role: 'WatchMan',
    name: 'ЦОД "1"',
    fields,
  }
}

function openSyslog(target: object) {
  const parsed = logTarget.parse({ type: 'syslog', server: '127.0.0.1', ...target })
  return createSyslogReporter(
    parsed as LogTarget & { type: 'syslog'; server: string },
    createOutage('syslog', (_, message) => assert.fail(message)),
  )
}

test('formatRfc5424() writes header, structured data and text', () => {
  assert.equal(
    formatRfc5424(entry('elastic is dead: refused', { probe: 'elastic', reason: 'refused', module: 'url_probe' }), 3),
    `<28>1 2026-11-22T14:03:05.123Z ${hostname()} deadpool ${process.pid} - ` +
      String.raw`[deadpool@32473 role="WatchMan" name="ЦОД \"1\"" probe="elastic" reason="refused" module="url_probe"] ` +
      'elastic is dead: refused  module=url_probe',
  )
})

test('formatRfc5424() escapes what would end a value, a name or the line', () => {
  const message = formatRfc5424(entry('x', { reason: 'a"]\\b\n<0>1', ['n'.repeat(40)]: 1 }), 16)
  assert.match(message, /^<132>1 /)
  assert.ok(message.includes(String.raw`reason="a\"\]\\b\\n<0>1"`), message)
  assert.ok(message.includes(` ${'n'.repeat(32)}="1"]`), message)
  assert.ok(!message.includes('\n'))
})

test('formatRfc5424() stays within 8,192 bytes', () => {
  const message = formatRfc5424(
    entry('ж'.repeat(20_000), { one: 'я'.repeat(20_000), two: ']'.repeat(20_000), three: 3 }),
    3,
  )
  assert.ok(Buffer.byteLength(message) <= 8192)
  assert.match(message, /\[deadpool@32473 [^\]]*one="я+…" two="(\\\])+…" three="3"\] ж+/)
})

test('createSyslogReporter() sends one message a datagram over UDP', async (t) => {
  const udp = await listenUdp(t)
  const reporter = openSyslog({ port: udp.port, facility: 'local7' })
  reporter.write(entry('one'))
  reporter.write(entry('two'))
  await reporter.close(500)
  await until('both are there', () => udp.datagrams.length === 2)
  assert.deepEqual(udp.datagrams.map(String), [formatRfc5424(entry('one'), 23), formatRfc5424(entry('two'), 23)])
})

test('createSyslogReporter() counts octets, not characters, over TCP', async (t) => {
  const tcp = await listenTcp(t)
  const reporter = openSyslog({ port: tcp.port, protocol: 'tcp' })
  for (const text of ['Ошибка', '👍', 'plain']) reporter.write(entry(text))
  await reporter.close(500)
  await until('all are there', () => tcp.text.endsWith('plain'))
  const messages: string[] = []
  for (let rest = Buffer.concat(tcp.chunks); rest.length > 0; ) {
    const length = Number(/^[1-9]\d* /.exec(String(rest))?.[0])
    const start = String(length).length + 1
    messages.push(rest.toString('utf8', start, start + length))
    rest = rest.subarray(start + length)
  }
  assert.deepEqual(
    messages,
    ['Ошибка', '👍', 'plain'].map((text) => formatRfc5424(entry(text), 3)),
  )
})

for (const protocol of ['udp', 'tcp'] as const) {
  test(`rsyslog receives and parses what createSyslogReporter() sends over ${protocol}`, {
    skip: skipWithoutRsyslog,
  }, async (t) => {
    const rsyslog = await startRsyslog(t)
    const reporter = openSyslog({ port: rsyslog.port, protocol, facility: 'local3' })
    const reason = 'Ошибка "x" ] \\ 👍\nsecond line'
    reporter.write(entry(`elastic is dead: ${reason}`, { probe: 'elastic', module: 'url_probe', reason, was_for_s: 3 }))
    reporter.write(entry('ж'.repeat(20_000)))
    reporter.write(entry('the last'))
    await reporter.close(500)
    const [first, long, last] = await until('rsyslog wrote all three', () => {
      const all = rsyslog.received()
      return all.length === 3 && all
    })
    assert.equal(
      first?.msg.trim(),
      String.raw`elastic is dead: Ошибка "x" ] \ 👍\nsecond line  module=url_probe was_for="3 s"`,
    )
    assert.deepEqual(first?.$?.['rfc5424-sd'], {
      'deadpool@32473': {
        role: 'WatchMan',
        name: 'ЦОД "1"',
        probe: 'elastic',
        module: 'url_probe',
        reason: String.raw`Ошибка "x" ] \ 👍\nsecond line`,
        was_for_s: '3',
      },
    })
    assert.equal(first?.hostname, hostname())
    assert.equal(first?.['app-name'], 'deadpool')
    assert.equal(first?.procid, String(process.pid))
    assert.equal(first?.msgid, '-')
    assert.equal(first?.['protocol-version'], '1')
    assert.equal(first?.syslogfacility, '19')
    assert.equal(first?.syslogseverity, '4')
    assert.equal(Date.parse(first?.timereported ?? ''), Date.parse('2026-11-22T14:03:05.123Z'))
    assert.match(long?.msg ?? '', /^ ?ж{2990,}…$/)
    assert.equal(last?.msg.trim(), 'the last')
  })
}
