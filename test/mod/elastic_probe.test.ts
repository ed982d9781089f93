import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Probe } from '../../mod/elastic_probe.ts'
import { createCertificate, findMissingOpenssl } from '../servers/certificates.ts'
import { type Cluster, type Elastic, findMissingNginx, startElastic } from '../servers/elastic.ts'
import { assertNothingLeft, check, findProblems, observe, type Query } from './checking.ts'

const PRODUCTS = [
  'elasticsearch-7.10',
  'elasticsearch-7.17',
  'elasticsearch-8.17',
  'elasticsearch-9.1',
  'opensearch-2.19',
]

/** One product in every condition, each below a path of its own. */
function createClusters(product: string): Record<string, Cluster> {
  const of = (name: string) => `${product}/${name}`
  const refusal = of(product.startsWith('opensearch') ? 'unauthorized.txt' : 'unauthorized.json')
  const healthy = {
    health: of('health.json'),
    blocks: of('blocks.json'),
    disk: of('disk.json'),
    about: of('about.json'),
  }
  return {
    [`${product}-good`]: healthy,
    [`${product}-asked`]: healthy,
    [`${product}-red`]: { ...healthy, health: of('red.json') },
    [`${product}-late`]: { ...healthy, health: [408, of('red.json')] },
    [`${product}-flood`]: { ...healthy, blocks: of('flood.json') },
    [`${product}-rolled`]: { ...healthy, blocks: of('read-only-index.json') },
    [`${product}-readonly`]: { ...healthy, blocks: of('read-only-cluster.json') },
    [`${product}-headless`]: { health: [503, of('no-master.json')], blocks: [503, of('no-master.json')] },
    [`${product}-alone`]: { ...healthy, blocks: of('no-master-blocks.json') },
    [`${product}-forbidden`]: { ...healthy, blocks: [403, of('forbidden.json')] },
    [`${product}-user`]: { ...healthy, auth: { user: 'heartbeat', password: 's3cret', refusal } },
    [`${product}-key`]: { ...healthy, auth: { apiKey: 'VnVhQ2ZHY0JDZGJrU=', refusal } },
  }
}

const ROOT = Object.assign({}, ...PRODUCTS.map(createClusters))

describe('elastic_probe', { skip: findMissingNginx() }, async () => {
  if (findMissingNginx()) return
  const elastic: Elastic = await startElastic(ROOT)
  after(() => elastic.stop())
  const ask = (product: string, condition: string, query: Query = {}) => ({
    url: `${elastic.url}/${product}-${condition}`,
    ...query,
  })

  for (const product of PRODUCTS) {
    const isOpenSearch = product.startsWith('opensearch')

    test(`Probe reports every fact of ${product}`, async () => {
      const { time_ms, ...facts } = await observe(Probe, ask(product, 'good', { disk: true, about: true }))
      assert.ok((time_ms as number) > 0 && (time_ms as number) < 5000)
      const version = { '7.10': '7.10.2', '7.17': '7.17.28', '8.17': '8.17.4', '9.1': '9.1.3', '2.19': '2.19.1' }
      const [name, line] = product.split('-') as ['elasticsearch', keyof typeof version]
      assert.deepEqual(facts, {
        status: 'green',
        cluster: { '7': 'logging', '2': 'opensearch-cluster' }[line.slice(0, 1)] ?? 'search',
        has_master: true,
        nodes: 3,
        data_nodes: 3,
        unassigned_shards: 0,
        initializing_shards: 0,
        relocating_shards: 0,
        active_shards_percent: 100,
        pending_tasks: 0,
        write_block: '',
        write_blocked_indices: 0,
        write_blocked: [],
        read_only_indices: 0,
        cluster_blocks: [],
        disk_free_percent: 11.5,
        product: name,
        version: version[line],
      })
      assert.deepEqual(await check(Probe, ask(product, 'good')), { kind: 'alive' })
    })

    const noMaster = isOpenSearch ? 'cluster_manager_not_discovered_exception' : 'master_not_discovered_exception'
    const flood = /^write_block: "orders and 1 more: disk usage exceeded flood-stage watermark, index has read-o/
    const dead: { name: string; query: Query; reason: string | RegExp }[] = [
      {
        name: 'a red cluster',
        query: ask(product, 'red'),
        reason: 'status: "red" is none of "green", "yellow"',
      },
      {
        name: 'a cluster that did not know its health in time',
        query: ask(product, 'late'),
        reason: 'status: "red" is none of "green", "yellow"',
      },
      { name: 'a full disk', query: ask(product, 'flood'), reason: flood },
      {
        name: 'a cluster that is read-only',
        query: ask(product, 'readonly'),
        reason: 'write_block: "cluster read-only (api)" is not ""',
      },
      { name: 'a cluster without a master', query: ask(product, 'headless'), reason: `503 ${noMaster}` },
      {
        name: 'a node without a master',
        query: ask(product, 'alone', { local: true }),
        reason: `write_block: "no ${isOpenSearch ? 'cluster-manager' : 'master'}" is not ""`,
      },
      {
        name: 'an index that was made read-only, asked for by name',
        query: ask(product, 'rolled', { index: 'logs-2026.01' }),
        reason: 'write_block: "logs-2026.01: index write (api)" is not ""',
      },
      {
        name: 'a cluster that refuses a part',
        query: ask(product, 'forbidden'),
        reason: isOpenSearch
          ? '403 security_exception: no permissions for [cluster:monitor/health] and User [name=heartbeat, backend_roles=[], requestedTenant=null]'
          : /^403 security_exception: action \[cluster:monitor\/state\] is unauthorized for user \[heartbeat\].* granted by the cluster privileges \[monitor,manage,all\]$/,
      },
      {
        name: 'a wrong password',
        query: ask(product, 'user', { user: 'heartbeat', password: 'wr0ng' }),
        reason: isOpenSearch
          ? '401 Unauthorized'
          : '401 security_exception: unable to authenticate user [heartbeat] for REST request [/_cluster/health]',
      },
      {
        name: 'a wrong API key',
        query: ask(product, 'key', { api_key: 'wr0ng' }),
        reason: isOpenSearch ? '401 Unauthorized' : /^401 security_exception: unable to authenticate/,
      },
      {
        name: 'no credentials where they are needed',
        query: ask(product, 'user'),
        reason: isOpenSearch ? '401 Unauthorized' : /^401 security_exception: /,
      },
    ]
    for (const { name, query, reason } of dead) {
      test(`Probe calls ${product} dead with the reason: ${name}`, async () => {
        const outcome = await check(Probe, query)
        assert.equal(outcome.kind, 'dead')
        const said = outcome.kind === 'dead' ? outcome.reason : ''
        if (reason instanceof RegExp) assert.match(said, reason)
        else assert.equal(said, reason)
        assert.doesNotMatch(said, /wr0ng/)
      })
    }

    const alive: { name: string; query: Query }[] = [
      { name: 'the right password', query: ask(product, 'user', { user: 'heartbeat', password: 's3cret' }) },
      { name: 'the right API key', query: ask(product, 'key', { api_key: 'VnVhQ2ZHY0JDZGJrU=' }) },
      { name: 'an old index that was made read-only', query: ask(product, 'rolled') },
    ]
    for (const { name, query } of alive) {
      test(`Probe calls ${product} alive with ${name}`, async () => {
        assert.deepEqual(await check(Probe, query), { kind: 'alive' })
      })
    }

    test(`Probe counts the blocked and the read-only indices of ${product}, and not the closed ones`, async () => {
      const { write_blocked, write_blocked_indices, read_only_indices, write_block } = await observe(
        Probe,
        ask(product, 'flood'),
      )
      assert.deepEqual(
        { write_blocked, write_blocked_indices, read_only_indices },
        { write_blocked: ['logs-2026.11.24', 'orders'], write_blocked_indices: 2, read_only_indices: 3 },
      )
      const said =
        /^orders and 1 more: disk usage exceeded flood-stage watermark, index has read-only-allow-delete block/
      assert.match(write_block as string, said)
    })

    test(`Probe does not ask ${product} for blocks, disk and product when told not to`, async () => {
      const facts = await observe(Probe, ask(product, 'forbidden', { blocks: false }))
      assert.equal(facts.status, 'green')
      assert.deepEqual(
        ['write_block', 'write_blocked', 'cluster_blocks', 'disk_free_percent', 'version', 'product'].filter(
          (name) => name in facts,
        ),
        [],
      )
    })
  }

  test('Probe has the server wait less than the check does, and asks only for what it reads', async () => {
    const name = '/elasticsearch-8.17-asked'
    await check(
      Probe,
      ask('elasticsearch-8.17', 'asked', { timeout: '1s', disk: true, about: true, index: 'logs-*,ordérs' }),
    )
    // nginx writes down what it was asked after it answered.
    const readOurs = () => elastic.readRequests().filter((path) => path.startsWith(name))
    for (let i = 0; i < 100 && readOurs().length < 4; i++) await sleep(10)
    const paths = readOurs().map((path) => new URL(path, 'http://x'))
    assert.deepEqual(
      paths.map(({ pathname }) => pathname.replace(name, '')).sort(),
      [
        '/',
        '/_cluster/health/logs-*,ord%C3%A9rs',
        '/_cluster/state/blocks/logs-*,ord%C3%A9rs',
        '/_nodes/data:true/stats/fs',
      ].sort(),
    )
    for (const { searchParams, pathname } of paths) {
      assert.ok(searchParams.get('filter_path'), pathname)
      for (const wait of ['timeout', 'master_timeout']) assert.ok([null, '600ms'].includes(searchParams.get(wait)))
    }
    assert.equal(paths.filter(({ searchParams }) => searchParams.has('master_timeout')).length, 2)
  })

  test('Probe leaves nothing behind after 300 checks', () =>
    assertNothingLeft(Probe, ask('elasticsearch-8.17', 'good')))

  test('Probe leaves nothing behind after 300 checks that one part refused', () =>
    assertNothingLeft(Probe, ask('elasticsearch-8.17', 'forbidden', { disk: true, about: true }), { kind: 'dead' }))

  test('Probe calls a server that stopped answering dead by timeout, and one that is gone refused', async () => {
    const own = await startElastic(createClusters('elasticsearch-9.1'))
    const query = { url: `${own.url}/elasticsearch-9.1-good`, timeout: '300ms' }
    try {
      assert.deepEqual(await check(Probe, query), { kind: 'alive' })
      own.pause()
      assert.deepEqual(await check(Probe, query), { kind: 'dead', reason: 'timed out after 300 ms', cause: 'timeout' })
      own.resume()
      assert.deepEqual(await check(Probe, query), { kind: 'alive' })
    } finally {
      await own.stop()
    }
    const reason = `connection refused by 127.0.0.1:${own.port}`
    assert.deepEqual(await check(Probe, query), { kind: 'dead', reason })
  })

  test('Probe stops when it is cancelled at any moment', async () => {
    const query = ask('elasticsearch-8.17', 'good', { disk: true, about: true })
    for (const ms of [0, 0.2, 0.5, 1, 1.5, 2, 3]) {
      const controller = new AbortController()
      const asking = observe(Probe, query, controller.signal)
      const startedAt = performance.now()
      while (performance.now() - startedAt < ms) await new Promise(setImmediate)
      controller.abort(new Error('over'))
      await asking.catch((error: Error) => assert.equal(error.message, 'over'))
    }
    await assertNothingLeft(Probe, query, { count: 1 })
  })
})

describe('elastic_probe over TLS', { skip: findMissingNginx() || findMissingOpenssl() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-elastic-tls-'))
  after(() => rmSync(folder, { recursive: true }))

  const cases: {
    name: string
    certificate: Parameters<typeof createCertificate>[2]
    tls?: 'ca' | 'none'
    host?: string
    reason?: string
  }[] = [
    { name: 'accepts the authority of ca_file', certificate: {}, tls: 'ca' },
    {
      name: 'refuses an unknown authority',
      certificate: {},
      tls: 'none',
      reason: 'unable to verify the first certificate',
    },
    { name: 'refuses an expired certificate', certificate: { days: -1 }, tls: 'ca', reason: 'certificate has expired' },
    {
      name: 'refuses the certificate of another host',
      certificate: { names: 'DNS:elsewhere' },
      tls: 'ca',
      reason: "Hostname/IP does not match certificate's altnames: IP: 127.0.0.1 is not in the cert's list: ",
    },
  ]
  for (const [index, { name, certificate, tls, reason }] of cases.entries()) {
    test(`Probe ${name}`, async () => {
      const made = createCertificate(folder, `c${index}`, certificate)
      const server = await startElastic(createClusters('opensearch-2.19'), { tls: made })
      try {
        const query = { url: `${server.url}/opensearch-2.19-good`, ...(tls === 'ca' && { tls: { ca_file: made.ca } }) }
        const outcome = await check(Probe, query)
        assert.deepEqual(outcome, reason === undefined ? { kind: 'alive' } : { kind: 'dead', reason })
      } finally {
        await server.stop()
      }
    })
  }
})

describe('elastic_probe and strange answers', () => {
  const answers: { name: string; status?: number; body: string; query?: Query; reason: string }[] = [
    { name: 'no JSON', body: '<html>', reason: 'answered /_cluster/health with something that is not JSON' },
    { name: 'a list', body: '[]', reason: 'answered /_cluster/health with something that is not JSON' },
    { name: 'another object', body: '{}', reason: 'answered without the health of the cluster' },
    { name: 'a page of a proxy', status: 502, body: '<html>Bad Gateway', reason: 'answered with status 502' },
    { name: 'nothing', status: 500, body: '', reason: 'answered with status 500' },
    {
      name: 'words',
      status: 503,
      body: 'OpenSearch Security not initialized.',
      reason: '503 OpenSearch Security not initialized.',
    },
    {
      name: 'a timeout of the cluster',
      status: 408,
      body: '{"error":{"type":"process_cluster_event_timeout_exception","reason":null},"status":408}',
      reason: '408 process_cluster_event_timeout_exception',
    },
    {
      name: 'an index that is not there',
      body: '{"status":"green","active_primary_shards":0,"unassigned_shards":0,"initializing_shards":0}',
      query: { index: 'lgos-*' },
      reason: 'no open index matches "lgos-*"',
    },
    { name: 'too much', body: `"${'x'.repeat(5_000_000)}"`, reason: 'sent more than 4 MiB' },
    { name: 'long words', status: 500, body: 'x'.repeat(1000), reason: `500 ${'x'.repeat(300)}…` },
  ]
  for (const { name, status = 200, body, query, reason } of answers) {
    test(`Probe calls dead what answers with ${name}`, async (t) => {
      const server = createServer((_, response) => response.writeHead(status).end(body)).listen(0, '127.0.0.1')
      t.after(() => server.close())
      await new Promise((resolve) => server.once('listening', resolve))
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      assert.deepEqual(await check(Probe, { url, blocks: false, ...query }), { kind: 'dead', reason })
    })
  }

  const url = 'http://localhost:9200'
  const bad: { name: string; query: unknown; problems: string[] }[] = [
    { name: 'no url', query: {}, problems: ['url: is missing; it is required'] },
    {
      name: 'no http url',
      query: { url: 'localhost:9200' },
      problems: ['url: "localhost:9200" is not an http or https URL; write it like http://localhost:9200'],
    },
    {
      name: 'a password in the url',
      query: { url: 'http://u:s3cret@localhost' },
      problems: ['url: "http://***@localhost" has a user or password; write them as user and password'],
    },
    {
      name: 'a query in the url',
      query: { url: `${url}/?pretty` },
      problems: ['url: "http://localhost:9200/?pretty" has a "?" or "#"; write the address only'],
    },
    { name: 'a user alone', query: { url, user: 'u' }, problems: ['user: "u" needs a password beside it'] },
    {
      name: 'a password alone',
      query: { url, password: 'p' },
      problems: ['password: the value (not shown) needs a user beside it'],
    },
    {
      name: 'two kinds of credentials',
      query: { url, user: 'u', password: 'p', api_key: 'k' },
      problems: ['api_key: the value (not shown) stands beside user or password; keep one of them'],
    },
    {
      name: 'TLS over http',
      query: { url, tls: true },
      problems: ['tls: true is not used by an http url; write https'],
    },
    {
      name: 'a path as index',
      query: { url, index: 'a/b' },
      problems: ['index: "a/b" is not a list of indices; write orders,logs-*'],
    },
  ]
  for (const { name, query, problems } of bad) {
    test(`Probe refuses ${name}`, async () => assert.deepEqual(await findProblems(Probe, query), problems))
  }

  test('Probe reads its password again for each check', async (t) => {
    const file = join(mkdtempSync(join(tmpdir(), 'deadpool-elastic-')), 'password')
    t.after(() => rmSync(join(file, '..'), { recursive: true }))
    const seen: (string | undefined)[] = []
    const server = createServer(({ headers }, response) => {
      seen.push(headers.authorization)
      response.end('{"status":"green"}')
    }).listen(0, '127.0.0.1')
    t.after(() => server.close())
    await new Promise((resolve) => server.once('listening', resolve))
    writeFileSync(file, 'one\n')
    const query = {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      user: 'u',
      password: { file },
      blocks: false,
    }
    await observe(Probe, query)
    writeFileSync(file, 'two\n')
    await observe(Probe, query)
    assert.deepEqual(
      seen,
      ['u:one', 'u:two'].map((pair) => `Basic ${Buffer.from(pair).toString('base64')}`),
    )
  })
})

describe('elastic_probe and a real cluster', {
  skip: !process.env.DEADPOOL_TEST_ELASTIC && 'DEADPOOL_TEST_ELASTIC is not set',
}, () => {
  const url = new URL(process.env.DEADPOOL_TEST_ELASTIC ?? 'http://localhost:9200')
  const { username, password } = url
  url.username = ''
  url.password = ''
  const query = {
    url: String(url).replace(/\/$/, ''),
    ...(username && { user: decodeURIComponent(username), password: decodeURIComponent(password) }),
    ...(url.protocol === 'https:' && { tls: { insecure: true } }),
  }

  test('Probe calls it alive and reports every fact', async () => {
    const facts = await observe(Probe, { ...query, disk: true, about: true })
    const missing = Object.keys(Probe.facts).filter((name) => facts[name] === undefined)
    assert.deepEqual(missing, [])
    assert.equal((await check(Probe, query)).kind, 'alive')
  })

  test('Probe says that an index is not there', async () => {
    const outcome = await check(Probe, { ...query, index: 'deadpool-no-such-index-*' })
    assert.deepEqual(outcome, { kind: 'dead', reason: 'no open index matches "deadpool-no-such-index-*"' })
  })
})
