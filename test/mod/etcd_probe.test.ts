import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { Probe } from '../../mod/etcd_probe.ts'
import type { Facts } from '../../src/modules/define-probe.ts'
import { waitFor } from '../e2e/binary.ts'
import { type Certificate, createCertificate, findMissingOpenssl } from '../servers/certificates.ts'
import { type Etcd, type EtcdOptions, findMissingEtcd, startEtcd, startEtcdCluster } from '../servers/etcd.ts'
import { assertNothingLeft, check, checkPrepared, findProblems, observe, prepare, type Query } from './checking.ts'

const missing = findMissingEtcd()

async function startFor(t: TestContext, options?: EtcdOptions): Promise<Etcd> {
  const etcd = await startEtcd(options)
  t.after(etcd.stop)
  return etcd
}

async function assertDead(query: Query, reason: string | RegExp): Promise<void> {
  const outcome = await check(Probe, query)
  assert.equal(outcome.kind, 'dead', JSON.stringify(outcome))
  if (outcome.kind !== 'dead') return
  if (typeof reason === 'string') assert.equal(outcome.reason, reason)
  else assert.match(outcome.reason, reason)
}

/** Facts without those left out and the time. */
async function observeSteady(query: Query): Promise<Facts> {
  const { time_ms, ...facts } = await observe(Probe, query)
  assert.ok(Number(time_ms) > 0 && Number(time_ms) < 5000, `time_ms is ${time_ms}`)
  return Object.fromEntries(Object.entries(facts).filter(([, fact]) => fact !== undefined))
}

describe('query', () => {
  const url = 'http://localhost:2379'
  const bad = [
    { name: 'no URL', query: {}, problems: ['url: is missing; it is required'] },
    {
      name: 'an address',
      query: { url: 'localhost:2379' },
      problems: ['url: "localhost:2379" is not an http or https URL; write it like http://localhost:2379'],
    },
    {
      name: 'credentials in the URL',
      query: { url: 'http://watch@localhost:2379' },
      problems: ['url: "http://***@localhost:2379" has a user or password; write them as user and password'],
    },
    {
      name: 'a path',
      query: { url: `${url}/health` },
      problems: ['url: "http://localhost:2379/health" has a path; write it like http://localhost:2379'],
    },
    {
      name: 'a user without a password',
      query: { url, user: 'a' },
      problems: ['password: is needed beside user'],
    },
    {
      name: 'a password without a user',
      query: { url, password: 'b' },
      problems: ['user: is needed beside password'],
    },
    { name: 'TLS over http', query: { url, tls: true }, problems: ['tls: true is for https only'] },
    {
      name: 'a misspelt key',
      query: { url, serialisable: true },
      problems: ['serialisable: is not a known key; did you mean "serializable"?'],
    },
  ]
  for (const { name, query, problems } of bad) {
    test(`Probe refuses ${name}`, async () => assert.deepEqual(await findProblems(Probe, query), problems))
  }
})

describe('a member alone', { skip: missing }, () => {
  let etcd: Etcd
  let query: Query
  before(async () => {
    etcd = await startEtcd()
    query = { url: etcd.url }
  })
  after(() => etcd.stop())

  test('Probe reports what a member says', async () => {
    const { db_bytes, version, revision, ...facts } = await observeSteady(query)
    assert.deepEqual(facts, {
      health: true,
      leader: true,
      is_leader: true,
      members: 1,
      members_started: 1,
      alarms: [],
      db_percent: 0,
      raft_lag: 0,
    })
    assert.ok(Number(db_bytes) >= 16_384, `db_bytes is ${db_bytes}`)
    assert.match(String(version), /^3\.\d+\.\d+$/)
    assert.equal(revision, 1)
    await etcd.ask('/v3/kv/put', { key: 'YQ==', value: 'Yg==' })
    assert.equal((await observe(Probe, query)).revision, 2)
    assert.deepEqual(await check(Probe, query), { kind: 'alive' })
  })

  test('Probe asks over one connection', async (t) => {
    const { url, connections } = await forward(t, etcd.port)
    assert.equal((await observe(Probe, { url })).health, true)
    assert.equal(connections(), 1)
  })

  test('Probe calls a member that hangs dead by the deadline', async (t) => {
    t.after(etcd.resume)
    etcd.pause()
    await assertDead({ ...query, timeout: '300ms' }, 'timed out after 300 ms')
    etcd.resume()
    await waitFor('the member', async () => (await check(Probe, query)).kind === 'alive')
  })

  test('Probe leaves nothing behind', () => assertNothingLeft(Probe, query))

  test('Probe leaves nothing behind when it is cancelled, whatever the moment', async (t) => {
    const { url, sockets } = await forward(t, etcd.port)
    for (const afterMs of [0, 1, 2, 3, 4, 5, 7, 10]) {
      const controller = new AbortController()
      const reason = new Error('enough')
      setTimeout(() => controller.abort(reason), afterMs)
      const ended = await observe(Probe, { url }, controller.signal).catch((error) => error)
      assert.ok(ended === reason || ended.health === true, String(ended))
      await waitFor('the end of the connection', () => sockets.size === 0)
    }
  })
})

/** Stands before a server and counts the connections to it. */
async function forward(t: TestContext, port: number) {
  const { connect } = process.getBuiltinModule('node:net')
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createTcpServer((socket) => {
    connections++
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    const onward = connect(port, '127.0.0.1')
    for (const each of [socket, onward]) each.on('error', () => {})
    socket.on('close', () => onward.destroy())
    socket.pipe(onward).pipe(socket)
  })
  const url = await listen(t, server)
  return { url, sockets, connections: () => connections }
}

async function listen(t: TestContext, server: Server): Promise<string> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`
}

describe('a member in trouble', { skip: missing }, () => {
  test('Probe says that a stopped member refuses', async () => {
    const etcd = await startEtcd()
    await etcd.stop()
    await assertDead({ url: etcd.url }, `connection refused by 127.0.0.1:${etcd.port}`)
    await assertNothingLeft(Probe, { url: etcd.url }, { kind: 'dead' })
  })

  test('Probe reports that the space is used up', async (t) => {
    const etcd = await startFor(t, { flags: ['--quota-backend-bytes', '200000'] })
    const query = { url: etcd.url }
    const value = Buffer.alloc(50_000, 'x').toString('base64')
    await waitFor('the end of the space', () =>
      etcd.ask('/v3/kv/put', { key: 'YQ==', value }).then(
        () => undefined,
        ({ message }) => /database space exceeded/.test(message),
      ),
    )
    // The write is refused a moment before the alarm stands.
    const facts = await waitFor('the alarm', async () => {
      const facts = await observe(Probe, query)
      return facts.health === false ? facts : undefined
    })
    assert.deepEqual([facts.leader, facts.alarms], [true, ['NOSPACE']])
    assert.ok(Number(facts.db_percent) > 50, `db_percent is ${facts.db_percent}`)
    await assertDead(query, /^health: false is not true \(reason: "memberID:\d+ alarm:NOSPACE"\)$/)
  })
})

describe('authentication', { skip: missing }, () => {
  let etcd: Etcd
  let query: Query
  before(async () => {
    etcd = await startEtcd()
    query = { url: etcd.url }
    await etcd.ask('/v3/auth/user/add', { name: 'root', password: 'root-secret' })
    await etcd.ask('/v3/auth/user/add', { name: 'watch', password: 'watch-secret' })
    await etcd.ask('/v3/auth/role/add', { name: 'root' })
    await etcd.ask('/v3/auth/user/grant', { user: 'root', role: 'root' })
    await etcd.ask('/v3/auth/enable', {})
  })
  after(() => etcd.stop())

  for (const user of ['root', 'watch']) {
    test(`Probe asks as ${user === 'root' ? user : 'a user who may read nothing'}`, async () => {
      const { health, members } = await observe(Probe, { ...query, user, password: `${user}-secret` })
      assert.deepEqual({ health, members }, { health: true, members: 1 })
    })
  }

  const bad = [
    { name: 'nobody', who: {}, reason: 'etcdserver: user name is empty' },
    {
      name: 'a user with a wrong password',
      who: { user: 'watch', password: 'wrong-secret' },
      reason: 'etcdserver: authentication failed, invalid user ID or password',
    },
    {
      name: 'an unknown user',
      who: { user: 'other', password: 'watch-secret' },
      reason: 'etcdserver: authentication failed, invalid user ID or password',
    },
  ]
  for (const { name, who, reason } of bad) {
    test(`Probe says what etcd says to ${name}`, () => assertDead({ ...query, ...who }, reason))
  }

  test('Probe says that users mean nothing where authentication is off', async (t) => {
    const open = await startFor(t)
    const reason = 'etcdserver: authentication is not enabled'
    await assertDead({ url: open.url, user: 'watch', password: 'watch-secret' }, reason)
  })

  test('Probe authenticates once, and again when its token does not hold any more', async () => {
    const prepared = await prepare(Probe, { ...query, user: 'watch', password: 'watch-secret' })
    const before = await countAuthentications(etcd)
    for (let i = 0; i < 3; i++) assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
    assert.equal((await countAuthentications(etcd)) - before, 1)
    const { token } = await etcd.ask('/v3/auth/authenticate', { name: 'root', password: 'root-secret' })
    const changed = await fetch(`${etcd.url}/v3/auth/user/changepw`, {
      method: 'POST',
      headers: { authorization: String(token) },
      body: JSON.stringify({ name: 'watch', password: 'watch-secret' }),
    })
    assert.equal(changed.status, 200)
    assert.deepEqual(await checkPrepared(Probe, prepared), { kind: 'alive' })
    assert.equal((await countAuthentications(etcd)) - before, 3)
    prepared.close()
  })
})

async function countAuthentications({ url }: Etcd): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return Number(/^grpc_server_started_total\{grpc_method="Authenticate".*\} (\d+)$/m.exec(metrics)?.[1] ?? 0)
}

describe('TLS', { skip: missing || findMissingOpenssl() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-etcd-tls-'))
  let etcd: Etcd
  let good: Certificate
  let other: Certificate
  before(async () => {
    good = createCertificate(folder, 'good')
    other = createCertificate(folder, 'other')
    etcd = await startEtcd({ tls: good })
  })
  after(async () => {
    await etcd.stop()
    rmSync(folder, { recursive: true })
  })

  test('Probe shows its certificate', async () => {
    const tls = { ca_file: good.ca, cert_file: good.cert, key_file: good.key }
    assert.deepEqual(await check(Probe, { url: etcd.url, tls }), { kind: 'alive' })
  })

  test('Probe says that it is refused without a certificate', () =>
    assertDead({ url: etcd.url, tls: { ca_file: good.ca } }, /^TLS failed: .*bad certificate$/))

  test('Probe refuses a server of another authority, or of another name', async () => {
    const own = { cert_file: good.cert, key_file: good.key }
    const reason = 'unable to verify the first certificate'
    await assertDead({ url: etcd.url, tls: { ...own, ca_file: other.ca } }, reason)
    const named = { ...own, ca_file: good.ca, server_name: 'etcd.example.org' }
    await assertDead({ url: etcd.url, tls: named }, /^Hostname\/IP does not match certificate's altnames: /)
  })

  test('Probe says that the server speaks TLS where it does not', () =>
    assertDead({ url: etcd.url.replace('https', 'http') }, /^(?:answered with status 400|closed before the answer)$/))
})

describe('a cluster', { skip: missing }, () => {
  let members: Etcd[]
  before(async () => {
    members = await startEtcdCluster()
  })
  after(() => Promise.all(members.map((member) => member.stop())))

  test('Probe knows the leader among the members', async () => {
    const facts = await Promise.all(members.map(({ url }) => observe(Probe, { url })))
    assert.deepEqual(
      facts.map(({ members, members_started, leader }) => [members, members_started, leader]),
      Array(3).fill([3, 3, true]),
    )
    assert.equal(facts.filter(({ is_leader }) => is_leader).length, 1)
  })

  test('Probe finds a member alive without one other, and dead without both', async () => {
    const [first, second, third] = members
    const query = { url: first?.url }
    await second?.stop()
    await waitFor('a leader of two', async () => (await check(Probe, query)).kind === 'alive')
    await third?.stop()
    // While it still takes itself or the lost member for the leader, a read waits.
    await waitFor('the loss of the quorum', async () => {
      const outcome = await check(Probe, { ...query, timeout: 1 })
      return outcome.kind === 'dead' && outcome.reason === 'etcdserver: no leader'
    })
    const facts = await observe(Probe, { ...query, serializable: true })
    assert.deepEqual(
      [facts.leader, facts.is_leader, facts.health, facts.members, facts.alarms],
      [false, false, false, 3, []],
    )
    const reason = 'health: false is not true; leader: false is not true (reason: "etcdserver: no leader")'
    await assertDead({ ...query, serializable: true }, reason)
  })
})

describe('other answers', () => {
  /** As etcd 3.6 answers, which Debian does not have yet: https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/ */
  const LATEST: Record<string, object> = {
    '/v3/kv/range': { header: { revision: '7' } },
    '/v3/maintenance/status': {
      header: { member_id: '8211', revision: '7' },
      version: '3.6.4',
      dbSize: '1500',
      dbSizeQuota: '2000',
      leader: '9000',
      raftIndex: '90',
      raftAppliedIndex: '88',
      errors: ['memberID:8211 alarm:NOSPACE ', 'memberID:9000 alarm:NOSPACE ', 'memberID:9000 alarm:CORRUPT '],
    },
    '/v3/cluster/member/list': { members: [{ ID: '8211', name: 'one' }, { ID: '9000' }] },
    '/health': { health: 'false', reason: 'ALARM NOSPACE' },
  }

  test('Probe understands what etcd 3.6 tells', async (t) => {
    const asked: string[] = []
    const url = await listen(
      t,
      createServer((request, response) => {
        asked.push(String(request.url))
        response.statusCode = request.url === '/health' ? 503 : 200
        response.end(JSON.stringify(LATEST[String(request.url)]))
      }),
    )
    assert.deepEqual(await observeSteady({ url }), {
      health: false,
      reason: 'ALARM NOSPACE',
      leader: true,
      is_leader: false,
      members: 2,
      members_started: 1,
      alarms: ['CORRUPT', 'NOSPACE'],
      db_bytes: 1500,
      db_percent: 75,
      raft_lag: 2,
      revision: 7,
      version: '3.6.4',
    })
    assert.deepEqual(asked, Object.keys(LATEST))
  })

  const hostile: { name: string; answer: RequestListener; reason: string }[] = [
    {
      name: 'a page',
      answer: (_, response) => response.end('<html>'),
      reason: 'answered with something that is not of the etcd gateway',
    },
    {
      name: 'an error without words',
      answer: (_, response) => response.writeHead(502).end('bad gateway'),
      reason: 'answered with status 502',
    },
    {
      name: 'lists and nulls for everything',
      answer: (request, response) =>
        response.end(
          request.url === '/v3/kv/range' ? '{"header":null}' : '{"members":[null],"errors":[null],"header":null}',
        ),
      reason: 'health: the check reported no health; leader: false is not true',
    },
    {
      name: 'too much',
      answer: (_, response) => response.end('x'.repeat(3_000_000)),
      reason: 'sent more than 1 MiB',
    },
    {
      name: 'a closed connection after the read',
      answer: (request, response) =>
        request.url === '/v3/kv/range' ? response.end('{"header":{}}') : request.socket.destroy(),
      reason: 'closed before the answer',
    },
  ]
  for (const { name, answer, reason } of hostile) {
    test(`Probe bears a server that answers with ${name}`, async (t) =>
      assertDead({ url: await listen(t, createServer(answer)) }, reason))
  }

  test('Probe leaves out what only unreachable metrics tell', async (t) => {
    const { dbSizeQuota: _, ...status } = LATEST['/v3/maintenance/status'] as Record<string, unknown>
    const answers: Record<string, object> = { ...LATEST, '/v3/maintenance/status': status }
    const url = await listen(
      t,
      createServer((request, response) => {
        const answer = answers[String(request.url)]
        response.writeHead(answer ? 200 : 404).end(JSON.stringify(answer ?? {}))
      }),
    )
    const { db_bytes, db_percent } = await observe(Probe, { url })
    assert.deepEqual({ db_bytes, db_percent }, { db_bytes: 1500, db_percent: undefined })
  })
})
