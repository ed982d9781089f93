import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import dns from 'node:dns'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net, { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Binary, BSON, type Document } from 'bson'
import packet from 'dns-packet'
import { Probe } from '../../mod/mongo_probe.ts'
import type { Outcome } from '../../src/verdict/state.ts'
import { createCertificate, findMissingOpenssl } from '../servers/certificates.ts'
import { type Member, type MemberState, type ReplicaSet, startMember, startReplicaSet } from '../servers/mongo.ts'
import { assertNothingLeft, check, checkPrepared, findProblems, observe, prepare, type Query } from './checking.ts'

const USER = { name: 'heartbeat', password: 's3crèt', mechanisms: ['SCRAM-SHA-256', 'SCRAM-SHA-1'] }
const dead = (reason: string): Outcome => ({ kind: 'dead', reason })
const alive: Outcome = { kind: 'alive' }

const idle: Member[] = []
after(() => Promise.all(idle.map((member) => member.stop())))

/** A server for one test; a process that another test has done with goes on as this one. */
async function start(t: TestContext, state: Partial<MemberState> = {}): Promise<Member & { url: string }> {
  const reused = state.tls ? undefined : idle.pop()
  await reused?.restart(state)
  const member = reused ?? (await startMember(state))
  t.after(() => {
    if (state.tls || !member.isRunning()) return member.stop()
    member.resume()
    idle.push(member)
  })
  return { ...member, url: `mongodb://${member.address}` }
}

async function startSet(t: TestContext, state: Partial<MemberState> = {}): Promise<ReplicaSet & { url: string }> {
  const set = await startReplicaSet(state, (each) => start(t, each))
  return { ...set, url: `mongodb://${set.hosts}` }
}

async function facts(query: Query): Promise<Record<string, unknown>> {
  const { time_ms, ...rest } = await observe(Probe, query)
  assert.ok(typeof time_ms === 'number' && time_ms > 0 && time_ms < 10_000)
  return rest
}

/** Fails when this process holds a timer, a socket or the like a second after the check. */
async function assertNothingOpen(): Promise<void> {
  // Without a timer of its own until something is left.
  for (let i = 0; i < 20 && listResources().length > 0; i++) await new Promise(setImmediate)
  for (let i = 0; i < 50 && listResources().length > 0; i++) await sleep(20)
  assert.deepEqual(listResources(), [])
}

function listResources(): string[] {
  return process.getActiveResourcesInfo().filter((name) => /^(Timeout|TCP|TLS|GetAddrInfo|UDP)/.test(name))
}

describe('servers', () => {
  test('Probe reports every fact of a replica set', async (t) => {
    const set = await startSet(t, { user: USER })
    const query = {
      url: set.url,
      user: USER.name,
      password: USER.password,
      replica_set: 'rs0',
      write: 'deadpool.heartbeat',
    }
    assert.deepEqual(await facts(query), {
      writable_primary: true,
      primary: set.members[0].address,
      role: 'primary',
      set: 'rs0',
      members: 3,
      members_healthy: 3,
      majority_writable: true,
      lag_seconds: 0,
      version: '8.0.4',
      writable: true,
    })
    assert.deepEqual(await check(Probe, query), alive)
  })

  const versions = [
    { version: '4.4.29', wire: 9 },
    { version: '5.0.31', wire: 13 },
    { version: '6.0.20', wire: 17 },
    { version: '7.0.16', wire: 21 },
    { version: '8.0.4', wire: 25 },
  ]
  for (const { version, wire } of versions) {
    test(`Probe asks a standalone server of version ${version}`, async (t) => {
      const { url } = await start(t, { version, wire })
      assert.deepEqual(await facts({ url }), { writable_primary: true, role: 'standalone', version })
    })
  }

  test('Probe says that a server is too old for the driver', async (t) => {
    const { url, address } = await start(t, { version: '4.2.24', wire: 8 })
    const needs = 'but this version of the Node.js Driver requires at least 9 (MongoDB 4.4)'
    assert.deepEqual(await check(Probe, { url }), dead(`Server at ${address} reports maximum wire version 8, ${needs}`))
  })

  test('Probe gives an address of a name time to repeat a lost packet before it goes on to the next', async (t) => {
    const connecting = t.mock.method(net, 'createConnection')
    const { url } = await start(t)
    await check(Probe, { url, timeout: 4 })
    const patience = connecting.mock.calls.map(({ arguments: [options] }) => {
      return (options as unknown as net.TcpNetConnectOpts).autoSelectFamilyAttemptTimeout
    })
    assert.ok(patience.length > 0)
    assert.deepEqual([...new Set(patience)], [1200])
  })

  test('Probe takes a mongos for a primary, and writes through it', async (t) => {
    const { url } = await start(t, { role: 'mongos' })
    const query = { url, write: 'deadpool.heartbeat' }
    assert.deepEqual(await facts(query), { writable_primary: true, role: 'mongos', version: '8.0.4', writable: true })
  })

  test('Probe finds the primary of a set from any of its members', async (t) => {
    const set = await startSet(t)
    const { primary, role } = await facts({ url: `mongodb://${set.members[2].address}` })
    assert.deepEqual({ primary, role }, { primary: set.members[0].address, role: 'primary' })
  })

  const roles: { role: MemberState['role']; facts: Record<string, unknown> }[] = [
    {
      role: 'secondary',
      facts: {
        role: 'secondary',
        set: 'rs0',
        members: 3,
        members_healthy: 3,
        majority_writable: true,
        lag_seconds: 0,
        version: '8.0.4',
      },
    },
    { role: 'arbiter', facts: { role: 'arbiter', set: 'rs0', version: '8.0.4' } },
    {
      role: 'recovering',
      facts: {
        role: 'other',
        set: 'rs0',
        members: 3,
        members_healthy: 3,
        majority_writable: true,
        lag_seconds: 0,
        version: '8.0.4',
      },
    },
    { role: 'uninitialized', facts: { role: 'uninitialized', version: '8.0.4' } },
  ]
  for (const { role, facts: expected } of roles) {
    test(`Probe asks one host that is ${role}, with direct`, async (t) => {
      const set = await startSet(t)
      const { address } = set.members[1]
      await set.members[1].become({ role })
      const query = { url: `mongodb://${address}`, direct: true }
      const primary = role === 'uninitialized' ? {} : { primary: set.members[0].address }
      assert.deepEqual(await facts(query), { ...expected, ...primary, writable_primary: false })
      assert.deepEqual(await check(Probe, query), dead('writable_primary: false is not true'))
    })
  }

  test('Probe asks a secondary where that is preferred, also while there is no primary', async (t) => {
    const set = await startSet(t)
    const query = { url: set.url, read_preference: 'secondary' }
    assert.deepEqual((await facts(query)).role, 'secondary')
    assert.deepEqual(await check(Probe, query), alive)
    await set.elect(undefined)
    const startedAt = performance.now()
    for (const read_preference of ['secondary', 'primaryPreferred', 'nearest']) {
      const { role, writable_primary } = await facts({ ...query, read_preference })
      assert.deepEqual({ role, writable_primary }, { role: 'secondary', writable_primary: false })
    }
    assert.ok(performance.now() - startedAt < 4000, 'nobody waited for a primary')
    await assertNothingOpen()
  })
})

describe('state of a set', () => {
  const names = ['a', 'b', 'c', 'd', 'e']
  const of = (states: string[], lags: number[] = []) =>
    states.map((state, index) => ({ name: names[index] as string, state, lag: lags[index] ?? 0 }))
  const DOWN = '(not reachable/healthy)'
  const cases: { name: string; status: MemberState['status']; arbiters?: string[]; facts: Record<string, unknown> }[] =
    [
      {
        name: 'a secondary that lags',
        status: { members: of(['PRIMARY', 'SECONDARY', 'SECONDARY'], [2, 5, 92]) },
        facts: { members: 3, members_healthy: 3, majority_writable: true, lag_seconds: 90 },
      },
      {
        name: 'a secondary that is ahead by a clock',
        status: { members: of(['PRIMARY', 'SECONDARY'], [5, 0]) },
        facts: { members: 2, members_healthy: 2, majority_writable: true, lag_seconds: 0 },
      },
      {
        name: 'a member down, whose lag does not count',
        status: { members: of(['PRIMARY', 'SECONDARY', DOWN]) },
        facts: { members: 3, members_healthy: 2, majority_writable: true, lag_seconds: 0 },
      },
      {
        name: 'a member that recovers',
        status: { members: of(['PRIMARY', 'SECONDARY', 'RECOVERING']) },
        facts: { members: 3, members_healthy: 2, majority_writable: true, lag_seconds: 0 },
      },
      {
        name: 'a primary that lost its majority and does not know it yet',
        status: { members: of(['PRIMARY', DOWN, DOWN]) },
        facts: { members: 3, members_healthy: 1, majority_writable: false },
      },
      {
        name: 'a primary and an arbiter, which cannot acknowledge a majority of writes',
        status: { members: of(['PRIMARY', DOWN, 'ARBITER']) },
        facts: { members: 3, members_healthy: 2, majority_writable: false },
      },
      {
        name: 'an arbiter that is down',
        status: { members: of(['PRIMARY', 'SECONDARY', DOWN]), voting: 3 },
        arbiters: ['c'],
        facts: { members: 3, members_healthy: 2, majority_writable: true, lag_seconds: 0 },
      },
      {
        name: 'a member without a vote, where it decides',
        status: { members: of(['PRIMARY', 'SECONDARY', DOWN, DOWN]), voting: 3 },
        facts: { members: 4, members_healthy: 2, lag_seconds: 0 },
      },
      {
        name: 'a member without a vote, where it does not matter',
        status: { members: of(['PRIMARY', 'SECONDARY', 'SECONDARY', DOWN]), voting: 3 },
        facts: { members: 4, members_healthy: 3, majority_writable: true, lag_seconds: 0 },
      },
      { name: 'nothing without the right to ask', status: undefined, facts: {} },
    ]
  for (const { name, status, arbiters = [], facts: expected } of cases) {
    test(`Probe reports of a set: ${name}`, async (t) => {
      const set = await startSet(t)
      await set.become({ status, arbiters })
      const { members, members_healthy, majority_writable, lag_seconds, writable_primary } = await facts({
        url: `mongodb://${set.members[0].address}`,
        direct: true,
      })
      const found = { members, members_healthy, majority_writable, lag_seconds }
      assert.deepEqual(JSON.parse(JSON.stringify(found)), expected)
      assert.equal(writable_primary, true)
    })
  }
})

describe('dead', () => {
  test('Probe says who is down and who is no primary', async (t) => {
    const set = await startSet(t)
    const [a, b, c] = set.members.map(({ address }) => address)
    await set.members[0].stop()
    const query = { url: set.url, timeout: '2s' }
    const started = performance.now()
    const lost = `no primary among ${a} (down: connection refused), ${b} (secondary), ${c} (secondary)`
    assert.deepEqual(await check(Probe, query), dead(lost))
    assert.ok(performance.now() - started < 1000, 'it did not wait for another attempt')
    await set.members[1].become({ role: 'recovering' })
    await set.members[2].become({ role: 'arbiter' })
    const none = `no secondary among ${a} (down: connection refused), ${b} (other), ${c} (arbiter)`
    assert.deepEqual(await check(Probe, { ...query, read_preference: 'secondary' }), dead(none))
    await set.members[1].stop()
    await set.members[2].stop()
    const all = [a, b, c].map((address) => `connection refused by ${address}`).join('; ')
    assert.deepEqual(await check(Probe, query), dead(all))
  })

  test('Probe says who does not answer while others do, and leaves a silent server to the deadline', async (t) => {
    const set = await startSet(t)
    const [a, b, c] = set.members.map(({ address }) => address)
    set.members[0].pause()
    const query = { url: set.url, timeout: '300ms' }
    assert.deepEqual(
      await check(Probe, query),
      dead(`no primary among ${a} (no answer), ${b} (secondary), ${c} (secondary)`),
    )
    const alone = await check(Probe, { url: `mongodb://${a}`, timeout: '300ms' })
    assert.deepEqual(alone, { kind: 'dead', reason: 'timed out after 300 ms', cause: 'timeout' })
    set.members[0].resume()
    assert.deepEqual(await check(Probe, { ...query, timeout: '2s' }), alive)
    await assertNothingOpen()
  })

  const failure = Object.assign(new Error('getaddrinfo EAI_AGAIN b.example'), { code: 'EAI_AGAIN' })
  const lookups: { name: string; afterMs: number; reason: string }[] = [
    { name: 'fails', afterMs: 0, reason: 'the resolver of this host does not answer (EAI_AGAIN)' },
    { name: 'is silent', afterMs: 600, reason: 'the resolver of this host does not answer for b.example' },
  ]
  for (const { name, afterMs, reason } of lookups) {
    test(`Probe does not blame the servers when the resolver ${name}`, async (t) => {
      const set = await startSet(t)
      await set.elect(undefined)
      // It fails in the end, as one that waits keeps others from asking.
      t.mock.method(dns.promises, 'lookup', () => sleep(afterMs).then(() => Promise.reject(failure)))
      t.after(() => sleep(afterMs))
      const url = `mongodb://b.example,${set.members[0].address}`
      await set.members[0].become({ hosts: [set.members[0].address, 'b.example:27017'] })
      assert.deepEqual(await check(Probe, { url, timeout: '500ms' }), { kind: 'unknown', reason })
    })
  }

  test('Probe says that a host is of another set', async (t) => {
    const set = await startSet(t)
    const { address } = set.members[0]
    const query = { url: `mongodb://${address}`, replica_set: 'rs1' }
    assert.deepEqual(await check(Probe, query), dead(`no primary of "rs1" among ${address} (of the set "rs0")`))
    assert.deepEqual(
      await check(Probe, { ...query, direct: true }),
      dead(`no member of "rs1" among ${address} (of the set "rs0")`),
    )
    const { url, address: single } = await start(t)
    assert.deepEqual(
      await check(Probe, { url, replica_set: 'rs1' }),
      dead(`no primary of "rs1" among ${single} (standalone)`),
    )
  })

  const failures: { name: string; state: Partial<MemberState>; query?: Query; reason: (address: string) => string }[] =
    [
      {
        name: 'a wrong password',
        state: { user: USER },
        query: { user: USER.name, password: 'wr0ng' },
        reason: () => 'Authentication failed.',
      },
      {
        name: 'a wrong password by SCRAM-SHA-1',
        state: { user: USER },
        query: { user: USER.name, password: 'wr0ng', auth_mechanism: 'SCRAM-SHA-1' },
        reason: () => 'Authentication failed.',
      },
      {
        name: 'an unknown user',
        state: { user: USER },
        query: { user: 'nobody', password: 'x' },
        reason: () => 'Authentication failed.',
      },
      {
        name: 'a mechanism that is off',
        state: { user: { ...USER, mechanisms: ['SCRAM-SHA-256'] } },
        query: { user: USER.name, password: USER.password, auth_mechanism: 'SCRAM-SHA-1' },
        reason: () => 'Authentication failed.',
      },
      {
        name: 'a write that no majority acknowledged',
        state: { write: 'late' },
        query: { write: 'deadpool.heartbeat' },
        reason: () => 'no write to deadpool.heartbeat: waiting for replication timed out',
      },
      {
        name: 'a write that is not allowed',
        state: { write: 'forbidden' },
        query: { write: 'deadpool.heartbeat' },
        reason: () =>
          'no write to deadpool.heartbeat: not authorized on deadpool to execute command { update: "heartbeat" }',
      },
      {
        name: 'a server that shuts down',
        state: {
          replies: {
            hello: {
              ok: 0,
              code: 91,
              codeName: 'ShutdownInProgress',
              errmsg: 'The server is in quiesce mode and will shut down',
            },
          },
        },
        reason: () => 'The server is in quiesce mode and will shut down',
      },
      {
        name: 'a server that closes at the first question',
        state: { closesAt: 'ismaster' },
        reason: (address) => `${address} closed the connection`,
      },
      {
        name: 'a server that closes at the last question',
        state: { closesAt: 'buildInfo' },
        reason: (address) => `${address} closed the connection`,
      },
    ]
  for (const { name, state, query, reason } of failures) {
    test(`Probe calls dead: ${name}`, async (t) => {
      const { url, address } = await start(t, state)
      assert.deepEqual(await check(Probe, { url, ...query }), dead(reason(address)))
    })
  }

  test('Probe authenticates by either mechanism', async (t) => {
    const { url } = await start(t, { user: USER })
    for (const auth_mechanism of [undefined, 'SCRAM-SHA-256', 'SCRAM-SHA-1']) {
      const query = {
        url,
        user: USER.name,
        password: USER.password,
        auth_source: 'admin',
        ...(auth_mechanism && { auth_mechanism }),
      }
      assert.equal((await facts(query)).version, '8.0.4')
    }
  })

  test('Probe leaves out what takes rights, and is alive', async (t) => {
    const { url } = await start(t, { user: USER })
    assert.deepEqual(await facts({ url }), { writable_primary: true, role: 'standalone' })
  })
})

/** A message of MongoDB's protocol, to the question with the number `to`. */
function frame(
  document: Document | Buffer,
  { length, operation = 2013 }: { length?: number; operation?: number } = {},
): string {
  const body = Buffer.concat([Buffer.alloc(5), Buffer.isBuffer(document) ? document : BSON.serialize(document)])
  const head = Buffer.alloc(16)
  head.writeInt32LE(length ?? 16 + body.length, 0)
  head.writeInt32LE(operation, 12)
  return Buffer.concat([head, body]).toString('base64')
}

/** Documents within documents, made without the recursion that reads them. */
function nest(depth: number): Buffer {
  const inner = Buffer.alloc(depth * 8 + 5)
  for (let i = 0; i <= depth; i++) {
    inner.writeInt32LE((depth - i) * 8 + 5, i * 7)
    if (i < depth) inner.write('\x03a\0', i * 7 + 4, 'latin1')
  }
  const head = Buffer.from(BSON.serialize({ ok: 1 })).subarray(0, -1)
  const whole = Buffer.concat([head, Buffer.from('\x03a\0', 'latin1'), inner, Buffer.alloc(1)])
  whole.writeInt32LE(whole.length, 0)
  return whole
}

describe('hostile servers', () => {
  const rounds = (i: string) => ({
    ok: 1,
    conversationId: 1,
    done: false,
    payload: new Binary(Buffer.from(`r=x,s=QSXCR+Q6sek8bf92,i=${i}`)),
  })
  const cases: { name: string; state: Partial<MemberState>; query?: Query; reason?: string | RegExp }[] = [
    {
      name: 'a message without end',
      state: { raw: { buildInfo: frame({ ok: 1 }, { length: 2_000_000_000 }) } },
      reason: 'sends a message of 2000000000 bytes; at most 1 MiB is read',
    },
    {
      name: 'a message without length',
      state: { raw: { buildInfo: frame({ ok: 1 }, { length: 0 }) } },
      reason: 'answers in something else than the protocol of MongoDB',
    },
    {
      name: 'HTTP',
      state: { greets: 'HTTP/1.1 400 Bad Request\r\n\r\n' },
      reason: /^sends a message of \d+ bytes; at most 1 MiB is read$/,
    },
    {
      name: 'a compressed answer',
      state: { raw: { buildInfo: frame({ ok: 1 }, { operation: 2012 }) } },
      reason: 'compresses its answers, which was not offered',
    },
    {
      name: 'SCRAM without end',
      state: { user: { ...USER, iterations: 2_000_000_000 } },
      query: { user: USER.name, password: USER.password },
      reason: 'asks for 2000000000 rounds of SCRAM; at most 1000000 are made',
    },
    {
      name: 'SCRAM without end, disguised',
      state: {
        user: USER,
        raw: { saslStart: frame(rounds('1,i= +0002000000000')) },
        replies: { ismaster: { speculativeAuthenticate: null } },
      },
      query: { user: USER.name, password: USER.password },
      reason: 'asks for 2000000000 rounds of SCRAM; at most 1000000 are made',
    },
    {
      name: 'a set of 10,000',
      state: {
        role: 'primary',
        set: 'rs0',
        me: 'a:1',
        hosts: Array.from({ length: 10_000 }, (_, i) => `127.0.0.1:${i + 1}`),
      },
      reason: 'names more than 64 members of its set',
    },
    {
      name: 'a document within a document, 100,000 times',
      state: { raw: { buildInfo: frame(nest(100_000)) } },
    },
    {
      name: 'a document that ends too soon',
      state: { raw: { buildInfo: frame(Buffer.from('ff0000000161', 'hex')) } },
      reason: /^answers in something else than BSON: /,
    },
    {
      name: 'other types in the answer to the question',
      state: { replies: { hello: { setName: { $code: 1 }, me: 7, hosts: 7, arbiters: 7, primary: 7 } } },
    },
    {
      name: 'hosts of another type: 7',
      state: { role: 'secondary', set: 'rs0', me: 'a:1', hosts: ['a:1'], replies: { ismaster: { hosts: 7 } } },
    },
    {
      name: 'hosts of another type: [7, null]',
      state: { role: 'secondary', set: 'rs0', me: 'a:1', hosts: ['a:1'], replies: { ismaster: { hosts: [7, null] } } },
    },
    {
      name: 'setName of another type: { a: 1 }',
      state: { role: 'secondary', set: 'rs0', me: 'a:1', hosts: ['a:1'], replies: { ismaster: { setName: { a: 1 } } } },
    },
    {
      name: 'me of another type: 7',
      state: { role: 'secondary', set: 'rs0', me: 'a:1', hosts: ['a:1'], replies: { ismaster: { me: 7 } } },
    },
    {
      name: 'topologyVersion of another type: 7',
      state: {
        role: 'secondary',
        set: 'rs0',
        me: 'a:1',
        hosts: ['a:1'],
        replies: { ismaster: { topologyVersion: 7 } },
      },
    },
    {
      name: 'electionId of another type: 7',
      state: { role: 'secondary', set: 'rs0', me: 'a:1', hosts: ['a:1'], replies: { ismaster: { electionId: 7 } } },
    },
    {
      name: '$clusterTime of another type: 7',
      state: { role: 'secondary', set: 'rs0', me: 'a:1', hosts: ['a:1'], replies: { ismaster: { $clusterTime: 7 } } },
    },
    {
      name: 'maxWireVersion of another type: []',
      state: {
        role: 'secondary',
        set: 'rs0',
        me: 'a:1',
        hosts: ['a:1'],
        replies: { ismaster: { maxWireVersion: [] } },
      },
    },
    {
      name: 'lastWrite of another type: 7',
      state: { role: 'secondary', set: 'rs0', me: 'a:1', hosts: ['a:1'], replies: { ismaster: { lastWrite: 7 } } },
    },
    {
      name: 'saslSupportedMechs of another type: 7',
      state: {
        role: 'secondary',
        set: 'rs0',
        me: 'a:1',
        hosts: ['a:1'],
        replies: { ismaster: { saslSupportedMechs: 7 } },
      },
    },
    {
      name: 'primary of another type: 7',
      state: { role: 'secondary', set: 'rs0', me: 'a:1', hosts: ['a:1'], replies: { ismaster: { primary: 7 } } },
    },
    {
      name: 'tags of another type: 7',
      state: { role: 'secondary', set: 'rs0', me: 'a:1', hosts: ['a:1'], replies: { ismaster: { tags: 7 } } },
    },
    {
      name: 'compression of another type: 7',
      state: { role: 'secondary', set: 'rs0', me: 'a:1', hosts: ['a:1'], replies: { ismaster: { compression: 7 } } },
    },
    {
      name: "arbiters of another type: ['x:99999999', '']",
      state: {
        role: 'secondary',
        set: 'rs0',
        me: 'a:1',
        hosts: ['a:1'],
        replies: { ismaster: { arbiters: ['x:99999999', ''] } },
      },
    },
    {
      name: 'a login that goes on without its payload',
      state: { user: USER, replies: { saslContinue: { payload: null } } },
      query: { user: USER.name, password: USER.password },
      reason: /^answers with something that MongoDB does not$/,
    },
    {
      name: 'members that are no list',
      state: { role: 'primary', set: 'rs0', replies: { replSetGetStatus: { members: 7, writeMajorityCount: 'x' } } },
    },
    {
      name: 'members that are no records',
      state: {
        role: 'primary',
        set: 'rs0',
        status: { members: [] },
        replies: { replSetGetStatus: { members: [7, null, 'x', { optimeDate: 'x', health: 1, state: 2 }] } },
      },
    },
  ]
  for (const { name, state, query, reason } of cases) {
    test(`Probe is not harmed by ${name}`, async (t) => {
      const { url } = await start(t, state)
      const outcome = await check(Probe, { url, timeout: '3s', ...query })
      assert.notEqual(outcome.kind, 'unknown', JSON.stringify(outcome))
      const said = outcome.kind === 'dead' ? outcome.reason : 'nothing'
      assert.doesNotMatch(said, /timed out/)
      if (reason instanceof RegExp) assert.match(said, reason)
      else if (reason !== undefined) assert.equal(said, reason)
      await assertNothingOpen()
    })
  }
})

describe('one attempt', () => {
  test('Probe has one connection to ask and one to each member, asks once, and tells the server of its end', async (t) => {
    const set = await startSet(t)
    assert.deepEqual(await check(Probe, { url: set.url }), alive)
    await assertNothingOpen()
    while ((await set.members[0].count()).connections) await sleep(5)
    const [primary, second] = await Promise.all(set.members.map((member) => member.count()))
    const { opened, connections, hello, ismaster, buildInfo, replSetGetStatus, endSessions } = primary ?? {}
    assert.deepEqual(
      { opened, connections, hello, ismaster, buildInfo, replSetGetStatus, endSessions },
      { opened: 2, connections: 0, hello: 1, ismaster: 2, buildInfo: 1, replSetGetStatus: 1, endSessions: 1 },
    )
    assert.deepEqual({ opened: second?.opened, ismaster: second?.ismaster }, { opened: 1, ismaster: 1 })
    await assertNothingOpen()
  })

  test('Probe leaves nothing behind after 300 checks', async (t) => {
    const { url } = await start(t, { user: USER })
    await assertNothingLeft(Probe, { url, user: USER.name, password: USER.password })
    await assertNothingOpen()
  })

  test('Probe leaves nothing behind after 100 checks of a set', async (t) => {
    const set = await startSet(t)
    await assertNothingLeft(Probe, { url: set.url }, { count: 100 })
    await assertNothingOpen()
  })

  test('Probe leaves nothing behind after 300 checks that fail', async (t) => {
    const set = await startSet(t)
    await set.elect(undefined)
    await set.members[0].stop()
    await assertNothingLeft(Probe, { url: set.url }, { kind: 'dead' })
    const { url } = await start(t, { user: USER })
    await assertNothingLeft(Probe, { url, user: USER.name, password: 'wr0ng' }, { kind: 'dead', count: 50 })
    await assertNothingOpen()
  })

  const steps = ['ismaster', 'saslStart', 'saslContinue', 'hello', 'buildInfo', 'replSetGetStatus', 'update']
  for (const hangsAt of steps) {
    test(`Probe stops at once when it is cancelled while ${hangsAt} is not answered`, async (t) => {
      const set = await startSet(t, {
        user: USER,
        ...(hangsAt === 'saslStart' && { replies: { ismaster: { speculativeAuthenticate: null } } }),
      })
      await set.members[0].become({ hangsAt })
      const controller = new AbortController()
      const query = { url: set.url, user: USER.name, password: USER.password, write: 'a.b' }
      const asking = observe(Probe, query, controller.signal)
      const ended = assert.rejects(asking, { message: 'over' })
      for (let i = 0; i < 200 && !((await set.members[0].count())[hangsAt] ?? 0); i++) await sleep(5)
      await sleep(20)
      controller.abort(new Error('over'))
      const abortedAt = performance.now()
      await ended
      assert.ok(performance.now() - abortedAt < 100)
      await assertNothingOpen()
      while ((await set.members[0].count()).connections) await sleep(5)
    })
  }

  test('Probe stops when it is cancelled at any moment', async (t) => {
    const set = await startSet(t, { user: USER })
    const query = { url: set.url, user: USER.name, password: USER.password }
    for (let ms = 0; ms < 24; ms += 1.5) {
      const controller = new AbortController()
      const asking = observe(Probe, query, controller.signal)
      const startedAt = performance.now()
      while (performance.now() - startedAt < ms) await new Promise(setImmediate)
      controller.abort(new Error('over'))
      await asking.catch((error: Error) => assert.equal(error.message, 'over'))
    }
    await assertNothingOpen()
  })
})

describe('keep_connection', () => {
  test('Probe asks over the same connection, notices a new primary, and replaces what was closed', async (t) => {
    const set = await startSet(t, { user: USER })
    const query = { url: set.url, user: USER.name, password: USER.password, keep_connection: true }
    const prepared = await prepare(Probe, query)
    t.after(() => prepared.close())
    for (let i = 0; i < 5; i++) assert.deepEqual(await checkPrepared(Probe, prepared), alive)
    const opened = async (index: 0 | 1) => (await set.members[index].count()).opened
    assert.equal(await opened(0), 2)
    await set.elect(1)
    assert.deepEqual(await checkPrepared(Probe, prepared), alive)
    assert.equal(await opened(1), 3)
    await set.members[1].stop()
    await set.elect(0).catch(() => {})
    await sleep(20)
    assert.deepEqual(await checkPrepared(Probe, prepared), alive)
    prepared.close()
    await assertNothingOpen()
  })

  test('Probe calls a kept connection dead that fails under the question', async (t) => {
    const { url, become, address, pause } = await start(t)
    const prepared = await prepare(Probe, { url, keep_connection: true, timeout: '300ms' })
    t.after(() => prepared.close())
    assert.deepEqual(await checkPrepared(Probe, prepared), alive)
    await become({ closesAt: 'buildInfo' })
    assert.deepEqual(await checkPrepared(Probe, prepared), dead(`${address} closed the connection`))
    await become({ closesAt: '' })
    assert.deepEqual(await checkPrepared(Probe, prepared), alive)
    pause()
    const late: Outcome = { kind: 'dead', reason: 'timed out after 300 ms', cause: 'timeout' }
    assert.deepEqual(await checkPrepared(Probe, prepared), late)
    await assertNothingOpen()
  })

  test('Probe sees with a kept connection that its host is no primary any more, with direct', async (t) => {
    const set = await startSet(t)
    const prepared = await prepare(Probe, {
      // By another name than its own.
      url: `mongodb://localhost:${set.members[0].port}`,
      direct: true,
      keep_connection: true,
    })
    t.after(() => prepared.close())
    assert.deepEqual(await checkPrepared(Probe, prepared), alive)
    await set.elect(1)
    assert.deepEqual(await checkPrepared(Probe, prepared), dead('writable_primary: false is not true'))
    assert.equal((await set.members[0].count()).opened, 2)
  })

  test('Probe leaves nothing behind after 300 checks over a kept connection', async (t) => {
    const { url } = await start(t)
    const prepared = await prepare(Probe, { url, keep_connection: true })
    for (let i = 0; i < 300; i++) assert.deepEqual(await checkPrepared(Probe, prepared), alive)
    prepared.close()
    await assertNothingOpen()
  })
})

describe('TLS', { skip: findMissingOpenssl() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-mongo-'))
  after(() => rmSync(folder, { recursive: true }))
  const cases: {
    name: string
    made: Parameters<typeof createCertificate>[2]
    query: (ca: string) => Query
    outcome: Outcome
  }[] = [
    { name: 'accepts the authority of ca_file', made: {}, query: (ca_file) => ({ tls: { ca_file } }), outcome: alive },
    {
      name: 'accepts any certificate when insecure',
      made: { days: -1 },
      query: () => ({ tls: { insecure: true } }),
      outcome: alive,
    },
    {
      name: 'refuses an unknown authority',
      made: {},
      query: () => ({ tls: true }),
      outcome: dead('unable to verify the first certificate'),
    },
    {
      name: 'refuses an expired certificate',
      made: { days: -1 },
      query: (ca_file) => ({ tls: { ca_file } }),
      outcome: dead('certificate has expired'),
    },
    {
      name: 'refuses the certificate of another host',
      made: { names: 'DNS:elsewhere' },
      query: (ca_file) => ({ tls: { ca_file } }),
      outcome: dead("Hostname/IP does not match certificate's altnames: IP: 127.0.0.1 is not in the cert's list: "),
    },
    {
      name: 'accepts the certificate of the host that server_name says',
      made: { names: 'DNS:elsewhere' },
      query: (ca_file) => ({ tls: { ca_file, server_name: 'elsewhere' } }),
      outcome: alive,
    },
    {
      name: 'without TLS is closed by the server',
      made: {},
      query: () => ({}),
      outcome: dead('ADDRESS closed the connection'),
    },
  ]
  for (const [index, { name, made, query, outcome }] of cases.entries()) {
    test(`Probe ${name}`, async (t) => {
      const tls = createCertificate(folder, `c${index}`, made)
      const { url, address } = await start(t, { tls })
      const found = await check(Probe, { url, ...query(tls.ca) })
      assert.deepEqual(JSON.parse(JSON.stringify(found).replace(address, 'ADDRESS')), outcome)
      await assertNothingOpen()
    })
  }
})

describe('mongodb+srv', () => {
  type Zone = Record<string, packet.Answer[] | 'SERVFAIL' | 'silent'>

  /** A DNS server that knows these names, as the one that this process asks. */
  async function startDns(t: TestContext, zone: Zone): Promise<void> {
    const socket = createSocket('udp4').bind(0, '127.0.0.1')
    await once(socket, 'listening')
    socket.on('message', (message, { address, port }) => {
      const { id, questions = [] } = packet.decode(message)
      const answers = zone[`${questions[0]?.type} ${questions[0]?.name}`]
      if (answers === 'silent') return
      const rcode = answers === 'SERVFAIL' ? 2 : answers ? 0 : 3
      const flags = packet.RECURSION_AVAILABLE | rcode
      socket.send(
        packet.encode({
          type: 'response',
          id: id ?? 0,
          flags,
          questions,
          answers: Array.isArray(answers) ? answers : [],
        }),
        port,
        address,
      )
    })
    const before = dns.getServers()
    dns.setServers([`127.0.0.1:${socket.address().port}`])
    t.after(() => {
      dns.setServers(before)
      socket.close()
    })
  }

  const SRV = '_mongodb._tcp.db.example.com'
  const srv = (target: string, port: number): packet.Answer => ({ type: 'SRV', name: SRV, data: { target, port } })
  const url = 'mongodb+srv://db.example.com/?tls=false'

  test('Probe asks the members that the records name, with the options of the TXT record', async (t) => {
    const set = await startSet(t)
    // Any name below the domain; this host has an address for localhost only, so the record says that.
    await startDns(t, {
      'SRV _mongodb._tcp.localhost': set.members.map(({ port }) => ({
        type: 'SRV',
        name: '_mongodb._tcp.localhost',
        data: { target: 'a.localhost', port },
      })),
      'TXT localhost': [{ type: 'TXT', name: 'localhost', data: 'replicaSet=rs1' }],
    })
    const outcome = await check(Probe, { url: 'mongodb+srv://localhost/?tls=false' })
    assert.equal(outcome.kind, 'dead')
    assert.match(outcome.kind === 'dead' ? outcome.reason : '', /a\.localhost/)
  })

  const cases: { name: string; zone: Zone; outcome: Outcome }[] = [
    { name: 'no record', zone: {}, outcome: dead(`no SRV record is known for ${SRV}`) },
    {
      name: 'a record of another domain',
      zone: { [`SRV ${SRV}`]: [srv('db.example.org', 1)] },
      outcome: dead(`the SRV record ${SRV} names db.example.org, which is not below example.com`),
    },
    {
      name: 'a resolver that fails',
      zone: { [`SRV ${SRV}`]: 'SERVFAIL', 'TXT db.example.com': 'SERVFAIL' },
      outcome: { kind: 'unknown', reason: `the resolver of this host does not answer for ${SRV} (ESERVFAIL)` },
    },
    {
      name: 'a resolver that is silent',
      zone: { [`SRV ${SRV}`]: 'silent', 'TXT db.example.com': 'silent' },
      outcome: { kind: 'unknown', reason: `the resolver of this host does not answer for ${SRV}` },
    },
  ]
  for (const { name, zone, outcome } of cases) {
    test(`Probe judges ${name}`, async (t) => {
      await startDns(t, zone)
      assert.deepEqual(await check(Probe, { url, timeout: '1s' }), outcome)
    })
  }

  test('Probe stops asking a silent resolver when it is cancelled', async (t) => {
    await startDns(t, { [`SRV ${SRV}`]: 'silent', 'TXT db.example.com': 'silent' })
    const controller = new AbortController()
    const asking = assert.rejects(observe(Probe, { url }, controller.signal), { message: 'over' })
    await sleep(50)
    controller.abort(new Error('over'))
    await asking
  })
})

describe('query', () => {
  const url = 'mongodb://localhost'
  const notUrl = 'is not a MongoDB URL; write it like mongodb://localhost:27017'
  const cases: { name: string; query: unknown; problems: string[] }[] = [
    { name: 'no url', query: {}, problems: ['url: is missing; it is required'] },
    { name: 'another url', query: { url: 'http://localhost' }, problems: [`url: "http://localhost" ${notUrl}`] },
    {
      name: 'a password in the url',
      query: { url: 'mongodb://u:s3cret@localhost' },
      problems: ['url: "mongodb://***@localhost" has a user or password; write them as user and password'],
    },
    {
      name: 'a read preference in the url',
      query: { url: `${url}/?readPreference=nearest` },
      problems: [`url: "${url}/?readPreference=nearest" has the option readPreference; write it as read_preference`],
    },
    {
      name: 'directConnection in the url',
      query: { url: `${url}/?directConnection=true` },
      problems: [`url: "${url}/?directConnection=true" has the option directConnection; write it as direct`],
    },
    {
      name: 'an unknown option in the url',
      query: { url: `${url}/?retry=yes` },
      problems: [`url: "${url}/?retry=yes" is not a MongoDB URL: option retry is not supported`],
    },
    { name: 'a user alone', query: { url, user: 'u' }, problems: ['user: "u" needs a password beside it'] },
    {
      name: 'a password alone',
      query: { url, password: 'p' },
      problems: ['password: the value (not shown) needs a user beside it'],
    },
    {
      name: 'a mechanism alone',
      query: { url, auth_mechanism: 'SCRAM-SHA-1' },
      problems: ['auth_mechanism: "SCRAM-SHA-1" needs a user beside it'],
    },
    {
      name: 'direct with two hosts',
      query: { url: 'mongodb://a,b', direct: true },
      problems: ['direct: true needs a url with one host'],
    },
    {
      name: 'a database to write to',
      query: { url, write: 'deadpool' },
      problems: ['write: "deadpool" is not a collection; write database.collection'],
    },
    {
      name: 'a connection to keep to whoever is near',
      query: { url, keep_connection: true, read_preference: 'nearest' },
      problems: ['keep_connection: true needs read_preference: primary, or direct'],
    },
  ]
  for (const { name, query, problems } of cases) {
    test(`Probe refuses ${name}`, async () => assert.deepEqual(await findProblems(Probe, query), problems))
  }

  test('Probe takes the url that Atlas gives', async () => {
    const found = await findProblems(Probe, {
      url: 'mongodb+srv://c0.abcde.mongodb.net/?retryWrites=true&w=majority&appName=c0',
    })
    assert.deepEqual(found, [])
  })

  test('Probe tells a port that is no MongoDB and closes at once', async (t) => {
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
    t.after(() => server.close())
    await once(server, 'listening')
    const address = `127.0.0.1:${(server.address() as { port: number }).port}`
    const outcome = await check(Probe, { url: `mongodb://${address}` })
    assert.match(
      outcome.kind === 'dead' ? outcome.reason : '',
      new RegExp(`^(${address} closed the connection|connection reset)$`),
    )
  })

  test('Probe loads none of the optional packages of the driver, and runs from a bundle', () => {
    const folder = mkdtempSync(join(tmpdir(), 'deadpool-mongo-bundle-'))
    try {
      const out = join(folder, 'mongodb.cjs')
      const esbuild = join(import.meta.dirname, '../../node_modules/.bin/esbuild')
      const options = ['--bundle', '--platform=node', '--format=cjs', '--log-level=error', `--outfile=${out}`]
      execFileSync(esbuild, ['mongodb', ...options], { cwd: join(import.meta.dirname, '../..') })
      const code = `const { MongoClient } = require(${JSON.stringify(out)})
        new MongoClient('mongodb://127.0.0.1:1', { serverSelectionTimeoutMS: 50 }).connect().catch((e) => console.log(e.message))`
      const said = execFileSync(process.execPath, ['-e', code], { encoding: 'utf8' })
      assert.equal(said, 'connect ECONNREFUSED 127.0.0.1:1\n')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('a real server', { skip: !process.env.DEADPOOL_TEST_MONGO && 'DEADPOOL_TEST_MONGO is not set' }, () => {
  const given =
    /^(mongodb(?:\+srv)?:\/\/)(?:([^:@/]*):([^@/]*)@)?(.*)$/.exec(process.env.DEADPOOL_TEST_MONGO ?? '') ?? []
  const [, scheme = '', user = '', password = '', rest = ''] = given
  const query = {
    url: `${scheme}${rest}`,
    ...(user && { user: decodeURIComponent(user), password: decodeURIComponent(password) }),
  }

  test('Probe calls it alive, reads, and writes', async () => {
    const found = await facts({ ...query, write: 'deadpool_test.heartbeat' })
    assert.equal(found.writable_primary, true)
    assert.equal(found.writable, true)
    assert.match(String(found.version), /^\d+\.\d+\.\d+/)
    if (found.role === 'primary') assert.equal(typeof found.majority_writable, 'boolean')
  })

  test('Probe gives the words of the server for a wrong password', async () => {
    if (user) assert.deepEqual(await check(Probe, { ...query, password: 'wr0ng' }), dead('Authentication failed.'))
  })

  test('Probe leaves nothing behind', () => assertNothingLeft(Probe, query))
})
