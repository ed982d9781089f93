import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createLog } from '../../src/log/create-log.ts'
import { logTarget } from '../../src/log/target.ts'
import { createTcpSender } from '../../src/log/tcp-sender.ts'
import { findFreePort, listenTcp } from './listeners.ts'
import { recordOutage } from './outages.ts'
import { runScript } from './run-script.ts'
import { createTextStream } from './text-stream.ts'
import { until } from './until.ts'

const host = '127.0.0.1'

test('createTcpSender() connects again when the server restarts, and counts what it could not keep', async (t) => {
  const first = await listenTcp(t)
  const { outage, told } = recordOutage()
  const sender = createTcpSender({ host, port: first.port }, outage)
  sender.send('before\n')
  await until('the first line is there', () => first.text === 'before\n')
  await first.close()
  await until('the loss is noticed', () => told.length === 1)
  for (let number = 1; number <= 6000; number++) sender.send(`${number}\n`)

  const second = await listenTcp(t, { port: first.port })
  await until('the backlog is there', () => second.text.endsWith('\n6000\n'))
  assert.match(second.text, /^1001\n1002\n/)
  await until('the end of the outage is told', () => told.length === 2)
  assert.match(told[0] ?? '', /^error log target target fails: /)
  assert.match(told[1] ?? '', /^warn log target target works again after .*; 1000 lines were dropped$/)
  sender.send('after\n')
  await sender.close(500)
  await until('the last line is there', () => second.text.endsWith('\nafter\n'))
  assert.equal(told.length, 2)
})

test('createTcpSender() loses nothing of what waits while the server comes up', async (t) => {
  const port = await findFreePort(t)
  const { outage, told } = recordOutage()
  const sender = createTcpSender({ host, port }, outage)
  for (let number = 0; number < 3000; number++) sender.send(`${number}\n`)
  await until('the failure is told', () => told.length === 1)
  const server = await listenTcp(t, { port })
  await until('all lines are there', () => server.text.split('\n').length === 3001)
  assert.deepEqual(
    server.text.split('\n').slice(0, -1),
    Array.from({ length: 3000 }, (_, number) => String(number)),
  )
  assert.match(told[1] ?? '', /works again after .*; 0 lines were dropped$/)
  await sender.close(500)
})

test('createTcpSender() sends what is left when it is closed before it could connect', async (t) => {
  const server = await listenTcp(t)
  const { outage, told } = recordOutage()
  const sender = createTcpSender({ host, port: server.port }, outage)
  for (let number = 0; number < 1000; number++) sender.send(`${'x'.repeat(999)}\n`)
  await sender.close(500)
  await until('all is there', () => server.text.length === 1_000_000)
  assert.deepEqual(told, [])
})

test('createTcpSender() does not call it a failure when an idle connection is closed', async (t) => {
  const server = await listenTcp(t)
  const { outage, told } = recordOutage()
  const sender = createTcpSender({ host, port: server.port }, outage)
  sender.send('first\n')
  await until('the first line is there', () => server.text === 'first\n')
  const now = performance.now.bind(performance)
  t.mock.method(performance, 'now', () => now() + 20_000)
  server.hangUp()
  await until('the second line is there', () => {
    if (server.connections === 0) sender.send('second\n')
    return server.text.startsWith('first\nsecond\n')
  })
  await sender.close(500)
  assert.deepEqual(told, [])
})

test('createLog() is not slowed, and keeps its memory, when a server never reads', async (t) => {
  const server = await listenTcp(t, { reads: false })
  const stderr = createTextStream()
  const log = await createLog({
    targets: [logTarget.parse({ type: 'gelf', server: host, port: server.port, protocol: 'tcp' })],
    name: 'TEST',
    role: 'WatchMan',
    redact: (text) => text,
    stderr: stderr.stream,
    isTerminal: false,
  })
  log.info('connect')
  await until('it is connected', () => server.connections === 1)
  const before = measureMemory()
  const start = performance.now()
  let longestTurnMs = 0
  for (let turn = 0; turn < 100; turn++) {
    const turnStart = performance.now()
    for (let count = 0; count < 1000; count++) log.info('x'.repeat(400), { count })
    await new Promise((resolve) => setImmediate(resolve))
    longestTurnMs = Math.max(longestTurnMs, performance.now() - turnStart)
  }
  const tookMs = performance.now() - start
  const grownMb = (measureMemory() - before) / 2 ** 20
  t.diagnostic(
    `100,000 lines in ${tookMs.toFixed(0)} ms, longest turn ${longestTurnMs.toFixed(0)} ms, ${grownMb.toFixed(1)} MB`,
  )
  assert.ok(tookMs < 8000, `${tookMs} ms`)
  assert.ok(longestTurnMs < 500, `${longestTurnMs} ms`)
  assert.ok(grownMb < 16, `${grownMb} MB; the lines are 70 MB`)
  assert.match(stderr.text, /fails: it takes lines too slowly\n$/)
  assert.equal(stderr.lines.length, 1)

  const closing = performance.now()
  await log.close()
  assert.ok(performance.now() - closing < 1500, 'close() waits half a second at most')
  assert.match(stderr.text, /still fails at the end; \d{5} lines were dropped\n$/)
})

function measureMemory(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

test('createLog() lets the process end whatever its targets do', async (t) => {
  const dead = await findFreePort(t)
  const { code, stderr, tookMs } = await runScript(`
    const server = { server: '127.0.0.1', port: ${dead} }
    const log = await openLog([{ type: 'gelf', protocol: 'tcp', ...server }, { type: 'gelf', ...server }, { type: 'syslog' }])
    log.info('a line')
    await new Promise((resolve) => setTimeout(resolve, 100))
    log.info('the last line')
  `)
  assert.equal(code, 0, stderr)
  assert.ok(tookMs < 5000, `${tookMs} ms`)
})

test('close() lets the process end though a server never reads', async (t) => {
  const hung = await listenTcp(t, { reads: false })
  const { code, stderr, tookMs } = await runScript(`
    const log = await openLog([{ type: 'gelf', server: '127.0.0.1', port: ${hung.port}, protocol: 'tcp' }])
    for (let turn = 0; turn < 20; turn++) {
      for (let count = 0; count < 1000; count++) log.info('x'.repeat(1000))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await log.close()
  `)
  assert.equal(code, 0)
  assert.match(stderr, /still fails at the end; \d+ lines were dropped\n$/)
  assert.ok(tookMs < 5000, `${tookMs} ms`)
})
