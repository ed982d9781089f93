import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { connect as connectClient } from 'amqplib'
import { Probe } from '../../mod/rabbitmq_probe.ts'
import { waitFor } from '../e2e/binary.ts'
import { type Certificate, createCertificate } from '../servers/certificates.ts'
import { findMissingRabbitmq, type Rabbitmq, startRabbitmq } from '../servers/rabbitmq.ts'
import { assertNothingLeft, check, checkPrepared, findProblems, observe, prepare, type Query } from './checking.ts'

const HOST = '127.0.0.1'
const REFUSED_LOGIN =
  'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.'

async function listen(t: TestContext, server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)))
  })
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
  t.after(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

async function assertDead(query: Query, reason: string | RegExp): Promise<void> {
  const outcome = await check(Probe, query)
  assert.equal(outcome.kind, 'dead', JSON.stringify(outcome))
  if (typeof reason === 'string') assert.equal(outcome.reason, reason)
  else assert.match(outcome.reason, reason)
}

function countConnections(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:')
    } catch {
      return false // closed meanwhile
    }
  }).length
}

/** Waits until this process has no more connections open than it had. */
function waitUntilClosed(before: number) {
  return waitFor('the end of all connections', () => countConnections() <= before || undefined)
}

/** Waits until nobody is connected to `server` any more. */
function waitUntilLeft(server: Server) {
  const count = () => new Promise<number>((resolve) => server.getConnections((_error, found) => resolve(found)))
  return waitFor('the end of all connections', async () => (await count()) === 0 || undefined)
}

describe('rabbitmq_probe', { skip: findMissingRabbitmq() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-rabbitmq-test-'))
  let good: Certificate
  let rabbitmq: Rabbitmq
  let query: Query

  before(async () => {
    good = createCertificate(folder, 'good')
    rabbitmq = await startRabbitmq({ tls: good })
    query = { host: HOST, port: rabbitmq.port }
    await rabbitmq.manage('PUT', '/api/users/reader', { password: 'r', tags: '' })
    await rabbitmq.manage('PUT', '/api/users/stranger', { password: 's', tags: '' })
    await rabbitmq.manage('PUT', '/api/permissions/%2F/reader', { configure: '^$', write: '^$', read: '.*' })
    await rabbitmq.manage('PUT', '/api/vhosts/other')
    await rabbitmq.manage('PUT', '/api/permissions/other/guest', { configure: '.*', write: '.*', read: '.*' })
  })
  after(async () => {
    await rabbitmq?.stop()
    rmSync(folder, { recursive: true })
  })

  /** A client as applications have one, with the queues `orders` (three messages) and `mails` (two consumers). */
  async function useQueues(t: TestContext) {
    const client = await connectClient({ hostname: HOST, port: rabbitmq.port, username: 'guest', password: 'guest' })
    t.after(() => client.close())
    const channel = await client.createConfirmChannel()
    for (const name of ['orders', 'mails']) await channel.assertQueue(name, { autoDelete: name === 'mails' })
    await channel.purgeQueue('orders')
    for (const text of ['1', '2', '3']) channel.sendToQueue('orders', Buffer.from(text))
    await channel.waitForConfirms()
    for (const _ of [1, 2]) await channel.consume('mails', () => {})
    return channel
  }

  test('Probe reports all facts of a server that is well', async (t) => {
    await useQueues(t)
    const management = { url: rabbitmq.managementUrl }
    const { time_ms, ...facts } = await observe(Probe, { ...query, queues: ['orders', 'mails'], management })
    assert.ok(typeof time_ms === 'number' && time_ms > 0 && time_ms < 5000)
    assert.match(String(facts.version), /^\d+\.\d+\.\d+/)
    assert.match(String(facts.cluster_name), /^deadpool-\d+@/)
    const { version, cluster_name, ...rest } = facts
    assert.deepEqual(rest, {
      connected: true,
      alarms: [],
      blocked: false,
      queue_depth: { orders: 3, mails: 0 },
      consumers: { orders: 0, mails: 2 },
      'queue_depth:orders': 3,
      'queue_depth:mails': 0,
      'consumers:orders': 0,
      'consumers:mails': 2,
      cert_days: undefined,
      nodes_running: 1,
      nodes_total: 1,
      partitions: 0,
    })
  })

  test('Probe lets criteria judge the depth of one queue', async (t) => {
    await useQueues(t)
    const judged = { ...query, queues: ['orders'] }
    const depth = { 'queue_depth:orders': { type: 're_search', query: '^[0-2]$' } }
    assert.deepEqual(await check(Probe, judged, depth), {
      kind: 'dead',
      reason: 'queue_depth:orders: no match for "^[0-2]$" in "3"',
    })
    const prepared = await prepare(Probe, judged)
    assert.deepEqual(Object.keys(prepared.facts), ['queue_depth:orders', 'consumers:orders'])
  })

  test('Probe leaves no message behind, and nothing in the log that looks like trouble', async (t) => {
    const channel = await useQueues(t)
    const before = rabbitmq.log().length
    assert.deepEqual(await check(Probe, { ...query, queues: ['orders'] }), { kind: 'alive' })
    assert.equal((await channel.checkQueue('orders')).messageCount, 3)
    await waitFor(
      'the end of the connection in the log',
      () => rabbitmq.log().includes('closing AMQP', before) || undefined,
    )
    assert.doesNotMatch(rabbitmq.log().slice(before), /warning|error/)
  })

  test('Probe asks another virtual host, which has no such queue', async (t) => {
    await useQueues(t)
    assert.deepEqual(await check(Probe, { ...query, vhost: 'other' }), { kind: 'alive' })
    await assertDead({ ...query, vhost: 'other', queues: ['orders'] }, "NOT_FOUND - no queue 'orders' in vhost 'other'")
  })

  const refusals: { name: string; query: Query; reason: string }[] = [
    { name: 'a wrong password', query: { password: 'wrong' }, reason: REFUSED_LOGIN },
    { name: 'an unknown user', query: { user: 'nobody', password: 'x' }, reason: REFUSED_LOGIN },
    { name: 'an unknown virtual host', query: { vhost: 'x' }, reason: 'NOT_ALLOWED - vhost x not found' },
    {
      name: 'a virtual host that the user may not use',
      query: { user: 'stranger', password: 's' },
      reason: "NOT_ALLOWED - access to vhost '/' refused for user 'stranger'",
    },
    { name: 'an unknown queue', query: { queues: ['nö'] }, reason: "NOT_FOUND - no queue 'nö' in vhost '/'" },
  ]
  for (const { name, query: more, reason } of refusals) {
    test(`Probe gives the words of the server for ${name}`, () => assertDead({ ...query, ...more }, reason))
  }

  test('Probe gives the words of the server for a queue that another connection has for itself', async (t) => {
    const channel = await useQueues(t)
    await channel.assertQueue('mine', { exclusive: true })
    await assertDead(
      { ...query, queues: ['mine'] },
      /^RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine'/,
    )
  })

  test('Probe knows nothing of alarms as a user who may not publish, and does not call that dead', async () => {
    const reader = { ...query, user: 'reader', password: 'r' }
    const { connected, alarms, blocked } = await observe(Probe, reader)
    assert.deepEqual({ connected, alarms, blocked }, { connected: true, alarms: [], blocked: undefined })
    assert.deepEqual(await check(Probe, { ...reader, keep_connection: true }), { kind: 'alive' })
  })

  describe('during an alarm', () => {
    const setMemory = (share: string) => rabbitmq.control('set_vm_memory_high_watermark', share)
    const setDisk = (bytes: string) => rabbitmq.control('set_disk_free_limit', bytes)
    after(async () => {
      await setMemory('0.4')
      await setDisk('1MB')
      await waitFor('the end of the alarms', async () => (await check(Probe, query)).kind === 'alive' || undefined)
    })

    test('Probe finds it by publishing, or by the management API', async (t) => {
      await useQueues(t)
      await setMemory('0.0001')
      await assertDead(query, 'alarms: ["memory"] is not []')
      const { alarms, blocked, queue_depth } = await observe(Probe, { ...query, queues: ['orders'] })
      assert.deepEqual(
        { alarms, blocked, queue_depth },
        { alarms: ['memory'], blocked: true, queue_depth: { orders: 3 } },
      )

      const silent = { ...query, publish: false }
      assert.deepEqual(await check(Probe, silent), { kind: 'alive' })
      const management = { url: `${rabbitmq.managementUrl}/`, user: 'guest', password: 'guest' }
      await waitFor('the alarm in the API', async () => {
        const facts = await observe(Probe, { ...silent, management })
        assert.equal(facts.blocked, undefined)
        return (facts.alarms as string[]).includes('memory') || undefined
      })

      await setDisk('100000GB')
      const both = await waitFor('both alarms', async () => {
        const facts = await observe(Probe, query)
        return (facts.alarms as string[]).length === 2 ? facts : undefined
      })
      assert.deepEqual(both.alarms, ['memory', 'disk'])
    })

    test('Probe leaves no connection behind, although the server does not read', async () => {
      await assertNothingLeft(Probe, query, { kind: 'dead', count: 50 })
      // The server finds out by its own heartbeats that nobody is there.
      const timeouts = new Set((await rabbitmq.control('list_connections', 'timeout')).match(/\d+/g))
      assert.deepEqual([...timeouts], ['10'])
    })
  })

  describe('with the management API', () => {
    test('Probe counts nodes and partitions of a cluster', async (t) => {
      const node = { running: true, mem_alarm: false, disk_free_alarm: false, partitions: [] }
      const nodes = [
        { ...node, name: 'a', partitions: ['b'] },
        { ...node, name: 'b', partitions: ['a'], disk_free_alarm: true },
        { name: 'c', running: false },
      ]
      let asked = ''
      const port = await listen(
        t,
        createHttpServer((request, response) => {
          asked = `${request.headers.authorization} ${request.url}`
          response.end(JSON.stringify(nodes))
        }),
      )
      const management = { url: `http://${HOST}:${port}`, user: 'monitor', password: 'm' }
      const { alarms, nodes_running, nodes_total, partitions } = await observe(Probe, { ...query, management })
      const found = { alarms, nodes_running, nodes_total, partitions }
      assert.deepEqual(found, { alarms: ['disk'], nodes_running: 2, nodes_total: 3, partitions: 2 })
      const basic = Buffer.from('monitor:m').toString('base64')
      assert.equal(asked, `Basic ${basic} /api/nodes?columns=name,running,mem_alarm,disk_free_alarm,partitions`)
    })

    const failures: { name: string; answer: string | undefined; error: string }[] = [
      { name: 'says nothing', answer: undefined, error: 'gave no answer in time' },
      { name: 'is not HTTP', answer: 'hello', error: 'HTTP cannot be parsed: Expected HTTP/, RTSP/ or ICE/' },
      {
        name: 'answers with a page',
        answer: 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK',
        error: 'answered with something that is not a list of nodes',
      },
      {
        name: 'fails',
        answer: 'HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\nOK',
        error: 'answered with status 500',
      },
    ]
    for (const { name, answer, error } of failures) {
      test(`Probe is alive when the API ${name}`, async (t) => {
        const port = await listen(
          t,
          createServer((socket) => void (answer && socket.write(answer))),
        )
        const asked = { ...query, timeout: 1, management: { url: `http://${HOST}:${port}` } }
        const { management_error, connected, nodes_total } = await observe(Probe, asked)
        assert.deepEqual(
          { management_error, connected, nodes_total },
          { management_error: error, connected: true, nodes_total: undefined },
        )
        assert.deepEqual(await check(Probe, asked), { kind: 'alive' })
      })
    }

    test('Probe tells why the API refused', async () => {
      const management = { url: rabbitmq.managementUrl, password: 'wrong' }
      const { management_error } = await observe(Probe, { ...query, management })
      assert.equal(management_error, 'answered with status 401: Login failed')
    })
  })

  describe('over a connection that is kept', () => {
    const countLogins = () => rabbitmq.log().split('accepting AMQP connection').length

    test('Probe logs in once, and closes in the end', async (t) => {
      const channel = await useQueues(t)
      const prepared = await prepare(Probe, { ...query, queues: ['orders'], keep_connection: true })
      const before = countLogins()
      for (const depth of [3, 4, 5]) {
        const facts = await prepared.observe(AbortSignal.timeout(5000), {
          debug() {},
          info() {},
          warn() {},
          error() {},
        })
        assert.equal(facts['queue_depth:orders'], depth)
        assert.match(String(facts.version), /^\d/)
        channel.sendToQueue('orders', Buffer.from('more'))
        await channel.waitForConfirms()
      }
      assert.equal(countLogins(), before + 1)
      const length = rabbitmq.log().length
      prepared.close()
      await waitFor('the end in the log', () => rabbitmq.log().includes('closing AMQP connection', length) || undefined)
      assert.doesNotMatch(rabbitmq.log().slice(length), /warning|error/)
    })

    test('Probe connects anew when the server closed it meanwhile', async () => {
      const prepared = await prepare(Probe, { ...query, keep_connection: true })
      assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
      await rabbitmq.control('close_all_connections', 'for the test')
      const before = countLogins()
      assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
      assert.equal(countLogins(), before + 1)
      prepared.close()
    })

    test('Probe is dead when it fails under the question', async (t) => {
      const pairs: Socket[] = []
      const proxy = createServer((socket) => {
        const onward = connect(rabbitmq.port, HOST).on('error', () => {})
        pairs.push(socket, onward)
        socket.pipe(onward).pipe(socket)
      })
      const prepared = await prepare(Probe, { ...query, port: await listen(t, proxy), keep_connection: true })
      assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
      pairs[0]?.once('data', () => pairs.map((socket) => socket.destroy()))
      assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'dead', reason: 'closed the connection' })
      assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
      prepared.close()
    })

    test('Probe holds one connection, and none in the end', async () => {
      const prepared = await prepare(Probe, { ...query, keep_connection: true })
      assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
      const before = countConnections()
      for (let i = 0; i < 300; i++) assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
      assert.ok(countConnections() <= before)
      prepared.close()
      await waitUntilClosed(before - 1)
    })
  })

  describe('over TLS', () => {
    test('Probe reports the days of the certificate', async () => {
      const secure = { host: HOST, port: rabbitmq.tlsPort, tls: { ca_file: good.ca } }
      const { cert_days, connected } = await observe(Probe, secure)
      assert.equal(connected, true)
      assert.ok(Number(cert_days) > 0.8 && Number(cert_days) <= 1, String(cert_days))
    })

    const faults: { name: string; tls: (good: Certificate) => Query | boolean; reason: string | RegExp }[] = [
      { name: 'an unknown authority', tls: () => true, reason: 'self-signed certificate in certificate chain' },
      {
        name: 'another name',
        tls: ({ ca }) => ({ ca_file: ca, server_name: 'elsewhere' }),
        reason: /^Hostname\/IP does not match certificate's altnames: Host: elsewhere\. is not/,
      },
    ]
    for (const { name, tls, reason } of faults) {
      test(`Probe is dead with ${name}`, () =>
        assertDead({ host: HOST, port: rabbitmq.tlsPort, tls: tls(good) }, reason))
    }

    test('Probe is dead with a certificate that has expired', async (t) => {
      const expired = createCertificate(folder, 'expired', { days: -1 })
      const { readFileSync } = process.getBuiltinModule('node:fs')
      const server = createTlsServer({ cert: readFileSync(expired.cert), key: readFileSync(expired.key) })
      await assertDead(
        { host: HOST, port: await listen(t, server), tls: { ca_file: expired.ca } },
        'certificate has expired',
      )
    })

    test('Probe is dead when TLS meets a port without it', async () => {
      await assertDead(
        { ...query, tls: true },
        /^(closed before TLS was established|TLS failed: wrong version number)$/,
      )
    })
  })

  test('Probe keeps its deadline at each point of a conversation that stalls, and leaves nothing', async (t) => {
    // The greeting of RabbitMQ is some 500 bytes long; the rest of a check 110.
    for (const bytes of [0, 3, 100, 512, 530, 545, 560, 575]) {
      const proxy = createServer((socket) => {
        const onward = connect(rabbitmq.port, HOST).on('error', () => {})
        socket.pipe(onward)
        let left = bytes
        onward.on('data', (chunk) => {
          socket.write(chunk.subarray(0, left))
          left -= Math.min(left, chunk.length)
        })
        socket.on('close', () => onward.destroy())
      })
      const stalling = { ...query, port: await listen(t, proxy), timeout: 0.1 }
      assert.deepEqual(
        await check(Probe, stalling),
        { kind: 'dead', reason: 'timed out after 100 ms', cause: 'timeout' },
        `${bytes} bytes`,
      )
      await waitUntilLeft(proxy)
    }
  })

  test('Probe stops at once when it is aborted, and leaves nothing', async () => {
    const before = countConnections()
    for (const moment of [0, 1, 2, 3, 4, 6, 8]) {
      const controller = new AbortController()
      const reason = new Error(`aborted after ${moment} ms`)
      const asked = observe(Probe, { ...query, queues: ['orders', 'orders', 'orders'] }, controller.signal)
      setTimeout(() => controller.abort(reason), moment)
      await asked.catch((error) => assert.equal(error, reason))
    }
    await waitUntilClosed(before)
  })

  test('Probe leaves nothing of checks that succeed', () => assertNothingLeft(Probe, { ...query, queues: ['orders'] }))

  test('Probe leaves nothing of checks that fail', async () => {
    await assertNothingLeft(Probe, { ...query, queues: ['missing'] }, { kind: 'dead' })
    await assertNothingLeft(Probe, { ...query, vhost: 'missing' }, { kind: 'dead', count: 50 })
  })

  test('Probe times out when the server hangs', async () => {
    const before = countConnections()
    rabbitmq.pause()
    try {
      const hanging = { ...query, timeout: 0.3, management: { url: rabbitmq.managementUrl } }
      assert.deepEqual(await check(Probe, hanging), {
        kind: 'dead',
        reason: 'timed out after 300 ms',
        cause: 'timeout',
      })
      await waitUntilClosed(before)
    } finally {
      rabbitmq.resume()
    }
  })

  test('Probe is dead when the server has stopped', async () => {
    const prepared = await prepare(Probe, { ...query, keep_connection: true })
    assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
    await rabbitmq.stop()
    const reason = `connection refused by ${HOST}:${rabbitmq.port}`
    assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'dead', reason })
    prepared.close()
  })
})

describe('rabbitmq_probe with strangers', () => {
  const frame = (size: number, payload: string, end = '\xce') => {
    const head = Buffer.from([1, 0, 0, 0, 0, 0, 0])
    head.writeUInt32BE(size, 3)
    return Buffer.concat([head, Buffer.from(payload + end, 'latin1')])
  }
  const method = (payload: string) => frame(payload.length, payload)
  const start = (mechanisms: string) =>
    `\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\0${String.fromCharCode(mechanisms.length)}${mechanisms}\0\0\0\x05en_US`

  const strangers: { name: string; answer: Buffer | string; ends?: boolean; reason: string }[] = [
    { name: 'closes at once', answer: '', ends: true, reason: 'closed the connection before it greeted' },
    { name: 'speaks HTTP', answer: 'HTTP/1.1 400 Bad Request\r\n\r\n', reason: 'does not speak AMQP' },
    { name: 'speaks AMQP 1.0', answer: 'AMQP\0\x01\0\0', reason: 'speaks another version of AMQP than 0-9-1' },
    { name: 'speaks TLS', answer: '\x15\x03\x03\0\x02\x02\x28', reason: 'speaks TLS; set tls in the query' },
    { name: 'sends a huge frame', answer: frame(1e6, ''), reason: 'sent an AMQP frame that is too large' },
    { name: 'sends a frame without its end', answer: frame(1, 'x', 'y'), reason: 'sent an AMQP frame without its end' },
    { name: 'sends an empty method', answer: method(''), reason: 'sent a malformed AMQP frame' },
    {
      name: 'sends a table that reaches beyond its frame',
      answer: method('\0\x0a\0\x0a\0\x09\x7f\xff\xff\xff'),
      reason: 'sent a malformed AMQP frame',
    },
    {
      name: 'knows no passwords',
      answer: method(start('EXTERNAL')),
      reason: 'offers no login by password, only EXTERNAL',
    },
    { name: 'closes after its greeting', answer: method(start('PLAIN')), ends: true, reason: 'closed the connection' },
    {
      name: 'refuses without a word',
      answer: method('\0\x0a\0\x32\x01\x40\0\0\0\0\0'),
      reason: 'closed the connection with code 320',
    },
  ]
  for (const { name, answer, ends = false, reason } of strangers) {
    test(`Probe is dead when the other side ${name}`, async (t) => {
      const bytes = typeof answer === 'string' ? Buffer.from(answer, 'latin1') : answer
      const server = createServer((socket) => {
        socket.resume().write(bytes)
        if (ends) socket.end()
      })
      await assertDead({ host: HOST, port: await listen(t, server), timeout: 3 }, reason)
      await waitUntilLeft(server)
    })
  }

  test('Probe takes no more memory of a server that never ends its heartbeats and does not read', async (t) => {
    const heartbeats = Buffer.from('\x08\0\0\0\0\0\0\xce'.repeat(8192), 'latin1')
    const server = createServer((socket) => {
      socket.write(method(start('PLAIN')))
      const flood = () => {
        while (socket.writable && socket.write(heartbeats));
      }
      socket.on('drain', flood)
      socket.pause()
      flood()
    })
    const before = process.memoryUsage().rss
    await assertDead({ host: HOST, port: await listen(t, server), timeout: 0.5 }, 'timed out after 500 ms')
    assert.ok(process.memoryUsage().rss - before < 64_000_000)
  })

  const queries: { name: string; query: Query; problems: string[] }[] = [
    { name: 'nothing', query: {}, problems: ['host: is missing; it is required'] },
    {
      name: 'a stranger',
      query: { host: 'a', hots: 'b' },
      problems: ['hots: is not a known key; did you mean "host"?'],
    },
    { name: 'a bad port', query: { host: 'a', port: 0 }, problems: ['port: 0 is out of range; at least 1 is allowed'] },
    {
      name: 'a long virtual host',
      query: { host: 'a', vhost: 'ö'.repeat(128) },
      problems: [`vhost: "${'ö'.repeat(59)}…" is longer than 255 bytes`],
    },
    {
      name: 'a queue without a name',
      query: { host: 'a', queues: [''] },
      problems: ['queues.0: "" is too short; at least 1 character is needed'],
    },
    {
      name: 'an empty password',
      query: { host: 'a', password: '' },
      problems: ['password: the value (not shown) cannot be used: the secret is empty'],
    },
    {
      name: 'a management URL that is none',
      query: { host: 'a', management: { url: 'localhost:15672' } },
      problems: ['management.url: "localhost:15672" is not an http or https URL; write it like http://localhost:15672'],
    },
    {
      name: 'a password in the management URL',
      query: { host: 'a', management: { url: 'http://u:p@localhost:15672' } },
      problems: [
        'management.url: "http://***@localhost:15672" has a user or password; write them as user and password beside it',
      ],
    },
  ]
  for (const { name, query, problems } of queries) {
    test(`Probe refuses a query with ${name}`, async () => assert.deepEqual(await findProblems(Probe, query), problems))
  }
})
