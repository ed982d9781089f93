import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import * as tls from 'node:tls'
import { Probe } from '../../mod/tcp_probe.ts'
import { startNginx } from '../e2e/nginx.ts'
import { type Certificate, createCertificate, findMissingOpenssl } from '../servers/certificates.ts'
import { findMissingPostfix, type Postfix, startPostfix } from '../servers/postfix.ts'
import { findMissingPostgres, startPostgres } from '../servers/postgres.ts'
import { findMissingRedis, type Redis, startRedis } from '../servers/redis.ts'
import { findMissingSlapd, startSlapd } from '../servers/slapd.ts'
import { assertNothingLeft, check, findProblems, observe } from './checking.ts'

const folder = mkdtempSync(join(tmpdir(), 'deadpool-tcp-'))
after(() => rmSync(folder, { recursive: true }))
const host = '127.0.0.1'

const PING = [{ send: 'PING\r\n' }, { expect: '^\\+PONG\r\n' }]

/** Listens on a free port of 127.0.0.1; what connects is told to `speak`. */
async function listen(t: TestContext, speak: (socket: net.Socket) => void) {
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    speak(socket)
  })
  server.listen(0, host)
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { port: (server.address() as net.AddressInfo).port, sockets }
}

describe('against a real Redis', { skip: findMissingRedis() || findMissingOpenssl() }, () => {
  let certificate: Certificate
  let redis: Redis
  before(async () => {
    certificate = createCertificate(folder, 'redis')
    redis = await startRedis({ tls: certificate })
  })
  after(() => redis?.stop())

  test('Probe is alive when the script goes through, and reports all that it observed', async () => {
    const script = [
      ...PING,
      { send: 'INFO clients\r\n' },
      { expect: 'connected_clients:(?P<clients>\\d+)\r\n' },
      { expect: 'maxclients:(?P<most>\\d+)' },
    ]
    const facts = await observe(Probe, { host, port: redis.port, script, numbers: ['clients'] })
    assert.deepEqual(Object.keys(facts).sort(), [
      'banner',
      'clients',
      'connect_ms',
      'connected',
      'most',
      'remote_ip',
      'response',
      'time_ms',
    ])
    const { connected, clients, most, remote_ip, connect_ms, time_ms } = facts
    assert.deepEqual(
      { connected, clients, most, remote_ip },
      { connected: true, clients: 1, most: '10000', remote_ip: host },
    )
    assert.match(String(facts.response), /^\+PONG\r\n\$\d+\r\n# Clients\r\n/)
    assert.ok(Number(connect_ms) > 0 && Number(time_ms) >= Number(connect_ms))
    assert.deepEqual(await check(Probe, { host, port: redis.port, script: PING }), { kind: 'alive' })
  })

  test('Probe is alive without a script as soon as the connection stands', async () => {
    const facts = await observe(Probe, { host: 'localhost', port: redis.port, ip_version: 4 })
    assert.equal(facts.connected, true)
    assert.equal(facts.response, undefined)
    assert.deepEqual(await check(Probe, { host, port: redis.port }), { kind: 'alive' })
  })

  test('Probe talks over a Unix socket', async () => {
    assert.deepEqual(await check(Probe, { path: redis.path, script: PING }), { kind: 'alive' })
    assert.equal((await observe(Probe, { path: redis.path })).remote_ip, undefined)
  })

  test('Probe talks over TLS, and reports what it is', async () => {
    const facts = await observe(Probe, { host, port: redis.tlsPort, tls: { ca_file: certificate.ca }, script: PING })
    assert.equal(facts.tls_version, 'TLSv1.3')
    assert.ok(Number(facts.cert_days) >= 0.9 && Number(facts.cert_days) <= 1)
    assert.ok(Number(facts.tls_ms) > 0 && Number(facts.tls_ms) <= Number(facts.time_ms))
    assert.equal(facts.response, '+PONG\r\n')
  })

  test('Probe is dead with what the server answered instead', async () => {
    const script = [{ send: 'PONG\r\n' }, { expect: '^\\+PONG' }]
    assert.deepEqual(await check(Probe, { host, port: redis.port, script, timeout: 0.3 }), {
      kind: 'dead',
      reason: `no match for "^\\+PONG" in "-ERR unknown command 'PONG', with args beginning with: ⏎"`,
    })
  })

  test('Probe hides a secret that the server repeats', async () => {
    const file = join(folder, 'password')
    writeFileSync(file, 'tr0ub4dor\n')
    const script = [{ send: 'ECHO ' }, { send: { file } }, { send: '\r\n' }, { expect: '^:' }]
    assert.deepEqual(await check(Probe, { host, port: redis.port, script, timeout: 0.3 }), {
      kind: 'dead',
      reason: 'no match for "^:" in "$9⏎***⏎"',
    })
  })

  for (const { name, settings, reason } of [
    { name: 'of an unknown authority', settings: {}, reason: 'self-signed certificate in certificate chain' },
    {
      name: 'for another name',
      settings: { server_name: 'other.example.org' },
      reason:
        "Hostname/IP does not match certificate's altnames: Host: other.example.org. is not in the cert's altnames: DNS:localhost, IP Address:127.0.0.1",
    },
  ]) {
    test(`Probe is dead by a certificate ${name}`, async () => {
      const trusted = 'server_name' in settings ? { ca_file: certificate.ca } : {}
      const query = { host, port: redis.tlsPort, tls: { ...trusted, ...settings } }
      assert.deepEqual(await check(Probe, query), { kind: 'dead', reason })
    })
  }

  test('Probe leaves nothing behind, alive, over TLS and dead', async () => {
    await assertNothingLeft(Probe, { host, port: redis.port, script: PING })
    const tls = { ca_file: certificate.ca }
    await assertNothingLeft(Probe, { host, port: redis.tlsPort, tls, script: PING }, { count: 100 })
    const script = [{ send: 'QUIT\r\n' }, { expect: '^\\+PONG' }]
    await assertNothingLeft(Probe, { host, port: redis.port, script }, { kind: 'dead' })
  })

  test('Probe times out at a server that hangs, and is dead when it is gone', async () => {
    redis.pause()
    const query = { host, port: redis.port, script: PING, timeout: 0.3 }
    assert.deepEqual(await check(Probe, query), { kind: 'dead', reason: 'timed out after 300 ms', cause: 'timeout' })
    const secured = { host, port: redis.tlsPort, tls: true, timeout: 0.3 }
    assert.deepEqual(await check(Probe, secured), { kind: 'dead', reason: 'timed out after 300 ms', cause: 'timeout' })
    await redis.stop()
    assert.deepEqual(await check(Probe, query), {
      kind: 'dead',
      reason: `connection refused by 127.0.0.1:${redis.port}`,
    })
  })
})

test('Probe asks a real nginx in HTTP', async (t) => {
  const nginx = await startNginx(t)
  const script = [
    { send: 'GET /_cat/health HTTP/1.0\r\n\r\n' },
    { expect: '^HTTP/1\\.[01] (?P<status>\\d+) ' },
    { expect: ' elasticsearch (?P<health>\\w+) ' },
  ]
  const facts = await observe(Probe, { host, port: nginx.port, script, numbers: ['status'] })
  assert.deepEqual([facts.status, facts.health], [200, 'green'])
  const other = [{ send: 'GET /none HTTP/1.0\r\n\r\n' }, { expect: ' elasticsearch ' }]
  const { reason } = (await check(Probe, { host, port: nginx.port, script: other })) as { reason: string }
  assert.match(
    reason,
    /^closed after "HTTP\/1\.1 404 Not Found⏎Server: nginx.*…", without match for " elasticsearch "$/,
  )
})

describe('STARTTLS', { skip: findMissingOpenssl() }, () => {
  let certificate: Certificate
  before(() => {
    certificate = createCertificate(folder, 'starttls')
  })
  const secured = () => ({ tls: { ca_file: certificate.ca }, host })

  describe('of a real Postfix', { skip: findMissingPostfix() }, () => {
    let postfix: Postfix
    let bare: Postfix
    before(async () => {
      const starting = [startPostfix({ tls: certificate }), startPostfix()] as const
      ;[postfix, bare] = await Promise.all(starting)
    })
    after(() => Promise.all([postfix?.stop(), bare?.stop()]))

    test('Probe begins TLS in SMTP and goes on with the script', async () => {
      const script = [
        { send: 'EHLO localhost\r\n' },
        { expect: '250 [A-Z]+\r\n' },
        { send: 'QUIT\r\n' },
        { expect: '221 (?P<farewell>.*)\r\n' },
      ]
      const facts = await observe(Probe, { ...secured(), port: postfix.port, starttls: 'smtp', script })
      assert.equal(facts.banner, '220 mail.example.org ESMTP Postfix')
      assert.equal(facts.farewell, '2.0.0 Bye')
      assert.equal(facts.tls_version, 'TLSv1.3')
      assert.ok(Number(facts.cert_days) >= 0.9)
    })

    test('Probe reads a banner without TLS', async () => {
      const script = [{ expect: '^220 (?P<name>\\S+) ESMTP.*\r\n' }]
      const { banner, name, response } = await observe(Probe, { host, port: postfix.port, script })
      assert.deepEqual(
        { banner, name, response },
        {
          banner: '220 mail.example.org ESMTP Postfix',
          name: 'mail.example.org',
          response: '220 mail.example.org ESMTP Postfix\r\n',
        },
      )
    })

    test('Probe is dead where STARTTLS is not offered', async () => {
      const query = { ...secured(), port: bare.port, starttls: 'smtp' }
      assert.deepEqual(await check(Probe, query), { kind: 'dead', reason: 'does not offer STARTTLS' })
    })

    test('Probe leaves nothing behind after STARTTLS', async () => {
      await assertNothingLeft(Probe, { ...secured(), port: postfix.port, starttls: 'smtp' }, { count: 40 })
    })
  })

  test('Probe begins TLS in LDAP, and is dead with what a real OpenLDAP refuses with', {
    skip: findMissingSlapd(),
  }, async (t) => {
    const slapd = await startSlapd({ tls: certificate })
    t.after(slapd.stop)
    const query = { ...secured(), port: slapd.port, starttls: 'ldap' }
    const facts = await observe(Probe, query)
    assert.equal(facts.tls_version, 'TLSv1.3')
    assert.equal(facts.banner, undefined)
    assert.deepEqual(await check(Probe, query), { kind: 'alive' })
    const bare = await startSlapd()
    t.after(bare.stop)
    assert.deepEqual(await check(Probe, { ...query, port: bare.port }), {
      kind: 'dead',
      reason: 'unsupported extended operation',
    })
  })

  test('Probe begins TLS at a real PostgreSQL, and is dead where it has none', {
    skip: findMissingPostgres(),
  }, async (t) => {
    const postgres = await startPostgres({ tls: certificate })
    t.after(postgres.stop)
    const query = { ...secured(), port: postgres.port, starttls: 'postgres' }
    assert.equal((await observe(Probe, query)).tls_version, 'TLSv1.3')
    await postgres.sql("ALTER SYSTEM SET ssl = 'off'")
    await postgres.sql('SELECT pg_reload_conf()')
    await postgres.shutDown()
    await postgres.start()
    assert.deepEqual(await check(Probe, query), { kind: 'dead', reason: 'does not offer TLS' })
  })

  test('Probe is dead by a certificate that has ended', async (t) => {
    const expired = createCertificate(folder, 'expired', { days: -1 })
    const { port } = await listen(t, (socket) => speakMail(socket, expired, '* OK ready\r\n', 'a OK\r\n'))
    assert.deepEqual(await check(Probe, { host, port, starttls: 'imap', tls: { ca_file: expired.ca } }), {
      kind: 'dead',
      reason: 'certificate has expired',
    })
  })

  for (const { protocol, greeting, agrees, banner } of [
    { protocol: 'imap', greeting: '* OK IMAP4rev1 ready\r\n', agrees: 'a OK now\r\n', banner: '* OK IMAP4rev1 ready' },
    {
      protocol: 'imap',
      greeting: '* PREAUTH hello\r\n',
      agrees: '* NOTE x\r\na OK now\r\n',
      banner: '* PREAUTH hello',
    },
    { protocol: 'pop3', greeting: '+OK POP3 ready\r\n', agrees: '+OK now\r\n', banner: '+OK POP3 ready' },
  ]) {
    test(`Probe begins TLS in ${protocol} after ${JSON.stringify(greeting)}`, async (t) => {
      const { port } = await listen(t, (socket) => speakMail(socket, certificate, greeting, agrees))
      const script = [{ send: 'hello\r\n' }, { expect: '^HELLO\r\n' }]
      const facts = await observe(Probe, { ...secured(), port, starttls: protocol, script })
      assert.equal(facts.banner, banner)
      assert.equal(facts.tls_version, 'TLSv1.3')
    })
  }

  for (const { name, protocol, says, reason } of [
    {
      name: 'of SMTP at the greeting',
      protocol: 'smtp',
      says: ['554 5.7.1 no access from here\r\n'],
      reason: '554 5.7.1 no access from here',
    },
    {
      name: 'of SMTP at EHLO',
      protocol: 'smtp',
      says: ['220 hi\r\n', '421-busy\r\n421 try later\r\n'],
      reason: '421-busy⏎421 try later',
    },
    {
      name: 'of SMTP at STARTTLS',
      protocol: 'smtp',
      says: ['220 hi\r\n', '250-hi\r\n250-STARTTLS\r\n250 HELP\r\n', '454 4.7.0 TLS not available\r\n'],
      reason: '454 4.7.0 TLS not available',
    },
    {
      name: 'of something else than SMTP',
      protocol: 'smtp',
      says: ['SSH-2.0-OpenSSH_9.2\r\n'],
      reason: 'no SMTP: "SSH-2.0-OpenSSH_9.2⏎"',
    },
    {
      name: 'of IMAP at the greeting',
      protocol: 'imap',
      says: ['* BYE too many connections\r\n'],
      reason: 'too many connections',
    },
    { name: 'of IMAP at STARTTLS', protocol: 'imap', says: ['* OK hi\r\n', 'a NO not now\r\n'], reason: 'NO not now' },
    {
      name: 'of IMAP by lines without end',
      protocol: 'imap',
      says: ['* OK hi\r\n', '* OK\r\n'.repeat(30)],
      reason: 'sent more than 20 lines without an answer to STARTTLS',
    },
    { name: 'of POP3 at the greeting', protocol: 'pop3', says: ['-ERR closed\r\n'], reason: '-ERR closed' },
    {
      name: 'of POP3 at STLS',
      protocol: 'pop3',
      says: ['+OK hi\r\n', '-ERR no TLS here\r\n'],
      reason: '-ERR no TLS here',
    },
    {
      name: 'of PostgreSQL in another way',
      protocol: 'postgres',
      says: ['', 'E\0'],
      reason: 'answered SSLRequest with "E\u{fffd}"',
    },
    {
      name: 'of LDAP without words',
      protocol: 'ldap',
      says: ['', '0\f\x02\x01\x01x\x07\n\x01\x34\x04\0\x04\0'],
      reason: 'StartTLS was refused with result code 52',
    },
    {
      name: 'of LDAP with lengths in several bytes',
      protocol: 'ldap',
      says: ['', '0\x84\0\0\0\x11\x02\x01\x01x\x84\0\0\0\x08\n\x01\x02\x04\0\x04\x01x'],
      reason: 'x',
    },
    {
      name: 'of something else than LDAP',
      protocol: 'ldap',
      says: ['', 'HTTP/1.1 400 Bad Request\r\n'],
      reason: 'answered with something that is not LDAP',
    },
    {
      name: 'of LDAP that announces 2 GiB',
      protocol: 'ldap',
      says: ['', '0\x84\x7f\xff\xff\xff'],
      reason: 'answered with something that is not LDAP',
    },
    {
      name: 'of an LDAP message within',
      protocol: 'ldap',
      says: ['', '0\x03\x02\x01\x01'],
      reason: 'answered with something that is not LDAP',
    },
    {
      name: 'of words before TLS',
      protocol: 'pop3',
      says: ['+OK hi\r\n', '+OK go\r\n+OK injected\r\n'],
      reason: 'sent more before TLS began',
    },
  ]) {
    test(`Probe is dead by a refusal ${name}`, async (t) => {
      const { port } = await listen(t, (socket) => {
        const lines = [...says]
        socket.setEncoding('latin1')
        socket.write(lines.shift() ?? '', 'latin1')
        socket.on('data', () => socket.write(lines.shift() ?? '', 'latin1'))
      })
      assert.deepEqual(await check(Probe, { host, port, starttls: protocol, tls: true, timeout: 1 }), {
        kind: 'dead',
        reason,
      })
    })
  }

  test('Probe stops wherever it stands when the check is cancelled, and closes', async (t) => {
    const { port, sockets } = await listen(t, (socket) => speakMail(socket, certificate, '+OK hi\r\n', '+OK go\r\n', 8))
    const query = { ...secured(), port, starttls: 'pop3', script: [{ send: 'hello\r\n' }, { expect: '^never' }] }
    for (let ms = 0; ms < 60; ms += 3) {
      const over = new Error('over')
      const controller = new AbortController()
      const observing = observe(Probe, query, controller.signal)
      setTimeout(() => controller.abort(over), ms)
      await assert.rejects(observing, over)
    }
    for (let i = 0; i < 100 && sockets.size > 0; i++) await sleep(10)
    assert.equal(sockets.size, 0)
  })
})

/** A mail server as far as TLS: greets, agrees to the first line, and then repeats what it hears in capitals. */
function speakMail(
  socket: net.Socket,
  { cert, key }: Certificate,
  greeting: string,
  agrees: string,
  delayMs = 0,
): void {
  const say = (text: string) => void setTimeout(() => socket.write(text), delayMs)
  say(greeting)
  socket.once('data', () => {
    setTimeout(() => {
      socket.write(agrees)
      const secured = new tls.TLSSocket(socket, { isServer: true, cert: readFileSync(cert), key: readFileSync(key) })
      secured.on('error', () => {}).on('data', (text) => secured.write(String(text).toUpperCase()))
    }, delayMs)
  })
}

describe('what a server sends', () => {
  test('Probe takes an answer that comes byte by byte', async (t) => {
    const { port } = await listen(t, async (socket) => {
      for (const letter of 'grün läuft\n') {
        for (const byte of Buffer.from(letter)) {
          socket.write(Buffer.of(byte))
          await sleep(1)
        }
      }
    })
    const { state, banner } = await observe(Probe, { host, port, script: [{ expect: '^(?P<state>\\w+) läuft\n' }] })
    assert.deepEqual([state, banner], ['grün', 'grün läuft'])
  })

  test('Probe sends and expects bytes with latin1', async (t) => {
    const { port } = await listen(t, (socket) => {
      socket.on('data', (bytes) => {
        assert.deepEqual([...bytes], [0, 255, 10])
        socket.write(Buffer.of(0xfe, 0x00, 0xe9))
      })
    })
    const script = [{ send: '\0\xff\n' }, { expect: '^\\xfe\\x00(?P<last>.)' }]
    assert.equal((await observe(Probe, { host, port, encoding: 'latin1', script })).last, 'é')
  })

  test('Probe leaves out a number that is none, and a group that took no part', async (t) => {
    const { port } = await listen(t, (socket) => void socket.write('load high\nrate 1.5e1\n'))
    const script = [{ expect: 'load (?P<load>\\w+)\n' }, { expect: 'rate (?P<rate>\\S+)(?P<unit> ms)?\n' }]
    const { load, rate, unit } = await observe(Probe, { host, port, script, numbers: ['load', 'rate'] })
    assert.deepEqual({ load, rate, unit }, { load: undefined, rate: 15, unit: undefined })
    assert.deepEqual(
      await check(Probe, { host, port, script, numbers: ['rate'] }, { rate: { type: 'lt', query: 10 } }),
      {
        kind: 'dead',
        reason: 'rate: 15 is not less than 10',
      },
    )
  })

  for (const { name, speak, reason } of [
    {
      name: 'closes at once',
      speak: (socket: net.Socket) => void socket.end(),
      reason: 'closed without match for "^ready"',
    },
    {
      name: 'says something else and closes',
      speak: (socket: net.Socket) => void socket.end('too many connections\n'),
      reason: 'closed after "too many connections⏎", without match for "^ready"',
    },
    {
      name: 'says something else and resets the connection',
      speak: (socket: net.Socket) => {
        socket.write('busy\n')
        setTimeout(() => socket.resetAndDestroy(), 50)
      },
      reason: 'connection reset after "busy⏎"',
    },
    {
      name: 'says something else and stays',
      speak: (socket: net.Socket) => void socket.write('starting up\n'),
      reason: 'no match for "^ready" in "starting up⏎"',
    },
    {
      name: 'sends without end',
      speak: (socket: net.Socket) => void flood(socket, Buffer.alloc(10_000, 'x')),
      reason: 'sent more than 64 KiB without match for "^ready"',
    },
  ]) {
    test(`Probe is dead by a server that ${name}`, async (t) => {
      const { port } = await listen(t, speak)
      const query = { host, port, script: [{ expect: '^ready' }], timeout: 0.4 }
      assert.deepEqual(await check(Probe, query), { kind: 'dead', reason })
      if (!name.startsWith('says')) await assertNothingLeft(Probe, query, { kind: 'dead', count: 50 })
    })
  }

  test('Probe is dead when the server closes before all was sent', async (t) => {
    const { port } = await listen(t, (socket) => {
      socket.write('hello\n')
      socket.once('data', () => socket.resetAndDestroy())
    })
    const script = [{ expect: '^hello\n' }, { send: 'x'.repeat(20_000_000) }]
    const { kind, reason } = (await check(Probe, { host, port, script })) as { kind: string; reason: string }
    assert.equal(kind, 'dead')
    assert.match(reason, /^(closed before the whole script was sent|connection reset)$/)
  })

  test('Probe keeps the loop free while a server sends in small pieces what a costly pattern is looked for in', async (t) => {
    const { port } = await listen(t, async (socket) => {
      for (let i = 0; i < 3000 && !socket.destroyed; i++) {
        socket.write('ab c '.repeat(4))
        if (i % 5 === 0) await sleep(0)
      }
    })
    const script = [{ expect: '(?P<a>(\\w+\\s?)+)(?P<b>(\\w+\\s)+)!' }]
    const before = process.cpuUsage()
    const { reason } = (await check(Probe, { host, port, script, timeout: 1 })) as { reason: string }
    assert.match(reason, /^no match for /)
    const { user } = process.cpuUsage(before)
    assert.ok(user < 700_000, `${user / 1000} ms of CPU time`)
  })
})

async function flood(socket: net.Socket, bytes: Buffer): Promise<void> {
  const closed = new Promise((resolve) => socket.once('close', resolve))
  while (!socket.destroyed) {
    if (!socket.write(bytes)) await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), closed])
  }
}

const good = { host: 'a', port: 1 }
for (const { name, query, problems } of [
  {
    name: 'nothing',
    query: {},
    problems: ['host: is missing; write it and a port, or a path', 'port: is missing; write it beside host'],
  },
  {
    name: 'host and path',
    query: { ...good, path: '/x' },
    problems: ['path: "/x" stands beside host; keep one of them'],
  },
  { name: 'path and port', query: { path: '/x', port: 1 }, problems: ['port: 1 means nothing beside path'] },
  {
    name: 'path and ip_version',
    query: { path: '/x', ip_version: 4 },
    problems: ['ip_version: 4 means nothing beside path'],
  },
  { name: 'ip_version 5', query: { ...good, ip_version: 5 }, problems: ['ip_version: 5 is not one of 4, 6'] },
  {
    name: 'a port out of range',
    query: { host: 'a', port: 70000 },
    problems: ['port: 70000 is out of range; at most 65535 is allowed'],
  },
  {
    name: 'a step with both',
    query: { ...good, script: [{ send: 'a', expect: 'b' }] },
    problems: ['script.0: a mapping is not a step; write {send: text} or {expect: pattern}'],
  },
  {
    name: 'an empty step',
    query: { ...good, script: [{}] },
    problems: ['script.0: an empty mapping is not a step; write {send: text} or {expect: pattern}'],
  },
  {
    name: 'an unknown step',
    query: { ...good, script: [{ sned: 'a' }] },
    problems: [
      'script.0.sned: is not a known key; did you mean "send"?',
      'script.0: a mapping is not a step; write {send: text} or {expect: pattern}',
    ],
  },
  {
    name: 'a bad pattern',
    query: { ...good, script: [{ expect: '(' }] },
    problems: ['script.0.expect: "(" is not a pattern: missing closing )'],
  },
  {
    name: 'a group that is a fact',
    query: { ...good, script: [{ expect: '(?P<banner>a)' }] },
    problems: [
      'script.0.expect: "(?P<banner>a)" calls a group "banner", which is a fact already; give it another name',
    ],
  },
  {
    name: 'a group of two steps',
    query: { ...good, script: [{ expect: '(?P<x>a)' }, { expect: '(?P<x>a)' }] },
    problems: ['script.1.expect: "(?P<x>a)" calls a group "x" as a step before does; give it another name'],
  },
  {
    name: 'a group called __proto__',
    query: { ...good, script: [{ expect: '(?P<__proto__>a)' }] },
    problems: ['script.0.expect: "(?P<__proto__>a)" calls a group "__proto__"; begin with a letter from a to z'],
  },
  {
    name: 'a number that is no group',
    query: { ...good, numbers: ['x'] },
    problems: ['numbers.0: "x" is not the name of a group in the script'],
  },
  {
    name: 'a character beyond latin1',
    query: { ...good, encoding: 'latin1', script: [{ send: 'ж' }] },
    problems: ['script.0.send: "ж" has a character that latin1 has not'],
  },
  {
    name: 'a send that is a number',
    query: { ...good, script: [{ send: 5 }] },
    problems: ['script.0.send: 5 is not a text, {env: NAME}, {file: PATH} or {credential: NAME}'],
  },
]) {
  test(`Probe refuses ${name}`, async () => {
    assert.deepEqual(await findProblems(Probe, query), problems)
  })
}
