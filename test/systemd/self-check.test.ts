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
    for (const place of [{ host: '0.0.0.0' }, join(makeFolder(context), 's')]) {
      assert.equal(await checkSelf({ where: await serve(context, place, answer), ...asked }), said)
    }
    assert.deepEqual(seen, Array(2).fill(['/health', 'Bearer abcdefgh']))
  })
}

test('checkSelf() says what does not answer', async (context) => {
  const where = await serve(context, { host: '127.0.0.1' }, () => {})
  assert.equal(await checkSelf({ where, ...asked }), 'SpiderMan does not answer: no answer within 0.3 s')
  const refused = await checkSelf({ where: { host: '127.0.0.1', port: 1 }, ...asked })
  assert.equal(refused, 'SpiderMan does not answer: connect ECONNREFUSED 127.0.0.1:1')
})
