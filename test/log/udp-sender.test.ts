import assert from 'node:assert/strict'
import dns from 'node:dns'
import { type TestContext, test } from 'node:test'
import { createUdpSender } from '../../src/log/udp-sender.ts'
import { listenUdp } from './listeners.ts'
import { recordOutage } from './outages.ts'
import { until } from './until.ts'

const line = (text: string) => [Buffer.from(text)]

/** A look-up that fails only when the test is over: unfinished, it would keep those of other tests waiting. */
function hang(t: TestContext): Promise<never> {
  return new Promise((_, reject) => t.after(() => reject(new Error('the test is over'))))
}

test('createUdpSender() tells once that nobody listens, and once that it works again', async (t) => {
  const first = await listenUdp(t)
  await first.close()
  const { outage, told } = recordOutage()
  const sender = createUdpSender({ host: '127.0.0.1', port: first.port }, outage, { settleMs: 100 })
  for (let count = 0; count < 5; count++) sender.send(line('lost'))
  await until('the failure is told', () => told.length === 1)
  for (let count = 0; count < 5; count++) sender.send(line('lost'))

  const second = await listenUdp(t, first.port)
  await until('a line is there', () => {
    sender.send(line('heard'))
    return second.datagrams.some((datagram) => String(datagram) === 'heard')
  })
  await until('the end of the outage is told', () => told.length === 2)
  assert.equal(told[0]?.replace('recvmsg', 'send'), 'error log target target fails: send ECONNREFUSED')
  assert.match(told[1] ?? '', /^warn log target target works again after .*; [1-9]\d* lines? (was|were) dropped$/)
  await sender.close(500)
})

test('createUdpSender() looks a name up once for many lines', async (t) => {
  const udp = await listenUdp(t)
  const lookup = t.mock.method(dns.promises, 'lookup', async () => [{ address: '127.0.0.1', family: 4 }])
  const { outage } = recordOutage()
  const sender = createUdpSender({ host: 'log.example', port: udp.port }, outage)
  for (let count = 0; count < 200; count++) sender.send(line('x'))
  await until('all are there', () => udp.datagrams.length === 200)
  sender.send(line('y'))
  await until('the last is there', () => udp.datagrams.length === 201)
  assert.equal(lookup.mock.callCount(), 1)
  await sender.close(500)
})

test('createUdpSender() goes on with the old address while the resolver is silent', async (t) => {
  const udp = await listenUdp(t)
  const answers = [Promise.resolve([{ address: '127.0.0.1', family: 4 }])]
  const lookup = t.mock.method(dns.promises, 'lookup', () => answers.shift() ?? hang(t))
  const { outage, told } = recordOutage()
  const sender = createUdpSender({ host: 'silent.example', port: udp.port }, outage, { renewMs: 0 })
  sender.send(line('x'))
  await until('the first is there', () => udp.datagrams.length === 1)
  for (let count = 0; count < 100; count++) sender.send(line('x'))
  await until('all are there', () => udp.datagrams.length === 101)
  assert.equal(lookup.mock.callCount(), 2, 'the name was asked for again, once')
  assert.deepEqual(told, [])
  await sender.close(50)
})

test('createUdpSender() follows a name to its new address', async (t) => {
  const udp = await listenUdp(t)
  let address = '127.0.0.2'
  const lookup = t.mock.method(dns.promises, 'lookup', async () => [{ address, family: 4 }])
  const { outage } = recordOutage()
  const sender = createUdpSender({ host: 'moved.example', port: udp.port }, outage, { renewMs: 0 })
  sender.send(line('to the old address'))
  await until('the name was asked for', () => lookup.mock.callCount() === 1)
  address = '127.0.0.1'
  await until('a line is there', () => {
    sender.send(line('to the new address'))
    return udp.datagrams.length > 0
  })
  assert.equal(String(udp.datagrams[0]), 'to the new address')
  await sender.close(500)
})

test('createUdpSender() keeps the newest lines until a name can be found', async (t) => {
  const udp = await listenUdp(t)
  let isBroken = true
  t.mock.method(dns.promises, 'lookup', async () => {
    if (isBroken) throw new Error('getaddrinfo EAI_AGAIN late.example')
    return [{ address: '127.0.0.1', family: 4 }]
  })
  const { outage, told } = recordOutage()
  const sender = createUdpSender({ host: 'late.example', port: udp.port }, outage, { settleMs: 50 })
  for (let number = 1; number <= 5100; number++) sender.send(line(String(number)))
  await until('the failure is told', () => told.length === 1)
  isBroken = false
  await until('the last line is there', () => String(udp.datagrams.at(-1)) === '5100')
  assert.equal(String(udp.datagrams[0]), '101')
  await until('the end of the outage is told', () => told.length === 2)
  assert.match(told[1] ?? '', /; 100 lines were dropped$/)
  await sender.close(500)
})

test('createUdpSender() is closed in time when the name cannot be found', async (t) => {
  t.mock.method(dns.promises, 'lookup', () => hang(t))
  const { outage, told } = recordOutage()
  const sender = createUdpSender({ host: 'never.example', port: 9 }, outage)
  sender.send(line('x'))
  const start = performance.now()
  await sender.close(100)
  assert.ok(performance.now() - start < 400)
  assert.match(told.at(-1) ?? '', /still fails at the end; 1 line was dropped$/)
})
