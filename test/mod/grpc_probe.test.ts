import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttp2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { Probe } from '../../mod/grpc_probe.ts'
import { waitFor } from '../e2e/binary.ts'
import { isMissing, startNginx } from '../e2e/nginx.ts'
import { type Certificate, createCertificate, findMissingOpenssl } from '../servers/certificates.ts'
import { type Grpc, type GrpcOptions, startGrpc } from '../servers/grpc.ts'
import { assertNothingLeft, check, checkPrepared, findProblems, observe, prepare, type Query } from './checking.ts'

const HOST = '127.0.0.1'

interface Listening {
  port: number
  sockets: Set<Socket>
}

async function listen(t: TestContext, server: Server): Promise<Listening> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)))
  })
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
  t.after(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return { port: (server.address() as AddressInfo).port, sockets }
}

/** A server of HTTP/2 that answers whatever the test wants. */
function listenHttp2(t: TestContext, answer: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void) {
  const server = createHttp2Server()
  server.on('stream', (stream, headers) =>
    answer(
      stream.on('error', () => {}),
      headers,
    ),
  )
  server.on('sessionError', () => {})
  return listen(t, server)
}

function waitUntilLeft({ sockets }: Listening) {
  return waitFor('the end of all connections', () => sockets.size === 0 || undefined)
}

async function start(t: TestContext, options?: GrpcOptions): Promise<Grpc> {
  const server = await startGrpc(options)
  t.after(server.stop)
  return server
}

async function assertDead(query: Query, reason: string | RegExp): Promise<void> {
  const outcome = await check(Probe, query)
  assert.equal(outcome.kind, 'dead', JSON.stringify(outcome))
  if (typeof reason === 'string') assert.equal(outcome.reason, reason)
  else assert.match(outcome.reason, reason)
}

describe('grpc_probe', () => {
  let grpc: Grpc
  let query: Query
  before(async () => {
    grpc = await startGrpc()
    query = { host: HOST, port: grpc.port }
    await grpc.set('shop.Payments', 'NOT_SERVING')
    await grpc.set('wärehouse', 'SERVING')
    await grpc.set('x'.repeat(300), 'SERVING')
    await grpc.set('undecided', 'UNKNOWN')
    await grpc.set('unheard', 'SERVICE_UNKNOWN')
    await grpc.set('new', 7)
    await grpc.set('proxied', { code: 14, details: 'upstream connect error: 100% of hösts' })
    await grpc.set('guarded', { code: 16, details: 'token is missing' })
    await grpc.set('hanging', 'nothing')
  })
  after(() => grpc?.stop())

  const statuses: { service: string; facts: Record<string, unknown>; reason?: string }[] = [
    { service: '', facts: { serving: true, status: 'SERVING', code: 'OK' } },
    { service: 'wärehouse', facts: { serving: true, status: 'SERVING', code: 'OK' } },
    { service: 'x'.repeat(300), facts: { serving: true, status: 'SERVING', code: 'OK' } },
    {
      service: 'shop.Payments',
      facts: { serving: false, status: 'NOT_SERVING', code: 'OK' },
      reason: 'status: "NOT_SERVING" is not "SERVING"',
    },
    {
      service: 'undecided',
      facts: { serving: false, status: 'UNKNOWN', code: 'OK' },
      reason: 'status: "UNKNOWN" is not "SERVING"',
    },
    {
      service: 'unheard',
      facts: { serving: false, status: 'SERVICE_UNKNOWN', code: 'OK' },
      reason: 'status: "SERVICE_UNKNOWN" is not "SERVING"',
    },
    {
      service: 'new',
      facts: { serving: false, status: '7', code: 'OK' },
      reason: 'status: "7" is not "SERVING"',
    },
    {
      service: 'nobody',
      facts: { serving: false, status: 'SERVICE_UNKNOWN', code: 'NOT_FOUND', message: 'unknown service nobody' },
      reason: 'code: "NOT_FOUND" is not "OK"; status: "SERVICE_UNKNOWN" is not "SERVING"',
    },
    {
      service: 'proxied',
      facts: { serving: false, code: 'UNAVAILABLE', message: 'upstream connect error: 100% of hösts' },
      reason: 'code: "UNAVAILABLE" is not "OK"; status: the check reported no status',
    },
    {
      service: 'guarded',
      facts: { serving: false, code: 'UNAUTHENTICATED', message: 'token is missing' },
      reason: 'code: "UNAUTHENTICATED" is not "OK"; status: the check reported no status',
    },
  ]
  for (const { service, facts, reason } of statuses) {
    test(`Probe reports what the server says of "${service.slice(0, 20)}"`, async () => {
      const { time_ms, ...found } = await observe(Probe, { ...query, service })
      assert.ok(Number(time_ms) > 0 && Number(time_ms) < 5000)
      assert.deepEqual(found, { status: undefined, message: undefined, cert_days: undefined, ...facts })
      const expected = reason === undefined ? { kind: 'alive' } : { kind: 'dead', reason }
      assert.deepEqual(await check(Probe, { ...query, service }), expected)
    })
  }

  test('Probe follows the status of a service', async () => {
    const asked = { ...query, service: 'moody' }
    await grpc.set('moody', 'SERVING')
    assert.deepEqual(await check(Probe, asked), { kind: 'alive' })
    await grpc.set('moody', 'NOT_SERVING')
    await assertDead(asked, 'status: "NOT_SERVING" is not "SERVING"')
  })

  test('Probe sends authority, metadata and its deadline', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'deadpool-grpc-'))
    t.after(() => rmSync(folder, { recursive: true }))
    writeFileSync(join(folder, 'token'), 'Bearer one\n')
    await grpc.set('told', 'SERVING')
    const metadata = { 'X-Tenant': 'shop', authorization: { file: join(folder, 'token') } }
    const prepared = await prepare(Probe, {
      ...query,
      service: 'told',
      metadata,
      authority: 'payments.local',
      timeout: 3,
    })
    const first = grpc.nextCall('told')
    assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
    const { metadata: received, host, deadline_ms } = await first
    assert.equal(host, 'payments.local')
    assert.equal(received['x-tenant'], 'shop')
    assert.equal(received.authorization, 'Bearer one')
    assert.ok(deadline_ms > 1000 && deadline_ms <= 3000, String(deadline_ms))

    writeFileSync(join(folder, 'token'), 'Bearer two\n')
    const second = grpc.nextCall('told')
    assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
    assert.equal((await second).metadata.authorization, 'Bearer two')
    writeFileSync(join(folder, 'token'), 'two\nlines')
    assert.deepEqual(await checkPrepared(Probe, prepared), {
      kind: 'unknown',
      reason: 'metadata.authorization has a character beyond ASCII or a line break',
    })
  })

  test('Probe asks for host and port by default', async () => {
    await grpc.set('addressed', 'SERVING')
    const call = grpc.nextCall('addressed')
    assert.deepEqual(await check(Probe, { ...query, host: 'localhost', service: 'addressed' }), { kind: 'alive' })
    assert.equal((await call).host, `localhost:${grpc.port}`)
  })

  test('Probe reports UNIMPLEMENTED when the server has no health service', async (t) => {
    const { port } = await start(t, { hasHealth: false })
    const { code, message, status } = await observe(Probe, { host: HOST, port })
    assert.deepEqual([code, status], ['UNIMPLEMENTED', undefined])
    assert.match(String(message), /grpc\.health\.v1\.Health\/Check/)
    await assertDead({ host: HOST, port }, 'code: "UNIMPLEMENTED" is not "OK"; status: the check reported no status')
  })

  test('Probe times out when the call is not answered', () =>
    assertDead({ ...query, service: 'hanging', timeout: 0.2 }, 'timed out after 200 ms'))

  test('Probe times out when the server hangs', async () => {
    grpc.pause()
    try {
      await assertDead({ ...query, timeout: 0.2 }, 'timed out after 200 ms')
    } finally {
      grpc.resume()
    }
  })

  test('Probe is dead when the server has stopped', async (t) => {
    const server = await start(t)
    const prepared = await prepare(Probe, { host: HOST, port: server.port, keep_connection: true })
    assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
    await server.stop()
    const reason = `connection refused by ${HOST}:${server.port}`
    assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'dead', reason })
    prepared.close()
  })

  test('Probe leaves nothing of checks that succeed', () => assertNothingLeft(Probe, query))

  test('Probe leaves nothing of checks that fail', async (t) => {
    await assertNothingLeft(Probe, { ...query, service: 'nobody' }, { kind: 'dead' })
    const { port } = await listen(
      t,
      createServer((socket) => void socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n')),
    )
    await assertNothingLeft(Probe, { host: HOST, port }, { kind: 'dead' })
    await assertNothingLeft(Probe, { ...query, service: 'hanging', timeout: 0.005 }, { kind: 'dead', count: 50 })
  })

  test('Probe keeps its deadline at each point of a conversation that stalls', async (t) => {
    for (const bytes of [0, 5, 9, 20, 40, 60, 80]) {
      const proxy = createServer((socket) => {
        const onward = connect({ port: grpc.port, host: HOST, noDelay: true }).on('error', () => {})
        socket.pipe(onward)
        let left = bytes
        onward.on('data', (chunk) => {
          socket.write(chunk.subarray(0, left))
          left -= Math.min(left, chunk.length)
        })
        socket.on('close', () => onward.destroy())
      })
      const listening = await listen(t, proxy)
      const outcome = await check(Probe, { ...query, port: listening.port, timeout: 0.1 })
      assert.deepEqual(outcome, { kind: 'dead', reason: 'timed out after 100 ms', cause: 'timeout' }, `${bytes} bytes`)
      await waitUntilLeft(listening)
    }
  })

  test('Probe stops at once when it is aborted', async (t) => {
    const proxy = createServer((socket) => {
      const onward = connect({ port: grpc.port, host: HOST, noDelay: true }).on('error', () => {})
      socket.pipe(onward).pipe(socket)
      socket.on('close', () => onward.destroy())
    })
    const listening = await listen(t, proxy)
    for (const moment of [0, 1, 2, 3, 4, 6, 8]) {
      const controller = new AbortController()
      const reason = new Error(`aborted after ${moment} ms`)
      const asked = observe(Probe, { ...query, port: listening.port, service: 'hanging' }, controller.signal)
      setTimeout(() => controller.abort(reason), moment)
      await assert.rejects(asked, (error) => error === reason)
    }
    await waitUntilLeft(listening)
  })

  describe('over a connection that is kept', () => {
    async function proxy(t: TestContext) {
      let connections = 0
      const server = createServer({ noDelay: true }, (socket) => {
        connections++
        const onward = connect({ port: grpc.port, host: HOST, noDelay: true }).on('error', () => {})
        socket.pipe(onward).pipe(socket)
        socket.on('close', () => onward.destroy())
      })
      return { ...(await listen(t, server)), count: () => connections }
    }

    test('Probe connects once, and closes in the end', async (t) => {
      const between = await proxy(t)
      const prepared = await prepare(Probe, { ...query, port: between.port, keep_connection: true, service: 'moody' })
      for (const status of ['SERVING', 'NOT_SERVING', 'SERVING']) {
        await grpc.set('moody', status)
        const { kind } = await checkPrepared(Probe, prepared)
        assert.equal(kind, status === 'SERVING' ? 'alive' : 'dead')
      }
      for (let i = 0; i < 300; i++) assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
      assert.equal(between.count(), 1)
      assert.equal(between.sockets.size, 1)
      prepared.close()
      await waitUntilLeft(between)
    })

    test('Probe connects anew when the connection was closed meanwhile', async (t) => {
      const between = await proxy(t)
      const prepared = await prepare(Probe, { ...query, port: between.port, keep_connection: true })
      assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
      for (const socket of between.sockets) socket.destroy()
      await waitUntilLeft(between)
      assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
      assert.equal(between.count(), 2)
      prepared.close()
    })

    test('Probe is dead when it fails under the question', async (t) => {
      const between = await proxy(t)
      const prepared = await prepare(Probe, { ...query, port: between.port, keep_connection: true })
      assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
      for (const socket of between.sockets) socket.once('data', () => socket.destroy())
      const reason = 'closed the connection before the answer'
      assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'dead', reason })
      assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
      prepared.close()
    })

    test('Probe connects anew when the server refuses the call as it is about to leave', async (t) => {
      let calls = 0
      const { port } = await listenHttp2(t, (stream) => {
        calls++
        if (calls === 2) stream.session?.goaway(0, 1)
        else answerServing(stream)
      })
      const prepared = await prepare(Probe, { host: HOST, port, keep_connection: true })
      for (let i = 0; i < 3; i++) assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
      assert.equal(calls, 4)
      prepared.close()
    })
  })
})

function answerServing(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.end(Buffer.from('00000000020801', 'hex'))
}

describe('grpc_probe over TLS', { skip: findMissingOpenssl() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-grpc-tls-'))
  after(() => rmSync(folder, { recursive: true }))
  let good: Certificate
  let secure: Grpc
  before(async () => {
    good = createCertificate(folder, 'good')
    secure = await startGrpc({ tls: good })
  })
  after(() => secure?.stop())

  test('Probe reports the days of the certificate', async () => {
    const { cert_days, status } = await observe(Probe, { host: HOST, port: secure.port, tls: { ca_file: good.ca } })
    assert.equal(status, 'SERVING')
    assert.ok(Number(cert_days) > 0.8 && Number(cert_days) <= 1, String(cert_days))
    await assertNothingLeft(Probe, { host: HOST, port: secure.port, tls: { ca_file: good.ca } }, { count: 50 })
  })

  const faults: { name: string; tls: () => Query | boolean; reason: string | RegExp }[] = [
    { name: 'an unknown authority', tls: () => true, reason: 'unable to verify the first certificate' },
    {
      name: 'another name',
      tls: () => ({ ca_file: good.ca, server_name: 'elsewhere' }),
      reason: /^Hostname\/IP does not match certificate's altnames: Host: elsewhere\. is not/,
    },
    {
      name: 'no TLS on this side',
      tls: () => false,
      reason: /^(closed the connection before the answer|connection reset|does not speak HTTP\/2)$/,
    },
  ]
  for (const { name, tls, reason } of faults) {
    test(`Probe is dead with ${name}`, () => assertDead({ host: HOST, port: secure.port, tls: tls() }, reason))
  }

  test('Probe is dead with a certificate that has expired', async (t) => {
    const expired = createCertificate(folder, 'expired', { days: -1 })
    const { port } = await start(t, { tls: expired })
    await assertDead({ host: HOST, port, tls: { ca_file: expired.ca } }, 'certificate has expired')
  })

  test('Probe shows its certificate to a server that wants one', async (t) => {
    const client = createCertificate(folder, 'client')
    const { port } = await start(t, { tls: { ...good, clientCa: client.ca } })
    const tls = { ca_file: good.ca, cert_file: client.cert, key_file: client.key }
    assert.deepEqual(await check(Probe, { host: HOST, port, tls }), { kind: 'alive' })
    await assertDead(
      { host: HOST, port, tls: { ca_file: good.ca } },
      /certificate required|connection reset|closed the connection/,
    )
  })
})

describe('grpc_probe with strangers', () => {
  test('Probe is dead when nginx speaks HTTP/1', async (t) => {
    if (isMissing(t, 'nginx', 'nginx')) return
    const { port } = await startNginx(t)
    await assertDead({ host: HOST, port }, 'does not speak HTTP/2')
  })

  const SETTINGS = '000000040000000000'
  const hex = (text: string) => Buffer.from(text).toString('hex')
  const talkers: { name: string; hex: string; ends?: boolean; reason: string }[] = [
    { name: 'closes at once', hex: '', ends: true, reason: 'closed the connection before the answer' },
    { name: 'says garbage', hex: hex('220 mail.example.org ESMTP\r\n'), reason: 'does not speak HTTP/2' },
    {
      name: 'says HTTP/1 and closes',
      hex: hex('HTTP/1.1 400 Bad Request\r\n\r\n'),
      ends: true,
      reason: 'does not speak HTTP/2',
    },
    { name: 'says HTTP/2 and closes', hex: SETTINGS, ends: true, reason: 'closed the connection before the answer' },
    {
      name: 'wants calm',
      hex: `${SETTINGS}000008070000000000000000000000000b`,
      reason: 'closed the connection with ENHANCE_YOUR_CALM',
    },
    {
      name: 'resets the call',
      hex: `${SETTINGS}00000403000000000100000007`,
      reason: 'reset the call with REFUSED_STREAM',
    },
    {
      name: 'breaks the protocol',
      hex: `${SETTINGS}000004090000000000ffffffff`,
      reason: 'broke HTTP/2: Protocol error',
    },
  ]
  for (const { name, hex: bytes, ends = false, reason } of talkers) {
    test(`Probe is dead when the other side ${name}`, async (t) => {
      const server = createServer((socket) => {
        socket.resume().write(Buffer.from(bytes, 'hex'))
        if (ends) socket.end()
      })
      const listening = await listen(t, server)
      await assertDead({ host: HOST, port: listening.port, timeout: 2 }, reason)
      await waitUntilLeft(listening)
    })
  }

  const GRPC = { ':status': 200, 'content-type': 'application/grpc' }
  const answers: { name: string; headers: object; body?: string; trailers?: object; reason: string }[] = [
    { name: 'a status of HTTP', headers: { ':status': 502 }, reason: 'answered with HTTP status 502 instead of gRPC' },
    {
      name: 'a page',
      headers: { ':status': 200, 'content-type': 'text/html' },
      body: hex('<html>'),
      reason: 'answered with text/html instead of gRPC',
    },
    { name: 'no status', headers: GRPC, body: '00000000020801', reason: 'ended the call without a status' },
    {
      name: 'OK and no message',
      headers: { ...GRPC, 'grpc-status': '0' },
      reason: 'answered OK without a health status',
    },
    {
      name: 'half a message',
      headers: GRPC,
      body: '000000000208',
      trailers: { 'grpc-status': '0' },
      reason: 'answered OK without a health status',
    },
    {
      name: 'another message',
      headers: GRPC,
      body: '00000000020b01',
      trailers: { 'grpc-status': '0' },
      reason: 'answered OK without a health status',
    },
    {
      name: 'a compressed message',
      headers: GRPC,
      body: '01000000020801',
      trailers: { 'grpc-status': '0' },
      reason: 'answered OK without a health status',
    },
    {
      name: 'an unknown code',
      headers: { ...GRPC, 'grpc-status': '99' },
      reason: 'code: "99" is not "OK"; status: the check reported no status',
    },
    {
      name: 'a code that is none',
      headers: { ...GRPC, 'grpc-status': '' },
      reason: 'code: "" is not "OK"; status: the check reported no status',
    },
    { name: 'too much', headers: GRPC, body: '00'.repeat(70_000), reason: 'sent more than 64 KiB' },
  ]
  for (const { name, headers, body = '', trailers, reason } of answers) {
    test(`Probe is dead when the answer is ${name}`, async (t) => {
      const listening = await listenHttp2(t, (stream) => {
        stream.respond({ ...headers }, { waitForTrailers: trailers !== undefined, endStream: body === '' })
        stream.on('wantTrailers', () => stream.sendTrailers({ ...trailers }))
        if (body !== '') stream.end(Buffer.from(body, 'hex'))
      })
      await assertDead({ host: HOST, port: listening.port, timeout: 2 }, reason)
      await waitUntilLeft(listening)
    })
  }

  test('Probe passes over fields that it does not know', async (t) => {
    // Fields 2 to 5, one of each type of the wire, and then the status.
    const fields = '10960119000102030405060722026869' + '2d01020304' + '0801'
    const { port } = await listenHttp2(t, (stream) => {
      stream.respond({ ...GRPC }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end(Buffer.from(`00000000${(fields.length / 2).toString(16).padStart(2, '0')}${fields}`, 'hex'))
    })
    assert.deepEqual(await check(Probe, { host: HOST, port }), { kind: 'alive' })
  })

  const queries: { name: string; query: Query; problems: string[] }[] = [
    { name: 'nothing', query: {}, problems: ['host: is missing; it is required'] },
    {
      name: 'a stranger',
      query: { host: 'a', servise: 'b' },
      problems: ['servise: is not a known key; did you mean "service"?'],
    },
    {
      name: 'a bad port',
      query: { host: 'a', port: 65536 },
      problems: ['port: 65536 is out of range; at most 65535 is allowed'],
    },
    {
      name: 'an authority with a space',
      query: { host: 'a', authority: 'a b' },
      problems: ['authority: "a b" is not a name such as payments.local'],
    },
    {
      name: 'metadata that gRPC writes itself',
      query: { host: 'a', metadata: { TE: 'x', 'grpc-timeout': '1S', 'x y': 'z', note: 'naïve' } },
      problems: [
        'metadata.TE: "x" cannot be set; gRPC writes this header itself',
        'metadata.grpc-timeout: "1S" cannot be set; gRPC writes this header itself',
        'metadata.x y: "z" has a name that gRPC does not allow; write letters, digits, "-", "_" and "."',
        'metadata.note: "naïve" has a line break or a character beyond ASCII',
      ],
    },
  ]
  for (const { name, query, problems } of queries) {
    test(`Probe refuses a query with ${name}`, async () => assert.deepEqual(await findProblems(Probe, query), problems))
  }
})
