import assert from 'node:assert/strict'
import { once } from 'node:events'
import * as http from 'node:http'
import * as net from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { askHttp, dialFor } from '../../src/modules/ask-http.ts'
import { Dead } from '../../src/modules/errors.ts'

const soon = () => AbortSignal.timeout(5000)

async function listen(t: TestContext, server: net.Server) {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}/a?b=c`, sockets }
}

async function assertClosed(sockets: ReadonlySet<net.Socket>): Promise<void> {
  for (let i = 0; i < 100 && sockets.size > 0; i++) await sleep(10)
  assert.equal(sockets.size, 0)
}

test('askHttp() asks what it is told, and gives status, headers and body', async (t) => {
  const { url, sockets } = await listen(
    t,
    http.createServer(async (request, response) => {
      const body = await request.setEncoding('utf8').reduce((all, part) => all + part, '')
      response.writeHead(503, {
        'x-seen': `${request.method} ${request.url} ${request.headers.host} ${request.headers.accept}`,
      })
      response.end(body.toUpperCase())
    }),
  )
  const answer = await askHttp({ url, method: 'POST', headers: { accept: 'x/y' }, body: 'hello', signal: soon() })
  assert.equal(answer.status, 503)
  assert.equal(answer.headers['x-seen'], `POST /a?b=c ${new URL(url).host} x/y`)
  assert.equal(answer.body, 'HELLO')
  await assertClosed(sockets)
})

const dead = [
  { name: 'a peer that closes before the answer', say: '', reason: 'closed before the answer' },
  {
    name: 'a body that is cut',
    say: 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab',
    reason: 'closed before the whole body',
  },
  { name: 'no HTTP', say: '220 mail.example.org ESMTP\r\n', reason: /^HTTP cannot be parsed: / },
  {
    name: 'a body without an end',
    say: `HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(2_000_000)}`,
    reason: 'sent more than 1 MiB',
  },
]
for (const { name, say, reason } of dead) {
  test(`askHttp() is dead by ${name}`, async (t) => {
    const { url, sockets } = await listen(
      t,
      net.createServer((socket) => void socket.once('data', () => socket.end(say))),
    )
    await assert.rejects(askHttp({ url, signal: soon(), maxBody: 1024 * 1024 }), { name: 'Dead', message: reason })
    await assertClosed(sockets)
  })
}

test('askHttp() leaves nothing when the check is over, whenever that is', async (t) => {
  for (const say of ['', 'HTTP/1.1 200 OK\r\n', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab']) {
    const { url, sockets } = await listen(
      t,
      net.createServer((socket) => void socket.once('data', () => socket.resume().write(say))),
    )
    const over = new Error('over')
    const controller = new AbortController()
    const asking = askHttp({ url, signal: controller.signal })
    setTimeout(() => controller.abort(over), 50)
    await assert.rejects(asking, over)
    await assertClosed(sockets)
  }
})

test('askHttp() asks several questions over the connection it is given, and leaves it open', async (t) => {
  const { url, sockets } = await listen(
    t,
    http.createServer((request, response) => request.pipe(response)),
  )
  const socket = await dialFor(new URL(url), { signal: soon() })
  for (const body of ['one', 'two', 'three']) {
    assert.equal((await askHttp({ url, socket, signal: soon(), method: 'POST', body })).body, body)
  }
  assert.deepEqual([sockets.size, socket.destroyed], [1, false])
  socket.destroy()
})

test('askHttp() says that the connection it is given was closed after the answer before', async (t) => {
  const { url } = await listen(
    t,
    http.createServer((_, response) => response.setHeader('connection', 'close').end('bye')),
  )
  const socket = await dialFor(new URL(url), { signal: soon() })
  assert.equal((await askHttp({ url, socket, signal: soon() })).body, 'bye')
  await assert.rejects(askHttp({ url, socket, signal: soon() }), new Dead('closed before the answer'))
})

test('askHttp() closes the connection it is given when the question fails', async (t) => {
  const { url } = await listen(
    t,
    http.createServer((_, response) => response.write('the beginning')),
  )
  const socket = await dialFor(new URL(url), { signal: soon() })
  const asking = askHttp({ url, socket, signal: soon(), maxBody: 5 })
  await assert.rejects(asking, /^Dead: sent more than/)
  assert.equal(socket.destroyed, true)
})
