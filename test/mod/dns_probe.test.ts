import assert from 'node:assert/strict'
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Probe } from '../../mod/dns_probe.ts'
import { type Certificate, createCertificate, findMissingOpenssl } from '../servers/certificates.ts'
import { findMissingNamed, type Named, startNamed } from '../servers/named.ts'
import { assertNothingLeft, check, findProblems, observe, type Query } from './checking.ts'

const folder = mkdtempSync(join(tmpdir(), 'deadpool-dns-'))
after(() => rmSync(folder, { recursive: true }))
const host = '127.0.0.1'

const BIG = Array.from({ length: 40 }, (_, i) => `big TXT "${'x'.repeat(60)}${i}"`)
const RECORDS = `$TTL 300
@ SOA ns hostmaster 2024010107 3600 600 86400 60
@ NS ns
@ MX 10 mail
@ CAA 0 issue "ca.example.org"
@ TXT "hello " "world"
sub NS ns
sub DS 12345 13 2 3BF92B0F3C5B6E0CA1B7F7B13D1E7B7C1C4B9D8D5C1D0A1B2C3D4E5F60718293
@ NAPTR 10 20 "s" "SIP+D2T" "" _s._tcp
@ DNSKEY 257 3 13 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==
_443._tcp TLSA 3 1 1 3BF92B0F3C5B6E0CA1B7F7B13D1E7B7C1C4B9D8D5C1D0A1B2C3D4E5F60718293
ns A 127.0.0.1
www 60 A 192.0.2.80
www 60 A 192.0.2.9
www AAAA 2001:db8::80
alias CNAME www
dangling CNAME elsewhere.example.org.
_s._tcp SRV 1 2 389 ns
7 PTR www
${BIG.join('\n')}
`

describe('against a real BIND', { skip: findMissingNamed() || findMissingOpenssl() }, () => {
  let certificate: Certificate
  let named: Named
  let query: Query
  before(async () => {
    certificate = createCertificate(folder, 'named')
    named = await startNamed({ origin: 'example.test', records: RECORDS }, { tls: certificate })
    query = { host, port: named.port, name: 'www.example.test' }
  })
  after(() => named?.stop())

  test('Probe is alive with an answer over UDP, and reports all about it', async () => {
    const { time_ms, ...facts } = await observe(Probe, query)
    assert.deepEqual(facts, {
      rcode: 'NOERROR',
      answers: ['192.0.2.80', '192.0.2.9'],
      count: 2,
      authoritative: true,
      recursion_available: false,
      authenticated: false,
      min_ttl_s: 60,
      serial: undefined,
      truncated: false,
      sent: 1,
    })
    assert.ok(Number(time_ms) > 0)
    assert.deepEqual(await check(Probe, query), { kind: 'alive' })
    assert.deepEqual(await check(Probe, { ...query, name: 'WWW.Example.TEST.' }), { kind: 'alive' })
  })

  for (const { name, type, answer } of [
    { name: 'www', type: 'AAAA', answer: '2001:db8::80' },
    { name: '@', type: 'MX', answer: '10 mail.example.test' },
    { name: '@', type: 'NS', answer: 'ns.example.test' },
    { name: '@', type: 'SOA', answer: 'ns.example.test hostmaster.example.test 2024010107 3600 600 86400 60' },
    { name: '@', type: 'TXT', answer: 'hello world' },
    { name: '@', type: 'CAA', answer: '0 issue "ca.example.org"' },
    { name: 'sub', type: 'DS', answer: '12345 13 2 3bf92b0f3c5b6e0ca1b7f7b13d1e7b7c1c4b9d8d5c1d0a1b2c3d4e5f60718293' },
    {
      name: '@',
      type: 'DNSKEY',
      answer: '257 3 13 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==',
    },
    { name: '@', type: 'NAPTR', answer: '10 20 "s" "SIP+D2T" "" _s._tcp.example.test' },
    {
      name: '_443._tcp',
      type: 'TLSA',
      answer: '3 1 1 3bf92b0f3c5b6e0ca1b7f7b13d1e7b7c1c4b9d8d5c1d0a1b2c3d4e5f60718293',
    },
    { name: 'alias', type: 'CNAME', answer: 'www.example.test' },
    { name: '_s._tcp', type: 'SRV', answer: '1 2 389 ns.example.test' },
    { name: '7', type: 'PTR', answer: 'www.example.test' },
  ]) {
    test(`Probe writes the answer of type ${type}`, async () => {
      const asked = name === '@' ? 'example.test' : `${name}.example.test`
      assert.deepEqual((await observe(Probe, { ...query, name: asked, type })).answers, [answer])
    })
  }

  test('Probe reports the serial of a zone', async () => {
    assert.equal((await observe(Probe, { ...query, name: 'example.test', type: 'SOA' })).serial, 2024010107)
  })

  test('Probe follows an alias within the answer, and does not count the alias', async () => {
    const { answers, count, min_ttl_s } = await observe(Probe, { ...query, name: 'alias.example.test' })
    assert.deepEqual({ answers, count, min_ttl_s }, { answers: ['192.0.2.80', '192.0.2.9'], count: 2, min_ttl_s: 60 })
  })

  for (const { name, reason } of [
    { name: 'none.example.test', reason: 'rcode: "NXDOMAIN" is not "NOERROR"; count: 0 is less than 1' },
    { name: 'elsewhere.test', reason: 'rcode: "REFUSED" is not "NOERROR"; count: 0 is less than 1' },
    { name: 'dangling.example.test', reason: 'count: 0 is less than 1' },
    { name: 'example.test', reason: 'count: 0 is less than 1' },
  ]) {
    test(`Probe is dead for ${name}: ${reason}`, async () => {
      assert.deepEqual(await check(Probe, { ...query, name }), { kind: 'dead', reason })
    })
  }

  test('Probe asks again over TCP when the answer was truncated', async () => {
    const facts = await observe(Probe, { ...query, name: 'big.example.test', type: 'TXT' })
    assert.equal(facts.truncated, true)
    assert.equal(facts.count, 40)
  })

  test('Probe asks over TCP', async () => {
    const facts = await observe(Probe, { ...query, name: 'big.example.test', type: 'TXT', transport: 'tcp' })
    assert.equal(facts.count, 40)
    assert.deepEqual([facts.truncated, facts.sent, facts.cert_days], [undefined, undefined, undefined])
  })

  test('Probe asks over TLS', async () => {
    const secured = { ...query, port: named.tlsPort, transport: 'tls' }
    const facts = await observe(Probe, { ...secured, tls: { ca_file: certificate.ca } })
    assert.equal(facts.count, 2)
    assert.equal(facts.cert_days, 0.9)
    assert.deepEqual(await check(Probe, secured), {
      kind: 'dead',
      reason: 'unable to verify the first certificate',
    })
    const other = { ...secured, tls: { ca_file: certificate.ca, server_name: 'dns.example.org' } }
    assert.match(
      ((await check(Probe, other)) as { reason: string }).reason,
      /^Hostname\/IP does not match certificate's/,
    )
  })

  test('Probe finds a server by its name', async () => {
    assert.deepEqual(await check(Probe, { ...query, host: 'localhost', ip_version: 4 }), { kind: 'alive' })
    assert.deepEqual(await check(Probe, { ...query, host: 'localhost' }), { kind: 'alive' })
  })

  test('Probe leaves nothing behind over UDP, TCP and TLS', async () => {
    await assertNothingLeft(Probe, query)
    await assertNothingLeft(Probe, { ...query, transport: 'tcp' })
    const tls = { ca_file: certificate.ca }
    await assertNothingLeft(Probe, { ...query, port: named.tlsPort, transport: 'tls', tls }, { count: 50 })
  })

  test('Probe stops wherever it stands when the check is cancelled', async () => {
    const tls = { ca_file: certificate.ca }
    named.pause()
    try {
      for (const transport of ['udp', 'tcp', 'tls']) {
        const asked = { ...query, transport, port: transport === 'tls' ? named.tlsPort : named.port }
        for (const ms of [0, 1, 5, 20]) {
          const over = new Error('over')
          const controller = new AbortController()
          setTimeout(() => controller.abort(over), ms)
          await assert.rejects(
            observe(Probe, { ...asked, ...(transport === 'tls' && { tls }) }, controller.signal),
            over,
          )
        }
      }
    } finally {
      named.resume()
    }
  })

  test('Probe times out at a server that hangs, and is dead at once when it is gone', async () => {
    named.pause()
    for (const transport of ['udp', 'tcp']) {
      assert.deepEqual(await check(Probe, { ...query, transport, timeout: 0.3 }), {
        kind: 'dead',
        reason: 'timed out after 300 ms',
        cause: 'timeout',
      })
    }
    await named.stop()
    for (const transport of ['udp', 'tcp']) {
      assert.deepEqual(await check(Probe, { ...query, transport }), {
        kind: 'dead',
        reason: `connection refused by 127.0.0.1:${named.port}`,
      })
    }
    await assertNothingLeft(Probe, query, { kind: 'dead' })
  })
})

/** Answers on UDP what `speak` makes of a question; what it does with nothing is silence. */
async function listenUdp(t: TestContext, speak: (question: Buffer, from: RemoteInfo, socket: UdpSocket) => Buffer[]) {
  const socket = createSocket('udp4')
  socket.on('message', (question, from) => {
    for (const bytes of speak(question, from, socket)) socket.send(bytes, from.port, from.address)
  })
  socket.bind(0, host)
  await once(socket, 'listening')
  t.after(() => void socket.close())
  return socket.address().port
}

interface Said {
  flags?: number
  records?: Buffer[]
  count?: number
}

/** The question as an answer: with the flags and the counts given, and records after it. */
function answer(question: Buffer, { flags = 0x8180, records = [], count }: Said = {}): Buffer {
  // Without the OPT record, which is 11 bytes long.
  const bytes = Buffer.from(question.subarray(0, question.length - 11))
  bytes.writeUInt16BE(flags, 2)
  bytes.writeUInt16BE(count ?? records.length, 6)
  bytes.writeUInt16BE(0, 10)
  return Buffer.concat([bytes, ...records])
}

const ADDRESS = Buffer.from('c00c00010001000000050004c0000250', 'hex')

describe('what a server sends', () => {
  test('Probe asks once more when a datagram was lost', async (t) => {
    let heard = 0
    const port = await listenUdp(t, (question) => (++heard === 1 ? [] : [answer(question, { records: [ADDRESS] })]))
    const facts = await observe(Probe, { host, port, name: 'a.test', timeout: 0.4 })
    assert.deepEqual([facts.sent, facts.answers, facts.min_ttl_s], [2, ['192.0.2.80'], 5])
    assert.equal(facts.recursion_available, true)
  })

  test('Probe sends what the query says, under another number each time', async (t) => {
    const numbers = new Set<number>()
    const flags = new Set<number>()
    const port = await listenUdp(t, (question) => {
      numbers.add(question.readUInt16BE(0))
      flags.add(question.readUInt16BE(2))
      return [answer(question, { records: [ADDRESS] })]
    })
    for (let i = 0; i < 10; i++) await observe(Probe, { host, port, name: 'a.test' })
    assert.ok(numbers.size > 7)
    assert.deepEqual([...flags], [0x0120])
    await observe(Probe, { host, port, name: 'a.test', recursion: false })
    assert.deepEqual([...flags], [0x0120, 0x0020])
  })

  test('Probe passes over answers to other questions', async (t) => {
    const port = await listenUdp(t, (question) => {
      const good = answer(question, { records: [ADDRESS] })
      const otherNumber = Buffer.from(good)
      otherNumber.writeUInt16BE(good.readUInt16BE(0) ^ 1, 0)
      const otherName = Buffer.from(good)
      otherName.write('b', 13)
      const otherType = Buffer.from(good)
      otherType.writeUInt8(28, 22)
      return [otherNumber, otherName, otherType, question, answer(question, { records: [ADDRESS, ADDRESS] })]
    })
    assert.equal((await observe(Probe, { host, port, name: 'a.test' })).count, 2)
  })

  test('Probe takes the datagrams of nobody but the server', async (t) => {
    const stranger = createSocket('udp4')
    t.after(() => void stranger.close())
    const port = await listenUdp(t, (question, from, socket) => {
      stranger.send(answer(question, { records: [ADDRESS, ADDRESS] }), from.port, from.address, () => {
        socket.send(answer(question, { records: [ADDRESS] }), from.port, from.address)
      })
      return []
    })
    assert.equal((await observe(Probe, { host, port, name: 'a.test' })).count, 1)
  })

  for (const { name, speak, reason } of [
    {
      name: 'SERVFAIL',
      speak: { flags: 0x8182 },
      reason: 'rcode: "SERVFAIL" is not "NOERROR"; count: 0 is less than 1',
    },
    {
      name: 'a record that is cut off',
      speak: { records: [ADDRESS.subarray(0, 6)] },
      reason: 'the answer is malformed: ',
    },
    {
      name: 'an address that is cut off',
      speak: { records: [ADDRESS.subarray(0, 13)] },
      reason: 'the answer is malformed: ',
    },
    {
      name: 'a name that points at itself',
      speak: { records: [Buffer.from('c014', 'hex')] },
      reason: 'the answer is malformed: ',
    },
    {
      name: 'more records than there can be',
      speak: { count: 60_000 },
      reason: 'the answer announces 60000 records, more than 1000',
    },
  ]) {
    test(`Probe is dead by ${name}`, async (t) => {
      const port = await listenUdp(t, (question) => [answer(question, speak)])
      const outcome = (await check(Probe, { host, port, name: 'a.test' })) as { kind: string; reason: string }
      assert.equal(outcome.kind, 'dead')
      assert.ok(outcome.reason.startsWith(reason), outcome.reason)
    })
  }

  test('Probe is unknown where this host cannot ask', async () => {
    assert.deepEqual(await check(Probe, { host: '255.255.255.255', name: 'a.test' }), {
      kind: 'unknown',
      reason: 'this host does not allow it (EACCES)',
    })
  })

  test('Probe is dead by an answer shorter than a header', async (t) => {
    const port = await listenUdp(t, (question) => [question.subarray(0, 5)])
    assert.deepEqual(await check(Probe, { host, port, name: 'a.test' }), {
      kind: 'dead',
      reason: 'the answer is malformed: it is shorter than its header',
    })
  })

  test('Probe reads a code that the header has no room for, and one without the question', async (t) => {
    const option = Buffer.from('0000290200010000000000', 'hex')
    const port = await listenUdp(t, (question) => {
      const bytes = answer(question, { records: [option], count: 0 })
      bytes.writeUInt16BE(1, 10)
      return [bytes]
    })
    assert.equal((await observe(Probe, { host, port, name: 'a.test' })).rcode, 'BADVERS')
    const bare = await listenUdp(t, (question) => {
      const bytes = Buffer.from(question.subarray(0, 12))
      bytes.writeUInt16BE(0x8181, 2)
      bytes.fill(0, 4)
      return [bytes]
    })
    assert.equal((await observe(Probe, { host, port: bare, name: 'a.test' })).rcode, 'FORMERR')
  })

  test('Probe says that it was truncated when nothing listens on TCP, wherever the answer was cut', async (t) => {
    const port = await listenUdp(t, (question) => [
      answer(question, { flags: 0x8380, records: [ADDRESS.subarray(0, 7)] }),
    ])
    assert.deepEqual(await check(Probe, { host, port, name: 'a.test' }), {
      kind: 'dead',
      reason: `truncated over UDP, and over TCP: connection refused by 127.0.0.1:${port}`,
    })
  })

  for (const { name, speak, reason } of [
    { name: 'closes', speak: (socket: net.Socket) => void socket.end(), reason: 'closed before the answer' },
    {
      name: 'answers another question',
      speak: (socket: net.Socket, question: Buffer) => {
        const bytes = answer(question)
        bytes.writeUInt16BE(bytes.readUInt16BE(0) ^ 1, 0)
        socket.write(Buffer.concat([Buffer.of(0, bytes.length), bytes]))
      },
      reason: 'answered another question',
    },
    {
      name: 'speaks HTTP',
      speak: (socket: net.Socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
      reason: 'closed before the answer',
    },
  ]) {
    test(`Probe is dead by a server that ${name} over TCP`, async (t) => {
      const port = await listenTcp(t, speak)
      assert.deepEqual(await check(Probe, { host, port, name: 'a.test', transport: 'tcp' }), { kind: 'dead', reason })
    })
  }

  test('Probe is dead by names that point on and on, and does not follow them', async (t) => {
    const port = await listenTcp(t, (socket, question) => {
      const bytes = createChains(question)
      const length = Buffer.alloc(2)
      length.writeUInt16BE(bytes.length)
      socket.write(Buffer.concat([length, bytes]))
    })
    assert.deepEqual(await check(Probe, { host, port, name: 'a.test', type: 'NS', transport: 'tcp' }), {
      kind: 'dead',
      reason: 'the answer is malformed: its names point on and on',
    })
  })

  test('Probe takes an answer over TCP that comes byte by byte', async (t) => {
    const port = await listenTcp(t, async (socket, question) => {
      const bytes = answer(question, { records: [ADDRESS] })
      for (const byte of [0, bytes.length, ...bytes]) {
        socket.write(Buffer.of(byte))
        await sleep(1)
      }
    })
    assert.equal((await observe(Probe, { host, port, name: 'a.test', transport: 'tcp' })).count, 1)
  })
})

/** A thousand records, of which the first holds a chain of 8,000 pointers, and the others begin at its end. */
function createChains(question: Buffer): Buffer {
  const start = question.length - 11 + 12
  const chain = Buffer.alloc(0x4000 - start)
  for (let at = 0, last = 12; at < chain.length - 1; at += 2) {
    chain.writeUInt16BE(0xc000 | last, at)
    last = start + at
  }
  const text = Buffer.from('c00c0010000100000005ffff', 'hex')
  text.writeUInt16BE(chain.length, 10)
  const server = Buffer.from('fffe000200010000000500020000', 'hex')
  server.writeUInt16BE(0xfffe, 12)
  const records = [text, chain, ...Array.from({ length: 999 }, () => server)]
  return answer(question, { records, count: 1000 })
}

async function listenTcp(t: TestContext, speak: (socket: net.Socket, question: Buffer) => unknown): Promise<number> {
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    socket.setNoDelay().once('data', (bytes: Buffer) => speak(socket, bytes.subarray(2)))
  })
  server.listen(0, host)
  await once(server, 'listening')
  t.after(() => void server.close())
  return (server.address() as net.AddressInfo).port
}

const good = { host: 'a', name: 'a.test' }
const NO_NAME = 'is not a name of the DNS; write it like www.example.org, and letters beyond ASCII as xn--…'
for (const { name, query, problems } of [
  { name: 'no name', query: { host: 'a' }, problems: ['name: is missing; it is required'] },
  { name: 'an empty label', query: { ...good, name: 'a..b' }, problems: [`name: "a..b" ${NO_NAME}`] },
  { name: 'an empty name', query: { ...good, name: '' }, problems: [`name: "" ${NO_NAME}`] },
  { name: 'a name in Cyrillic', query: { ...good, name: 'пример.рф' }, problems: [`name: "пример.рф" ${NO_NAME}`] },
  {
    name: 'a label of 64 letters',
    query: { ...good, name: `www.${'a'.repeat(64)}` },
    problems: [`name: "www.${'a'.repeat(55)}…" ${NO_NAME}`],
  },
  {
    name: 'a type that does not exist',
    query: { ...good, type: 'B' },
    problems: ['type: "B" is not one of A, AAAA, CAA, CNAME, DNSKEY, DS, MX, NAPTR, NS, PTR, SOA, SRV, TLSA, TXT'],
  },
  {
    name: 'tls over UDP',
    query: { ...good, tls: { insecure: true } },
    problems: ['tls: a mapping means nothing without transport: tls'],
  },
  {
    name: 'a misspelt key',
    query: { ...good, transprot: 'tcp' },
    problems: ['transprot: is not a known key; did you mean "transport"?'],
  },
]) {
  test(`Probe refuses ${name}`, async () => {
    assert.deepEqual(await findProblems(Probe, query), problems)
  })
}

test('Probe takes the root, and tls: true with any transport', async () => {
  assert.deepEqual(await findProblems(Probe, { ...good, name: '.', type: 'NS', tls: true }), [])
})
