import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLog, type LogOptions } from '../../src/log/create-log.ts'
import { type LogTarget, logTarget } from '../../src/log/target.ts'
import { listenTcp, listenUdp } from './listeners.ts'
import { createTextStream } from './text-stream.ts'
import { until } from './until.ts'

/** A log whose stdout and stderr can be looked into. */
async function openLog(targets: unknown[], options: Partial<LogOptions> = {}) {
  const stdout = createTextStream()
  const stderr = createTextStream()
  const log = await createLog({
    targets: targets.map((target): LogTarget => logTarget.parse(target)),
    name: 'TEST SERVER',
    role: 'WatchMan',
    redact: (text) => text.replaceAll('hunter2', '***'),
    env: {},
    stdout: stdout.stream,
    stderr: stderr.stream,
    isTerminal: false,
    ...options,
  })
  return { log, stdout, stderr }
}

test('createLog() writes a line for people to stderr, with the date where no terminal is', async () => {
  const { log, stdout, stderr } = await openLog([{ type: 'console' }])
  log.warn('elastic is dead: refused', { probe: 'elastic', module: 'url_probe', reason: 'refused', was_for_s: 3 })
  await log.close()
  assert.match(
    stderr.text,
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARN {2}elastic is dead: refused {2}module=url_probe was_for="3 s"\n$/,
  )
  assert.equal(stdout.text, '')
})

test('createLog() writes the clock and colours on a terminal', async () => {
  const { log, stderr } = await openLog([{ type: 'console' }], { isTerminal: true })
  log.error('no disk')
  await log.close()
  assert.match(stderr.text, /^\x1b\[90m\d\d:\d\d:\d\d\.\d{3}\x1b\[39m \x1b\[31mERROR\x1b\[39m no disk\n$/)
})

const colors = [
  { name: 'no colours with NO_COLOR', target: {}, isTerminal: true, env: { NO_COLOR: '1' }, isColored: false },
  { name: 'colours with an empty NO_COLOR', target: {}, isTerminal: true, env: { NO_COLOR: '' }, isColored: true },
  { name: 'no colours on a dumb terminal', target: {}, isTerminal: true, env: { TERM: 'dumb' }, isColored: false },
  { name: 'no colours in a file', target: {}, isTerminal: false, env: {}, isColored: false },
  { name: 'colours where they are configured', target: { color: true }, isTerminal: false, env: {}, isColored: true },
  { name: 'none where that is configured', target: { color: false }, isTerminal: true, env: {}, isColored: false },
]

for (const { name, target, isTerminal, env, isColored } of colors) {
  test(`createLog() uses ${name}`, async () => {
    const { log, stderr } = await openLog([{ type: 'console', ...target }], { isTerminal, env })
    log.info('hello')
    await log.close()
    assert.equal(stderr.text.includes('\x1b['), isColored)
  })
}

test('createLog() writes one JSON object a line to stdout, fields beside the rest', async () => {
  const { log, stdout, stderr } = await openLog([{ type: 'json' }])
  const before = Date.now()
  log.info('first\nsecond', { probe: 'elastic', was_for_s: 3.5, isTrue: true, none: undefined, role: 'primary' })
  await log.close()
  assert.equal(stdout.lines.length, 1)
  const { time, ...line } = JSON.parse(stdout.text)
  assert.deepEqual(line, {
    level: 'info',
    message: 'first\nsecond',
    role: 'WatchMan',
    name: 'TEST SERVER',
    probe: 'elastic',
    was_for_s: 3.5,
    isTrue: true,
    role_: 'primary',
  })
  assert.ok(Math.abs(Date.parse(time) - before) < 1000)
  assert.equal(stderr.text, '')
})

test('createLog() keeps a level for each target', async () => {
  const { log, stdout, stderr } = await openLog([
    { type: 'console', level: 'error' },
    { type: 'json', level: 'debug' },
  ])
  for (const level of ['debug', 'info', 'warn', 'error'] as const) log[level](level)
  await log.close()
  assert.deepEqual(
    stdout.lines.map((line) => JSON.parse(line).level),
    ['debug', 'info', 'warn', 'error'],
  )
  assert.equal(stderr.lines.length, 1)
})

test('createLog() neither merges nor delays equal lines', async () => {
  const { log, stdout } = await openLog([{ type: 'json' }])
  for (let count = 0; count < 50; count++) log.info('the same')
  assert.equal(stdout.lines.length, 50)
  await log.close()
})

test('createLog() redacts messages and text fields before any target sees them', async (t) => {
  const [udp, tcp] = [await listenUdp(t), await listenTcp(t)]
  const { log, stdout, stderr } = await openLog([
    { type: 'console' },
    { type: 'json' },
    { type: 'gelf', server: '127.0.0.1', port: udp.port, compress: false },
    { type: 'syslog', server: '127.0.0.1', port: tcp.port, protocol: 'tcp' },
  ])
  log.warn('user root:hunter2', { reason: 'http://u:hunter2@host', note: ['hunter2'] as unknown as string })
  await log.close()
  await until('all targets have the line', () => udp.datagrams.length === 1 && tcp.text.includes('note'))
  const received = [
    { target: 'stdout', text: stdout.text, masks: 3 },
    { target: 'stderr', text: stderr.text, masks: 2 }, // A field that the message speaks of already is left out.
    { target: 'gelf', text: String(udp.datagrams[0]), masks: 3 },
    { target: 'syslog', text: tcp.text, masks: 4 },
  ]
  for (const { target, text, masks } of received) {
    assert.ok(!text.includes('hunter2'), `${target}: ${text}`)
    assert.equal(text.match(/\*\*\*/g)?.length, masks, `${target}: ${text}`)
  }
})

test('createLog() shows nothing of a line that cannot be redacted, and does not throw', async () => {
  const { log, stdout } = await openLog([{ type: 'json' }], {
    redact: () => {
      throw new Error('no')
    },
  })
  log.info('hunter2', { reason: 'hunter2' })
  await log.close()
  assert.equal(stdout.lines.length, 1)
  assert.ok(!stdout.text.includes('hunter2'))
})

test('createLog() does not let a target forge a line', async (t) => {
  const tcp = await listenTcp(t)
  const { log, stderr } = await openLog([
    { type: 'console' },
    { type: 'syslog', server: '127.0.0.1', port: tcp.port, protocol: 'tcp' },
  ])
  const reason = 'x\n2026-01-01T00:00:00.000Z INFO  elastic is alive\r\n<14>1 - - - - - - forged'
  log.warn(`elastic is dead: ${reason}`, { reason })
  await log.close()
  await until('the line is there', () => tcp.text.includes('forged'))
  assert.equal(stderr.lines.length, 1)
  assert.ok(!/[\x00-\x1f]/.test(tcp.text), tcp.text)
  assert.equal(
    Buffer.byteLength(tcp.text),
    Number(/^\d+ /.exec(tcp.text)?.[0]) + (/^\d+ /.exec(tcp.text)?.[0].length ?? 0),
  )
})

test('createLog() shows lines on a terminal when no target would', async (t) => {
  const udp = await listenUdp(t)
  const gelf = { type: 'gelf', server: '127.0.0.1', port: udp.port, level: 'warn' }
  const watched = await openLog([gelf], { isTerminal: true })
  const unwatched = await openLog([gelf])
  const withJson = await openLog([gelf, { type: 'json' }], { isTerminal: true })
  for (const { log } of [watched, unwatched, withJson]) {
    log.warn('hello')
    log.info('hidden by the level of the target')
    await log.close()
  }
  assert.equal(watched.stderr.lines.length, 1)
  assert.match(watched.stderr.text, /WARN.* hello\n$/)
  assert.equal(unwatched.stderr.text, '')
  assert.equal(withJson.stderr.text, '')
})

test('createLog() tells the other targets and stderr, once, that a target fails', async (t) => {
  const tcp = await listenTcp(t)
  await tcp.close()
  const { log, stdout, stderr } = await openLog([
    { type: 'json', level: 'error' },
    { type: 'gelf', server: '127.0.0.1', port: tcp.port, protocol: 'tcp' },
  ])
  for (let count = 0; count < 20; count++) log.info('lost')
  await until('the failure is told', () => stdout.lines.length > 0)
  for (let count = 0; count < 20; count++) log.info('lost')
  const message = `log target gelf tcp 127.0.0.1:${tcp.port} fails: connect ECONNREFUSED 127.0.0.1:${tcp.port}`
  assert.deepEqual(
    stdout.lines.map((line) => JSON.parse(line).message),
    [message],
  )
  assert.deepEqual(
    stderr.lines.map((line) => line.slice(25)),
    [`ERROR ${message}`],
  )
  await log.close()
  assert.match(
    stderr.lines.at(-1) ?? '',
    /WARN {2}log target gelf tcp .* still fails at the end; 40 lines were dropped$/,
  )
})

test('createLog() survives a target whose stream throws', async () => {
  const { log, stderr } = await openLog([{ type: 'json' }], {
    stdout: Object.assign(createTextStream().stream, {
      write() {
        throw new Error('ENOSPC: no space left on device, write')
      },
    }),
  })
  log.info('one')
  log.info('two')
  assert.equal(stderr.lines.length, 1)
  assert.match(stderr.text, /log target json on stdout fails: ENOSPC/)
  await log.close()
})
