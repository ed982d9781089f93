import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { Probe } from '../../mod/postgres_probe.ts'
import { waitFor } from '../e2e/binary.ts'
import { createCertificate, findMissingOpenssl } from '../servers/certificates.ts'
import { findMissingPostgres, type Postgres, startPostgres } from '../servers/postgres.ts'
import { assertNothingLeft, check, checkPrepared, findProblems, observe, prepare, type Query } from './checking.ts'

const ALIVE = { kind: 'alive' }
const dead = (reason: string) => ({ kind: 'dead', reason })
const countSockets = () =>
  process.getActiveResourcesInfo().filter((name) => /^(?:TCPSocketWrap|TLSWrap|PipeWrap)$/.test(name)).length
const timedOut = (after: string) => ({ kind: 'dead', reason: `timed out after ${after}`, cause: 'timeout' })

describe('query', () => {
  test('has defaults for all but who asks whom', () => {
    assert.deepEqual(Probe.query.parse({ host: 'db1', user: 'deadpool' }), {
      host: 'db1',
      port: 5432,
      user: 'deadpool',
      database: 'postgres',
      timeout: 5,
      keep_connection: false,
    })
  })

  const cases = [
    { name: 'no target', query: { user: 'u' }, problems: ['host: is missing; write host, or path for a Unix socket'] },
    {
      name: 'two targets',
      query: { user: 'u', host: 'h', path: '/p' },
      problems: ['path: "/p" is given beside host; keep one of them'],
    },
    {
      name: 'TLS over a Unix socket',
      query: { user: 'u', path: '/p', tls: true },
      problems: ['tls: true cannot be used over a Unix socket; take it out'],
    },
    { name: 'no user', query: { host: 'h' }, problems: ['user: is missing; it is required'] },
    {
      name: 'an unknown key',
      query: { host: 'h', user: 'u', pasword: 'x' },
      problems: ['pasword: is not a known key; did you mean "password"?'],
    },
    {
      name: 'an empty password',
      query: { host: 'h', user: 'u', password: '' },
      problems: ['password: the value (not shown) cannot be used: the secret is empty'],
    },
  ]
  for (const { name, query, problems } of cases) {
    test(`is refused for ${name}`, async () => assert.deepEqual(await findProblems(Probe, query), problems))
  }
})

describe('Probe', { skip: findMissingPostgres() || findMissingOpenssl() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-postgres-probe-'))
  const certificate = createCertificate(folder, 'good')
  let primary: Postgres
  let query: Query
  /** What the server has of the probe's connections. */
  const listSessions = () => primary.sql(`SELECT pid, query FROM pg_stat_activity WHERE application_name = 'deadpool'`)
  const assertNoSession = () =>
    waitFor('the end of its sessions', async () => (await listSessions()).length === 0, 3000)

  before(async () => {
    primary = await startPostgres({ tls: certificate, settings: { max_connections: 23 } })
    await primary.sql(
      `CREATE ROLE deadpool LOGIN PASSWORD 's3cret'; CREATE TABLE beats (at timestamptz); GRANT ALL ON beats TO deadpool`,
    )
    query = { host: '127.0.0.1', port: primary.port, user: 'deadpool', password: 's3cret' }
  })
  after(async () => {
    await primary?.stop()
    rmSync(folder, { recursive: true })
  })

  test('reports a primary', async () => {
    const { time_ms, version, ...facts } = await observe(Probe, query)
    assert.match(String(version), /^\d+\.\d+$/)
    assert.ok((time_ms as number) > 0)
    assert.deepEqual(facts, {
      connected: true,
      in_recovery: false,
      read_only: false,
      wal_receiver: undefined,
      lag_seconds: 0,
      lag_bytes: 0,
      replicas: 0,
      connections_percent: 5,
    })
    assert.deepEqual(await check(Probe, query), ALIVE)
  })

  test('takes nothing from the environment', async () => {
    const others = { PGOPTIONS: '-c nix=1', PGREPLICATION: 'true', PGSSLNEGOTIATION: 'direct', PGPASSWORD: 's3cret' }
    Object.assign(process.env, others)
    const outcomes = [await check(Probe, query), await check(Probe, { ...query, password: undefined })]
    for (const name of Object.keys(others)) delete process.env[name]
    assert.deepEqual(outcomes, [ALIVE, dead('the server asks for a password, and none is configured')])
  })

  test('goes over a Unix socket', async () => {
    const { host, ...others } = query
    assert.deepEqual(await check(Probe, { ...others, path: primary.folder }), ALIVE)
    const reason = `connect ENOENT ${folder}/.s.PGSQL.${primary.port}`
    assert.deepEqual(await check(Probe, { ...others, path: folder }), dead(reason))
  })

  test('tells a server that only reads', async () => {
    await primary.sql('ALTER ROLE deadpool SET default_transaction_read_only = on')
    const { read_only, in_recovery } = await observe(Probe, query)
    await primary.sql('ALTER ROLE deadpool RESET default_transaction_read_only')
    assert.deepEqual({ read_only, in_recovery }, { read_only: true, in_recovery: false })
  })

  test('leaves out what it is not allowed to see', async () => {
    const functions = 'pg_stat_get_wal_senders(), pg_stat_get_activity(integer)'
    await primary.sql(`REVOKE EXECUTE ON FUNCTION ${functions} FROM PUBLIC`)
    const { connected, in_recovery, replicas, connections_percent, lag_seconds } = await observe(Probe, query)
    await primary.sql(`GRANT EXECUTE ON FUNCTION ${functions} TO PUBLIC`)
    assert.deepEqual(
      { connected, in_recovery, replicas, connections_percent, lag_seconds },
      { connected: true, in_recovery: false, replicas: undefined, connections_percent: undefined, lag_seconds: 0 },
    )
  })

  describe('with sql', () => {
    test('gives values that JSON has', async () => {
      const sql = `SELECT 1::bigint AS bigint, 9007199254740993::bigint AS huge, 1.50::numeric AS numeric,
        12345678901234567890.5::numeric AS long_numeric, 0.1::float8 + 0.2 AS float, 'NaN'::float8 AS nan, true AS yes,
        '2026-01-02 03:04:05+00'::timestamptz AT TIME ZONE 'UTC' AS at, '\\xdead'::bytea AS bytes,
        '{"a": [1]}'::jsonb AS json, NULL AS nothing, '{1,2}'::int[] AS list, 'text' AS text;`
      const { rows, row_count, rows_truncated } = await observe(Probe, { ...query, sql })
      assert.deepEqual(JSON.parse(JSON.stringify({ rows, row_count, rows_truncated })), {
        rows: [
          {
            bigint: 1,
            huge: '9007199254740993',
            numeric: 1.5,
            long_numeric: '12345678901234567890.5',
            float: 0.30000000000000004,
            nan: 'NaN',
            yes: true,
            at: '2026-01-02 03:04:05',
            bytes: '\\xdead',
            json: { a: [1] },
            nothing: null,
            list: '{1,2}',
            text: 'text',
          },
        ],
        row_count: 1,
        rows_truncated: false,
      })
    })

    const sizes = [
      { name: 'no row', sql: 'SELECT 1 WHERE false', row_count: 0, length: 0, rows_truncated: false },
      {
        name: '1,000 rows',
        sql: 'SELECT generate_series(1, 1000) AS i',
        row_count: 1000,
        length: 1000,
        rows_truncated: false,
      },
      {
        name: 'endless rows',
        sql: 'SELECT generate_series(1, 1e15::bigint) AS i',
        row_count: 1000,
        length: 1000,
        rows_truncated: true,
      },
      {
        name: 'changed rows',
        sql: 'INSERT INTO beats SELECT now() FROM generate_series(1, 7)',
        row_count: 7,
        length: 0,
        rows_truncated: false,
      },
    ]
    for (const { name, sql, ...expected } of sizes) {
      test(`counts ${name}`, async () => {
        const { rows, row_count, rows_truncated } = await observe(Probe, { ...query, sql })
        assert.deepEqual({ row_count, length: (rows as unknown[]).length, rows_truncated }, expected)
      })
    }

    test('commits what it writes', async () => {
      await primary.sql('TRUNCATE beats')
      await observe(Probe, { ...query, sql: 'INSERT INTO beats VALUES (now())' })
      assert.equal((await primary.sql('SELECT * FROM beats')).length, 1)
    })

    test('stops reading after 1 MiB', async () => {
      const sql = `SELECT repeat('x', 100000) AS x FROM generate_series(1, 900)`
      const { rows, rows_truncated } = await observe(Probe, { ...query, sql })
      assert.equal(rows_truncated, true)
      const { length } = rows as unknown[]
      assert.ok(length > 5 && length < 11, `${length} rows`)
      await assertNoSession()
    })

    const failures = [
      { name: 'a mistake', sql: 'SELECT * FROM nix', reason: 'relation "nix" does not exist' },
      {
        name: 'two statements',
        sql: 'SELECT 1; SELECT 2',
        reason: 'cannot insert multiple commands into a prepared statement',
      },
      { name: 'a row of 2 MiB', sql: `SELECT repeat('x', 2097152)`, reason: 'sent a row of more than 1 MiB' },
      {
        name: 'endless notices',
        sql: `DO $$ BEGIN LOOP RAISE NOTICE '%', repeat('x', 10000); END LOOP; END $$`,
        reason: 'sent more than 8 MiB',
      },
      {
        name: 'a right that is missing',
        sql: 'SELECT * FROM pg_authid',
        reason: 'permission denied for table pg_authid',
      },
    ]
    for (const { name, sql, reason } of failures) {
      test(`is dead by ${name}`, async () => {
        assert.deepEqual(await check(Probe, { ...query, sql, timeout: 3 }), dead(reason))
        await assertNoSession()
      })
    }

    test('is ended by the server itself at the deadline', async () => {
      const outcome = await check(Probe, { ...query, sql: 'SELECT pg_sleep(60)', timeout: 0.5 })
      assert.deepEqual(outcome, dead('canceling statement due to statement timeout'))
      // The very same where the check was given up before.
      const controller = new AbortController()
      setTimeout(() => controller.abort(new Error('given up')), 100)
      const slow = observe(Probe, { ...query, sql: 'SELECT pg_sleep(60)', timeout: 0.7 }, controller.signal)
      await assert.rejects(slow, /^Error: given up$/)
      assert.equal((await listSessions()).length, 1)
      await assertNoSession()
    })

    test('is dead when what it wrote reached no synchronous replica', async () => {
      const setNames = (names: string) =>
        primary
          .sql(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`)
          .then(() => primary.sql('SELECT pg_reload_conf()'))
      await setNames('nobody')
      try {
        const sql = 'INSERT INTO beats VALUES (now())'
        const writing = await waitFor('the setting', async () => {
          const outcome = await check(Probe, { ...query, sql, timeout: 0.5 })
          return outcome.kind === 'dead' && outcome
        })
        assert.deepEqual(writing, dead('canceling wait for synchronous replication due to user request'))
        assert.deepEqual(await check(Probe, { ...query, sql: 'SELECT * FROM beats LIMIT 1' }), ALIVE)
        await assertNoSession()
      } finally {
        await setNames('')
      }
    })
  })

  describe('says why the server refuses', () => {
    const cases = [
      {
        name: 'the password',
        change: { password: 'wr0ng' },
        reason: 'password authentication failed for user "deadpool"',
      },
      {
        name: 'no password',
        change: { password: undefined },
        reason: 'the server asks for a password, and none is configured',
      },
      { name: 'the user', change: { user: 'nix' }, reason: 'password authentication failed for user "nix"' },
      { name: 'the database', change: { database: 'nix' }, reason: 'database "nix" does not exist' },
      { name: 'the port', change: { port: 1 }, reason: 'connection refused by 127.0.0.1:1' },
    ]
    for (const { name, change, reason } of cases) {
      test(`for ${name}`, async () => assert.deepEqual(await check(Probe, { ...query, ...change }), dead(reason)))
    }

    test('but is unknown for a password that cannot be read here', async () => {
      const file = join(folder, 'password')
      writeFileSync(file, 's3cret\n')
      const prepared = await prepare(Probe, { ...query, password: { file } })
      assert.deepEqual(await checkPrepared(Probe, prepared), ALIVE)
      rmSync(file)
      const { kind } = await checkPrepared(Probe, prepared)
      assert.equal(kind, 'unknown')
      await assertNoSession()
    })

    test('for all its connections being taken', async () => {
      const clients: pg.Client[] = []
      /** A session that has ended holds its slot a moment longer. */
      const take = () =>
        waitFor('a slot', async () => {
          const login = { host: primary.folder, port: primary.port, user: 'postgres', database: 'postgres' }
          const client = new pg.Client(login)
          client.on('error', () => {})
          await client.connect()
          return clients.push(client)
        })
      try {
        while (clients.length < 20) await take()
        const reserved = 'remaining connection slots are reserved for non-replication superuser connections'
        assert.deepEqual(await check(Probe, query), dead(reserved))
        const asSuperuser = { ...query, user: 'postgres', host: undefined, path: primary.folder }
        assert.equal((await observe(Probe, asSuperuser)).connections_percent, 105)
        while (clients.length < 23) await take()
        assert.deepEqual(await check(Probe, query), dead('sorry, too many clients already'))
      } finally {
        await Promise.all(clients.map((client) => client.end()))
      }
      await waitFor('its slots to be free', async () => (await check(Probe, query)).kind === 'alive')
    })
  })

  describe('over TLS', () => {
    test('accepts the certificate of a known authority', async () => {
      assert.deepEqual(await check(Probe, { ...query, tls: { ca_file: certificate.ca } }), ALIVE)
      const sql = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'
      const { rows } = await observe(Probe, { ...query, tls: { insecure: true }, sql })
      assert.deepEqual(JSON.parse(JSON.stringify(rows)), [{ ssl: true }])
    })

    test('is dead by a certificate that is not accepted', async () => {
      const unknown = createCertificate(folder, 'unknown')
      const tls = { ca_file: certificate.ca }
      assert.deepEqual(
        await check(Probe, { ...query, tls: { ca_file: unknown.ca } }),
        dead('unable to verify the first certificate'),
      )
      const wrongName = dead(
        "Hostname/IP does not match certificate's altnames: Host: db1.example.org. is not in the cert's altnames: DNS:localhost, IP Address:127.0.0.1",
      )
      assert.deepEqual(await check(Probe, { ...query, tls: { ...tls, server_name: 'db1.example.org' } }), wrongName)
      const expired = createCertificate(folder, 'expired', { days: -1 })
      await primary.useCertificate(expired)
      assert.deepEqual(await check(Probe, { ...query, tls: { ca_file: expired.ca } }), dead('certificate has expired'))
      await primary.useCertificate(certificate)
      await assertNoSession()
    })
  })

  describe('with keep_connection', () => {
    const sql = 'SELECT pg_backend_pid() AS pid'
    const findPid = async () => (await listSessions()).map(({ pid }) => pid)

    test('asks over the same connection, and closes it in the end', async () => {
      const prepared = await prepare(Probe, { ...query, sql, keep_connection: true })
      assert.deepEqual(await checkPrepared(Probe, prepared), ALIVE)
      const first = await findPid()
      assert.deepEqual(await checkPrepared(Probe, prepared), ALIVE)
      assert.equal(first.length, 1)
      assert.deepEqual(await findPid(), first)
      prepared.close()
      await assertNoSession()
    })

    test('takes a fresh one when the server closed it meanwhile', async () => {
      const prepared = await prepare(Probe, { ...query, keep_connection: true })
      assert.deepEqual(await checkPrepared(Probe, prepared), ALIVE)
      const [first] = await findPid()
      await primary.sql(`SELECT pg_terminate_backend(${first})`)
      await assertNoSession()
      assert.deepEqual(await checkPrepared(Probe, prepared), ALIVE)
      assert.notEqual((await findPid())[0], first)
      prepared.close()
    })

    test('is dead when it fails under the question, and alive with the next', async () => {
      const prepared = await prepare(Probe, { ...query, keep_connection: true, timeout: 0.5 })
      assert.deepEqual(await checkPrepared(Probe, prepared), ALIVE)
      primary.pause()
      const stopped = await checkPrepared(Probe, prepared)
      primary.resume()
      assert.deepEqual(stopped, timedOut('500 ms'))
      assert.deepEqual(await checkPrepared(Probe, prepared), ALIVE)
      prepared.close()
      await assertNoSession()
    })

    test('needs no more than one connection for 300 checks', async () => {
      const prepared = await prepare(Probe, { ...query, sql: 'SELECT 1', keep_connection: true })
      for (let i = 0; i < 300; i++) assert.deepEqual(await checkPrepared(Probe, prepared), ALIVE)
      assert.equal((await listSessions()).length, 1)
      prepared.close()
      await assertNoSession()
    })
  })

  test('is dead by timeout while the server is stopped, and leaves nothing', async () => {
    primary.pause()
    const stopped = await check(Probe, { ...query, timeout: 0.3 })
    const secured = await check(Probe, { ...query, timeout: 0.3, tls: true })
    primary.resume()
    assert.deepEqual([stopped, secured], [timedOut('300 ms'), timedOut('300 ms')])
    await assertNoSession()
  })

  test('leaves nothing when it is given up half-way', async () => {
    const before = countSockets()
    for (const tls of [undefined, { insecure: true }]) {
      for (const ms of [0, 0.5, 1, 2, 3, 5, 8, 12, 18, 25]) {
        const controller = new AbortController()
        const asking = observe(Probe, { ...query, tls, sql: 'SELECT pg_sleep(1)', timeout: 2 }, controller.signal)
        const rejected = assert.rejects(asking, /^Error: given up$/)
        await sleep(ms)
        controller.abort(new Error('given up'))
        await rejected
      }
    }
    await assertNoSession()
    const count = countSockets()
    assert.ok(count <= before, `${count} sockets are open, ${before} were`)
  })

  test('leaves nothing after 300 checks', () => assertNothingLeft(Probe, query))

  test('leaves nothing after 300 checks that fail', async () => {
    await assertNothingLeft(Probe, { ...query, password: 'wr0ng' }, { kind: 'dead' })
  })

  describe('with a replica', () => {
    let replica: Postgres
    let replicaQuery: Query
    const watch = async () => {
      const { in_recovery, read_only, wal_receiver, lag_seconds, lag_bytes } = await observe(Probe, replicaQuery)
      return { in_recovery, read_only, wal_receiver, lag_seconds, lag_bytes }
    }
    const IS_MONITOR = `SELECT WHERE pg_has_role('deadpool', 'pg_monitor', 'member')`
    const inStep = { in_recovery: true, read_only: true, wal_receiver: true, lag_seconds: 0, lag_bytes: 0 }

    before(async () => {
      replica = await startPostgres({ primary })
      replicaQuery = { ...query, port: replica.port }
      await waitFor('the stream', async () => (await primary.sql('SELECT * FROM pg_stat_replication')).length > 0)
    })
    after(() => replica?.stop())

    test('reports both sides', async () => {
      assert.equal((await observe(Probe, query)).replicas, 1)
      await primary.sql('INSERT INTO beats VALUES (now())')
      await sleep(300)
      // The last transaction is old by now, and the replica has it all.
      assert.deepEqual(await watch(), inStep)
      // One who may see more sees the same.
      await primary.sql('GRANT pg_monitor TO deadpool')
      await waitFor('the right', async () => (await replica.sql(IS_MONITOR)).length === 1)
      const facts = await watch()
      assert.equal((await observe(Probe, query)).replicas, 1)
      await primary.sql('REVOKE pg_monitor FROM deadpool')
      assert.deepEqual(facts, inStep)
    })

    test('sees it fall behind, by no more than since it was in step', async () => {
      const prepared = await prepare(Probe, replicaQuery)
      const ask = () => prepared.observe(AbortSignal.timeout(5000), { debug() {}, info() {}, warn() {}, error() {} })
      await sleep(800)
      assert.equal((await ask()).lag_seconds, 0)
      await replica.sql('SELECT pg_wal_replay_pause()')
      await primary.sql('INSERT INTO beats VALUES (now())')
      const behind = await waitFor('the lag', async () => {
        const { lag_seconds, lag_bytes } = await ask()
        return (lag_bytes as number) > 0 ? { lag_seconds: lag_seconds as number } : undefined
      })
      // A check that remembers nothing has only the age of the last transaction, which is a second and more.
      const naive = (await watch()).lag_seconds as number
      assert.ok(behind.lag_seconds > 0 && behind.lag_seconds < 0.7, `${behind.lag_seconds} s`)
      assert.ok(naive > 0.8, `${naive} s`)
      await sleep(200)
      assert.ok(((await ask()).lag_seconds as number) > behind.lag_seconds + 0.15)
      await replica.sql('SELECT pg_wal_replay_resume()')
      await waitFor('the replay', async () => (await ask()).lag_seconds === 0)
      prepared.close()
    })

    test('cannot write', async () => {
      const outcome = await check(Probe, { ...replicaQuery, sql: 'INSERT INTO beats VALUES (now())' })
      assert.deepEqual(outcome, dead('cannot execute INSERT in a read-only transaction'))
    })

    test('sees that it lost its primary, and that it was promoted', async () => {
      await primary.shutDown()
      assert.deepEqual(await check(Probe, query), dead(`connection refused by 127.0.0.1:${primary.port}`))
      const alone = await waitFor('the loss', async () => {
        const facts = await watch()
        return facts.wal_receiver === false ? facts : undefined
      })
      assert.ok((alone.lag_seconds as number) > 0, 'the lag does not grow')
      await replica.sql('SELECT pg_promote()')
      assert.deepEqual(await watch(), {
        in_recovery: false,
        read_only: false,
        wal_receiver: undefined,
        lag_seconds: 0,
        lag_bytes: 0,
      })
    })

    test('is dead while it starts up', async () => {
      await replica.shutDown()
      writeFileSync(join(replica.folder, 'data/standby.signal'), '')
      writeFileSync(join(replica.folder, 'data/postgresql.auto.conf'), `restore_command = 'sleep 30'\n`)
      await replica.start(false)
      const starting = await waitFor('its port', async () => {
        const outcome = await check(Probe, replicaQuery)
        return outcome.kind === 'dead' && !outcome.reason.startsWith('connection refused') && outcome
      })
      assert.deepEqual(starting, dead('the database system is starting up'))
    })
  })
})

describe('Probe, of something else,', () => {
  const sockets = new Set<Socket>()
  let server: Server
  after(() => server?.close())

  /** A server that answers the first bytes with `answer`, whole or byte by byte, and stays. */
  async function listen(answer: Buffer, isByteByByte = false): Promise<Query> {
    server?.close()
    server = createServer((socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket)).on('error', () => {})
      socket.once('data', async () => {
        const parts = isByteByByte ? [...answer].map((byte) => Buffer.from([byte])) : [answer]
        for (const part of parts) {
          socket.write(part)
          if (isByteByByte) await sleep(1)
        }
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { host: '127.0.0.1', port: (server.address() as { port: number }).port, user: 'u', timeout: 1 }
  }

  const message = (type: string, body: string | Buffer, length = Buffer.byteLength(body) + 4) => {
    const header = Buffer.alloc(5)
    header.write(type)
    header.writeUInt32BE(length, 1)
    return Buffer.concat([header, Buffer.from(body)])
  }
  const NOT_POSTGRES = 'sent something that is not the protocol of PostgreSQL'
  const report = message('E', 'SFATAL\0C57P03\0Mthe database system is shutting down\0\0')
  const cases = [
    { name: 'answers in HTTP', answer: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), reason: NOT_POSTGRES },
    { name: 'greets as SSH', answer: Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'), reason: NOT_POSTGRES },
    { name: 'sends a report without an end', answer: message('E', 'SFATAL\0Mx'), reason: NOT_POSTGRES },
    { name: 'sends an empty report', answer: message('E', ''), reason: NOT_POSTGRES },
    { name: 'sends a notice whose text has no end', answer: message('N', 'Mx\0'), reason: NOT_POSTGRES },
    {
      name: 'asks for GSSAPI',
      answer: message('R', Buffer.from([0, 0, 0, 7])),
      reason: 'the server asks for an authentication that is not supported (type 7)',
    },
    { name: 'sends a message of an impossible length', answer: message('R', '', 3), reason: NOT_POSTGRES },
    { name: 'announces 2 GiB', answer: message('S', 'x', 2 ** 31), reason: NOT_POSTGRES },
    { name: 'sends a report in whole', answer: report, reason: 'the database system is shutting down' },
  ]
  for (const { name, answer, reason } of cases) {
    test(`is dead when it ${name}`, async () => {
      for (const isByteByByte of [false, true]) {
        assert.deepEqual(await check(Probe, await listen(answer, isByteByByte)), dead(reason))
      }
      await waitFor('the end of its connection', () => sockets.size === 0)
    })
  }

  test('is dead when it closes, and when it answers TLS with more than one byte', async () => {
    const closing = createServer((socket) => socket.end().on('error', () => {}))
    await new Promise<void>((resolve) => closing.listen(0, '127.0.0.1', resolve))
    const { port } = closing.address() as { port: number }
    for (const tls of [false, true]) {
      assert.deepEqual(await check(Probe, { host: '127.0.0.1', port, user: 'u', tls }), dead('closed the connection'))
    }
    closing.close()
    const injecting = await listen(Buffer.from('SE'))
    assert.deepEqual(await check(Probe, { ...injecting, tls: true }), dead(NOT_POSTGRES))
    const refusing = await listen(Buffer.from('N'))
    assert.deepEqual(await check(Probe, { ...refusing, tls: true }), dead('the server does not offer TLS'))
  })

  test('is dead when it asks for a hash of endless work', async () => {
    const asking = await listen(
      message('R', Buffer.concat([Buffer.from([0, 0, 0, 10]), Buffer.from('SCRAM-SHA-256\0\0')])),
    )
    assert.deepEqual(await check(Probe, { ...asking, password: 'x', timeout: 0.2 }), timedOut('200 ms'))
    await waitFor('the end of its connection', () => sockets.size === 0)
  })
})
