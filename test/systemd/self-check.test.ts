import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { checkSelf } from '../../src/systemd/self-check.ts'
import { finallyDo, makeFolder } from '../e2e/binary.ts'

async function serve(context: TestContext, place: string | { host: string }, answer: RequestListener) {
  const server = createServer(answer)
  const where = typeof place === 'string' ? { path: place } : { ...place, port: 0 }
  await new Promise<void>((resolve) => server.listen(where, resolve))
  finallyDo(context, () => {
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') return { socketPath: address ?? '' }
  return { host: address.address, port: address.port }
}

const asked = { path: '/health', token: 'abcdefgh', timeoutMs: 300 }

for (const { name, status, said } of [
  { name: 'an answer 200', status: 200, said: undefined },
  { name: 'an answer 503', status: 503, said: undefined },
  { name: 'an answer 511', status: 511, said: 'SpiderMan answers 511' },
]) {
  test(`checkSelf() asks as a load balancer does, and says "${said}" of ${name}`, async (context) => {
    const seen: unknown[] = []
    const answer: RequestListener = ({ url, headers }, response) => {
      seen.push([url, headers.authorization])
      response.writeHead(status).end()
    }
    const hosts = ['0.0.0.0', '::', '127.0.0.3', '::ffff:127.0.0.1'].map((host) => ({ host }))
    const places = [...hosts, join(makeFolder(context), 's'), '\0deadpool-self-check']
    for (const place of places) {
      assert.equal(await checkSelf({ places: [await serve(context, place, answer)], ...asked }), said)
    }
    assert.ok(seen.length >= places.length)
    assert.deepEqual(seen, Array(seen.length).fill(['/health', 'Bearer abcdefgh']))
  })
}

test('checkSelf() says what does not answer', async (context) => {
  const where = await serve(context, { host: '127.0.0.1' }, () => {})
  assert.equal(await checkSelf({ places: [where], ...asked }), 'SpiderMan does not answer: no answer within 0.3 s')
  for (const { host, reason } of [
    { host: '127.0.0.1', reason: 'connect ECONNREFUSED 127.0.0.1:1' },
    { host: '192.0.2.1', reason: 'this host has no address 192.0.2.1 any more' },
  ]) {
    const refused = await checkSelf({ places: [{ host, port: 1 }], ...asked })
    assert.match(refused ?? '', new RegExp(`^SpiderMan does not answer: ${reason}`))
  }
})

test('checkSelf() is content with one place of several, with IPv4 where a host has no IPv6, and with what it cannot reach', async (context) => {
  const silent = await serve(context, { host: '127.0.0.1' }, () => {})
  const where = await serve(context, { host: '127.0.0.1' }, (_, response) => response.end())
  const away = { host: '192.0.2.1', port: 1 }
  const beganMs = performance.now()
  assert.equal(await checkSelf({ places: [silent, away, where], ...asked, timeoutMs: 5000 }), undefined)
  assert.ok(performance.now() - beganMs < 2000)
  assert.equal(await checkSelf({ places: [{ ...where, host: '::' }], ...asked }), undefined)
  for (const socketPath of [undefined, join(makeFolder(context), 'away')]) {
    assert.equal(await checkSelf({ places: [{ socketPath }], ...asked }), undefined)
  }
})
