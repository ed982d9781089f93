import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Probe } from '../../mod/redis_probe.ts'
import type { Facts } from '../../src/modules/define-probe.ts'
import { waitFor } from '../e2e/binary.ts'
import { freePort } from '../e2e/nginx.ts'
import { type Certificate, createCertificate, findMissingOpenssl } from '../servers/certificates.ts'
import {
  findMissingRedis,
  type Redis,
  type RedisOptions,
  type Sentinel,
  startRedis,
  startRedisCluster,
  startSentinel,
} from '../servers/redis.ts'
import { assertNothingLeft, check, findProblems, observe, type Query } from './checking.ts'

const HOST = { host: '127.0.0.1' }
const missing = findMissingRedis()

async function startFor(t: TestContext, options?: RedisOptions): Promise<Redis> {
  const redis = await startRedis(options)
  t.after(redis.stop)
  return redis
}

async function assertDead(query: Query, reason: string | RegExp): Promise<void> {
  const outcome = await check(Probe, query)
  assert.equal(outcome.kind, 'dead', JSON.stringify(outcome))
  if (outcome.kind !== 'dead') return
  if (typeof reason === 'string') assert.equal(outcome.reason, reason)
  else assert.match(outcome.reason, reason)
}

function observeUntil(what: string, query: Query, isSo: (facts: Facts) => boolean): Promise<Facts> {
  return waitFor(what, async () => {
    const facts = await observe(Probe, query)
    return isSo(facts) ? facts : undefined
  })
}

describe('query', () => {
  const bad = [
    { name: 'no host', query: {}, problems: ['host: is missing; write it, or path'] },
    {
      name: 'host and path',
      query: { ...HOST, path: '/run/redis.sock' },
      problems: ['path: "/run/redis.sock" stands beside host; keep one of them'],
    },
    {
      name: 'a port of a path',
      query: { path: '/run/redis.sock', port: 6379 },
      problems: ['port: 6379 means nothing beside path'],
    },
    {
      name: 'a Sentinel without the name of its master',
      query: { ...HOST, mode: 'sentinel' },
      problems: ['master_name: is needed with mode: sentinel'],
    },
    {
      name: 'keys of a Sentinel without one',
      query: { ...HOST, master_name: 'mymaster', sentinel_user: 'a', sentinel_password: 'secret-of-it' },
      problems: [
        'master_name: "mymaster" is for mode: sentinel only',
        'sentinel_user: "a" is for mode: sentinel only',
        'sentinel_password: the value (not shown) is for mode: sentinel only',
      ],
    },
    {
      name: 'users without passwords',
      query: { ...HOST, mode: 'sentinel', master_name: 'm', user: 'a', sentinel_user: 'b' },
      problems: ['password: is needed beside user', 'sentinel_password: is needed beside sentinel_user'],
    },
    {
      name: 'an unknown mode',
      query: { ...HOST, mode: 'clustered' },
      problems: ['mode: "clustered" is not one of single, sentinel, cluster; did you mean "cluster"?'],
    },
    {
      name: 'an unknown key, a port and a database out of range',
      query: { ...HOST, pasword: 'x', port: 0, db: -1 },
      problems: [
        'port: 0 is out of range; at least 1 is allowed',
        'db: -1 is out of range; at least 0 is allowed',
        'pasword: is not a known key; did you mean "password"?',
      ],
    },
  ]
  for (const { name, query, problems } of bad) {
    test(`Probe refuses ${name}`, async () => assert.deepEqual(await findProblems(Probe, query), problems))
  }
})

describe('a server alone', { skip: missing }, () => {
  let redis: Redis
  let query: Query
  before(async () => {
    redis = await startRedis({ settings: ['--maxmemory', '100mb', '--maxmemory-policy', 'noeviction'] })
    query = { ...HOST, port: redis.port }
  })
  after(() => redis.stop())

  test('Probe reports what a server says of itself', async () => {
    const { time_ms, version, memory_percent, ...facts } = await observe(Probe, query)
    assert.deepEqual(Object.fromEntries(Object.entries(facts).filter(([, fact]) => fact !== undefined)), {
      pong: true,
      role: 'master',
      replicas: 0,
      loading: false,
      clients: 1,
      clients_percent: 0,
      rdb_last_save_ok: true,
    })
    assert.match(String(version), /^\d+\.\d+\.\d+$/)
    assert.ok(Number(memory_percent) > 0.5 && Number(memory_percent) < 20, `memory_percent is ${memory_percent}`)
    assert.ok(Number(time_ms) > 0 && Number(time_ms) < 5000, `time_ms is ${time_ms}`)
    assert.deepEqual(await check(Probe, query), { kind: 'alive' })
  })

  test('Probe asks a Unix socket', async () => {
    assert.equal((await observe(Probe, { path: redis.path })).pong, true)
  })

  test('Probe asks a database by its number, and says that there is no such', async () => {
    assert.deepEqual(await check(Probe, { ...query, db: 15 }), { kind: 'alive' })
    await assertDead({ ...query, db: 16 }, 'ERR DB index is out of range')
  })

  test('Probe writes the key that it is given, in its database, for a minute', async () => {
    assert.equal((await observe(Probe, { ...query, db: 2, write: 'deadpool:check' })).writable, true)
    assert.equal(await redis.cli('-n', '2', 'get', 'deadpool:check'), 'DeadPool')
    const keptMs = Number(await redis.cli('-n', '2', 'pttl', 'deadpool:check'))
    assert.ok(keptMs > 50_000 && keptMs <= 60_000, `it is kept for ${keptMs} ms`)
  })

  test('Probe says why a write is refused: no memory', async (t) => {
    t.after(() => redis.cli('config', 'set', 'maxmemory', '100mb'))
    await redis.cli('config', 'set', 'maxmemory', '1')
    const reason = /^OOM command not allowed when used memory > 'maxmemory'\.$/
    await assertDead({ ...query, write: 'deadpool' }, reason)
    assert.deepEqual(await check(Probe, query), { kind: 'alive' })
  })

  test('Probe says that snapshots fail, which stops writes unless the server was told not to', async (t) => {
    t.after(() => redis.cli('config', 'set', 'dir', redis.folder, 'save', '', 'stop-writes-on-bgsave-error', 'yes'))
    const gone = join(redis.folder, 'gone')
    mkdirSync(gone)
    await redis.cli('config', 'set', 'dir', gone, 'save', '900 1', 'stop-writes-on-bgsave-error', 'no')
    rmdirSync(gone)
    await redis.cli('bgsave')
    await observeUntil('a failed snapshot', query, ({ rdb_last_save_ok }) => rdb_last_save_ok === false)
    await redis.cli('config', 'set', 'stop-writes-on-bgsave-error', 'yes')
    await assertDead(query, /^MISCONF Redis is configured to save RDB snapshots/)
  })

  test('Probe reports how the AOF is, once there is one', async (t) => {
    t.after(() => redis.cli('config', 'set', 'appendonly', 'no'))
    await redis.cli('config', 'set', 'appendonly', 'yes')
    assert.equal((await observe(Probe, query)).aof_ok, true)
  })

  test('Probe says that the server has no room for clients', async (t) => {
    const other = connect(redis.port, '127.0.0.1')
    other.on('error', () => {})
    t.after(async () => {
      other.destroy()
      await waitFor('room', () => redis.cli('config', 'set', 'maxclients', '1000'))
    })
    await once(other, 'connect')
    await observeUntil('the connection', query, ({ clients }) => clients === 2)
    await redis.cli('config', 'set', 'maxclients', '1')
    await assertDead(query, 'ERR max number of clients reached')
  })

  test('Probe calls a server that hangs dead by the deadline', async (t) => {
    t.after(redis.resume)
    redis.pause()
    await assertDead({ ...query, timeout: '300ms' }, 'timed out after 300 ms')
    redis.resume()
    assert.deepEqual(await check(Probe, query), { kind: 'alive' })
  })

  test('Probe leaves nothing behind', () => assertNothingLeft(Probe, { ...query, write: 'deadpool' }))

  test('Probe leaves nothing behind when the password is refused', () =>
    assertNothingLeft(Probe, { ...query, user: 'nobody', password: 'wrong-password' }, { kind: 'dead' }))

  test('Probe leaves nothing behind when it is cancelled, whatever the moment', async (t) => {
    t.after(redis.resume)
    redis.pause()
    for (const afterMs of [0, 1, 5, 50]) {
      const controller = new AbortController()
      const reason = new Error('enough')
      setTimeout(() => controller.abort(reason), afterMs)
      await assert.rejects(observe(Probe, query, controller.signal), reason)
    }
    await waitFor('the end of all sockets', () => countSockets() === 0)
    redis.resume()
    await observeUntil('the end of all connections', query, ({ clients }) => clients === 1)
  })
})

/** Sockets that this process holds. */
function countSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => /^(TCPSocketWrap|TLSWrap)$/.test(name)).length
}

describe('passwords', { skip: missing }, () => {
  let redis: Redis
  let query: Query
  before(async () => {
    redis = await startRedis({ settings: ['--requirepass', 'main-secret', '--aclfile', ''] })
    query = { ...HOST, port: redis.port }
    const acl = (...args: string[]) => redis.cli('--pass', 'main-secret', 'acl', 'setuser', ...args)
    await acl('watch', 'on', '>watch-secret', '+ping')
    await acl('mute', 'on', '>mute-secret', '+info')
    await acl('reader', 'on', '>reader-secret', '+ping', '+info', '+get', '~*')
  })
  after(() => redis.stop())

  const good = [
    { name: 'the default user', query: { password: 'main-secret' } },
    { name: 'the default user by name', query: { user: 'default', password: 'main-secret' } },
    { name: 'a user who may read', query: { user: 'reader', password: 'reader-secret' } },
  ]
  for (const { name, query: who } of good) {
    test(`Probe authenticates as ${name}`, async () => {
      const { pong, role } = await observe(Probe, { ...query, ...who })
      assert.deepEqual({ pong, role }, { pong: true, role: 'master' })
    })
  }

  test('Probe reports the answer to PING where INFO is not allowed', async () => {
    const who = { ...query, user: 'watch', password: 'watch-secret' }
    const { time_ms, ...facts } = await observe(Probe, who)
    const known = Object.entries(facts).filter(([, fact]) => fact !== undefined)
    assert.deepEqual(Object.fromEntries(known), { pong: true, loading: false })
    assert.equal(typeof time_ms, 'number')
    assert.deepEqual(await check(Probe, who), { kind: 'alive' })
  })

  const bad = [
    { name: 'no password', query: {}, reason: 'NOAUTH Authentication required.' },
    {
      name: 'a wrong password',
      query: { password: 'wrong-secret' },
      reason: 'WRONGPASS invalid username-password pair or user is disabled.',
    },
    {
      name: 'an unknown user',
      query: { user: 'nobody', password: 'main-secret' },
      reason: 'WRONGPASS invalid username-password pair or user is disabled.',
    },
    {
      name: 'a user who may not PING',
      query: { user: 'mute', password: 'mute-secret' },
      reason: "NOPERM this user has no permissions to run the 'ping' command",
    },
    {
      name: 'a user who may not write',
      query: { user: 'reader', password: 'reader-secret', write: 'deadpool' },
      reason: "NOPERM this user has no permissions to run the 'set' command",
    },
  ]
  for (const { name, query: who, reason } of bad) {
    test(`Probe says what Redis says to ${name}`, () => assertDead({ ...query, ...who }, reason))
  }

  test('Probe does not show the password that a server without AUTH quotes', async (t) => {
    const strange = await startFor(t, { settings: ['--rename-command', 'AUTH', ''] })
    const reason = "ERR unknown command 'AUTH', with args beginning with: '***' "
    await assertDead({ ...HOST, port: strange.port, password: 'main-secret' }, reason)
  })
})

describe('a server that cannot be asked', { skip: missing }, () => {
  test('Probe says that a stopped server refuses', async () => {
    const redis = await startRedis()
    await redis.stop()
    await assertDead({ ...HOST, port: redis.port }, `connection refused by 127.0.0.1:${redis.port}`)
  })

  test('Probe says that a server still reads its data', async (t) => {
    const redis = await startFor(t)
    await redis.cli('debug', 'populate', '500', 'key', '100')
    await redis.cli('save')
    const settings = ['--dbfilename', 'dump.rdb', '--key-load-delay', '20000']
    const slow = [...settings, '--loading-process-events-interval-bytes', '1024', '--dir', redis.folder]
    const loading = await startFor(t, { settings: slow, isLoading: true })
    await assertDead({ ...HOST, port: loading.port }, 'LOADING Redis is loading the dataset in memory')
  })
})

describe('TLS', { skip: missing || findMissingOpenssl() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-redis-tls-'))
  let redis: Redis
  let good: Certificate
  let other: Certificate
  let query: Query
  before(async () => {
    good = createCertificate(folder, 'good')
    other = createCertificate(folder, 'other')
    redis = await startRedis({ tls: good, settings: ['--requirepass', 'main-secret'] })
    query = { ...HOST, port: redis.tlsPort, password: 'main-secret' }
  })
  after(async () => {
    await redis.stop()
    rmSync(folder, { recursive: true })
  })

  test('Probe asks over TLS, with a client certificate or without', async () => {
    assert.deepEqual(await check(Probe, { ...query, tls: { ca_file: good.ca } }), { kind: 'alive' })
    await redis.cli('--pass', 'main-secret', 'config', 'set', 'tls-auth-clients', 'yes')
    const own = { ca_file: good.ca, cert_file: good.cert, key_file: good.key }
    assert.deepEqual(await check(Probe, { ...query, tls: own }), { kind: 'alive' })
    // With TLS 1.3 the server refuses after the client has finished.
    await assertDead(
      { ...query, tls: { ca_file: good.ca } },
      /^(?:closed before the answer|TLS failed: .*certificate required.*)$/,
    )
    await redis.cli('--pass', 'main-secret', 'config', 'set', 'tls-auth-clients', 'no')
  })

  test('Probe refuses a certificate of another authority, and one of another name', async () => {
    await assertDead({ ...query, tls: { ca_file: other.ca } }, 'self-signed certificate in certificate chain')
    const named = { ca_file: good.ca, server_name: 'redis.example.org' }
    await assertDead(
      { ...query, tls: named },
      /^Hostname\/IP does not match certificate's altnames: .*redis\.example\.org/,
    )
  })

  test('Probe refuses a certificate that has expired', async (t) => {
    const expired = createCertificate(folder, 'expired', { days: -1 })
    const server = await startFor(t, { tls: expired })
    await assertDead({ ...HOST, port: server.tlsPort, tls: { ca_file: expired.ca } }, 'certificate has expired')
  })

  test('Probe says that the server speaks TLS where it does not', async () => {
    await assertDead({ ...query, tls: false }, /^(?:closed before the answer|connection reset)$/)
  })

  test('Probe leaves nothing behind when it is cancelled within a TLS handshake', async (t) => {
    const { port, sockets } = await listen(t, () => {})
    const controller = new AbortController()
    setTimeout(() => controller.abort(new Error('enough')), 50)
    await assert.rejects(observe(Probe, { ...HOST, port, tls: true }, controller.signal), new Error('enough'))
    await waitFor('the end of the connection', () => sockets.size === 0)
  })
})

/** A server that does what it likes with each connection. */
async function listen(t: TestContext, behave: (socket: Socket) => unknown) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    socket.resume()
    behave(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { port: (server.address() as { port: number }).port, sockets }
}

describe('answers that no Redis gives', () => {
  const NOT_RESP = 'answered with something that is not of the Redis protocol'
  const hostile = [
    { name: 'HTTP', says: 'HTTP/1.1 400 Bad Request\r\n\r\n', reason: NOT_RESP },
    { name: 'a type of RESP3', says: `(${'9'.repeat(100_000)}\r\n`, reason: NOT_RESP },
    { name: 'a length that is no number', says: '$1e3\r\n', reason: NOT_RESP },
    { name: 'lists in lists', says: '*1\r\n'.repeat(100_000), reason: NOT_RESP },
    { name: 'a line without end', says: `+${'x'.repeat(100_000)}`, reason: NOT_RESP },
    { name: 'a text of a gigabyte', says: '$1073741824\r\nx', reason: 'sent more than 1 MiB' },
    { name: 'more than a megabyte', says: `*2000000\r\n${':1\r\n'.repeat(300_000)}`, reason: 'sent more than 1 MiB' },
    {
      name: 'the beginning of a list of 30 million',
      says: '*30000000\r\n'.repeat(3),
      reason: 'closed before the answer',
    },
    { name: 'nothing', says: '', reason: 'closed before the answer' },
    { name: 'a refusal, and closes', says: '-DENIED no\r\n', reason: 'DENIED no' },
    { name: 'a long refusal', says: `-ERR ${'x'.repeat(5000)}\r\n`, reason: `ERR ${'x'.repeat(496)}` },
  ]
  for (const { name, says, reason } of hostile) {
    test(`Probe bears a server that answers with ${name}`, async (t) => {
      const { port } = await listen(t, (socket) => socket.end(says))
      const before = process.memoryUsage().rss
      const startedAt = performance.now()
      await assertDead({ ...HOST, port }, reason)
      const grown = process.memoryUsage().rss - before
      assert.ok(grown < 100 * 1024 * 1024, `memory grew by ${grown} bytes`)
      assert.ok(performance.now() - startedAt < 1000, 'it took more than a second')
    })
  }

  test('Probe puts an answer together that comes byte by byte', async (t) => {
    const info = '# Server\r\nredis_version:5.0.0\r\nvalkey_version:8.1.0\r\nrole:slave\r\nmaster_link_status:up\r\n'
    const { port } = await listen(t, async (socket) => {
      for (const byte of `+PONG\r\n$${Buffer.byteLength(info)}\r\n${info}\r\n`) {
        socket.write(byte)
        await sleep(0)
      }
    })
    const { pong, role, version, master_link } = await observe(Probe, { ...HOST, port })
    assert.deepEqual(
      { pong, role, version, master_link },
      { pong: true, role: 'slave', version: '8.1.0', master_link: 'up' },
    )
  })
})

describe('a replica', { skip: missing }, () => {
  let master: Redis
  let replica: Redis
  let ofMaster: Query
  let ofReplica: Query
  before(async () => {
    master = await startRedis({ settings: ['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1'] })
    replica = await startRedis({ settings: ['--replicaof', '127.0.0.1', `${master.port}`] })
    ofMaster = { ...HOST, port: master.port }
    ofReplica = { ...HOST, port: replica.port }
    await observeUntil('the replica', ofMaster, ({ replicas }) => replicas === 1)
  })
  after(() => Promise.all([master.stop(), replica.stop()]))

  test('Probe reports the link of a replica to its master', async () => {
    const facts = await observeUntil('the link', ofReplica, ({ master_link }) => master_link === 'up')
    assert.equal(facts.role, 'slave')
    assert.equal(facts.master_link_down_s, undefined)
    assert.equal(facts.lag_bytes, undefined)
    assert.ok([0, 1, 2].includes(Number(facts.lag_s)), `lag_s is ${facts.lag_s}`)
  })

  test('Probe says that a replica takes no writes', () =>
    assertDead({ ...ofReplica, write: 'deadpool' }, "READONLY You can't write against a read only replica."))

  test('Probe reports of a master how far its replica is behind', async (t) => {
    t.after(replica.resume)
    const level = await observeUntil('the replica', ofMaster, ({ lag_bytes }) => lag_bytes === 0)
    assert.deepEqual([level.role, level.replicas], ['master', 1])
    replica.pause()
    await master.cli('set', 'big', 'x'.repeat(50_000))
    const late = await observeUntil('the lag', ofMaster, ({ lag_s }) => Number(lag_s) >= 2)
    assert.ok(Number(late.lag_bytes) > 50_000, `lag_bytes is ${late.lag_bytes}`)
  })

  test('Probe reports of a replica that its master is gone', async () => {
    await master.stop()
    const facts = await observeUntil('the broken link', ofReplica, ({ master_link }) => master_link === 'down')
    assert.ok(Number(facts.master_link_down_s) >= 0, `master_link_down_s is ${facts.master_link_down_s}`)
    assert.equal(facts.lag_s, undefined)
    assert.deepEqual(await check(Probe, ofReplica), { kind: 'alive' })
    await replica.cli('config', 'set', 'replica-serve-stale-data', 'no')
    const reason = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
    await assertDead(ofReplica, reason)
  })
})

describe('Sentinel', { skip: missing }, () => {
  const auth = ['--requirepass', 'main-secret', '--masterauth', 'main-secret', '--repl-diskless-sync-delay', '0']
  let master: Redis
  let replica: Redis
  let sentinel: Sentinel
  let query: Query
  before(async () => {
    master = await startRedis({ settings: auth })
    replica = await startRedis({ settings: [...auth, '--replicaof', '127.0.0.1', `${master.port}`] })
    const secrets = { password: 'sentinel-secret', masterPassword: 'main-secret' }
    sentinel = await startSentinel(master.port, { name: 'mymaster', ...secrets })
    query = {
      ...HOST,
      port: sentinel.port,
      mode: 'sentinel',
      master_name: 'mymaster',
      password: 'main-secret',
      sentinel_password: 'sentinel-secret',
    }
  })
  after(() => Promise.all([master.stop(), replica.stop(), sentinel.stop()]))

  test('Probe asks the master that the Sentinel names', async () => {
    const { role, writable } = await observe(Probe, { ...query, write: 'deadpool' })
    assert.deepEqual({ role, writable }, { role: 'master', writable: true })
    assert.equal(await master.cli('--pass', 'main-secret', 'get', 'deadpool'), 'DeadPool')
  })

  test('Probe asks a Sentinel itself', async () => {
    const facts = await observe(Probe, { ...HOST, port: sentinel.port, password: 'sentinel-secret' })
    assert.deepEqual([facts.pong, facts.role, facts.replicas], [true, 'sentinel', undefined])
  })

  const bad = [
    {
      name: 'does not know the master',
      query: { master_name: 'other' },
      reason: 'the Sentinel knows no master "other"',
    },
    {
      name: 'wants a password',
      query: { sentinel_password: undefined },
      reason: 'the Sentinel refused: NOAUTH Authentication required.',
    },
    {
      name: 'wants another password',
      query: { sentinel_password: 'wrong-secret' },
      reason: 'the Sentinel refused: WRONGPASS invalid username-password pair or user is disabled.',
    },
    {
      name: 'names a master that wants another password',
      query: { password: 'wrong-secret' },
      reason: 'WRONGPASS invalid username-password pair or user is disabled.',
    },
  ]
  for (const { name, query: different, reason } of bad) {
    test(`Probe says that the Sentinel ${name}`, () => assertDead({ ...query, ...different }, reason))
  }

  test('Probe says that a server which is no Sentinel was asked for its master', async (t) => {
    const redis = await startFor(t)
    const reason = /^the Sentinel refused: ERR unknown command 'SENTINEL'/
    await assertDead({ ...query, port: redis.port, sentinel_password: undefined }, reason)
  })

  test('Probe does not take a replica for the master that the Sentinel names', async (t) => {
    const strayed = await startFor(t)
    await strayed.cli('replicaof', '127.0.0.1', `${replica.port}`)
    const { port } = await listen(t, (socket) =>
      socket.write(`*2\r\n$9\r\n127.0.0.1\r\n$${String(strayed.port).length}\r\n${strayed.port}\r\n`),
    )
    const reason = `127.0.0.1:${strayed.port}, which the Sentinel names as the master of "mymaster", is slave`
    await assertDead({ ...HOST, port, mode: 'sentinel', master_name: 'mymaster' }, reason)
  })

  test('Probe follows a failover to the new master', async () => {
    await waitFor('the replica', async () => (await sentinel.cli('-a', 'sentinel-secret', 'info')).includes('slaves=1'))
    await observeUntil(
      'replication',
      { ...HOST, port: master.port, password: 'main-secret' },
      (it) => it.replicas === 1,
    )
    await master.stop()
    await assertDead(query, `connection refused by 127.0.0.1:${master.port}`)
    await waitFor('the failover', async () => (await check(Probe, query)).kind === 'alive')
    const { role, writable } = await observe(Probe, { ...query, write: 'deadpool' })
    assert.deepEqual({ role, writable }, { role: 'master', writable: true })
    assert.equal(await replica.cli('--pass', 'main-secret', 'get', 'deadpool'), 'DeadPool')
  })
})

describe('a cluster', { skip: missing }, () => {
  let nodes: Redis[]
  let query: Query
  before(async () => {
    nodes = await startRedisCluster()
    query = { ...HOST, port: nodes[0]?.port, mode: 'cluster' }
  })
  after(() => Promise.all(nodes.map((node) => node.stop())))

  test('Probe reports how the cluster is', async () => {
    const { pong, role, cluster_state, cluster_slots_ok_percent } = await observe(Probe, query)
    assert.deepEqual(
      { pong, role, cluster_state, cluster_slots_ok_percent },
      { pong: true, role: 'master', cluster_state: 'ok', cluster_slots_ok_percent: 100 },
    )
    assert.deepEqual(await check(Probe, query), { kind: 'alive' })
  })

  test('Probe writes to the node that has the slot of the key', async () => {
    for (const write of ['a', 'b', 'c', 'd', 'e', 'f']) {
      assert.equal((await observe(Probe, { ...query, write })).writable, true)
    }
    const sizes = await Promise.all(nodes.map((node) => node.cli('dbsize')))
    assert.deepEqual(
      sizes.map(Number).filter((size) => size === 0),
      [],
      `each node has keys: ${sizes}`,
    )
  })

  test('Probe writes to a slot that is on its way to another node', async () => {
    const [first, second] = nodes
    const [from, to] = await Promise.all([first?.cli('cluster', 'myid'), second?.cli('cluster', 'myid')])
    // Of the first node's slots, like "b", which is there already.
    const slot = `${await first?.cli('cluster', 'keyslot', '{b}new')}`
    await second?.cli('cluster', 'setslot', slot, 'importing', `${from}`)
    await first?.cli('cluster', 'setslot', slot, 'migrating', `${to}`)
    assert.equal((await observe(Probe, { ...query, write: '{b}new' })).writable, true)
    assert.equal(await second?.cli('cluster', 'countkeysinslot', slot), '1')
    await Promise.all([first, second].map((node) => node?.cli('cluster', 'setslot', slot, 'stable')))
  })

  test('Probe says where a key is when it was not told of the cluster', () =>
    assertDead({ ...query, mode: 'single', write: 'a' }, `MOVED 15495 127.0.0.1:${nodes[2]?.port}`))

  test('Probe says that a server is of no cluster', async (t) => {
    const redis = await startFor(t)
    await assertDead({ ...query, port: redis.port }, 'ERR This instance has cluster support disabled')
  })

  test('Probe calls a cluster dead that lost a node', async () => {
    await nodes[2]?.stop()
    const facts = await observeUntil('the failure', query, ({ cluster_state }) => cluster_state === 'fail')
    assert.equal(facts.cluster_slots_ok_percent, 66.7)
    await assertDead(query, 'cluster_state: "fail" is not "ok"')
    await assertDead({ ...query, write: 'b' }, /^CLUSTERDOWN The cluster is down/)
  })
})

test('Probe is dead where nobody listens', async () => {
  const port = await freePort()
  await assertDead({ ...HOST, port }, `connection refused by 127.0.0.1:${port}`)
})
