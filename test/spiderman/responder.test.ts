import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VerdictSource } from '../../src/spiderman/evidence.ts'
import { createResponder } from '../../src/spiderman/responder.ts'
import type { Verdict } from '../../src/verdict/verdict.ts'

const OK: Verdict = { status: 'OK', dead: [], warnings: [] }
const DEAD: Verdict = {
  status: 'DEAD',
  dead: [
    { name: 'elastic', reason: 'status: 503 is not one of 200', sinceMs: Date.UTC(2026, 0, 1) },
    { name: 'mongo', reason: 'refused', sinceMs: Date.UTC(2026, 0, 2), becauseOf: 'elastic' },
  ],
  warnings: ['not checked yet: redis'],
}
const DEAD_TEXT = `DEAD elastic, mongo
TEST SERVER
elastic: status: 503 is not one of 200 (since 2026-01-01T00:00:00.000Z)
mongo: refused (because of elastic) (since 2026-01-02T00:00:00.000Z)
warning: not checked yet: redis
`

const MONGO_TEXT = `DEAD mongo
TEST SERVER
mongo: refused (because of elastic) (since 2026-01-02T00:00:00.000Z)
`

/** A verdict on everything, and one on `mongo` by itself. */
function verdictsOf(verdict: Verdict): VerdictSource {
  const has = (name: string) => name === 'mongo'
  const one: Verdict = { status: 'DEAD', dead: DEAD.dead.slice(1), warnings: [] }
  return { read: async () => verdict, readOne: async (name) => (has(name) ? one : undefined), has, follow() {} }
}

function ask(
  path: string,
  {
    verdict = OK,
    baseUrl = '/',
    tokens = ['right', 'other'],
    init = {},
    token = 'right',
  }: {
    verdict?: Verdict
    baseUrl?: string
    tokens?: string[]
    init?: RequestInit
    token?: string | undefined
  } = {},
) {
  const warnings: string[] = []
  const log = { debug() {}, info() {}, error() {}, warn: (message: string) => warnings.push(message) }
  const app = createResponder({ baseUrl, tokens, name: 'TEST SERVER', verdicts: verdictsOf(verdict), log })
  const headers = new Headers(init.headers)
  if (token !== '') headers.set('authorization', `Bearer ${token}`)
  return app.request(path, { ...init, headers })
}

const answers: { name: string; path: string; options?: Parameters<typeof ask>[1]; status: number; body: string }[] = [
  { name: 'OK and the name', path: '/', status: 200, body: 'OK\nTEST SERVER\n' },
  { name: 'the dead with reasons and times', path: '/', options: { verdict: DEAD }, status: 503, body: DEAD_TEXT },
  { name: 'the same whatever the query string', path: '/?x=1', status: 200, body: 'OK\nTEST SERVER\n' },
  { name: 'at the base URL', path: '/health', options: { baseUrl: '/health' }, status: 200, body: 'OK\nTEST SERVER\n' },
  {
    name: 'at the base URL with a slash behind it',
    path: '/health/',
    options: { baseUrl: '/health' },
    status: 200,
    body: 'OK\nTEST SERVER\n',
  },
  { name: 'one probe by itself', path: '/mongo', status: 503, body: MONGO_TEXT },
  { name: 'one probe by itself, with a slash behind it', path: '/mongo/', status: 503, body: MONGO_TEXT },
  {
    name: 'one probe by itself below the base URL',
    path: '/health/mongo',
    options: { baseUrl: '/health' },
    status: 503,
    body: MONGO_TEXT,
  },
  {
    name: 'no probe beside the base URL',
    path: '/mongo',
    options: { baseUrl: '/health' },
    status: 404,
    body: 'not found\n',
  },
  { name: 'no name in another case', path: '/Mongo', status: 404, body: 'not found\n' },
  { name: 'no probe to strangers', path: '/mongo', options: { token: 'wrong' }, status: 511, body: 'Auth ERR' },
  { name: 'nothing elsewhere', path: '/other', status: 404, body: 'not found\n' },
  { name: 'nothing above the base URL', path: '/', options: { baseUrl: '/health' }, status: 404, body: 'not found\n' },
  {
    name: 'no other method',
    path: '/',
    options: { init: { method: 'POST', body: 'x' } },
    status: 405,
    body: 'use GET\n',
  },
  {
    name: 'a second token, while one is being rotated',
    path: '/',
    options: { token: 'other' },
    status: 200,
    body: 'OK\nTEST SERVER\n',
  },
  { name: 'no body to HEAD', path: '/', options: { verdict: DEAD, init: { method: 'HEAD' } }, status: 503, body: '' },
  { name: 'Auth ERR to a wrong token', path: '/', options: { token: 'wrong' }, status: 511, body: 'Auth ERR' },
  { name: 'Auth ERR without a token', path: '/', options: { token: '' }, status: 511, body: 'Auth ERR' },
  {
    name: 'Auth ERR without a token, whatever the path',
    path: '/other',
    options: { token: '' },
    status: 511,
    body: 'Auth ERR',
  },
  {
    name: 'Auth ERR without a token, whatever the method',
    path: '/',
    options: { token: '', init: { method: 'DELETE' } },
    status: 511,
    body: 'Auth ERR',
  },
  {
    name: 'Auth ERR to the beginning of a token',
    path: '/',
    options: { token: 'righ' },
    status: 511,
    body: 'Auth ERR',
  },
  {
    name: 'Auth ERR to an empty Bearer token',
    path: '/',
    options: { token: '', init: { headers: { authorization: 'Bearer ' } } },
    status: 511,
    body: 'Auth ERR',
  },
  {
    name: 'Auth ERR to another scheme',
    path: '/',
    options: { token: '', init: { headers: { authorization: 'Basic right' } } },
    status: 511,
    body: 'Auth ERR',
  },
  {
    name: 'to a scheme in lower case',
    path: '/',
    options: { token: '', init: { headers: { authorization: 'bearer right' } } },
    status: 200,
    body: 'OK\nTEST SERVER\n',
  },
]
for (const { name, path, options, status, body } of answers) {
  test(`createResponder() answers ${status}: ${name}`, async () => {
    const response = await ask(path, options)
    assert.equal(response.status, status)
    assert.equal(await response.text(), body)
    assert.equal(response.headers.get('cache-control'), 'no-store')
  })
}

test('createResponder() gives the same facts as JSON to those who ask for it', async () => {
  const response = await ask('/', { verdict: DEAD, init: { headers: { accept: 'application/json' } } })
  assert.equal(response.status, 503)
  assert.match(response.headers.get('content-type') ?? '', /^application\/json/)
  assert.deepEqual(await response.json(), {
    name: 'TEST SERVER',
    status: 'DEAD',
    dead: [
      { probe: 'elastic', reason: 'status: 503 is not one of 200', since: '2026-01-01T00:00:00.000Z' },
      { probe: 'mongo', reason: 'refused', since: '2026-01-02T00:00:00.000Z', because_of: 'elastic' },
    ],
    warnings: ['not checked yet: redis'],
  })
})

test('createResponder() names the allowed methods with 405', async () => {
  const response = await ask('/', { init: { method: 'PUT' } })
  assert.equal(response.headers.get('allow'), 'GET, HEAD')
})

test('createResponder() tells strangers nothing in the headers either', async () => {
  const response = await ask('/', { token: 'wrong' })
  assert.deepEqual([...response.headers.keys()].sort(), ['cache-control', 'content-type'])
})

test('createResponder() answers 503, not 200, when the verdict cannot be made', async () => {
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const app = createResponder({
    baseUrl: '/',
    tokens: ['right'],
    name: 'x',
    log,
    verdicts: { ...verdictsOf(OK), read: () => Promise.reject(new Error('bug')) },
  })
  const response = await app.request('/', { headers: { authorization: 'Bearer right' } })
  assert.equal(response.status, 503)
})

test('createResponder() counts entries instead of writing thousands out', async () => {
  const dead = Array.from({ length: 5000 }, (_, index) => ({ name: `p${index}`, reason: 'refused', sinceMs: 0 }))
  const text = await (await ask('/', { verdict: { status: 'DEAD', dead, warnings: [] } })).text()
  assert.match(text, /^DEAD p0, p1, .*, p99, and 4900 more\n/)
  assert.ok(text.length < 10_000)
})

test('createResponder() tells that a former token is in use, once a minute, and nothing of the first one', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const lines: string[] = []
  const log = { debug() {}, info: (line: string) => void lines.push(line), warn() {}, error() {} }
  const tokens = ['fresh', 'older', 'oldest']
  const app = createResponder({ baseUrl: '/', tokens, name: 'S', verdicts: verdictsOf(OK), log })
  for (const token of ['fresh', 'older', 'older', 'older', 'fresh']) {
    assert.equal((await app.request('/', { headers: { authorization: `Bearer ${token}` } })).status, 200)
  }
  context.mock.timers.tick(60_000)
  context.mock.timers.tick(60_000)
  assert.deepEqual(lines, [
    'token 2 of 3 in WEB.access_token is in use: do not take it away yet',
    'token 2 of 3 in WEB.access_token is still in use: 2 more requests in the last 60 s',
  ])
})
