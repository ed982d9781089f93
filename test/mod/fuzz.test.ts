import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Probe as elastic } from '../../mod/elastic_probe.ts'
import { Probe as etcd } from '../../mod/etcd_probe.ts'
import { Probe as grpc } from '../../mod/grpc_probe.ts'
import { Probe as mongo } from '../../mod/mongo_probe.ts'
import { Probe as mysql } from '../../mod/mysql_probe.ts'
import { Probe as postgres } from '../../mod/postgres_probe.ts'
import { Probe as rabbitmq } from '../../mod/rabbitmq_probe.ts'
import { Probe as redis } from '../../mod/redis_probe.ts'
import { Probe as tcp } from '../../mod/tcp_probe.ts'
import { Probe as url } from '../../mod/url_probe.ts'
import type { Probe } from '../../src/modules/define-probe.ts'
import { createCertificate, findMissingOpenssl } from '../servers/certificates.ts'
import { findMissingNginx, startElastic } from '../servers/elastic.ts'
import { findMissingEtcd, startEtcd } from '../servers/etcd.ts'
import { startGrpc } from '../servers/grpc.ts'
import { findMissingMariadb, startMariadb } from '../servers/mariadb.ts'
import { startMember } from '../servers/mongo.ts'
import { findMissingPostgres, startPostgres } from '../servers/postgres.ts'
import { findMissingRabbitmq, startRabbitmq } from '../servers/rabbitmq.ts'
import { findMissingRedis, startRedis } from '../servers/redis.ts'
import { checkPrepared, prepare, type Query } from './checking.ts'

/**
 * Real servers behind a proxy that does one wrong thing to what they answer, at a random place. `DEADPOOL_FUZZ_CASES` makes it
 * more than a few, `DEADPOOL_FUZZ_SEED` others.
 */
const CASES = Number(process.env.DEADPOOL_FUZZ_CASES ?? 18)
const SEED = Number(process.env.DEADPOOL_FUZZ_SEED ?? 750_954)
const TIMEOUT_MS = 150

/** Numbers from 0 to 1 that a seed repeats (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** What becomes of an answer from a byte on: what the probe gets instead, and how it goes on. */
const FAULTS = {
  end: (socket: Socket) => socket.end(),
  reset: (socket: Socket) => socket.resetAndDestroy(),
  hang: () => {},
  garbage: (socket: Socket, _rest: Buffer, random: () => number) =>
    socket.write(Buffer.from(Array.from({ length: 1 + Math.floor(random() * 2000) }, () => random() * 256))),
  flip: (socket: Socket, rest: Buffer, random: () => number) => {
    const bytes = Buffer.from(rest)
    bytes[0] = (bytes[0] ?? 0) ^ (1 << Math.floor(random() * 8))
    socket.write(bytes)
  },
  huge: (socket: Socket, rest: Buffer) => socket.write(Buffer.concat([Buffer.alloc(4, 0xff), rest])),
  lost: (socket: Socket, rest: Buffer) => socket.write(rest.subarray(1)),
  twice: (socket: Socket, rest: Buffer) => socket.write(Buffer.concat([rest, rest])),
  drip: (socket: Socket, rest: Buffer) => {
    let at = 0
    const timer = setInterval(() => {
      if (at < rest.length && !socket.destroyed) socket.write(rest.subarray(at, ++at))
      else clearInterval(timer)
    }, 2)
  },
}
type Fault = keyof typeof FAULTS
/** After these the answer goes on as the server gives it. */
const PASSING: readonly Fault[] = ['flip', 'huge', 'lost', 'twice']

interface FaultyProxy {
  port: number
  /** Does the fault at that byte of what the server says, over each connection. */
  plan(fault: Fault | undefined, offset: number): void
  /** How many bytes the server said at most. */
  longest(): number
  isIdle(): boolean
  close(): void
}

async function startProxy(target: number, random: () => number): Promise<FaultyProxy> {
  let fault: Fault | undefined
  let offset = 0
  let longest = 0
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1')
    let said = 0
    let isDone = false
    for (const socket of [client, upstream]) {
      sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)))
    }
    client.on('data', (chunk) => upstream.write(chunk))
    client.on('close', () => upstream.destroy())
    upstream.on('end', () => (isDone ? undefined : client.end()))
    upstream.on('data', (chunk: Buffer) => {
      const before = said
      said += chunk.length
      longest = Math.max(longest, said)
      if (fault === undefined || said <= offset) return client.write(chunk)
      if (isDone) return PASSING.includes(fault) ? client.write(chunk) : undefined
      isDone = !PASSING.includes(fault)
      if (before > offset) return client.write(chunk)
      client.write(chunk.subarray(0, offset - before))
      FAULTS[fault](client, chunk.subarray(offset - before), random)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    plan(next, at) {
      fault = next
      offset = at
    },
    longest: () => longest,
    isIdle: () => sockets.size === 0,
    close: () => server.close(),
  }
}

/** What must not be read at night: a stack, a driver's talk, a secret. */
const NOISE = /\n\s+at |node:internal|\[object|(?<!wire version )undefined|NaN|ERR_|Error:|s3cret/

const folder = mkdtempSync(join(tmpdir(), 'deadpool-fuzz-'))
after(() => rmSync(folder, { recursive: true }))
const certificate = findMissingOpenssl() ? undefined : createCertificate(folder, 'fuzz')
const tls = certificate && { ca_file: certificate.ca }
const host = '127.0.0.1'

interface Target {
  name: string
  probe: Probe
  skip: string | false
  start(): Promise<{ port: number; query: (port: number) => Query; stop(): Promise<void> }>
}

const targets: Target[] = [
  {
    name: 'elastic_probe',
    probe: elastic,
    skip: findMissingNginx(),
    async start() {
      const of = (name: string) => `elasticsearch-8.17/${name}.json`
      const server = await startElastic({
        es: { health: of('health'), blocks: of('blocks'), disk: of('disk'), about: of('about') },
      })
      const port = Number(new URL(server.url).port)
      return { ...server, port, query: (at) => ({ url: `http://${host}:${at}/es`, disk: true, about: true }) }
    },
  },
  {
    name: 'etcd_probe',
    probe: etcd,
    skip: findMissingEtcd(),
    async start() {
      const server = await startEtcd()
      const port = Number(new URL(server.url).port)
      return { ...server, port, query: (at) => ({ url: `http://${host}:${at}` }) }
    },
  },
  {
    name: 'grpc_probe',
    probe: grpc,
    skip: false,
    async start() {
      const server = await startGrpc()
      return { ...server, query: (port) => ({ host, port }) }
    },
  },
  {
    name: 'mongo_probe',
    probe: mongo,
    skip: false,
    async start() {
      const server = await startMember({ user: { name: 'u', password: 's3cret', mechanisms: ['SCRAM-SHA-1'] } })
      const port = Number(server.address.split(':')[1])
      return { ...server, port, query: (at) => ({ url: `mongodb://${host}:${at}`, user: 'u', password: 's3cret' }) }
    },
  },
  {
    name: 'mysql_probe',
    probe: mysql,
    skip: findMissingMariadb(),
    async start() {
      const server = await startMariadb()
      await server.sql(`CREATE USER 'u'@'%' IDENTIFIED BY 's3cret'`)
      const sql = 'SELECT 1 AS one, 2.5 AS two'
      return { ...server, query: (port) => ({ host, port, user: 'u', password: 's3cret', sql }) }
    },
  },
  {
    name: 'postgres_probe',
    probe: postgres,
    skip: findMissingPostgres(),
    async start() {
      const server = await startPostgres()
      await server.sql(`CREATE USER u PASSWORD 's3cret'`)
      const sql = 'SELECT 1 AS one, 2.5 AS two'
      return { ...server, query: (port) => ({ host, port, user: 'u', password: 's3cret', sql }) }
    },
  },
  {
    name: 'rabbitmq_probe',
    probe: rabbitmq,
    skip: findMissingRabbitmq(),
    async start() {
      const server = await startRabbitmq()
      return { ...server, query: (port) => ({ host, port }) }
    },
  },
  {
    name: 'redis_probe',
    probe: redis,
    skip: findMissingRedis(),
    async start() {
      const server = await startRedis({ settings: ['--requirepass', 's3cret'] })
      return { ...server, query: (port) => ({ host, port, password: 's3cret', write: 'deadpool' }) }
    },
  },
  {
    name: 'tcp_probe over TLS',
    probe: tcp,
    skip: findMissingRedis() || findMissingOpenssl(),
    async start() {
      const server = await startRedis(certificate ? { tls: certificate } : {})
      const script = [{ send: 'PING\r\n' }, { expect: String.raw`^\+PONG\r\n` }]
      return { ...server, port: server.tlsPort, query: (port) => ({ host, port, tls, script }) }
    },
  },
  {
    name: 'url_probe',
    probe: url,
    skip: findMissingNginx(),
    async start() {
      const of = (name: string) => `elasticsearch-8.17/${name}.json`
      const server = await startElastic({ es: { health: of('health') } })
      const port = Number(new URL(server.url).port)
      return { ...server, port, query: (at) => ({ url: `http://${host}:${at}/es/_cluster/health` }) }
    },
  },
]

describe(`with answers cut, delayed and corrupted by the seed ${SEED}`, () => {
  for (const { name, probe, skip, start } of targets) {
    test(`${name} comes to an outcome in time and leaves nothing`, { skip }, async (t) => {
      const server = await start()
      t.after(server.stop)
      const random = createRandom(SEED)
      const proxy = await startProxy(server.port, random)
      t.after(proxy.close)
      const healthy = await prepare(probe, { ...server.query(proxy.port), timeout: 5 })
      assert.deepEqual(await checkPrepared(probe, healthy), { kind: 'alive' })
      const length = proxy.longest()
      const prepared = await prepare(probe, { ...server.query(proxy.port), timeout: TIMEOUT_MS / 1000 })
      const faults = Object.keys(FAULTS) as Fault[]
      for (let i = 0; i < CASES; i++) {
        const fault = faults[i % faults.length] as Fault
        const offset = Math.floor(random() * length)
        const what = `${fault} at byte ${offset} of ${length}, case ${i}`
        proxy.plan(fault, offset)
        const startedMs = performance.now()
        const outcome = await checkPrepared(probe, prepared)
        const tookMs = performance.now() - startedMs
        assert.ok(tookMs < TIMEOUT_MS + 1000, `${what}: took ${tookMs} ms`)
        if (outcome.kind !== 'alive') {
          assert.equal(outcome.kind, 'dead', `${what}: ${outcome.reason}`)
          assert.doesNotMatch(outcome.reason, NOISE, what)
          if (process.env.DEADPOOL_FUZZ_SHOW) t.diagnostic(`${what}: ${outcome.reason}`)
        }
        for (let wait = 0; wait < 100 && !proxy.isIdle(); wait++) await sleep(10)
        assert.ok(proxy.isIdle(), `${what}: a connection is open a second after the check`)
      }
      proxy.plan(undefined, 0)
      assert.deepEqual(await checkPrepared(probe, healthy), { kind: 'alive' }, 'after all')
    })
  }
})
