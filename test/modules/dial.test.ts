import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import * as dns from 'node:dns'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import * as tls from 'node:tls'
import { certDays, dial, startTls } from '../../src/modules/dial.ts'
import { Dead, Unknown } from '../../src/modules/errors.ts'
import { DEFAULT_TLS, type TlsSettings, tlsSettings } from '../../src/modules/tls.ts'
import { createCertificate, findMissingOpenssl } from '../servers/certificates.ts'

const folder = mkdtempSync(join(tmpdir(), 'deadpool-dial-'))
after(() => rmSync(folder, { recursive: true }))
const soon = () => AbortSignal.timeout(5000)

async function listen(t: TestContext, server: net.Server, at: net.ListenOptions = { port: 0, host: '127.0.0.1' }) {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket)
    socket.resume()
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(at)
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const address = server.address()
  return { port: typeof address === 'object' ? (address?.port ?? 0) : 0, sockets }
}

async function assertClosed(sockets: ReadonlySet<net.Socket>): Promise<void> {
  for (let i = 0; i < 100 && sockets.size > 0; i++) await sleep(10)
  assert.equal(sockets.size, 0)
}

test('dial() connects to a port and to a Unix socket', async (t) => {
  const { port } = await listen(
    t,
    net.createServer((socket) => socket.end('port')),
  )
  const path = join(folder, 'socket')
  await listen(
    t,
    net.createServer((socket) => socket.end('path')),
    { path },
  )
  for (const [target, expected] of [
    [{ host: 'localhost', port, family: 4 as const }, 'port'],
    [{ path }, 'path'],
  ] as const) {
    const socket = await dial({ ...target, signal: soon() })
    assert.equal(String((await once(socket, 'data'))[0]), expected)
    socket.destroy()
  }
})

test('dial() says in words why there is no connection', async () => {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  await assert.rejects(
    dial({ host: '127.0.0.1', port, signal: soon() }),
    new Dead(`connection refused by 127.0.0.1:${port}`),
  )
  await assert.rejects(dial({ path: join(folder, 'none'), signal: soon() }), { code: 'ENOENT' })
})

test('startTls() throws the reason of the signal when the check is over before the handshake began', async (t) => {
  const { port } = await listen(t, net.createServer())
  const controller = new AbortController()
  const over = new Error('over')
  const { signal } = controller
  const socket = await dial({ host: '127.0.0.1', port, signal })
  const starting = startTls(socket, { host: '127.0.0.1', tls: DEFAULT_TLS, signal })
  controller.abort(over)
  await assert.rejects(starting, over)
})

/** A resolver with several answers is the one thing that loopback cannot offer. */
function resolveTo(t: TestContext, ...addresses: string[]): void {
  const answer = addresses.map((address) => ({ address, family: net.isIP(address) }))
  t.mock.method(dns.promises, 'lookup', () => Promise.resolve(answer))
}

/** A listener whose queue is full, so that the system drops what asks for a connection, as a network loses it. */
async function startDeaf(t: TestContext) {
  const listener =
    "net.createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, function () { console.log(this.address().port) })"
  const child = spawn(process.execPath, ['-e', listener], { stdio: ['ignore', 'pipe', 'inherit'] })
  const port = Number((await once(child.stdout, 'data'))[0])
  child.kill('SIGSTOP')
  const waiting = Array.from({ length: 8 }, () => net.connect(port, '127.0.0.1').on('error', () => {}))
  t.after(() => {
    child.kill('SIGKILL')
    for (const socket of waiting) socket.destroy()
  })
  await sleep(100)
  return { port, hear: () => void child.kill('SIGCONT') }
}

test('dial() tries all addresses of a host, also of one family only', async (t) => {
  const { port } = await listen(t, net.createServer(), { port: 0, host: '127.0.0.2' })
  resolveTo(t, '127.0.0.3', '127.0.0.2')
  for (const family of [undefined, 4] as const) {
    const socket = await dial({ host: 'two.invalid', port, family, signal: soon() })
    assert.equal(socket.remoteAddress, '127.0.0.2')
    socket.destroy()
  }
})

test('dial() does not wait for an address that is silent, when another answers', async (t) => {
  const { port } = await startDeaf(t)
  await listen(t, net.createServer(), { port, host: '127.0.0.2' })
  resolveTo(t, '127.0.0.1', '127.0.0.2')
  const startedMs = performance.now()
  const socket = await dial({ host: 'two.invalid', port, signal: soon() })
  assert.equal(socket.remoteAddress, '127.0.0.2')
  assert.ok(performance.now() - startedMs < 900)
  socket.destroy()
})

test('dial() does not give up an address whose first packet was lost, when the others refuse', async (t) => {
  const { port, hear } = await startDeaf(t)
  resolveTo(t, '127.0.0.1', '127.0.0.2')
  const dialling = dial({ host: 'two.invalid', port, signal: soon() })
  setTimeout(hear, 600)
  const socket = await dialling
  assert.equal(socket.remoteAddress, '127.0.0.1')
  socket.destroy()
})

test('dial() says what each address came to', async (t) => {
  const { port } = await listen(t, net.createServer(), { port: 0, host: '127.0.0.4' })
  resolveTo(t, '127.0.0.1', '127.0.0.2')
  await assert.rejects(
    dial({ host: 'two.invalid', port, signal: soon() }),
    new Dead(`connection refused by 127.0.0.1:${port}; connection refused by 127.0.0.2:${port}`),
  )
})

test('dial() leaves nothing of the addresses that it tried, when the check is over', async (t) => {
  const { port } = await startDeaf(t)
  resolveTo(t, '127.0.0.1', '127.0.0.1')
  const count = () => process.getActiveResourcesInfo().filter((name) => /TCP|Timeout/.test(name)).length
  const before = count()
  const over = new Error('over')
  const controller = new AbortController()
  const dialling = dial({ host: 'two.invalid', port, signal: controller.signal })
  setTimeout(() => controller.abort(over), 400)
  await assert.rejects(dialling, over)
  await sleep(50)
  assert.equal(count(), before)
})

test('dial() destroys the connection when the check is over, even after it gave it away', async (t) => {
  const { port, sockets } = await listen(t, net.createServer())
  const controller = new AbortController()
  const socket = await dial({ host: '127.0.0.1', port, signal: controller.signal })
  controller.abort()
  assert.equal(socket.destroyed, true)
  await assertClosed(sockets)
  await assert.rejects(dial({ host: '127.0.0.1', port, signal: controller.signal }), { name: 'AbortError' })
})

describe('TLS', { skip: findMissingOpenssl() }, () => {
  const good = createCertificate(folder, 'good', { days: 30 })
  const expired = createCertificate(folder, 'expired', { days: -1 })
  const elsewhere = createCertificate(folder, 'elsewhere', { names: 'DNS:elsewhere' })

  const serve = (t: TestContext, { cert, key } = good, more: tls.TlsOptions = {}) => {
    const server = tls.createServer({ cert: readFileSync(cert), key: readFileSync(key), ...more }, (socket) => {
      socket.on('error', () => {})
      socket.end(`SNI ${socket.servername}, certificate ${socket.getPeerCertificate().subject?.CN}`)
    })
    server.on('tlsClientError', () => {})
    return listen(t, server)
  }
  const settings = (given: object | true) => tlsSettings().parse(given) as TlsSettings
  const greet = async (port: number, given: object | true, host = 'localhost') => {
    const socket = await dial({ host, port, family: 4, tls: settings(given), signal: soon() })
    const text = String((await once(socket, 'data'))[0])
    socket.destroy()
    return text
  }

  test('dial() trusts the authority that is given, and asks for the name of the host', async (t) => {
    const { port } = await serve(t)
    assert.equal(await greet(port, { ca_file: good.ca }), 'SNI localhost, certificate undefined')
    assert.equal(await greet(port, { ca_file: good.ca }, '127.0.0.1'), 'SNI false, certificate undefined')
  })

  test('dial() takes another name to ask for and to find in the certificate', async (t) => {
    const { port } = await serve(t, elsewhere)
    const given = { ca_file: elsewhere.ca, server_name: 'elsewhere' }
    assert.equal(await greet(port, given), 'SNI elsewhere, certificate undefined')
  })

  test('dial() shows a certificate of its own', async (t) => {
    const { port } = await serve(t, good, { requestCert: true, rejectUnauthorized: true, ca: readFileSync(good.ca) })
    const given = { ca_file: good.ca, cert_file: good.cert, key_file: good.key }
    assert.equal(await greet(port, given), 'SNI localhost, certificate localhost')
  })

  const refused: { name: string; server: typeof good; given: object | true; host?: string; reason: string }[] = [
    { name: 'an unknown authority', server: good, given: true, reason: 'unable to verify the first certificate' },
    {
      name: 'an expired certificate',
      server: expired,
      given: { ca_file: expired.ca },
      reason: 'certificate has expired',
    },
    {
      name: 'another name',
      server: elsewhere,
      given: { ca_file: elsewhere.ca },
      reason: `Hostname/IP does not match certificate's altnames: Host: localhost. is not in the cert's altnames: DNS:elsewhere`,
    },
    {
      name: 'another address',
      server: elsewhere,
      given: { ca_file: elsewhere.ca },
      host: '127.0.0.1',
      reason: `Hostname/IP does not match certificate's altnames: IP: 127.0.0.1 is not in the cert's list: `,
    },
  ]
  for (const { name, server, given, host, reason } of refused) {
    test(`dial() is dead by ${name}, and takes it when it is told to take any`, async (t) => {
      const { port, sockets } = await serve(t, server)
      await assert.rejects(greet(port, given, host), new Dead(reason))
      await assertClosed(sockets)
      await greet(port, { insecure: true }, host)
    })
  }

  test('dial() is dead by a peer that speaks no TLS, or closes', async (t) => {
    const plain = await listen(
      t,
      net.createServer((socket) => socket.end('220 hello\r\n')),
    )
    await assert.rejects(greet(plain.port, true), { name: 'Dead', message: /^TLS failed: / })
    const closing = await listen(
      t,
      net.createServer((socket) => socket.destroy()),
    )
    await assert.rejects(greet(closing.port, true), { name: 'Dead', message: /^(closed before TLS|connection reset)/ })
  })

  test('dial() leaves nothing when the check is over within the handshake', async (t) => {
    const { port, sockets } = await listen(t, net.createServer())
    const over = new Error('over')
    const controller = new AbortController()
    const dialling = dial({ host: '127.0.0.1', port, tls: settings(true), signal: controller.signal })
    while (sockets.size === 0) await sleep(5)
    await sleep(20)
    controller.abort(over)
    await assert.rejects(dialling, over)
    await assertClosed(sockets)
  })

  test('startTls() goes on with a connection that has spoken already', async (t) => {
    const { port } = await listen(
      t,
      net.createServer((socket) =>
        socket.once('data', () => {
          socket.write('go ahead\n')
          const secured = new tls.TLSSocket(socket, {
            isServer: true,
            cert: readFileSync(good.cert),
            key: readFileSync(good.key),
          })
          secured.on('error', () => {})
          secured.end('secret')
        }),
      ),
    )
    const signal = soon()
    const socket = await dial({ host: 'localhost', port, family: 4, signal })
    socket.write('STARTTLS\n')
    await once(socket, 'data')
    const secured = await startTls(socket, { host: 'localhost', tls: settings({ ca_file: good.ca }), signal })
    assert.equal(String((await once(secured, 'data'))[0]), 'secret')
    secured.destroy()
    assert.equal(socket.destroyed, true)
  })

  test('startTls() is dead by a peer that closes while the files are read', async (t) => {
    const { port } = await listen(
      t,
      net.createServer((socket) => socket.once('data', () => socket.end('go ahead\n'))),
    )
    const signal = soon()
    const socket = await dial({ host: 'localhost', port, family: 4, signal })
    socket.write('STARTTLS\n')
    await once(socket, 'data')
    socket.pause()
    await sleep(20)
    const starting = startTls(socket, { host: 'localhost', tls: settings({ ca_file: good.ca }), signal })
    await assert.rejects(starting, new Dead('closed before TLS was established'))
    assert.equal(socket.destroyed, true)
  })

  test('a renewed file counts from the next check on, and one that is gone is unknown', async (t) => {
    const { port } = await serve(t)
    const ca_file = join(folder, 'renewed.pem')
    cpSync(expired.ca, ca_file)
    const given = settings({ ca_file })
    const once_ = () => dial({ host: 'localhost', port, family: 4, tls: given, signal: soon() })
    await assert.rejects(once_(), Dead)
    cpSync(good.ca, ca_file)
    ;(await once_()).destroy()
    rmSync(ca_file)
    await assert.rejects(once_(), new Unknown(`ca_file ${ca_file} cannot be read: there is no such file`))
    writeFileSync(ca_file, '-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n')
    await assert.rejects(once_(), { name: 'Unknown', message: /^the TLS files cannot be used: / })
    writeFileSync(ca_file, readFileSync(good.ca, 'utf8').slice(0, 100))
    await assert.rejects(once_(), new Unknown('the TLS files cannot be used: ca_file holds no whole certificate'))
  })

  test('certDays() tells the days that the served certificate has left', async (t) => {
    for (const [certificate, low, high] of [
      [good, 29, 30],
      [expired, -1.1, -0.9],
    ] as const) {
      const { port } = await serve(t, certificate)
      const socket = await dial({
        host: 'localhost',
        port,
        family: 4,
        tls: settings({ insecure: true }),
        signal: soon(),
      })
      const days = certDays(socket) ?? Number.NaN
      assert.ok(low <= days && days <= high, `${days} days`)
      socket.destroy()
    }
    const { port } = await listen(t, net.createServer())
    const plain = await dial({ host: '127.0.0.1', port, signal: soon() })
    assert.equal(certDays(plain), undefined)
    plain.destroy()
  })

  const mistakes = [
    { name: 'a number', given: 1, message: 'is not true, false or a mapping such as {ca_file: ca.pem}' },
    {
      name: 'a missing file',
      given: { ca_file: join(folder, 'none') },
      message: 'cannot be read: there is no such file',
    },
    { name: 'a key for a certificate', given: { ca_file: good.key }, message: 'holds no certificate in PEM form' },
    { name: 'a certificate without its key', given: { cert_file: good.cert }, message: 'is needed beside cert_file' },
  ]
  for (const { name, given, message } of mistakes) {
    test(`tlsSettings() refuses ${name}`, () => {
      const issues = tlsSettings().safeParse(given).error?.issues ?? []
      assert.ok(JSON.stringify(issues).includes(JSON.stringify(message).slice(1, -1)), JSON.stringify(issues))
    })
  }

  test('tlsSettings() is nothing for false', () => assert.equal(tlsSettings().parse(false), undefined))
})
