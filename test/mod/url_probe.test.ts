import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import dns from 'node:dns'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import * as http from 'node:http'
import * as https from 'node:https'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { inspect } from 'node:util'
import * as zlib from 'node:zlib'
import { Probe } from '../../mod/url_probe.ts'
import { createKeep } from '../../src/modules/keep.ts'
import { createCertificate, findMissingOpenssl } from '../servers/certificates.ts'
import { findProblems } from './checking.ts'

type Query = Record<string, unknown>

const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** Makes one check as the core does: the query through its schema, the deadline as a signal. */
async function check(query: Query, signal = AbortSignal.timeout(10_000)): Promise<Record<string, unknown>> {
  return Probe.probe(Probe.query.parse(query), { signal, log: silent, keep: createKeep() })
}

/** A server on a port of its own, with the sockets that are open on it. */
interface Target {
  port: number
  sockets: Set<net.Socket>
}

async function listen(t: TestContext, server: net.Server): Promise<Target> {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    // The probe goes away when it has seen enough, which some of these servers feel as a reset.
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { port: (server.address() as net.AddressInfo).port, sockets }
}

/** What a server does with a connection once the request has begun to arrive. */
type Behaviour = (socket: net.Socket, request: string) => unknown

function listenRaw(t: TestContext, behave: Behaviour): Promise<Target> {
  return listen(
    t,
    net.createServer((socket) => void socket.once('data', (request) => behave(socket, String(request)))),
  )
}

const say =
  (...lines: string[]): Behaviour =>
  (socket) =>
    socket.write(lines.join('\r\n'))

const sayAndClose =
  (...lines: string[]): Behaviour =>
  (socket) =>
    socket.end(lines.join('\r\n'))

/** Writes `text` again and again, as fast as the other side reads. */
const repeat =
  (text: string, start = ''): Behaviour =>
  (socket) => {
    const pour = () => {
      while (!socket.destroyed && socket.write(text));
    }
    socket.on('drain', pour)
    socket.write(start)
    pour()
  }

/** Writes `text` every 20 ms for ever: never silent, never done. */
const drip =
  (text: string, start = ''): Behaviour =>
  (socket) => {
    socket.write(start)
    const timer = setInterval(() => socket.write(text), 20)
    socket.on('close', () => clearInterval(timer))
  }

/** Fails when a connection is still open, on the server's side or on the probe's, a second after the check. */
async function assertNothingOpen({ sockets }: Target): Promise<void> {
  const count = () => {
    for (const socket of sockets) socket.resume()
    return process.getActiveResourcesInfo().filter((name) => /^(TCPSocketWrap|TLSWrap)$/.test(name)).length
  }
  for (let i = 0; i < 50 && sockets.size + count() > 0; i++) await sleep(20)
  assert.deepEqual({ onServer: sockets.size, inProcess: count() }, { onServer: 0, inProcess: 0 })
}

async function assertDead(query: Query, message: string): Promise<void> {
  await assert.rejects(check(query), (error: Error) => {
    assert.deepEqual({ name: error.name, message: error.message }, { name: 'Dead', message })
    assert.doesNotMatch(inspect(error), /s3cret|czNjcmV0/, 'the error shows the password')
    return true
  })
}

describe('query', () => {
  test('has defaults for all but the URL', () => {
    assert.deepEqual(Probe.query.parse({ url: 'http://localhost:9200/_cat/health' }), {
      url: 'http://localhost:9200/_cat/health',
      header: {},
      query_type: 'GET',
      timeout: 5,
      max_body: 1_048_576,
      follow_redirects: 0,
      http_version: '1.1',
    })
  })

  test('takes methods in any case, headers as text or numbers, and sizes as people write them', () => {
    const query = {
      url: 'https://x/',
      header: { 'X-A': ' b ', 'x-n': 7 },
      query_type: 'pUrge',
      max_body: '2 MiB',
      timeout: '500ms',
    }
    const { header, query_type, max_body, timeout } = Probe.query.parse(query) as Query
    assert.deepEqual(
      { header, query_type, max_body, timeout },
      {
        header: { 'x-a': 'b', 'x-n': '7' },
        query_type: 'PURGE',
        max_body: 2_097_152,
        timeout: 0.5,
      },
    )
  })

  const url = 'http://localhost/'
  const notUrl = 'is not an http or https URL; write it like http://localhost:9200/_cat/health'
  const notSize = 'is not a size; write 1048576, "512KiB" or "1MiB"'
  const notMethod = 'is not an HTTP method; write get, head, post or another'
  const refusedMethod = 'is a method that fetch refuses; write get, head, post or another'
  const ownHeader = 'cannot be set; url_probe writes this header itself for each connection'
  const badValue = 'has a line break or a character beyond Latin-1'
  const bad: { name: string; query: Query; faults: string[] }[] = [
    { name: 'no URL', query: { url: 'localhost' }, faults: [`url: ${notUrl}`] },
    { name: 'a URL without a scheme', query: { url: 'localhost:9200/_cat' }, faults: [`url: ${notUrl}`] },
    { name: 'another scheme', query: { url: 'ftp://localhost/' }, faults: [`url: ${notUrl}`] },
    { name: 'an impossible port', query: { url: 'http://localhost:70000/' }, faults: [`url: ${notUrl}`] },
    {
      name: 'port 0',
      query: { url: 'http://localhost:0/' },
      faults: ['url: names port 0, on which nothing can listen'],
    },
    {
      name: 'a stray percent sign in the password',
      query: { url: 'http://u:100%@localhost/' },
      faults: ['url: has a user or password with a stray "%"; write it as "%25"'],
    },
    {
      name: 'credentials twice',
      query: { url: 'http://:p@localhost/', header: { Authorization: 'Bearer t' } },
      faults: ['url: says who asks, and so does the header Authorization; keep one of them'],
    },
    { name: 'a method with a space', query: { url, query_type: 'get it' }, faults: [`query_type: ${notMethod}`] },
    { name: 'no method', query: { url, query_type: '' }, faults: [`query_type: ${notMethod}`] },
    { name: 'TRACE', query: { url, query_type: 'trace' }, faults: [`query_type: ${refusedMethod}`] },
    { name: 'CONNECT', query: { url, query_type: 'CONNECT' }, faults: [`query_type: ${refusedMethod}`] },
    { name: 'TRACK', query: { url, query_type: 'Track' }, faults: [`query_type: ${refusedMethod}`] },
    {
      name: 'a body with GET',
      query: { url, body: 'x' },
      faults: ['body: cannot be sent with get; set query_type: post'],
    },
    {
      name: 'a body with HEAD',
      query: { url, body: '', query_type: 'Head' },
      faults: ['body: cannot be sent with head; set query_type: post'],
    },
    {
      name: 'a header that is a list',
      query: { url, header: { a: ['b'] } },
      faults: ['header.a: is not text, a number, {env: NAME}, {file: PATH} or {credential: NAME}'],
    },
    { name: 'a line break in a header', query: { url, header: { a: 'b\r\nc: d' } }, faults: [`header.a: ${badValue}`] },
    { name: 'Cyrillic in a header', query: { url, header: { a: 'ё' } }, faults: [`header.a: ${badValue}`] },
    {
      name: 'a space in the name of a header',
      query: { url, header: { 'a b': 'c' } },
      faults: ['header.a b: has a name that HTTP does not allow; write letters, digits and "-"'],
    },
    {
      name: 'headers of the connection',
      query: { url, header: { Connection: 'keep-alive', 'transfer-encoding': 'chunked', 'Content-Length': 3 } },
      faults: [
        `header.Connection: ${ownHeader}`,
        `header.transfer-encoding: ${ownHeader}`,
        `header.Content-Length: ${ownHeader}`,
      ],
    },
    {
      name: 'a header twice',
      query: { url, header: { 'X-A': 1, 'x-a': 2 } },
      faults: ['X-A', 'x-a'].map((name) => `header.${name}: is one of 2 headers that differ only in case; keep one`),
    },
    { name: 'a size in words', query: { url, max_body: 'much' }, faults: [`max_body: ${notSize}`] },
    { name: 'a size of another kind', query: { url, max_body: true }, faults: [`max_body: ${notSize}`] },
    { name: 'half a byte', query: { url, max_body: 2048.5 }, faults: [`max_body: ${notSize}`] },
    {
      name: 'a small size',
      query: { url, max_body: 1023 },
      faults: ['max_body: is out of range; 1KiB to 64MiB is allowed'],
    },
    {
      name: 'a huge size',
      query: { url, max_body: '65MiB' },
      faults: ['max_body: is out of range; 1KiB to 64MiB is allowed'],
    },
    {
      name: 'no timeout',
      query: { url, timeout: 0 },
      faults: ['timeout: is out of range; 1 ms to 10 min is allowed'],
    },
    {
      name: 'two bodies',
      query: { url, query_type: 'post', body: 'x', form: { a: 1 }, body_file: import.meta.filename },
      faults: [
        'form: cannot be sent beside body; keep one of them',
        'body_file: cannot be sent beside body; keep one of them',
      ],
    },
    {
      name: 'a form with GET',
      query: { url, form: {} },
      faults: ['form: cannot be sent with get; set query_type: post'],
    },
    {
      name: 'a form in a form',
      query: { url, query_type: 'post', form: { a: { b: 1 } } },
      faults: ['form.a: is not text, a number, true or false'],
    },
    {
      name: 'a body file that is not there',
      query: { url, query_type: 'post', body_file: '/no/such.json' },
      faults: ['body_file: does not exist'],
    },
    {
      name: 'a folder as body file',
      query: { url, query_type: 'post', body_file: tmpdir() },
      faults: ['body_file: is not a file'],
    },
    {
      name: 'user and bearer',
      query: { url, user: 'u', bearer: 'token' },
      faults: ['bearer: says who asks, and so does user or password; keep one of them'],
    },
    {
      name: 'everything that says who asks',
      query: { url: 'http://u@localhost/', header: { authorization: 'x' }, password: 'p', bearer: 'token' },
      faults: ['url', 'password', 'bearer'].map(
        (key) => `${key}: says who asks, and so does the header Authorization; keep one of them`,
      ),
    },
    {
      name: 'a colon in the user',
      query: { url, user: 'a:b' },
      faults: ['user: has a ":", where the password would begin'],
    },
    {
      name: 'a secret that is not there',
      query: { url, bearer: { env: 'DEADPOOL_NOT_SET' } },
      faults: ['bearer: cannot be used: the environment variable DEADPOOL_NOT_SET is not set'],
    },
    {
      name: 'TLS settings for http',
      query: { url, tls: { insecure: true } },
      faults: ['tls: is of no use with an http URL; write https'],
    },
    {
      name: 'a proxy that is none',
      query: { url, proxy: 'socks5://localhost:1080' },
      faults: ['proxy: is not the URL of a proxy; write it like http://proxy.example.org:3128'],
    },
    {
      name: 'a proxy with a path',
      query: { url, proxy: 'http://localhost:3128/path' },
      faults: ['proxy: is not the URL of a proxy; write it like http://proxy.example.org:3128'],
    },
    {
      name: 'TLS settings for an http proxy',
      query: { url, proxy: 'http://localhost:3128/', proxy_tls: true },
      faults: ['proxy_tls: is of no use without an https proxy'],
    },
    {
      name: 'an address to resolve to that is a name',
      query: { url, resolve: 'localhost' },
      faults: ['resolve: is not an address; write it like 10.0.0.7 or 2001:db8::7'],
    },
    {
      name: 'an address beside a proxy',
      query: { url, resolve: '::1', proxy: 'http://localhost:3128' },
      faults: ['resolve: is of no use with a proxy, which resolves the host itself'],
    },
    {
      name: 'an address of the other kind',
      query: { url, resolve: '::1', ip_version: 4 },
      faults: ['ip_version: does not fit the address ::1'],
    },
    {
      name: 'a URL with an address of the other kind',
      query: { url: 'http://127.0.0.1/', ip_version: 6 },
      faults: ['ip_version: does not fit the address 127.0.0.1'],
    },
    { name: 'HTTP/3', query: { url, http_version: 3 }, faults: ['http_version: is not "1.1", "2" or auto'] },
    {
      name: 'redirects in words',
      query: { url, follow_redirects: 'some' },
      faults: ['follow_redirects: is not true, false or a number of redirects'],
    },
    { name: 'an unknown key', query: { url, retries: 3 }, faults: [': Unrecognized key: "retries"'] },
    {
      name: 'several mistakes, all of them',
      query: { url: 'x', query_type: 'trace', body: 5, max_body: 1 },
      faults: [
        `url: ${notUrl}`,
        `query_type: ${refusedMethod}`,
        'max_body: is out of range; 1KiB to 64MiB is allowed',
        'body: Invalid input: expected string, received number',
      ],
    },
  ]
  for (const { name, query, faults } of bad) {
    test(`refuses ${name}`, () => {
      const issues = Probe.query.safeParse(query).error?.issues ?? []
      assert.deepEqual(
        issues.map(({ path, message }) => `${path.join('.')}: ${message}`),
        faults,
      )
    })
  }
})

test('Probe says where keys of old are now', async () => {
  assert.deepEqual(await findProblems(Probe, { url: 'https://x/', insecure_tls: true, ca_file: 'ca.pem' }), [
    'insecure_tls: is now tls.insecure',
    'ca_file: is now tls.ca_file',
  ])
})

describe('request', () => {
  /** Makes a check of a server that keeps what it was sent, and returns that. */
  async function capture(t: TestContext, query: (base: string) => Query): Promise<{ head: string; body: string }> {
    let body = ''
    let head = ''
    const server = http.createServer((request, response) => {
      const { method, url, rawHeaders } = request
      const fields = rawHeaders.map((text, i) => (i % 2 ? `${text}\n` : `${text}: `))
      head = `${method} ${url}\n${fields.join('')}`
      request.setEncoding('utf8').on('data', (text) => {
        body += text
      })
      request.on('end', () => response.end())
    })
    const target = await listen(t, server)
    await check(query(`127.0.0.1:${target.port}`))
    await assertNothingOpen(target)
    return { head: head.replaceAll(`:${target.port}`, ':PORT'), body }
  }

  const always = 'accept: */*\naccept-encoding: identity\n'
  const close = 'Host: 127.0.0.1:PORT\nConnection: close\n'
  const scenarios: { name: string; query: Query & { path?: string }; user?: string; head: string; body?: string }[] = [
    {
      name: 'GET with the default headers',
      query: { path: '/a?b=c#d' },
      head: `GET /a?b=c\n${always}user-agent: DeadPool\n${close}`,
    },
    {
      name: 'any other method',
      query: { path: '/', query_type: 'purge' },
      head: `PURGE /\n${always}user-agent: DeadPool\n${close}Content-Length: 0\n`,
    },
    {
      name: 'POST without a body',
      query: { path: '/', query_type: 'post' },
      head: `POST /\n${always}user-agent: DeadPool\n${close}Content-Length: 0\n`,
    },
    {
      name: 'DELETE with a body, its length in bytes',
      query: { path: '/', query_type: 'delete', body: 'ёж', header: { 'Content-Type': 'application/json' } },
      head: `DELETE /\n${always}content-type: application/json\nuser-agent: DeadPool\ncontent-length: 4\n${close}`,
      body: 'ёж',
    },
    {
      name: 'own headers instead of the defaults',
      query: { path: '/', header: { Host: 'elastic.dc', 'User-Agent': 'me', ACCEPT: 'text/plain', 'X-N': 5 } },
      head: 'GET /\naccept: text/plain\naccept-encoding: identity\nhost: elastic.dc\nuser-agent: me\nx-n: 5\nConnection: close\n',
    },
    {
      name: 'user and password of the URL as basic authorization',
      query: { path: '/' },
      user: 'u%40x:p%C3%A9@',
      head: `GET /\n${always}authorization: Basic ${Buffer.from('u@x:pé').toString('base64')}\nuser-agent: DeadPool\n${close}`,
    },
  ]
  for (const { name, query, user = '', head, body = '' } of scenarios) {
    test(`probe() sends ${name}`, async (t) => {
      const { path, ...rest } = query
      assert.deepEqual(await capture(t, (base) => ({ url: `http://${user}${base}${path}`, ...rest })), { head, body })
    })
  }
})

describe('facts', () => {
  const ok = 'HTTP/1.1 200 OK'
  const chunk = (text: string) => `${Buffer.byteLength(text, 'latin1').toString(16)}\r\n${text}\r\n`
  const latin1 = (text: string) => Buffer.from(text).toString('latin1')
  const text = (body: string, type = 'text/plain') => [ok, `Content-Type: ${type}`, '', body]

  const scenarios: { name: string; query?: Query; answer: string[]; facts: Record<string, unknown> }[] = [
    {
      name: 'HTTP/1.0 without a length',
      answer: ['HTTP/1.0 200 OK', '', 'all of it'],
      facts: { status: 200, body: 'all of it', body_bytes: 9 },
    },
    { name: 'an answer without a reason phrase', answer: ['HTTP/1.1 404', '', ''], facts: { status: 404, body: '' } },
    {
      name: 'chunks and trailers',
      answer: [ok, 'Transfer-Encoding: chunked', '', `${chunk('ab')}${chunk('c')}0`, 'X-T: 1', '', ''],
      facts: { body: 'abc' },
    },
    {
      name: '204',
      answer: ['HTTP/1.1 204 No Content', '', ''],
      facts: { status: 204, body: '', body_bytes: 0, body_truncated: false },
    },
    {
      name: '304 with a length',
      answer: ['HTTP/1.1 304 Not Modified', 'Content-Length: 5', '', ''],
      facts: { status: 304, body: '' },
    },
    {
      name: 'HEAD with a length',
      query: { query_type: 'head' },
      answer: [ok, 'Content-Length: 5', '', ''],
      facts: { status: 200, body: '', body_bytes: 0 },
    },
    {
      name: 'HEAD of a compressed body',
      query: { query_type: 'head' },
      answer: [ok, 'Content-Encoding: gzip', 'Content-Length: 5', '', ''],
      facts: { body: '' },
    },
    {
      name: 'an empty compressed body',
      answer: [ok, 'Content-Encoding: br', 'Content-Length: 0', '', ''],
      facts: { body: '' },
    },
    { name: 'an unknown compression', answer: [ok, 'Content-Encoding: zip', '', 'PK'], facts: { body: 'PK' } },
    {
      name: 'more than the length says',
      answer: [ok, 'Content-Length: 2', '', 'abcdef'],
      facts: { body: 'ab', body_bytes: 2, body_truncated: false },
    },
    {
      name: 'a second answer after the first',
      answer: [ok, 'Connection: close', 'Content-Length: 1', '', `aHTTP/1.1 500 X`, '', ''],
      facts: { status: 200, body: 'a' },
    },
    {
      name: 'informational answers',
      answer: ['HTTP/1.1 103 Early Hints', 'Link: </a>', '', 'HTTP/1.1 100 Continue', '', ok, '', 'x'],
      facts: { status: 200, body: 'x', header: {} },
    },
    {
      name: 'a redirect that is not to be followed',
      answer: ['HTTP/1.1 302 Found', 'Location: /b', '', ''],
      facts: { status: 302, header: { location: '/b' } },
    },
    { name: 'UTF-8', answer: text(latin1('ёж')), facts: { body: 'ёж', body_bytes: 4 } },
    {
      name: 'a byte order mark',
      answer: text(latin1('\ufeff{"a":1}')),
      facts: { body: '{"a":1}', body_bytes: 10, json: { a: 1 } },
    },
    { name: 'bytes that are not UTF-8', answer: text('a\xff\xfeb'), facts: { body: 'a\ufffd\ufffdb' } },
    { name: 'another charset', answer: text('\xb8\xe6', 'text/plain; charset="windows-1251"'), facts: { body: 'ёж' } },
    { name: 'an unknown charset', answer: text(latin1('ёж'), 'text/plain;charset=klingon'), facts: { body: 'ёж' } },
    { name: 'JSON', answer: text('{"a":[1]}', 'application/json'), facts: { json: { a: [1] } } },
    {
      name: 'JSON that is no object',
      answer: text('null', 'application/health+json; charset=utf-8'),
      facts: { json: null },
    },
    { name: 'JSON under another name', answer: text(' \n[1]'), facts: { json: [1] } },
    { name: 'a number that is only text', answer: text('5'), facts: { body: '5', json: undefined } },
    { name: 'broken JSON', answer: text('{"a":', 'application/json'), facts: { body: '{"a":', json: undefined } },
    {
      name: 'JSON that was cut',
      query: { max_body: 1024 },
      answer: text(`[1]${' '.repeat(1200)}`),
      facts: { body_truncated: true, json: undefined },
    },
    {
      name: 'a body of exactly max_body',
      query: { max_body: 1024 },
      answer: text('x'.repeat(1024)),
      facts: { body_bytes: 1024, body_truncated: false },
    },
    {
      name: 'a body of one byte more',
      query: { max_body: '1KiB' },
      answer: text('x'.repeat(1025)),
      facts: { body: 'x'.repeat(1024), body_bytes: 1024, body_truncated: true },
    },
    {
      name: 'headers by lower-case name, repeated ones as lists',
      answer: [ok, 'X-A: 1, 2', 'x-a: 3', 'X-B: 1, 2', 'X-C:', 'Set-Cookie: a=1', '__proto__: p', '', ''],
      facts: {
        header: { 'x-a': ['1, 2', '3'], 'x-b': '1, 2', 'x-c': '', 'set-cookie': ['a=1'], ['__proto__']: 'p' },
      },
    },
  ]
  for (const { name, query, answer, facts } of scenarios) {
    test(`probe() reports ${name}`, async (t) => {
      const target = await listenRaw(t, (socket) => socket.end(answer.join('\r\n'), 'latin1'))
      const found = await check({ url: `http://127.0.0.1:${target.port}/`, ...query })
      assert.deepEqual(Object.fromEntries(Object.keys(facts).map((fact) => [fact, found[fact]])), facts)
      assert.deepEqual(structuredClone(found), found)
      await assertNothingOpen(target)
    })
  }

  test('probe() reports no other facts than it declares, and how long it took', async (t) => {
    const target = await listenRaw(t, async (socket) => {
      await sleep(50)
      socket.end('HTTP/1.1 200 OK\r\n\r\n{}')
    })
    const facts = await check({ url: `http://127.0.0.1:${target.port}/` })
    assert.deepEqual(Object.keys(facts).sort(), Object.keys(Probe.facts).sort())
    const time = Number(facts.time_ms)
    assert.ok(time >= 49 && time < 1000, `${time} ms`)
    assert.equal(time, Number(time.toFixed(1)))
  })

  test('probe() ignores bytes that come after the length has been reached', async (t) => {
    const target = await listenRaw(t, async (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab')
      await sleep(20)
      socket.end('cdef')
    })
    assert.equal((await check({ url: `http://127.0.0.1:${target.port}/` })).body, 'ab')
    await assertNothingOpen(target)
  })

  const compressions = [
    { coding: 'gzip', compress: zlib.gzipSync },
    { coding: 'X-Gzip', compress: zlib.gzipSync },
    { coding: 'deflate', compress: zlib.deflateSync },
    { coding: 'br', compress: zlib.brotliCompressSync },
    { coding: 'zstd', compress: zlib.zstdCompressSync },
  ]
  for (const { coding, compress } of compressions) {
    test(`probe() decompresses ${coding} and stops a bomb at max_body`, async (t) => {
      const bodies: Record<string, Buffer> = {
        '/small': compress('ёж'.repeat(500)),
        '/bomb': compress(Buffer.alloc(50_000_000)),
      }
      const server = http.createServer(({ url = '' }, response) =>
        response.setHeader('content-encoding', coding).end(bodies[url]),
      )
      const target = await listen(t, server)
      const url = `http://127.0.0.1:${target.port}`
      const small = await check({ url: `${url}/small` })
      assert.deepEqual([small.body, small.body_bytes, small.body_truncated], ['ёж'.repeat(500), 2000, false])
      const bomb = await check({ url: `${url}/bomb` })
      assert.deepEqual([bomb.body_bytes, bomb.body_truncated], [1_048_576, true])
      await assertNothingOpen(target)
    })
  }

  test('probe() stops 10 GB of compressed zeros within bounded memory', async (t) => {
    const member = zlib.gzipSync(Buffer.alloc(100_000_000)).toString('latin1')
    const target = await listenRaw(t, (socket) => {
      socket.setDefaultEncoding('latin1')
      socket.write('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n')
      for (let i = 0; i < 100; i++) socket.write(member)
    })
    const before = process.memoryUsage().arrayBuffers
    let peak = before
    const timer = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().arrayBuffers)
    }, 1)
    t.after(() => clearInterval(timer))
    const facts = await check({ url: `http://127.0.0.1:${target.port}/`, max_body: '4MiB' })
    assert.deepEqual([facts.body_bytes, facts.body_truncated], [4_194_304, true])
    assert.ok(Number(facts.time_ms) < 2000, `${facts.time_ms} ms`)
    assert.ok(peak > before && peak - before < 32_000_000, `${peak - before} bytes`)
    await assertNothingOpen(target)
  })

  const endless = [
    { name: 'an endless body', behave: repeat('x'.repeat(60_000), 'HTTP/1.1 200 OK\r\n\r\n') },
    {
      name: 'endless small chunks',
      behave: repeat('1\r\nx\r\n'.repeat(9000), 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'),
    },
  ]
  for (const { name, behave } of endless) {
    test(`probe() stops reading ${name} at max_body`, async (t) => {
      const target = await listenRaw(t, behave)
      const { status, body, body_bytes, body_truncated } = await check({
        url: `http://127.0.0.1:${target.port}/`,
        max_body: '100KiB',
      })
      assert.deepEqual(
        { status, body_bytes, body_truncated },
        { status: 200, body_bytes: 102_400, body_truncated: true },
      )
      assert.equal(body, 'x'.repeat(102_400))
      await assertNothingOpen(target)
    })
  }
})

describe('a target that does not answer as it should', () => {
  const ok = 'HTTP/1.1 200 OK'
  const wideZstd = zlib.createZstdCompress({ params: { [zlib.constants.ZSTD_c_windowLog]: 27 } })
  const scenarios: { name: string; behave: Behaviour; scheme?: string; query?: Query; reason: string }[] = [
    { name: 'closes at once', behave: (socket) => socket.end(), reason: 'closed before the answer' },
    {
      name: 'resets the connection',
      behave: (socket) => socket.resetAndDestroy(),
      reason: 'connection reset',
    },
    { name: 'closes within a header line', behave: sayAndClose(ok, 'Content-Le'), reason: 'closed before the answer' },
    {
      name: 'greets as a mail server',
      behave: sayAndClose('220 mail ESMTP', ''),
      reason: 'HTTP cannot be parsed: Expected HTTP/, RTSP/ or ICE/',
    },
    {
      name: 'sends noise',
      behave: sayAndClose('\0\x01\x02\x03'),
      reason: 'HTTP cannot be parsed: Expected HTTP/, RTSP/ or ICE/',
    },
    {
      name: 'has a version beyond HTTP',
      behave: sayAndClose('HTTP/9.9 200', '', ''),
      reason: 'HTTP cannot be parsed: Invalid HTTP version',
    },
    {
      name: 'sends endless headers',
      behave: repeat('X-A: b\r\n'.repeat(500), `${ok}\r\n`),
      reason: 'sent more than 16 KiB of headers',
    },
    {
      name: 'sends an endless header',
      behave: repeat('x'.repeat(5000), `${ok}\r\nX-A: `),
      reason: 'sent more than 16 KiB of headers',
    },
    {
      name: 'sends endless trailers',
      behave: repeat('X-A: b\r\n'.repeat(500), `${ok}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n`),
      reason: 'sent more than 16 KiB of headers',
    },
    {
      name: 'sends endless informational answers',
      behave: repeat('HTTP/1.1 102 Processing\r\n\r\n'.repeat(30)),
      reason: 'sent more than 100 informational answers',
    },
    {
      name: 'switches protocols',
      behave: say('HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: x', '', 'hello'),
      reason: 'switched to another protocol (status 101) without being asked',
    },
    {
      name: 'has a status beyond HTTP',
      behave: say('HTTP/1.1 999 Denied', '', ''),
      reason: 'answered with status 999, which HTTP does not have',
    },
    {
      name: 'has a status below HTTP',
      behave: say('HTTP/1.1 099 Odd', '', ''),
      reason: 'answered with status 99, which HTTP does not have',
    },
    {
      name: 'closes before the length is reached',
      behave: sayAndClose(ok, 'Content-Length: 100', '', 'abc'),
      reason: 'closed before the whole body',
    },
    {
      name: 'resets within the body',
      behave: (socket) =>
        void socket.write(`${ok}\r\nContent-Length: 100\r\n\r\nabc`, () =>
          setTimeout(() => socket.resetAndDestroy(), 20),
        ),
      reason: 'connection reset',
    },
    {
      name: 'closes before the last chunk',
      behave: sayAndClose(ok, 'Transfer-Encoding: chunked', '', '3', 'abc', ''),
      reason: 'closed before the whole body',
    },
    {
      name: 'sends a bad chunk',
      behave: sayAndClose(ok, 'Transfer-Encoding: chunked', '', 'zz', ''),
      reason: 'HTTP cannot be parsed: Invalid character in chunk size',
    },
    {
      name: 'gives two lengths',
      behave: sayAndClose(ok, 'Content-Length: 1', 'Content-Length: 2', '', 'ab'),
      reason: 'HTTP cannot be parsed: Duplicate Content-Length',
    },
    {
      name: 'sends no gzip as gzip',
      behave: sayAndClose(ok, 'Content-Encoding: gzip', '', 'plain text'),
      reason: 'body cannot be decompressed (gzip): incorrect header check',
    },
    {
      name: 'sends half of a gzip',
      behave: (socket) =>
        socket.end(
          Buffer.concat([Buffer.from(`${ok}\r\nContent-Encoding: gzip\r\n\r\n`), zlib.gzipSync('abc').subarray(0, 12)]),
        ),
      reason: 'body cannot be decompressed (gzip): unexpected end of file',
    },
    {
      name: 'closes within a compressed body',
      behave: (socket) =>
        socket.end(
          Buffer.concat([
            Buffer.from(`${ok}\r\nContent-Length: 500\r\nContent-Encoding: gzip\r\n\r\n`),
            zlib.gzipSync('abc').subarray(0, 12),
          ]),
        ),
      reason: 'closed before the whole body',
    },
    {
      name: 'wants 128 MiB to decompress',
      behave: (socket) => {
        socket.write(`${ok}\r\nContent-Encoding: zstd\r\n\r\n`)
        wideZstd.pipe(socket)
        wideZstd.end(Buffer.alloc(200_000))
      },
      reason: 'body cannot be decompressed (zstd): Frame requires too much memory for decoding',
    },
    {
      name: 'closes during the TLS handshake',
      scheme: 'https',
      behave: (socket) => socket.end(),
      reason: 'closed before TLS was established',
    },
    {
      name: 'does not speak TLS',
      scheme: 'https',
      behave: sayAndClose('HTTP/1.1 400 Bad Request', '', ''),
      reason: 'TLS failed: wrong version number',
    },
    {
      name: 'redirects for ever',
      query: { follow_redirects: true },
      behave: sayAndClose('HTTP/1.1 302 Found', 'Location: /again', '', ''),
      reason: 'redirects more than 10 times',
    },
    {
      name: 'redirects to another scheme',
      query: { follow_redirects: true },
      behave: sayAndClose('HTTP/1.1 301 Moved', 'Location: file:///etc/passwd', '', ''),
      reason: 'redirects to "file:", which is neither http nor https',
    },
    {
      name: 'redirects to nowhere',
      query: { follow_redirects: true },
      behave: sayAndClose('HTTP/1.1 307 Moved', 'Location: http://s3cret@:0x/', '', ''),
      reason: 'redirects to something that is not a URL',
    },
  ]
  for (const { name, behave, scheme = 'http', query, reason } of scenarios) {
    test(`probe() calls it dead when it ${name}`, async (t) => {
      const target = await listenRaw(t, behave)
      await assertDead({ url: `${scheme}://u:s3cret@127.0.0.1:${target.port}/`, ...query }, reason)
      await assertNothingOpen(target)
    })
  }

  test('probe() names who refused', async () => {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as net.AddressInfo
    server.close()
    await once(server, 'close')
    await assertDead({ url: `http://u:s3cret@127.0.0.1:${port}/` }, `connection refused by 127.0.0.1:${port}`)
  })

  const resolved = [
    {
      name: 'all refused',
      addresses: ['127.0.0.1', '127.0.0.2'],
      error: { name: 'Dead', message: 'connection refused by 127.0.0.1:1; connection refused by 127.0.0.2:1' },
    },
    {
      name: 'one refused and this host cannot reach the other',
      addresses: ['255.255.255.255', '127.0.0.2'],
      error: { name: 'Dead', message: 'connection refused by 127.0.0.2:1' },
    },
    {
      name: 'this host can reach none',
      addresses: ['255.255.255.255', '224.0.0.1'],
      error: {
        name: 'Unknown',
        message: /^connect ENETUNREACH 255\.255\.255\.255:1.*; connect ENETUNREACH 224\.0\.0\.1:1/,
      },
    },
  ]
  for (const { name, addresses, error } of resolved) {
    // A resolver with several answers is the one thing that loopback cannot offer.
    test(`probe() judges a host of two addresses of which ${name}`, async (t) => {
      const answer = addresses.map((address) => ({ address, family: 4 }))
      t.mock.method(dns.promises, 'lookup', () => Promise.resolve(answer))
      await assert.rejects(check({ url: 'http://two.invalid:1/' }), error)
    })
  }

  test('probe() names the host that has no address, and passes on that the resolver did not answer', async (t) => {
    const fail = (code: string) => () =>
      Promise.reject(Object.assign(new Error(`getaddrinfo ${code} x.invalid`), { code, hostname: 'x.invalid' }))
    const resolver = t.mock.method(dns.promises, 'lookup', fail('ENOTFOUND'))
    await assertDead({ url: 'http://x.invalid/' }, 'no address is known for x.invalid')
    resolver.mock.mockImplementation(fail('EAI_AGAIN'))
    await assert.rejects(check({ url: 'http://x.invalid/' }), {
      code: 'EAI_AGAIN',
      message: 'getaddrinfo EAI_AGAIN x.invalid',
    })
  })
})

describe('the deadline', () => {
  const ok = 'HTTP/1.1 200 OK\r\n'
  const upload = { query_type: 'post', body: 'x'.repeat(20_000_000) }
  const scenarios: { name: string; behave: Behaviour; scheme?: string; query?: Query }[] = [
    { name: 'never answers', behave: () => {} },
    { name: 'never finishes TLS', scheme: 'https', behave: () => {} },
    { name: 'drips bytes into TLS', scheme: 'https', behave: drip('\x16\x03\x03\x3f\xff') },
    { name: 'stops within a header line', behave: say('HTTP/1.1 200 OK', 'Content-Le') },
    { name: 'drips headers', behave: drip('X-A: b\r\n', ok) },
    { name: 'drips informational answers', behave: drip('HTTP/1.1 100 Continue\r\n\r\n') },
    { name: 'stops within the body', behave: say('HTTP/1.1 200 OK', 'Content-Length: 10', '', 'abc') },
    { name: 'drips the body', behave: drip('x', `${ok}\r\n`) },
    { name: 'drips chunks', behave: drip('1\r\nx\r\n', `${ok}Transfer-Encoding: chunked\r\n\r\n`) },
    { name: 'drips trailers', behave: drip('X-A: b\r\n', `${ok}Transfer-Encoding: chunked\r\n\r\n0\r\n`) },
    {
      name: 'stops within a compressed body',
      behave: (socket) =>
        socket.write(
          Buffer.concat([Buffer.from(`${ok}Content-Encoding: gzip\r\n\r\n`), zlib.gzipSync('abc').subarray(0, 12)]),
        ),
    },
    { name: 'keeps an HTTP/1.0 connection open', behave: say('HTTP/1.0 200 OK', '', 'abc') },
    { name: 'does not read the request', behave: (socket) => socket.pause(), query: upload },
    {
      name: 'hangs after a redirect',
      query: { follow_redirects: true },
      behave: (socket, request) =>
        request.startsWith('GET /hang') || socket.write('HTTP/1.1 302 Found\r\nLocation: /hang\r\n\r\nand so on'),
    },
  ]
  for (const { name, behave, scheme = 'http', query } of scenarios) {
    test(`probe() ends at it when the target ${name}`, async (t) => {
      const target = await listenRaw(t, behave)
      const startedAt = performance.now()
      const signal = AbortSignal.timeout(150)
      await assert.rejects(
        check({ url: `${scheme}://127.0.0.1:${target.port}/`, ...query }, signal),
        (error) => error === signal.reason,
      )
      const took = performance.now() - startedAt
      assert.ok(took >= 140 && took < 500, `${took} ms`)
      await assertNothingOpen(target)
    })
  }

  test('probe() ends at it when the resolver hangs', async (t) => {
    t.mock.method(dns.promises, 'lookup', () => sleep(600, []))
    const signal = AbortSignal.timeout(50)
    const startedAt = performance.now()
    await assert.rejects(check({ url: 'http://slow.invalid/' }, signal), (error) => error === signal.reason)
    assert.ok(performance.now() - startedAt < 400)
  })

  test('probe() connects to nobody when it has passed already', async (t) => {
    const target = await listenRaw(t, say('HTTP/1.1 200 OK', '', ''))
    const reason = new Error('too late')
    await assert.rejects(check({ url: `http://127.0.0.1:${target.port}/` }, AbortSignal.abort(reason)), reason)
    assert.equal(target.sockets.size, 0)
    await assertNothingOpen(target)
  })

  test('probe() leaves nothing on a signal that outlives the check', async (t) => {
    const target = await listenRaw(t, sayAndClose('HTTP/1.1 200 OK', '', ''))
    const { signal } = new AbortController()
    const added = t.mock.method(signal, 'addEventListener')
    const removed = t.mock.method(signal, 'removeEventListener')
    await check({ url: `http://127.0.0.1:${target.port}/` }, signal)
    // A connection takes its listener off when it is closed, which is a moment after it was told to.
    await assertNothingOpen(target)
    assert.ok(added.mock.callCount() > 0)
    assert.equal(added.mock.callCount(), removed.mock.callCount())
  })
})

describe('follow_redirects', () => {
  interface Seen {
    method: string
    body: string
    headers: http.IncomingHttpHeaders
  }

  /** Two origins; on both `/<status>/<path>` redirects to `/<path>`, `/to-other/<status>/` to the other one; `/end` answers. */
  async function createOrigins(t: TestContext) {
    const seen: Seen[] = []
    const ports: number[] = []
    const targets = await Promise.all(
      [0, 1].map((i) =>
        listen(
          t,
          http.createServer((request, response) => answer(i, request, response)),
        ),
      ),
    )
    ports.push(...targets.map(({ port }) => port))
    async function answer(i: number, request: http.IncomingMessage, response: http.ServerResponse) {
      const body = Buffer.concat(await request.toArray()).toString()
      const { method = '', headers, url = '' } = request
      const [, status, rest] = /^\/(?:to-other\/)?(\d+)(\/.*)$/.exec(url) ?? []
      const origin = url.startsWith('/to-other/') ? `http://x:y@127.0.0.1:${ports[1 - i]}` : ''
      if (status) return response.writeHead(Number(status), { location: origin + rest }).end('moved')
      seen.push({ method, body, headers })
      response.end('here')
    }
    return { seen, targets, base: `127.0.0.1:${ports[0]}` }
  }

  const post = { query_type: 'post', body: 'b', header: { 'Content-Type': 'text/x' } }
  const methods: { name: string; path: string; query: Query; sent: [string, string, string | undefined] }[] = [
    { name: '301 makes POST a GET', path: '/301/end', query: post, sent: ['GET', '', undefined] },
    { name: '302 makes POST a GET', path: '/302/end', query: post, sent: ['GET', '', undefined] },
    { name: '302 keeps PUT', path: '/302/end', query: { ...post, query_type: 'put' }, sent: ['PUT', 'b', 'text/x'] },
    {
      name: '303 makes PUT a GET',
      path: '/303/end',
      query: { ...post, query_type: 'put' },
      sent: ['GET', '', undefined],
    },
    { name: '303 keeps HEAD', path: '/303/end', query: { query_type: 'head' }, sent: ['HEAD', '', undefined] },
    { name: '307 keeps POST and its body', path: '/307/end', query: post, sent: ['POST', 'b', 'text/x'] },
    { name: '308 keeps POST and its body', path: '/308/end', query: post, sent: ['POST', 'b', 'text/x'] },
    { name: 'ten are followed', path: `${'/302'.repeat(10)}/end`, query: {}, sent: ['GET', '', undefined] },
  ]
  for (const { name, path, query, sent } of methods) {
    test(`probe() follows: ${name}`, async (t) => {
      const { base, seen, targets } = await createOrigins(t)
      const { status } = await check({ url: `http://${base}${path}`, follow_redirects: true, ...query })
      assert.equal(status, 200)
      assert.deepEqual(
        seen.map(({ method, body, headers }) => [method, body, headers['content-type']]),
        [sent],
      )
      for (const target of targets) await assertNothingOpen(target)
    })
  }

  const credentials: { name: string; path: string; kept: boolean }[] = [
    { name: 'to the same origin', path: '/302/end', kept: true },
    { name: 'not to another one', path: '/to-other/302/end', kept: false },
    { name: 'not by way of another one back to the first', path: '/to-other/302/to-other/302/end', kept: false },
  ]
  for (const { name, path, kept } of credentials) {
    test(`probe() sends credentials ${name}`, async (t) => {
      const { base, seen } = await createOrigins(t)
      const header = { Cookie: 'a=1', 'X-Api-Key': 'k', Host: base, 'User-Agent': 'me' }
      await check({ url: `http://u:p@${base}${path}`, follow_redirects: true, header })
      const { authorization, cookie, host, 'x-api-key': key, 'user-agent': agent } = seen[0]?.headers ?? {}
      assert.deepEqual(
        [authorization, cookie, key],
        kept ? ['Basic dTpw', 'a=1', 'k'] : [undefined, undefined, undefined],
      )
      assert.equal(agent, 'me')
      assert.equal(host === base, !path.startsWith('/to-other/302/end'))
    })
  }

  test('probe() calls the eleventh redirect dead, and has asked no more', async (t) => {
    const { base, seen } = await createOrigins(t)
    const url = `http://${base}${'/302'.repeat(11)}/end`
    await assertDead({ url, follow_redirects: true }, 'redirects more than 10 times')
    assert.equal(seen.length, 0)
  })

  test('probe() closes the connection of a redirect before it follows', async (t) => {
    const target = await listenRaw(t, async (socket, request) => {
      if (!request.startsWith('GET /end'))
        return repeat('x'.repeat(60_000), 'HTTP/1.1 302 Found\r\nLocation: /end\r\n\r\n')(socket, request)
      await sleep(50)
      return socket.end(`HTTP/1.1 200 OK\r\n\r\n${target.sockets.size} open`)
    })
    const { body } = await check({ url: `http://127.0.0.1:${target.port}/`, follow_redirects: true })
    assert.equal(body, '1 open')
  })

  test('probe() takes a redirect without a location as the answer', async (t) => {
    const target = await listenRaw(t, sayAndClose('HTTP/1.1 302 Found', '', 'lost'))
    const { status, body } = await check({ url: `http://127.0.0.1:${target.port}/`, follow_redirects: true })
    assert.deepEqual([status, body], [302, 'lost'])
  })
})

describe('TLS', { skip: findMissingOpenssl() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-url-probe-tls-'))
  after(() => rmSync(folder, { recursive: true }))
  const certificates = {
    good: createCertificate(folder, 'good'),
    other: createCertificate(folder, 'other'),
    expired: createCertificate(folder, 'expired', { days: -1 }),
    named: createCertificate(folder, 'named', { names: 'DNS:elsewhere' }),
  }
  type Name = keyof typeof certificates
  const trust = (name: Name) => ({ tls: { ca_file: certificates[name].ca } })

  /** An HTTPS server that answers with the name it was asked for (SNI). */
  function listenTls(t: TestContext, name: Name): Promise<Target> {
    const { key, cert } = certificates[name]
    const options = { key: readFileSync(key), cert: readFileSync(cert) }
    return listen(
      t,
      https.createServer(options, ({ socket }, response) => response.end(`SNI ${(socket as TLSSocket).servername}`)),
    )
  }

  const dead: { name: string; server: Name; query?: Query; reason: string }[] = [
    { name: 'an unknown authority', server: 'good', reason: 'unable to verify the first certificate' },
    {
      name: 'another authority',
      server: 'good',
      query: trust('other'),
      reason: 'unable to verify the first certificate',
    },
    {
      name: 'an expired certificate',
      server: 'expired',
      query: trust('expired'),
      reason: 'certificate has expired',
    },
    {
      name: 'a certificate of another host',
      server: 'named',
      query: { ...trust('named'), header: { Host: 'elsewhere' } },
      reason: "Hostname/IP does not match certificate's altnames: IP: 127.0.0.1 is not in the cert's list: ",
    },
  ]
  for (const { name, server, query, reason } of dead) {
    test(`probe() calls dead ${name}`, async (t) => {
      const target = await listenTls(t, server)
      await assertDead({ url: `https://u:s3cret@127.0.0.1:${target.port}/`, ...query }, reason)
      await assertNothingOpen(target)
    })
  }

  const alive: { name: string; host: string; query: Query; body: string }[] = [
    { name: 'an authority of ca_file', host: 'localhost', query: trust('good'), body: 'SNI localhost' },
    { name: 'an address, without SNI', host: '127.0.0.1', query: trust('good'), body: 'SNI false' },
    {
      name: 'the name of the URL whatever Host says',
      host: 'localhost',
      query: { ...trust('good'), header: { Host: 'elsewhere' } },
      body: 'SNI localhost',
    },
    {
      name: 'anything with tls.insecure',
      host: 'localhost',
      query: { tls: { insecure: true } },
      body: 'SNI localhost',
    },
  ]
  for (const { name, host, query, body } of alive) {
    test(`probe() accepts ${name}`, async (t) => {
      const target = await listenTls(t, 'good')
      const facts = await check({ url: `https://${host}:${target.port}/`, ...query })
      assert.deepEqual([facts.status, facts.body], [200, body])
      await assertNothingOpen(target)
    })
  }

  test('probe() reads tls.ca_file again when it has changed, and is unknown while it is not whole', async (t) => {
    const { port } = await listenTls(t, 'good')
    const ca_file = join(folder, 'rotated.pem')
    const rotate = (name: Name) => writeFileSync(ca_file, readFileSync(certificates[name].ca))
    rotate('other')
    const query = Probe.query.parse({ url: `https://localhost:${port}/`, tls: { ca_file } })
    const again = async () => Probe.probe(query, { signal: AbortSignal.timeout(5000), log: silent, keep: createKeep() })

    await assert.rejects(again(), { name: 'Dead', message: 'unable to verify the first certificate' })
    rotate('good')
    assert.equal((await again()).status, 200)
    writeFileSync(ca_file, 'half written')
    await assert.rejects(again(), { name: 'Unknown', message: /ca_file holds no whole certificate$/ })
    rmSync(ca_file)
    await assert.rejects(again(), {
      name: 'Unknown',
      message: `ca_file ${ca_file} cannot be read: there is no such file`,
    })
  })
})

/** Runs a server as a program of its own, which says its port. */
async function withServer(code: string, use: (port: string) => unknown): Promise<void> {
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const [port] = await once(child.stdout, 'data')
    await use(String(port).trim())
  } finally {
    child.kill()
  }
}

describe('many checks', () => {
  test('loading the module loads no HTTP, TLS or fetch of Node, and a plain check only what it needs', () => {
    const code = `
      const { registerHooks } = process.getBuiltinModule('node:module')
      const packages = []
      registerHooks({ resolve(name, ...rest) { if (/^[a-z]/.test(name)) packages.push(name); return rest[1](name, rest[0]) } })
      const loaded = () => process.moduleLoadList.filter((name) => /undici|_http_client|_tls_wrap|zlib|http2/.test(name))
      const { Probe } = await import('${import.meta.resolve('../../mod/url_probe.ts')}')
      const early = loaded().length
      const query = Probe.query.parse({ url: process.env.TARGET, follow_redirects: true })
      const { status, body, header } = await Probe.probe(query, { signal: new AbortController().signal })
      console.log(early, status, body, header['x-a'], loaded().join(), packages.includes('tough-cookie'))`
    const server = `
      require('node:http').createServer((_, answer) => answer.setHeader('x-a', 'b').end('here'))
        .listen(0, '127.0.0.1', function () { console.log(this.address().port) })`
    return withServer(server, (port) => {
      const env = { ...process.env, TARGET: `http://127.0.0.1:${port}/` }
      const said = execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8', env })
      assert.equal(said, '0 200 here b NativeModule _http_client false\n')
    })
  })

  test('300 probe()s in a row leave no socket, and each has a connection of its own', async (t) => {
    let connections = 0
    const server = http.createServer((_request, response) => response.end('green'))
    server.on('connection', () => connections++)
    const target = await listen(t, server)
    for (let i = 0; i < 300; i++) await check({ url: `http://127.0.0.1:${target.port}/` })
    assert.equal(connections, 300)
    await assertNothingOpen(target)
  })

  test('100 probe()s at once share nothing', async (t) => {
    const server = http.createServer(({ url }, response) => setTimeout(() => response.end(url), 50))
    const target = await listen(t, server)
    const paths = Array.from({ length: 100 }, (_, i) => `/${i}`)
    const all = await Promise.all(paths.map((path) => check({ url: `http://127.0.0.1:${target.port}${path}` })))
    assert.deepEqual(
      all.map(({ body }) => body),
      paths,
    )
    await assertNothingOpen(target)
  })
})
