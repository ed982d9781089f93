import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { finallyDo, startDeadPool, waitFor } from './binary.ts'
import { urlProbe } from './component.ts'

test('the binary loads a library that a stock module asks for only when it needs it: cookies over redirects', async (context) => {
  const server = createServer(({ url, headers }, response) => {
    if (url === '/login') response.writeHead(302, { location: '/home', 'set-cookie': 'session=abc' })
    else response.statusCode = headers.cookie === 'session=abc' ? 200 : 403
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  finallyDo(context, () => {
    server.close()
    server.closeAllConnections()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/login`
  const deadpool = await startDeadPool(context, { probes: urlProbe('web', url, { query: 'follow_redirects: true' }) })
  const checked = await waitFor('a check', () =>
    deadpool.log().find(({ message }) => /^web (was checked|is dead)/.test(message)),
  )
  assert.equal(checked.message, 'web was checked: alive')
})
