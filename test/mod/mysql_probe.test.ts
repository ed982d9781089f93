import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import mysql from 'mysql2'
import { Probe } from '../../mod/mysql_probe.ts'
import { waitFor } from '../e2e/binary.ts'
import { createCertificate, findMissingOpenssl } from '../servers/certificates.ts'
import { findMissingGalera, findMissingMariadb, type Mariadb, startMariadb } from '../servers/mariadb.ts'
import { assertNothingLeft, check, checkPrepared, findProblems, observe, prepare, type Query } from './checking.ts'

const ALIVE = { kind: 'alive' }
const dead = (reason: string) => ({ kind: 'dead', reason })
const timedOut = (after: string) => ({ kind: 'dead', reason: `timed out after ${after}`, cause: 'timeout' })
const countSockets = () =>
  process.getActiveResourcesInfo().filter((name) => /^(?:TCPSocketWrap|TLSWrap|PipeWrap)$/.test(name)).length

describe('query', () => {
  test('has defaults for all but who asks whom', () => {
    assert.deepEqual(Probe.query.parse({ host: 'db1', user: 'deadpool' }), {
      host: 'db1',
      port: 3306,
      user: 'deadpool',
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
  ]
  for (const { name, query, problems } of cases) {
    test(`is refused for ${name}`, async () => assert.deepEqual(await findProblems(Probe, query), problems))
  }
})

describe('Probe', { skip: findMissingMariadb() || findMissingOpenssl() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-mysql-probe-'))
  const certificate = createCertificate(folder, 'good')
  const expired = createCertificate(folder, 'expired', { days: -1 })
  let primary: Mariadb
  let replica: Mariadb
  let query: Query
  let replicaQuery: Query
  /** What the server has of the probe's connections. */
  const listSessions = () =>
    primary.sql(`SELECT id FROM information_schema.processlist WHERE user IN ('deadpool', 'unauthenticated user')`)
  const assertNoSession = () =>
    waitFor('the end of its sessions', async () => (await listSessions()).length === 0, 3000)

  before(async () => {
    const common = { max_connections: 40 }
    const starting = [
      startMariadb({ tls: certificate, settings: { ...common, server_id: 1, log_bin: 'log', log_warnings: 4 } }),
      startMariadb({ tls: expired, settings: { ...common, server_id: 2 } }),
    ] as const
    // Each is known as soon as it runs, so that it is stopped even if the other does not start.
    await Promise.all([
      starting[0].then((server) => (primary = server)),
      starting[1].then((server) => (replica = server)),
    ]).finally(() => Promise.allSettled(starting))
    await primary.sql(`CREATE USER deadpool IDENTIFIED BY 's3cret'; CREATE DATABASE d; CREATE TABLE d.beats (at datetime);
      GRANT ALL ON d.* TO deadpool; GRANT SLAVE MONITOR ON *.* TO deadpool; CREATE USER watcher IDENTIFIED BY 's3cret'`)
    query = { host: '127.0.0.1', port: primary.port, user: 'deadpool', password: 's3cret', database: 'd' }
    replicaQuery = { ...query, port: replica.port }
  })
  after(async () => {
    await Promise.all([primary?.stop(), replica?.stop()])
    rmSync(folder, { recursive: true })
  })

  test('reports a primary', async () => {
    const { time_ms, version, ...facts } = await observe(Probe, query)
    assert.match(String(version), /^\d+\.\d+\.\d+-MariaDB/)
    assert.ok((time_ms as number) > 0)
    assert.deepEqual(facts, { connected: true, ready: true, read_only: false, connections_percent: 2.5 })
    assert.deepEqual(await check(Probe, query), ALIVE)
    await assertNoSession()
    assert.doesNotMatch(primary.log(), /Aborted connection \d+ to db: 'd'/, 'the server counts it as aborted')
  })

  test('goes over a Unix socket', async () => {
    const { host, port, ...others } = query
    assert.deepEqual(await check(Probe, { ...others, path: primary.socketPath }), ALIVE)
    assert.deepEqual(await check(Probe, { ...others, path: `${folder}/nix` }), dead(`connect ENOENT ${folder}/nix`))
  })

  test('tells a server that only reads', async () => {
    await primary.sql('SET GLOBAL read_only = 1')
    const { read_only } = await observe(Probe, query)
    const writing = await check(Probe, { ...query, sql: 'INSERT INTO beats VALUES (now())' })
    await primary.sql('SET GLOBAL read_only = 0')
    assert.equal(read_only, true)
    assert.deepEqual(
      writing,
      dead('The MariaDB server is running with the --read-only option so it cannot execute this statement'),
    )
  })

  describe('with sql', () => {
    test('gives values that JSON has', async () => {
      const sql = `SELECT count(*) AS number, 9007199254740993 AS huge, 1.50 AS short_decimal,
        CAST(12345678901234567890.5 AS DECIMAL(30, 1)) AS long_decimal, 0.1e0 + 0.2e0 AS dbl, true AS yes,
        TIMESTAMP'2026-01-02 03:04:05' AS at, DATE'2026-01-02' AS day, x'dead' AS bytes, b'101' AS bits,
        JSON_OBJECT('a', JSON_ARRAY(1)) AS json, NULL AS nothing, 'text' AS text`
      const { rows, row_count, rows_truncated } = await observe(Probe, { ...query, sql })
      assert.deepEqual(JSON.parse(JSON.stringify({ rows, row_count, rows_truncated })), {
        rows: [
          {
            number: 1,
            huge: '9007199254740993',
            short_decimal: 1.5,
            long_decimal: '12345678901234567890.5',
            dbl: 0.30000000000000004,
            yes: 1,
            at: '2026-01-02 03:04:05',
            day: '2026-01-02',
            bytes: 'dead',
            bits: '05',
            json: { a: [1] },
            nothing: null,
            text: 'text',
          },
        ],
        row_count: 1,
        rows_truncated: false,
      })
    })

    const sizes = [
      { name: 'no row', sql: 'SELECT 1 FROM DUAL WHERE false', row_count: 0, length: 0, rows_truncated: false },
      { name: '1,000 rows', sql: 'SELECT * FROM seq_1_to_1000', row_count: 1000, length: 1000, rows_truncated: false },
      {
        name: 'endless rows',
        sql: 'SELECT * FROM seq_1_to_100000000',
        row_count: 1000,
        length: 1000,
        rows_truncated: true,
      },
      {
        name: 'endless rows that were asked for',
        sql: 'SELECT * FROM seq_1_to_100000000 LIMIT 100000000',
        row_count: 1000,
        length: 1000,
        rows_truncated: true,
      },
      {
        name: 'changed rows',
        sql: 'INSERT INTO beats SELECT now() FROM seq_1_to_7',
        row_count: 7,
        length: 0,
        rows_truncated: false,
      },
      { name: 'a row of 3 MiB', sql: `SELECT repeat('x', 3145728)`, row_count: 0, length: 0, rows_truncated: true },
    ]
    for (const { name, sql, ...expected } of sizes) {
      test(`counts ${name}`, async () => {
        const { rows, row_count, rows_truncated } = await observe(Probe, { ...query, sql })
        assert.deepEqual({ row_count, length: (rows as unknown[]).length, rows_truncated }, expected)
        await assertNoSession()
      })
    }

    test('stops reading after 1 MiB', async () => {
      const sql = `SELECT repeat('x', 100000) AS x FROM seq_1_to_900`
      const { rows, rows_truncated } = await observe(Probe, { ...query, sql })
      assert.equal(rows_truncated, true)
      const { length } = rows as unknown[]
      assert.ok(length > 5 && length < 12, `${length} rows`)
    })

    test('takes the first result of a procedure', async () => {
      await primary.sql(`CREATE PROCEDURE d.two() BEGIN SELECT 1 AS a; SELECT 2 AS b; END`)
      const { rows, row_count } = await observe(Probe, { ...query, sql: 'CALL two()' })
      assert.deepEqual({ rows, row_count }, { rows: [{ a: 1 }], row_count: 1 })
    })

    const failures = [
      { name: 'a missing table', sql: 'SELECT * FROM nix', reason: "Table 'd.nix' doesn't exist" },
      {
        name: 'a wish for a file of this host',
        sql: `LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE beats`,
        reason:
          'The used command is not allowed because the MariaDB server or client has disabled the local infile capability',
      },
      { name: 'a row of 9 MiB', sql: `SELECT repeat('x', 9437184)`, reason: 'sent more than 8 MiB' },
      {
        name: 'a right that is missing',
        sql: 'SELECT * FROM mysql.global_priv',
        reason: "SELECT command denied to user 'deadpool'@'localhost' for table `mysql`.`global_priv`",
      },
    ]
    for (const { name, sql, reason } of failures) {
      test(`is dead by ${name}`, async () => {
        assert.deepEqual(await check(Probe, { ...query, sql }), dead(reason))
        await assertNoSession()
      })
    }

    test('is ended by the server itself at the deadline', async () => {
      const outcome = await check(Probe, { ...query, sql: 'SELECT sleep(60)', timeout: 0.5 })
      assert.deepEqual(outcome, dead('Query execution was interrupted (max_statement_time exceeded)'))
      // The very same where the check was given up before.
      const controller = new AbortController()
      setTimeout(() => controller.abort(new Error('given up')), 100)
      const slow = observe(Probe, { ...query, sql: 'SELECT sleep(60)', timeout: 0.7 }, controller.signal)
      await assert.rejects(slow, /^Error: given up$/)
      await assertNoSession()
    })
  })

  describe('says why the server refuses', () => {
    const cases = [
      {
        name: 'the password',
        change: { password: 'wr0ng' },
        reason: "Access denied for user 'deadpool'@'localhost' (using password: YES)",
      },
      {
        name: 'no password',
        change: { password: undefined },
        reason: "Access denied for user 'deadpool'@'localhost' (using password: NO)",
      },
      {
        name: 'the database',
        change: { database: 'nix' },
        reason: "Access denied for user 'deadpool'@'%' to database 'nix'",
      },
      { name: 'the port', change: { port: 1 }, reason: 'connection refused by 127.0.0.1:1' },
    ]
    for (const { name, change, reason } of cases) {
      test(`for ${name}`, async () => assert.deepEqual(await check(Probe, { ...query, ...change }), dead(reason)))
    }

    test('for all its connections being taken', async () => {
      const clients = Array.from({ length: 40 }, () =>
        mysql.createConnection({ port: primary.port, host: '127.0.0.1', user: 'watcher', password: 's3cret' }),
      )
      await Promise.all(clients.map((client) => client.promise().query('SELECT 1')))
      const outcomes = [await check(Probe, query), await check(Probe, { ...query, tls: { insecure: true } })]
      for (const client of clients) client.destroy()
      assert.deepEqual(outcomes, [dead('Too many connections'), dead('Too many connections')])
      await waitFor('free connections', async () => (await check(Probe, query)).kind === 'alive')
    })
  })

  describe('over TLS', () => {
    test('accepts the certificate of a known authority', async () => {
      const sql = `SHOW STATUS LIKE 'Ssl_version'`
      const { rows } = await observe(Probe, { ...query, tls: { ca_file: certificate.ca }, sql })
      assert.deepEqual(rows, [{ Variable_name: 'Ssl_version', Value: 'TLSv1.3' }])
      assert.deepEqual(await check(Probe, { ...query, tls: { insecure: true } }), ALIVE)
    })

    test('is dead by a certificate that is not accepted', async () => {
      const unknown = createCertificate(folder, 'unknown')
      const ask = (tls: Query, target = query) => check(Probe, { ...target, tls })
      assert.deepEqual(await ask({ ca_file: unknown.ca }), dead('self-signed certificate in certificate chain'))
      const wrongName = await ask({ ca_file: certificate.ca, server_name: 'db1.example.org' })
      assert.deepEqual(
        wrongName,
        dead(
          "Hostname/IP does not match certificate's altnames: Host: db1.example.org. is not in the cert's altnames: DNS:localhost, IP Address:127.0.0.1",
        ),
      )
      assert.deepEqual(await ask({ ca_file: expired.ca }, replicaQuery), dead('certificate has expired'))
      await assertNoSession()
    })
  })

  describe('with keep_connection', () => {
    const findIds = async () => (await listSessions()).map(({ id }) => id)

    test('needs no more than one connection for 300 checks, and closes it in the end', async () => {
      const prepared = await prepare(Probe, { ...query, sql: 'SELECT 1', keep_connection: true })
      assert.deepEqual(await checkPrepared(Probe, prepared), ALIVE)
      const first = await findIds()
      assert.equal(first.length, 1)
      for (let i = 0; i < 300; i++) assert.deepEqual(await checkPrepared(Probe, prepared), ALIVE)
      assert.deepEqual(await findIds(), first)
      prepared.close()
      await assertNoSession()
    })

    test('takes a fresh one when the server closed it meanwhile', async () => {
      const prepared = await prepare(Probe, { ...query, keep_connection: true })
      assert.deepEqual(await checkPrepared(Probe, prepared), ALIVE)
      const [first] = await findIds()
      await primary.sql(`KILL ${first}`)
      await assertNoSession()
      assert.deepEqual(await checkPrepared(Probe, prepared), ALIVE)
      assert.notEqual((await findIds())[0], first)
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
      for (const ms of [0, 0.5, 1, 2, 3, 4, 5, 7, 9, 12, 18]) {
        const controller = new AbortController()
        const asking = observe(Probe, { ...query, tls, sql: 'SELECT sleep(0.3)', timeout: 2 }, controller.signal)
        const rejected = assert.rejects(asking, /^Error: given up$/)
        await sleep(ms)
        controller.abort(new Error('given up'))
        await rejected
      }
    }
    await assertNoSession()
    const count = countSockets()
    assert.ok(count <= before, `${count} sockets are open, ${before} were`)
    await primary.sql('FLUSH HOSTS')
  })

  test('leaves nothing after 300 checks', () => assertNothingLeft(Probe, query))

  test('leaves nothing after 300 checks that fail', async () => {
    await assertNothingLeft(Probe, { ...query, password: 'wr0ng' }, { kind: 'dead' })
  })

  describe('with a replica', () => {
    const watch = async (change: Query = {}) => {
      const { lag_seconds, replica_running } = await observe(Probe, { ...replicaQuery, ...change })
      return { lag_seconds, replica_running }
    }

    before(async () => {
      await primary.sql(`CREATE USER copier IDENTIFIED BY 's3cret'; GRANT REPLICATION SLAVE ON *.* TO copier`)
      await replica.sql(`CHANGE MASTER TO master_host = '127.0.0.1', master_port = ${primary.port}, master_user = 'copier',
        master_password = 's3cret', master_log_file = 'log.000001', master_log_pos = 4, master_connect_retry = 1; START SLAVE`)
      await waitFor('the replica', async () => (await replica.sql('SELECT at FROM d.beats LIMIT 1')).length > 0)
    })

    test('reports it', async () => {
      await waitFor('the end of the catching up', async () => (await watch()).lag_seconds === 0)
      assert.deepEqual(await watch(), { lag_seconds: 0, replica_running: true })
    })

    test('sees how far it is behind', async () => {
      await replica.sql('STOP SLAVE; CHANGE MASTER TO master_delay = 60; START SLAVE')
      await primary.sql('INSERT INTO d.beats VALUES (now())')
      await waitFor('the lag', async () => ((await watch()).lag_seconds as number) > 0)
      assert.equal((await watch()).replica_running, true)
    })

    test('sees that it stopped to replay', async () => {
      await replica.sql('STOP SLAVE SQL_THREAD')
      assert.deepEqual(await watch(), { lag_seconds: undefined, replica_running: false })
      const outcome = await check(Probe, replicaQuery, { lag_seconds: { type: 'lt', query: 30 } })
      assert.equal(outcome.kind, 'dead')
      await replica.sql('START SLAVE SQL_THREAD; STOP SLAVE IO_THREAD')
      assert.equal((await watch()).replica_running, false)
    })

    test('leaves out what it is not allowed to see', async () => {
      const facts = await observe(Probe, { ...replicaQuery, user: 'watcher', database: undefined })
      assert.deepEqual([facts.connected, facts.read_only], [true, false])
      assert.deepEqual(
        Object.keys(facts).filter((name) => /lag|replica|galera/.test(name)),
        [],
      )
    })
  })

  test('is dead when the server is stopped', async () => {
    await replica.stop()
    assert.deepEqual(await check(Probe, replicaQuery), dead(`connection refused by 127.0.0.1:${replica.port}`))
  })
})

describe('Probe, of a node of Galera,', { skip: findMissingGalera() }, () => {
  let node: Mariadb
  let query: Query
  before(async () => {
    node = await startMariadb({ isGalera: true })
    await node.sql(`CREATE USER deadpool IDENTIFIED BY 's3cret'`)
    query = { host: '127.0.0.1', port: node.port, user: 'deadpool', password: 's3cret' }
  })
  after(() => node?.stop())
  const watch = async () => {
    const { connected, ready, galera_ready, galera_primary, galera_size, galera_state } = await observe(Probe, query)
    return { connected, ready, galera_ready, galera_primary, galera_size, galera_state }
  }

  test('reports its cluster', async () => {
    const expected = { galera_ready: true, galera_primary: true, galera_size: 1, galera_state: 'Synced' }
    assert.deepEqual(await watch(), { connected: true, ready: true, ...expected })
    assert.deepEqual(await check(Probe, query), ALIVE)
  })

  test('is dead without its cluster, although it answers SELECT 1', async () => {
    // The node leaves its cluster and looks for another, which there is not.
    const leaving = node.sql(`SET GLOBAL wsrep_cluster_address = 'gcomm://127.0.0.1:9'`).catch(() => {})
    const expected = { galera_ready: false, galera_primary: false, galera_size: 0, galera_state: 'Initialized' }
    // Meanwhile it closes its connections, one after another.
    const settle = <T>(ask: () => Promise<T>, isWanted: (found: T) => boolean) =>
      waitFor('the loss', async () => {
        const found = await ask()
        return isWanted(found) ? found : undefined
      })
    const facts = await settle(watch, ({ galera_state }) => galera_state === 'Initialized')
    assert.deepEqual(facts, { connected: true, ready: false, ...expected })
    const wasClosed = dead('closed the connection')
    const isOther = (outcome: object) => !isDeepStrictEqual(outcome, wasClosed)
    assert.deepEqual(await settle(() => check(Probe, query), isOther), dead('ready: false is not true'))
    const sql = 'SELECT count(*) FROM mysql.global_priv'
    assert.deepEqual(
      await settle(() => check(Probe, { ...query, sql }), isOther),
      dead('WSREP has not yet prepared node for application use'),
    )
    await node.stop()
    await leaving
  })
})

/** MySQL itself is not in Debian: the protocol is real, the answers are those of its manual. */
describe('Probe, of MySQL,', () => {
  type Answer = Record<string, unknown>[] | Error
  const servers: { close(callback: () => void): void }[] = []
  after(() => Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(resolve)))))

  /** What the driver has for servers, and its types do not tell. */
  interface Client {
    sequenceId: number
    serverHandshake(hello: object): void
    writeTextResult(rows: object[], columns: object[]): void
    writeOk(): void
    writeError(error: object): void
    on(event: string, listen: (...given: never[]) => void): void
  }

  /** A server of that version, and the statements that it was asked. */
  async function startMysql(serverVersion: string, answers: [RegExp, Answer][]) {
    const statements: string[] = []
    const server = mysql.createServer(() => {})
    servers.push(server as unknown as (typeof servers)[number])
    server.on('connection', (connection) => {
      const client = connection as unknown as Client
      // The driver does not begin to count anew with each command that it gets.
      const inTurn = (number: number, write: () => void) => {
        client.sequenceId = number
        write()
        client.sequenceId = 0
      }
      const answer = (sql: string) => {
        statements.push(sql)
        const found = answers.find(([pattern]) => pattern.test(sql))?.[1]
        if (!found) return client.writeOk()
        if (found instanceof Error) return client.writeError(found)
        const columns = Object.keys(found[0] ?? {}).map((name) => ({ ...TEXT_COLUMN, name, orgName: name }))
        client.writeTextResult(found, columns)
      }
      client.on('error', () => {})
      for (const event of ['query', 'stmt_prepare']) {
        client.on(event, (sql: string) => inTurn(1, () => answer(sql)))
      }
      client.serverHandshake({
        protocolVersion: 10,
        serverVersion,
        connectionId: 1,
        statusFlags: 2,
        characterSet: 45,
        // All but compression and TLS.
        capabilityFlags: 0xffffff ^ 0x820,
        authCallback: (_login: object, accept: (error: null) => void) => inTurn(2, () => accept(null)),
      })
    })
    const { _server } = server as unknown as { _server: Server }
    await new Promise<void>((resolve) => _server.listen(0, '127.0.0.1', resolve))
    const { port } = _server.address() as { port: number }
    return { statements, query: { host: '127.0.0.1', port, user: 'deadpool' } }
  }

  const TEXT_COLUMN = {
    catalog: 'def',
    schema: '',
    table: '',
    orgTable: '',
    characterSet: 45,
    columnLength: 100,
    columnType: 253,
    flags: 0,
    decimals: 0,
  }
  const variable = (Variable_name: string, Value: string) => ({ Variable_name, Value })
  const asked: [RegExp, Answer][] = [
    [
      /VARIABLES/,
      [variable('read_only', 'OFF'), variable('super_read_only', 'ON'), variable('max_connections', '200')],
    ],
    [/GLOBAL STATUS/, [variable('Threads_connected', '50')]],
    [/^SELECT 1$/, [{ 1: '1' }]],
  ]

  test('is asked for its sources in the words of 8.0.22 and later', async () => {
    const sources = ['3', '7'].map((Seconds_Behind_Source) => ({
      Replica_IO_Running: 'Yes',
      Replica_SQL_Running: 'Yes',
      Seconds_Behind_Source,
    }))
    const { query, statements } = await startMysql('8.4.3', [...asked, [/^SHOW REPLICA STATUS$/, sources]])
    const { time_ms, ...facts } = await observe(Probe, { ...query, sql: 'SELECT 1' })
    assert.deepEqual(facts, {
      connected: true,
      ready: true,
      version: '8.4.3',
      read_only: true,
      connections_percent: 25,
      lag_seconds: 7,
      replica_running: true,
      rows: [{ 1: '1' }],
      row_count: 1,
      rows_truncated: false,
    })
    assert.match(statements.join('\n'), /^SET SESSION sql_select_limit = 1001, .*max_execution_time = 4\d\d\d$/m)
  })

  test('is asked in the old words before, and need not answer', async () => {
    const denied = Object.assign(new Error('Access denied'), { code: 1227 })
    const { query, statements } = await startMysql('8.0.21', [...asked, [/^SHOW SLAVE STATUS$/, denied]])
    const facts = await observe(Probe, query)
    assert.deepEqual([facts.connected, facts.version, 'lag_seconds' in facts], [true, '8.0.21', false])
    assert.ok(statements.includes('SHOW SLAVE STATUS'))
  })
})

describe('Probe, of something else,', () => {
  const sockets = new Set<Socket>()
  let server: Server
  after(() => server?.close())

  /** A server that greets, whole or byte by byte, and answers the first bytes that come with `answer`. */
  async function listen(greeting: Buffer, { isByteByByte = false, answer = Buffer.alloc(0) } = {}): Promise<Query> {
    server?.close()
    server = createServer(async (socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket)).on('error', () => {})
      socket.once('data', () => socket.write(answer))
      const parts = isByteByByte ? [...greeting].map((byte) => Buffer.from([byte])) : [greeting]
      for (const part of parts) {
        socket.write(part)
        if (isByteByByte) await sleep(1)
      }
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { host: '127.0.0.1', port: (server.address() as { port: number }).port, user: 'u', timeout: 1 }
  }

  const packet = (number: number, body: Buffer | string) => {
    const header = Buffer.alloc(4)
    header.writeUIntLE(Buffer.byteLength(body), 0, 3)
    header[3] = number
    return Buffer.concat([header, Buffer.from(body)])
  }
  const hello = packet(
    0,
    Buffer.concat([
      Buffer.from('\x0a8.0.36\0\x01\0\0\0abcdefgh\0', 'latin1'),
      Buffer.from([0xff, 0xf7, 0xff, 0x02, 0x00, 0xff, 0x81, 21]),
      Buffer.alloc(10),
      Buffer.from('ijklmnopqrst\0mysql_native_password\0', 'latin1'),
    ]),
  )
  const switchTo = (plugin: string) => packet(2, Buffer.from(`\xfe${plugin}\0abcdefghijklmnopqrst\0`, 'latin1'))
  const NOT_MYSQL = 'sent something that is not the protocol of MySQL'
  const cases = [
    { name: 'greets as SSH', greeting: Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'), reason: NOT_MYSQL },
    { name: 'greets as SMTP', greeting: Buffer.from('220 mail.example.org ESMTP\r\n'), reason: NOT_MYSQL },
    { name: 'greets with an empty packet', greeting: packet(0, ''), reason: NOT_MYSQL },
    { name: 'greets with rubbish', greeting: packet(0, Buffer.alloc(30, 0xfb)), reason: undefined },
    { name: 'numbers its packets wrongly', greeting: hello, answer: packet(7, 'x'), reason: NOT_MYSQL },
    { name: 'offers no TLS', greeting: hello, change: { tls: true }, reason: 'the server does not offer TLS' },
    {
      name: 'wants the password in clear text',
      greeting: hello,
      answer: switchTo('mysql_clear_password'),
      reason: 'the server asks for the password in clear text, which it gets over TLS only',
    },
    {
      name: 'wants an authentication that nobody knows',
      greeting: hello,
      answer: switchTo('client_ed25519'),
      reason: 'the server asks for authentication by client_ed25519, which is not supported',
    },
    {
      name: 'refuses in words of its own',
      greeting: packet(0, Buffer.from(`\xff\x69\x04Host 'dp1' is blocked because of many connection errors`, 'latin1')),
      reason: "Host 'dp1' is blocked because of many connection errors",
    },
  ]
  for (const { name, greeting, answer, change, reason } of cases) {
    test(`is dead when it ${name}`, async () => {
      for (const isByteByByte of [false, true]) {
        const target = await listen(greeting, { isByteByByte, ...(answer && { answer }) })
        const outcome = await check(Probe, { ...target, ...change, password: 's3cret' })
        assert.deepEqual(outcome, dead(reason ?? NOT_MYSQL))
      }
      await waitFor('the end of its connection', () => sockets.size === 0)
    })
  }

  test('is dead when it closes, and when it says nothing', async () => {
    const closing = createServer((socket) => socket.end().on('error', () => {}))
    await new Promise<void>((resolve) => closing.listen(0, '127.0.0.1', resolve))
    const { port } = closing.address() as { port: number }
    assert.deepEqual(await check(Probe, { host: '127.0.0.1', port, user: 'u' }), dead('closed the connection'))
    closing.close()
    const silent = await listen(Buffer.alloc(0))
    assert.deepEqual(await check(Probe, { ...silent, timeout: 0.2 }), timedOut('200 ms'))
    await waitFor('the end of its connection', () => sockets.size === 0)
  })
})
