import assert from 'node:assert/strict'
import dns from 'node:dns'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import * as http from 'node:http'
import * as http2 from 'node:http2'
import * as https from 'node:https'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import * as tls from 'node:tls'
import { Probe } from '../../mod/url_probe.ts'
import { freePort } from '../e2e/nginx.ts'
import { createCertificate, findMissingOpenssl } from '../servers/certificates.ts'
import { findMissingWeb, startTinyProxy, startWeb, type TinyProxy, type Web } from '../servers/web.ts'
import { assertNothingLeft, check, checkPrepared, observe, prepare, type Query } from './checking.ts'

const skip = findMissingOpenssl() || findMissingWeb()
const folder = mkdtempSync(join(tmpdir(), 'deadpool-url-probe-'))
after(() => rmSync(folder, { recursive: true }))

/** A server in this process, on a port of its own. */
async function listen(t: TestContext, server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>()
  for (const event of ['connection', 'secureConnection']) {
    server.on(event, (socket: net.Socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
    })
  }
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as net.AddressInfo).port
}

/** Fails when this process still has a connection a second after the check. */
async function assertNothingOpen(): Promise<void> {
  const count = () => process.getActiveResourcesInfo().filter((name) => /^(TCPSocketWrap|TLSWrap)$/.test(name)).length
  for (let i = 0; i < 50 && count() > 0; i++) await sleep(20)
  assert.equal(count(), 0)
}

/** Lets names below `.test` lead to 127.0.0.1, or fails at any name. */
function resolveNames(t: TestContext, isAllowed = true) {
  return t.mock.method(dns.promises, 'lookup', async (name: string) => {
    assert.ok(isAllowed && name.endsWith('.test'), `${name} was looked up`)
    return [{ address: '127.0.0.1', family: 4 }]
  })
}

async function assertDead(query: Query, reason: string | RegExp): Promise<void> {
  const outcome = await check(Probe, query)
  assert.equal(outcome.kind, 'dead', JSON.stringify(outcome))
  const found = outcome.kind === 'dead' ? outcome.reason : ''
  if (typeof reason === 'string') assert.equal(found, reason)
  else assert.match(found, reason)
}

describe('nginx', { skip }, () => {
  let web: Web
  let proxy: TinyProxy
  let guarded: TinyProxy
  const one = createCertificate(folder, 'one', { names: 'DNS:one.test,DNS:free.test,DNS:localhost' })
  const two = createCertificate(folder, 'two', { names: 'DNS:two.test' })
  const both = join(folder, 'both.pem')
  writeFileSync(both, readFileSync(one.ca, 'utf8') + readFileSync(two.ca, 'utf8'))
  const member = { cert_file: one.cert, key_file: one.key }
  before(async () => {
    web = await startWeb({ one, two })
    proxy = await startTinyProxy()
    guarded = await startTinyProxy({ isGuarded: true })
  })
  after(() => Promise.all([web, proxy, guarded].map((server) => server?.stop())))

  const plain = (path: string, query: Query = {}) => ({ url: `http://127.0.0.1:${web.port}${path}`, ...query })
  /** Asks `one.test` over TLS. */
  const secure = (path: string, query: Query = {}) => ({
    url: `https://one.test:${web.tlsPort}${path}`,
    tls: { ca_file: both },
    resolve: '127.0.0.1',
    ...query,
  })

  test('probe() reports what it saw of connection and time over TLS', async (t) => {
    resolveNames(t)
    const facts = await observe(Probe, {
      url: `https://u:p@one.test:${web.tlsPort}/who`,
      tls: { ca_file: both },
      http_version: 'auto',
    })
    const { url, redirects, http_version, remote_ip, tls_version, cert_days } = facts
    assert.deepEqual(
      { url, redirects, http_version, remote_ip, tls_version },
      {
        url: `https://one.test:${web.tlsPort}/who`,
        redirects: 0,
        http_version: '2',
        remote_ip: '127.0.0.1',
        tls_version: 'TLSv1.3',
      },
    )
    assert.ok(Number(cert_days) > 0.8 && Number(cert_days) <= 1, `${cert_days} days`)
    const parts = ['dns_ms', 'connect_ms', 'tls_ms', 'first_byte_ms'].map((part) => Number(facts[part]))
    assert.ok(
      parts.every((part) => part >= 0),
      `${parts}`,
    )
    const sum = parts.reduce((total, part) => total + part)
    assert.ok(Number(facts.tls_ms) > 0 && sum <= Number(facts.time_ms) + 0.3, `${parts} of ${facts.time_ms}`)
  })

  test('probe() leaves out what there was not: a look-up of an address, and TLS', async () => {
    const { dns_ms, tls_ms, tls_version, cert_days, remote_ip, http_version } = await observe(Probe, plain('/who'))
    assert.deepEqual(
      { dns_ms, tls_ms, tls_version, cert_days, remote_ip, http_version },
      {
        dns_ms: undefined,
        tls_ms: undefined,
        tls_version: undefined,
        cert_days: undefined,
        remote_ip: '127.0.0.1',
        http_version: '1.1',
      },
    )
  })

  test('probe() takes as long for each part as that took', async (t) => {
    const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }))
    t.mock.method(dns.promises, 'lookup', () => sleep(60, addresses))
    const server = http.createServer((_request, response) => setTimeout(() => response.end('late'), 80))
    const port = await listen(t, server)
    const facts = await observe(Probe, { url: `http://slow.test:${port}/` })
    const [dnsMs, connectMs, firstMs] = [facts.dns_ms, facts.connect_ms, facts.first_byte_ms].map(Number)
    assert.ok(dnsMs && dnsMs >= 59 && dnsMs < 115, `look-up ${dnsMs}`)
    assert.ok(firstMs && firstMs >= 79 && firstMs < 135, `first byte ${firstMs}`)
    assert.ok(connectMs !== undefined && connectMs < 50, `connection ${connectMs}`)
  })

  const versions: { name: string; query: () => Query; protocol: string }[] = [
    { name: 'HTTP/1.1 over TLS by default', query: () => secure('/who'), protocol: 'HTTP/1.1' },
    { name: 'HTTP/2 over TLS when asked', query: () => secure('/who', { http_version: '2' }), protocol: 'HTTP/2.0' },
    { name: 'what the server has', query: () => secure('/who', { http_version: 'auto' }), protocol: 'HTTP/2.0' },
    { name: 'HTTP/1.1 over http for auto', query: () => plain('/who', { http_version: 'auto' }), protocol: 'HTTP/1.1' },
    {
      name: 'HTTP/2 over http without asking first',
      query: () => ({ url: `http://127.0.0.1:${web.http2Port}/who`, http_version: 2 }),
      protocol: 'HTTP/2.0',
    },
  ]
  for (const { name, query, protocol } of versions) {
    test(`probe() speaks ${name}`, async () => {
      const { body, http_version } = await observe(Probe, query())
      assert.equal(String(body).split(' ')[1], protocol)
      assert.equal(`HTTP/${http_version}`.replace(/2$/, '2.0'), protocol)
      await assertNothingOpen()
    })
  }

  test('probe() is dead when the server has not the version it is to speak', async (t) => {
    await assertDead(plain('/who', { http_version: 2 }), 'HTTP/2 cannot be parsed: Protocol error')
    const url = `http://127.0.0.1:${web.http2Port}/who`
    await assertDead({ url }, 'HTTP cannot be parsed: Expected HTTP/, RTSP/ or ICE/')
    const options = { key: readFileSync(one.key), cert: readFileSync(one.cert) }
    const silent = await listen(
      t,
      tls.createServer(options, (socket) => socket.end()),
    )
    const https1 = await listen(
      t,
      https.createServer(options, (_request, response) => response.end('ok')),
    )
    const insecure = { tls: { insecure: true }, http_version: 2 }
    await assertDead({ url: `https://127.0.0.1:${silent}/`, ...insecure }, 'does not offer HTTP/2')
    await assertDead(
      { url: `https://127.0.0.1:${https1}/`, ...insecure },
      'TLS failed: tlsv1 alert no application protocol',
    )
    const auto = await observe(Probe, { url: `https://127.0.0.1:${https1}/`, ...insecure, http_version: 'auto' })
    assert.equal(auto.http_version, '1.1')
    await assertNothingOpen()
  })

  const names: { name: string; query: () => Query; said: string }[] = [
    {
      name: 'tls.server_name as SNI and in the certificate, and leaves Host alone',
      query: () => ({
        url: `https://127.0.0.1:${web.tlsPort}/who`,
        tls: { ca_file: two.ca, server_name: 'two.test' },
        header: { Host: 'two.test' },
      }),
      said: 'two.test HTTP/1.1 host=two.test sni=two.test',
    },
    {
      name: 'the header Host without another SNI',
      query: () => secure('/who', { header: { host: 'free.test' } }),
      said: 'free.test HTTP/1.1 host=free.test sni=one.test',
    },
    {
      name: 'the header Host as :authority of HTTP/2',
      query: () => secure('/who', { header: { host: 'free.test' }, http_version: 2 }),
      said: 'free.test HTTP/2.0 host=free.testh2 sni=one.test',
    },
    {
      name: 'resolve for the connection alone',
      query: () => secure('/who'),
      said: `one.test HTTP/1.1 host=one.test:PORT sni=one.test`,
    },
  ]
  for (const { name, query, said } of names) {
    test(`probe() takes ${name}`, async (t) => {
      resolveNames(t, false)
      const { body } = await observe(Probe, query())
      assert.equal(
        String(body)
          .replace(String(web.tlsPort), 'PORT')
          .replace(/ client=.*/, ''),
        said,
      )
    })
  }

  test('probe() is dead by a certificate without tls.server_name in it', () =>
    assertDead(
      secure('/who', { tls: { ca_file: both, server_name: 'two.test' }, url: `https://free.test:${web.port}/` }),
      'TLS failed: wrong version number',
    ))

  test('probe() looks only for addresses of ip_version', async (t) => {
    const lookup = t.mock.method(dns.promises, 'lookup', async (name: string, { family }: dns.LookupOptions = {}) => {
      if (family !== 6) return [{ address: '127.0.0.1', family: 4 }]
      throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND', hostname: name })
    })
    const url = `http://four.test:${web.port}/who`
    await assertDead({ url, ip_version: 6 }, 'no IPv6 address is known for four.test')
    assert.equal((await observe(Probe, { url, ip_version: 4 })).status, 200)
    assert.deepEqual(
      lookup.mock.calls.map(({ arguments: [, options] }) => options?.family),
      [6, 4],
    )
    lookup.mock.restore()
    const redirect = http.createServer((_request, response) =>
      response.writeHead(302, { location: 'http://[::1]:1/' }).end(),
    )
    const port = await listen(t, redirect)
    const query = { url: `http://localhost:${port}/`, ip_version: 4, follow_redirects: true }
    await assertDead(query, 'redirects to ::1, which is not an IPv4 address')
  })

  describe('credentials', () => {
    const password = join(folder, 'password')
    const token = join(folder, 'token')
    writeFileSync(password, 's3cret\n')
    writeFileSync(token, 't0ken\n')
    const scenarios: { name: string; query: () => Query; status: number }[] = [
      { name: 'user and password', query: () => plain('/basic', { user: 'ann', password: 's3cret' }), status: 200 },
      {
        name: 'a password of a file',
        query: () => plain('/basic', { user: 'ann', password: { file: password } }),
        status: 200,
      },
      { name: 'a wrong password', query: () => plain('/basic', { user: 'ann', password: 'wrong' }), status: 401 },
      { name: 'nobody', query: () => plain('/basic'), status: 401 },
      { name: 'a token', query: () => plain('/bearer', { bearer: 't0ken' }), status: 200 },
      {
        name: 'a token of a file by HTTP/2',
        query: () => secure('/bearer', { bearer: { file: token }, http_version: 2 }),
        status: 200,
      },
      { name: 'a wrong token', query: () => plain('/bearer', { bearer: 'wrong' }), status: 401 },
      {
        name: 'a certificate',
        query: () => secure('/members', { tls: { ca_file: both, ...member } }),
        status: 200,
      },
      { name: 'no certificate', query: () => secure('/members'), status: 403 },
    ]
    for (const { name, query, status } of scenarios) {
      test(`probe() shows ${name}`, async () => assert.equal((await observe(Probe, query())).status, status))
    }

    test('probe() reads files with credentials for each check', async () => {
      const prepared = await prepare(Probe, plain('/basic', { user: 'ann', password: { file: password } }))
      assert.equal((await checkPrepared(Probe, prepared)).kind, 'alive')
      writeFileSync(password, 'changed')
      const refused = { kind: 'dead', reason: 'status: 401 is not one of 2xx' }
      assert.deepEqual(await checkPrepared(Probe, prepared), refused)
      rmSync(password)
      const gone = await checkPrepared(Probe, prepared)
      assert.equal(gone.kind, 'unknown')
      assert.match(gone.kind === 'unknown' ? gone.reason : '', /password cannot be read: there is no such file/)
      prepared.close()
    })

    test('probe() reads a secret in a header for each check, and sends none that HTTP does not allow', async () => {
      const key = join(folder, 'key')
      writeFileSync(key, 'Bearer t0ken\n')
      const prepared = await prepare(Probe, plain('/bearer', { header: { Authorization: { file: key }, 'X-A': 'b' } }))
      assert.equal((await checkPrepared(Probe, prepared)).kind, 'alive')
      writeFileSync(key, 'Bearer changed')
      const refused = { kind: 'dead', reason: 'status: 401 is not one of 2xx' }
      assert.deepEqual(await checkPrepared(Probe, prepared), refused)
      writeFileSync(key, 'Bearer t0ken\nX-B: c')
      const broken = 'header.authorization has a line break or a character beyond Latin-1'
      assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'unknown', reason: broken })
      prepared.close()
    })

    test('probe() is dead by a server that insists on a certificate', async (t) => {
      const [key, cert, ca] = [one.key, one.cert, one.ca].map((file) => readFileSync(file))
      const server = https.createServer({ key, cert, ca, requestCert: true, rejectUnauthorized: true }, (_, response) =>
        response.end('welcome'),
      )
      const port = await listen(t, server)
      const query = { url: `https://localhost:${port}/`, resolve: '127.0.0.1' }
      await assertDead({ ...query, tls: { ca_file: both } }, /^(TLS failed: .*certificate required|connection reset)$/)
      assert.equal((await observe(Probe, { ...query, tls: { ca_file: both, ...member } })).body, 'welcome')
      await assertNothingOpen()
    })
  })

  describe('redirects', () => {
    for (const http_version of ['1.1', '2']) {
      test(`probe() asks the new host by its own name, and shows it nothing of us, by HTTP/${http_version}`, async (t) => {
        resolveNames(t)
        const { body, url, redirects } = await observe(Probe, {
          url: `https://one.test:${web.tlsPort}/login-to-two`,
          tls: { ca_file: both, server_name: 'one.test', ...member },
          user: 'ann',
          password: 's3cret',
          header: { cookie: 'a=b' },
          follow_redirects: true,
          http_version,
        })
        const protocol = http_version === '2' ? 'HTTP/2.0' : 'HTTP/1.1'
        const host = `two.test:${web.tlsPort}${http_version === '2' ? 'h2' : ''}`
        assert.equal(body, `two.test ${protocol} host=${host} sni=two.test client=NONE auth= cookie=`)
        assert.deepEqual([url, redirects], [`https://two.test:${web.tlsPort}/who`, 1])
        await assertNothingOpen()
      })

      test(`probe() keeps cookies over redirects by HTTP/${http_version}`, async () => {
        const query = { follow_redirects: true, http_version, header: { cookie: 'theme=light; lang=en' } }
        const { status, body } = await observe(Probe, secure('/login', query))
        assert.deepEqual([status, body], [200, 'at home: lang=en; session=abc; theme=dark'])
      })
    }

    test('probe() judges the certificate of the new host by that host', async (t) => {
      resolveNames(t)
      const query = { url: `https://one.test:${web.tlsPort}/to-two`, tls: { ca_file: one.ca }, follow_redirects: true }
      await assertDead(query, 'unable to verify the first certificate')
    })

    test('probe() shows its certificate where http leads to https of the same host', async (t) => {
      resolveNames(t)
      const query = { url: `http://one.test:${web.port}/upgrade`, tls: { ca_file: both, ...member } }
      const { status, url, redirects } = await observe(Probe, { ...query, follow_redirects: true })
      assert.deepEqual([status, url, redirects], [200, `https://one.test:${web.tlsPort}/members`, 1])
      await assertNothingOpen()
    })

    test('probe() follows as many as it is told', async () => {
      const login = (follow_redirects: unknown) => plain('/login', { follow_redirects })
      assert.equal((await observe(Probe, login(1))).status, 200)
      assert.equal((await observe(Probe, login(0))).status, 302)
      assert.equal((await observe(Probe, login(false))).status, 302)
      const redirect = http.createServer((_request, response) => response.writeHead(302, { location: '/' }).end())
      const server = redirect.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const url = `http://127.0.0.1:${(server.address() as net.AddressInfo).port}/`
      await assertDead({ url, follow_redirects: 1 }, 'redirects more than 1 time')
      await assertDead({ url, follow_redirects: 3 }, 'redirects more than 3 times')
      server.close()
    })
  })

  describe('a proxy', () => {
    const through = (port: number, user = '') => ({ proxy: `http://${user}127.0.0.1:${port}` })
    const open = () => through(proxy.port)
    /** The proxy resolves it. */
    const secured = (query: Query = {}) => ({
      url: `https://localhost:${web.tlsPort}/who`,
      tls: { ca_file: both },
      ...query,
    })
    const unsecured = (query: Query = {}) => ({ url: `http://localhost:${web.port}/who`, ...query })

    const scenarios: { name: string; query: () => Query; said: string }[] = [
      { name: 'an http target', query: () => unsecured(open()), said: 'plain HTTP/1.1' },
      { name: 'an https target', query: () => secured(open()), said: 'one.test HTTP/1.1' },
      {
        name: 'HTTP/2 over TLS',
        query: () => secured({ ...open(), http_version: 'auto' }),
        said: 'one.test HTTP/2.0',
      },
      {
        name: 'HTTP/2 without TLS',
        query: () => ({ url: `http://localhost:${web.http2Port}/who`, ...open(), http_version: 2 }),
        said: 'plain HTTP/2.0',
      },
      {
        name: 'an http target, with user and password',
        query: () => unsecured(through(guarded.port, 'ann:s3cret@')),
        said: 'plain HTTP/1.1',
      },
      {
        name: 'an https target, with user and password',
        query: () => secured(through(guarded.port, 'ann:s3cret@')),
        said: 'one.test HTTP/1.1',
      },
    ]
    for (const { name, query, said } of scenarios) {
      test(`probe() reaches ${name}, and looks up no name itself`, async (t) => {
        resolveNames(t, false)
        const { status, body, remote_ip, dns_ms } = await observe(Probe, query())
        assert.deepEqual(
          [status, String(body).slice(0, said.length), remote_ip, dns_ms],
          [200, said, '127.0.0.1', undefined],
        )
        assert.match(String(body), / host=localhost:\d+/)
        // What is for the proxy is for the proxy.
        assert.match(String(body), / auth= /)
        await assertNothingOpen()
      })
    }

    test('probe() speaks TLS with the proxy, and in it with the target', async (t) => {
      const { key, cert } = createCertificate(folder, 'proxy', { names: 'DNS:proxy.test' })
      const front = tls.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (socket) => {
        const behind = net.connect(proxy.port, '127.0.0.1')
        behind.on('error', () => socket.destroy()).on('close', () => socket.destroy())
        socket.on('close', () => behind.destroy())
        socket.pipe(behind).pipe(socket)
      })
      const port = await listen(t, front)
      const looked = resolveNames(t)
      const way = { proxy: `https://proxy.test:${port}`, proxy_tls: { ca_file: join(folder, 'proxy-ca.pem') } }
      for (const http_version of ['1.1', '2']) {
        const { body } = await observe(Probe, secured({ ...way, http_version }))
        assert.match(String(body), /^one\.test .* sni=localhost /)
      }
      assert.match(String((await observe(Probe, unsecured(way))).body), /^plain /)
      assert.deepEqual([...new Set(looked.mock.calls.map((call) => call.arguments[0]))], ['proxy.test'])
      await assertDead(secured({ proxy: way.proxy }), 'proxy: unable to verify the first certificate')
      for (let moment = 0; moment < 16; moment++) {
        const over = new Error('over')
        const controller = new AbortController()
        const asking = observe(Probe, secured({ ...way, http_version: moment % 2 ? '1.1' : '2' }), controller.signal)
        const outcome = asking.then(
          () => over,
          (error) => error,
        )
        await sleep(moment)
        controller.abort(over)
        assert.equal(await outcome, over)
      }
      looked.mock.restore()
      await assertNothingOpen()
    })

    test('probe() says that it is the proxy that refuses', async () => {
      const closed = await freePort()
      await assertDead(unsecured(through(closed)), `proxy: connection refused by 127.0.0.1:${closed}`)
      await assertDead(
        secured(through(guarded.port)),
        'proxy: answered CONNECT with status 407 Proxy Authentication Required',
      )
      const nowhere = { url: 'https://nowhere.invalid/', ...open() }
      await assertDead(nowhere, 'proxy: answered CONNECT with status 500 Unable to connect')
      await assertNothingOpen()
    })

    const rude: { name: string; answer: string; reason: string }[] = [
      { name: 'closes at once', answer: '', reason: 'proxy: closed before the answer' },
      {
        name: 'greets as a mail server',
        answer: '220 mail ESMTP\r\n',
        reason: 'proxy: HTTP cannot be parsed: Expected HTTP/, RTSP/ or ICE/',
      },
      {
        name: 'sends more headers than it may',
        answer: `HTTP/1.1 200 OK\r\n${`X-A: ${'b'.repeat(1000)}\r\n`.repeat(20)}\r\n`,
        reason: 'proxy: sent more than 16 KiB of headers',
      },
      {
        name: 'closes within its tunnel',
        answer: 'HTTP/1.1 200 OK\r\n\r\n',
        reason: 'closed before TLS was established',
      },
    ]
    for (const { name, answer, reason } of rude) {
      test(`probe() is dead by a proxy that ${name}`, async (t) => {
        const port = await listen(
          t,
          net.createServer((socket) => socket.once('data', () => socket.end(answer))),
        )
        await assertDead(secured(through(port, 'u:s3cret@')), reason)
        await assertNothingOpen()
      })
    }

    test('probe() redirects through the proxy as well, and each host by its name', async (t) => {
      resolveNames(t, false)
      const answer = (request: http.IncomingMessage, response: http.ServerResponse) =>
        response
          .writeHead(302, { location: `http://localhost:${web.port}/who?${request.headers['proxy-authorization']}` })
          .end()
      const port = await listen(t, http.createServer(answer))
      const query = {
        url: `http://localhost:${port}/`,
        ...through(guarded.port, 'ann:s3cret@'),
        follow_redirects: true,
      }
      const { body, url } = await observe(Probe, query)
      assert.match(String(body), /^plain /)
      // The target has not seen what is for the proxy.
      assert.equal(url, `http://localhost:${web.port}/who?undefined`)
    })
  })

  describe('the end', () => {
    const ways = (): Record<string, Query> => ({
      http: plain('/who'),
      https: secure('/who'),
      'HTTP/2': secure('/who', { http_version: 2 }),
      'HTTP/2 without TLS': { url: `http://127.0.0.1:${web.http2Port}/who`, http_version: 2 },
      'a tunnel': {
        url: `https://localhost:${web.tlsPort}/who`,
        tls: { ca_file: both },
        proxy: `http://127.0.0.1:${proxy.port}`,
      },
      'a tunnel with HTTP/2': {
        url: `https://localhost:${web.tlsPort}/who`,
        tls: { ca_file: both },
        proxy: `http://127.0.0.1:${proxy.port}`,
        http_version: 2,
      },
    })
    const names = ['http', 'https', 'HTTP/2', 'HTTP/2 without TLS', 'a tunnel', 'a tunnel with HTTP/2']
    const wayOf = (name: string) => ways()[name] ?? assert.fail(name)

    for (const name of names) {
      // A tunnel takes its time: the proxy waits before it sends little.
      const count = name.includes('tunnel') ? 30 : name === 'HTTP/2' ? 100 : 300
      test(`probe() over ${name} leaves nothing, however often it asks`, () =>
        assertNothingLeft(Probe, wayOf(name), { count }))

      test(`probe() over ${name} leaves nothing when it is cancelled at any moment`, async () => {
        const query = wayOf(name)
        for (let moment = 0; moment < 12; moment += 0.5) {
          const over = new Error('over')
          const controller = new AbortController()
          const outcome = observe(Probe, query, controller.signal).then(
            () => over,
            (error) => error,
          )
          await sleep(moment)
          controller.abort(over)
          assert.equal(await outcome, over)
        }
        await assertNothingOpen()
      })

      test(`probe() over ${name} is dead by timeout while the target hangs`, async (t) => {
        const query = wayOf(name)
        web.pause()
        t.after(() => web.resume())
        await assertDead({ ...query, timeout: '150ms' }, 'timed out after 150 ms')
        await assertNothingOpen()
      })
    }

    test('probe() is dead by timeout while the proxy hangs', async (t) => {
      proxy.pause()
      t.after(() => proxy.resume())
      for (const name of ['a tunnel', 'a tunnel with HTTP/2']) {
        await assertDead({ ...wayOf(name), timeout: '150ms' }, 'timed out after 150 ms')
      }
      await assertNothingOpen()
    })

    test('probe() leaves nothing when it fails, however often it asks', async () => {
      await assertNothingLeft(Probe, secure('/who', { tls: { ca_file: two.ca } }), { kind: 'dead' })
      await assertNothingLeft(Probe, plain('/who', { http_version: 2 }), { kind: 'dead' })
    })

    test('probe() says that nobody listens once the server is stopped', async () => {
      const queries = Object.entries(ways())
      await web.stop()
      for (const [name, query] of queries) {
        const port = name === 'http' ? web.port : name === 'HTTP/2 without TLS' ? web.http2Port : web.tlsPort
        const refused = `connection refused by 127.0.0.1:${port}`
        await assertDead(query, name.includes('tunnel') ? /^proxy: answered CONNECT with status 5\d\d / : refused)
      }
      await assertNothingOpen()
    })
  })
})

describe('HTTP/2 that is not as it should be', () => {
  type Behaviour = (stream: http2.ServerHttp2Stream) => unknown
  const http2Server = (behave: Behaviour) => {
    const server = http2.createServer()
    server.on('stream', (stream) => {
      stream.on('error', () => {})
      behave(stream)
    })
    server.on('sessionError', () => {})
    return server
  }
  const closeSocket = ({ session }: http2.ServerHttp2Stream) => session?.socket.destroy()
  const scenarios: { name: string; server: () => net.Server; reason: string }[] = [
    {
      name: 'a server that closes at once',
      server: () => net.createServer((socket) => socket.once('data', () => socket.end())),
      reason: 'closed before the answer',
    },
    {
      name: 'a server that resets the connection',
      server: () => net.createServer((socket) => socket.once('data', () => socket.resetAndDestroy())),
      reason: 'connection reset',
    },
    {
      name: 'a refused stream',
      server: () => http2Server((stream) => stream.close(http2.constants.NGHTTP2_REFUSED_STREAM)),
      reason: 'HTTP/2 failed: Stream closed with error code REFUSED_STREAM',
    },
    {
      name: 'a stream without an answer',
      server: () => http2Server((stream) => stream.close()),
      reason: 'closed before the answer',
    },
    {
      name: 'a session that is called off',
      server: () =>
        http2Server(({ session }) => {
          session?.goaway(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM)
          session?.destroy()
        }),
      reason: 'HTTP/2 failed: Session closed with error code 11',
    },
    {
      name: 'a body that is cut off',
      server: () =>
        http2Server((stream) => {
          stream.respond({ ':status': 200 })
          stream.write('abc', () => setTimeout(closeSocket, 20, stream))
        }),
      reason: 'closed before the whole body',
    },
    {
      name: 'a compressed body that is cut off',
      server: () =>
        http2Server((stream) => {
          stream.respond({ ':status': 200, 'content-encoding': 'gzip' })
          stream.write(Buffer.from('1f8b0800', 'hex'), () => setTimeout(closeSocket, 20, stream))
        }),
      reason: 'closed before the whole body',
    },
    {
      name: 'a body that is shorter than its length',
      server: () =>
        http2Server((stream) => {
          stream.respond({ ':status': 200, 'content-length': '100' })
          stream.end('abc')
        }),
      reason: 'HTTP/2 failed: Stream closed with error code PROTOCOL_ERROR',
    },
    {
      name: 'informational answers without end',
      server: () =>
        http2Server((stream) => {
          for (let i = 0; i < 150; i++) stream.additionalHeaders({ ':status': 103 })
        }),
      reason: 'sent more than 100 informational answers',
    },
    {
      name: 'long headers',
      server: () => http2Server((stream) => stream.respond({ ':status': 200, 'x-a': 'y'.repeat(17_000) })),
      reason: 'sent more than 16 KiB of headers',
    },
  ]
  for (const { name, server, reason } of scenarios) {
    test(`probe() is dead by ${name}`, async (t) => {
      const port = await listen(t, server())
      await assertDead({ url: `http://127.0.0.1:${port}/`, http_version: 2 }, reason)
      await assertNothingOpen()
    })
  }

  test('probe() reads no more than max_body, and headers as they came', async (t) => {
    const server = http2Server((stream) => {
      stream.respond({ ':status': 200, 'set-cookie': ['a=1'], 'x-many': ['1, 2', '3'] })
      const pour = () => {
        while (!stream.destroyed && stream.write('x'.repeat(10_000)));
      }
      stream.on('drain', pour)
      pour()
    })
    const port = await listen(t, server)
    const query = { url: `http://127.0.0.1:${port}/`, http_version: 2, max_body: '100KiB' }
    const { body_bytes, body_truncated, header } = await observe(Probe, query)
    assert.deepEqual([body_bytes, body_truncated], [102_400, true])
    const { date, ...rest } = header as Record<string, unknown>
    assert.equal(typeof date, 'string')
    assert.deepEqual(rest, { 'set-cookie': ['a=1'], 'x-many': ['1, 2', '3'] })
  })

  test('probe() ends when its time is over within the body', async (t) => {
    const server = http2Server((stream) => {
      stream.respond({ ':status': 200 })
      const timer = setInterval(() => stream.write('x'), 20)
      stream.on('close', () => clearInterval(timer))
    })
    const port = await listen(t, server)
    const query = { url: `http://127.0.0.1:${port}/`, http_version: 2, timeout: '150ms' }
    await assertDead(query, 'timed out after 150 ms')
  })
})

describe('bodies', () => {
  /** A server that answers with what it got. */
  async function startEcho(t: TestContext): Promise<{ h1: string; h2: string }> {
    const echo = async (
      request: http.IncomingMessage | http2.Http2ServerRequest,
      response: http.ServerResponse | http2.Http2ServerResponse,
    ) => {
      const { method, headers } = request
      const body = await new Response(request as unknown as ReadableStream).text()
      response.end(`${method} ${headers['content-type']} ${headers['content-length']} ${body}`)
    }
    const h1 = await listen(t, http.createServer(echo))
    const h2 = await listen(t, http2.createServer(echo))
    return { h1: `http://127.0.0.1:${h1}/`, h2: `http://127.0.0.1:${h2}/` }
  }
  const file = join(folder, 'body.json')
  const scenarios: { name: string; query: Query; got: string }[] = [
    { name: 'a text', query: { body: 'ёж' }, got: 'text/plain;charset=UTF-8 4 ёж' },
    {
      name: 'a form',
      query: { form: { name: 'a b&c', ё: 1, on: true } },
      got: 'application/x-www-form-urlencoded 29 name=a+b%26c&%D1%91=1&on=true',
    },
    { name: 'a file', query: { body_file: file }, got: 'application/octet-stream 8 {"a": 1}' },
    {
      name: 'a file of a kind',
      query: { body_file: file, header: { 'content-type': 'application/json' } },
      got: 'application/json 8 {"a": 1}',
    },
  ]
  for (const { name, query, got } of scenarios) {
    test(`probe() sends ${name}, by either version of HTTP`, async (t) => {
      writeFileSync(file, '{"a": 1}')
      const { h1, h2 } = await startEcho(t)
      const asked = { query_type: 'put', ...query }
      assert.equal((await observe(Probe, { url: h1, ...asked })).body, `PUT ${got}`)
      assert.equal((await observe(Probe, { url: h2, ...asked, http_version: 2 })).body, `PUT ${got}`)
    })
  }

  test('probe() reads body_file for each check, and is unknown when it is gone', async (t) => {
    const { h1 } = await startEcho(t)
    writeFileSync(file, 'one')
    const prepared = await prepare(Probe, { url: h1, query_type: 'post', body_file: file })
    const ask = () => prepared.observe(AbortSignal.timeout(5000), { debug() {}, info() {}, warn() {}, error() {} })
    assert.equal((await ask()).body, 'POST application/octet-stream 3 one')
    writeFileSync(file, 'another')
    assert.equal((await ask()).body, 'POST application/octet-stream 7 another')
    rmSync(file)
    const message = `body_file cannot be read: ENOENT: no such file or directory, open '${file}'`
    await assert.rejects(ask(), { name: 'Unknown', message })
    prepared.close()
  })
})
