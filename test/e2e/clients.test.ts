import assert from 'node:assert/strict'
import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type DeadPool, finallyDo, startDeadPool, TOKEN } from './binary.ts'

const IDLE = 'idle: { module: url_probe, isEnabled: False, query: { url: "http://127.0.0.1:1/" } }'

/** Opens a raw connection; `text()` is what came back so far, `ended` when the server closed it. */
function dial(context: TestContext, { url }: DeadPool): { socket: Socket; text: () => string; ended: Promise<number> } {
  const startedMs = performance.now()
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  finallyDo(context, () => socket.destroy())
  let text = ''
  socket.on('data', (chunk) => (text += chunk))
  socket.on('error', () => undefined)
  const ended = new Promise<number>((resolve) => socket.once('close', () => resolve(performance.now() - startedMs)))
  return { socket, text: () => text, ended }
}

test('slow, silent, oversized and garbled clients are cut off, and cost the others nothing', async (context) => {
  const deadpool = await startDeadPool(context, { probes: IDLE })
  const silent = dial(context, deadpool)
  const dripping = dial(context, deadpool)
  const drip = setInterval(() => dripping.socket.write('X'), 200)
  finallyDo(context, () => clearInterval(drip))
  dripping.socket.write('GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ')
  const body = dial(context, deadpool)
  body.socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx')

  const large = dial(context, deadpool)
  large.socket.write(`GET / HTTP/1.1\r\nHost: x\r\nX-Large: ${'x'.repeat(64 * 1024)}\r\n\r\n`)
  await large.ended
  assert.match(large.text(), /^HTTP\/1\.1 431 /)
  const garbled = dial(context, deadpool)
  garbled.socket.write('\x16\x03\x01\x02\x00\x01\x00 this is TLS\r\n\r\n')
  await garbled.ended
  assert.match(garbled.text(), /^HTTP\/1\.1 400 /)

  const answers = await Promise.all(Array.from({ length: 100 }, () => deadpool.ask()))
  assert.ok(answers.every(({ status }) => status === 200))

  // Without a token the body is not waited for; the rest of such a request has ten seconds.
  const lifetimes = await Promise.all([silent.ended, dripping.ended, body.ended])
  assert.match(body.text(), /^HTTP\/1\.1 511 /)
  const [silentMs = 0, drippingMs = 0, bodyMs = 0] = lifetimes
  assert.ok(silentMs > 4000 && silentMs < 9000, `silent: ${silentMs} ms`)
  assert.ok(drippingMs > 4000 && drippingMs < 9000, `dripping: ${drippingMs} ms`)
  assert.ok(bodyMs < 14_000, `endless body: ${bodyMs} ms`)
})

test('a load balancer keeps its connection between two checks', async (context) => {
  const deadpool = await startDeadPool(context, { probes: IDLE })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  finallyDo(context, () => agent.destroy())
  const ports = new Set<number | undefined>()
  for (let round = 0; round < 5; round++) {
    await new Promise<void>((resolve, reject) => {
      const asking = request(deadpool.url, { agent, headers: { authorization: `Bearer ${TOKEN}` } }, (response) => {
        ports.add(asking.socket?.localPort)
        assert.equal(response.statusCode, 200)
        assert.equal(response.headers['keep-alive'], 'timeout=75')
        response.resume().once('end', resolve)
      })
      asking.once('error', reject).end()
    })
  }
  assert.equal(ports.size, 1)
})

test('a request as Cloudflare sends it is answered, in HTTP/1.0 too, and pipelined ones in order', async (context) => {
  const deadpool = await startDeadPool(context, { probes: IDLE })
  const agentName =
    'Mozilla/5.0 (compatible; Cloudflare-Traffic-Manager/1.0; +https://www.cloudflare.com/traffic-manager/; pool-id: 0123456789abcdef)'
  const head = `Host: example.org\r\nUser-Agent: ${agentName}\r\nAuthorization: Bearer ${TOKEN}\r\n`
  const old = dial(context, deadpool)
  old.socket.write(`GET / HTTP/1.0\r\n${head}\r\n`)
  await old.ended
  assert.match(old.text(), /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nOK\nTEST SERVER\n$/s)
  const hostless = dial(context, deadpool)
  hostless.socket.write(`GET / HTTP/1.0\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`)
  await hostless.ended
  assert.match(hostless.text(), /^HTTP\/1\.1 200 OK\r\n/)
  const pipelined = dial(context, deadpool)
  pipelined.socket.write(
    `GET / HTTP/1.1\r\n${head}\r\nGET /none HTTP/1.1\r\n${head}\r\nGET / HTTP/1.1\r\n${head}Connection: close\r\n\r\n`,
  )
  await pipelined.ended
  assert.deepEqual(pipelined.text().match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 404', 'HTTP/1.1 200'])
})

test('HEAD has no body, other methods get 405, and nobody learns anything without a token', async (context) => {
  const deadpool = await startDeadPool(context, { probes: IDLE, web: 'base_url: /health' })
  const head = await deadpool.ask({ method: 'HEAD' }, '/health')
  assert.deepEqual([head.status, head.text], [200, ''])
  assert.equal((await deadpool.ask({ method: 'POST', body: 'x' }, '/health/')).status, 405)
  assert.equal((await deadpool.ask({}, '/')).status, 404)
  for (const [method, path] of [
    ['GET', '/health'],
    ['GET', '/'],
    ['POST', '/health'],
    ['DELETE', '/x'],
  ] as const) {
    for (const authorization of ['', 'Bearer wrong', `Basic ${TOKEN}`]) {
      const { status, text, headers } = await deadpool.ask({ method, headers: { authorization } }, path)
      assert.deepEqual([status, text], [511, 'Auth ERR'])
      assert.equal(headers.get('server'), null)
      assert.equal(headers.get('x-powered-by'), null)
    }
  }
  const wrong = deadpool.log().filter(({ level, message }) => level === 'warn' && message.includes('wrong token'))
  assert.equal(wrong.length, 1)
})

test('JSON has the same facts', async (context) => {
  const deadpool = await startDeadPool(context, {
    probes: 'down: { module: url_probe, period: 1, query: { url: "http://127.0.0.1:1/" } }',
  })
  await deadpool.becomes(503)
  const { status, text, headers } = await deadpool.ask({ headers: { accept: 'application/json' } })
  assert.equal(status, 503)
  assert.match(headers.get('content-type') ?? '', /^application\/json/)
  const { name, status: word, dead, warnings } = JSON.parse(text)
  assert.deepEqual({ name, word, warnings }, { name: 'TEST SERVER', word: 'DEAD', warnings: [] })
  assert.equal(dead[0].probe, 'down')
  assert.equal(dead[0].reason, 'connection refused by 127.0.0.1:1')
  assert.ok(Date.now() - Date.parse(dead[0].since) < 60_000)
})
