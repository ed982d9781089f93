import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { BINARY, finallyDo, makeFolder, skip, waitFor } from './binary.ts'

const home = join(import.meta.dirname, '../..')

/** Both configurations have the seed's port in them. */
async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '0.0.0.0', () => server.close(() => resolve(true)))
  })
}

const examples = [
  {
    name: 'the example',
    file: 'deadpool.example.yml',
    token: 'change-me-4f1c7a0be2d94c55a3',
    status: 200,
    text: /^OK\nTEST SERVER\n$/,
  },
  {
    // Nothing listens on port 9200 of this machine, so the sample's Elasticsearch is dead.
    name: 'the block of the original text',
    file: 'test/fixtures/config/seed-original.yml',
    token:
      'WyI1NTE1MjhmNDMxY2Q3NTEwOTQxY2ZhYTgiLCI2Yjc4NTA4MzBlYzM0Y2NhZTdjZjIxNzlmZjhiNTA5ZSJd.B_bF8g.t1oUMxHr_fQfRUAF4aLpn2zjja0',
    status: 503,
    text: /^DEAD elastic\nTEST SERVER\nelastic: connection refused by .*9200.* \(since .*\)\n$/,
  },
]

for (const { name, file, token, status, text } of examples) {
  test(`${name} runs as it stands and answers ${status}`, async (context) => {
    if (!(await isFree(9001))) return skip(context, 'port 9001 is in use')
    if (file.includes('seed') && !(await isFree(9200))) return skip(context, 'port 9200 is in use')
    const folder = makeFolder(context)
    cpSync(join(home, file), join(folder, 'deadpool.yml'))
    const child = spawn(BINARY, ['run', '-c', join(folder, 'deadpool.yml')], { stdio: 'ignore' })
    const gone = new Promise((resolve) => child.once('exit', resolve))
    finallyDo(context, async () => {
      child.kill()
      await gone
    })
    const answer = await waitFor(`an answer ${status}`, async () => {
      const response = await fetch('http://127.0.0.1:9001/', { headers: { authorization: `Bearer ${token}` } })
      const body = await response.text()
      return response.status === status && text.test(body) ? body : undefined
    })
    assert.match(answer, text)
    const stranger = await fetch('http://127.0.0.1:9001/')
    assert.deepEqual([stranger.status, await stranger.text()], [511, 'Auth ERR'])
    rmSync(join(folder, 'deadpool.yml'))
  })
}
