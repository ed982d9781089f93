import { execFile } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFile, statfs } from 'node:fs/promises'
import { get } from 'node:http'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import { Client, credentials } from '@grpc/grpc-js'
import { createClient } from '@redis/client'
import { connect as connectAmqp } from 'amqplib'
import * as dns from 'dns-packet'
import { MongoClient } from 'mongodb'
import { createConnection } from 'mysql2/promise'
import pg from 'pg'
import { findMissingNginx, startElastic } from '../servers/elastic.ts'
import { findMissingEtcd, startEtcd } from '../servers/etcd.ts'
import { startGrpc } from '../servers/grpc.ts'
import { findMissingMariadb, startMariadb } from '../servers/mariadb.ts'
import { startReplicaSet } from '../servers/mongo.ts'
import { findMissingNamed, startNamed } from '../servers/named.ts'
import { findMissingPostgres, startPostgres } from '../servers/postgres.ts'
import { findMissing } from '../servers/process.ts'
import { findMissingRabbitmq, startRabbitmq } from '../servers/rabbitmq.ts'
import { findMissingRedis, startRedis } from '../servers/redis.ts'
import { startComponent } from './component.ts'

/** A real server that can be asked by a module and by its library. */
export interface Started {
  query: Record<string, unknown>
  /** Asks the same with the bare library. */
  bare(): Promise<unknown>
  stop(): Promise<unknown>
}

export interface Case {
  module: string
  /** What it is held against. */
  library: string
  findMissing?: () => string | false
  start(): Promise<Started>
}

const HEALTHY = 'elasticsearch-8.17'
const CLUSTER = {
  health: `${HEALTHY}/health.json`,
  blocks: `${HEALTHY}/blocks.json`,
  disk: `${HEALTHY}/disk.json`,
  about: `${HEALTHY}/about.json`,
}

/** One for each stock module. */
export const CASES: Case[] = [
  {
    module: 'url_probe',
    library: 'node:http',
    async start() {
      const { url, stop } = await startComponent()
      return { query: { url: `${url}/m` }, bare: () => askHttp(`${url}/b`), stop }
    },
  },
  {
    module: 'elastic_probe',
    library: 'node:http, the same questions',
    findMissing: findMissingNginx,
    async start() {
      const { url, stop } = await startElastic({ c: CLUSTER })
      const bare = async () => {
        for (const path of ['/_cluster/health', '/_cluster/state/blocks', '/_nodes/stats/fs'])
          await askHttp(`${url}/c${path}`)
      }
      return { query: { url: `${url}/c` }, bare, stop }
    },
  },
  {
    module: 'etcd_probe',
    library: 'node:http, the same number of questions',
    findMissing: findMissingEtcd,
    async start() {
      const { url, stop } = await startEtcd()
      const ask = async () => {
        for (let i = 0; i < 4; i++) await askHttp(`${url}/health`)
      }
      return { query: { url }, bare: ask, stop }
    },
  },
  {
    module: 'postgres_probe',
    library: 'pg',
    findMissing: findMissingPostgres,
    async start() {
      const { port, sql, stop } = await startPostgres()
      await sql("CREATE ROLE bench LOGIN PASSWORD 'bench-password'")
      const login = { host: '127.0.0.1', port, user: 'bench', password: 'bench-password', database: 'postgres' }
      const bare = async () => {
        const client = new pg.Client(login)
        await client.connect()
        await client.query('SELECT 1')
        await client.end()
      }
      return { query: login, bare, stop }
    },
  },
  {
    module: 'rabbitmq_probe',
    library: 'amqplib',
    findMissing: findMissingRabbitmq,
    async start() {
      const { port, stop } = await startRabbitmq()
      const bare = async () => {
        const connection = await connectAmqp({ hostname: '127.0.0.1', port, username: 'guest', password: 'guest' })
        await (await connection.createChannel()).close()
        await connection.close()
      }
      return { query: { host: '127.0.0.1', port }, bare, stop }
    },
  },
  {
    module: 'redis_probe',
    library: '@redis/client',
    findMissing: findMissingRedis,
    async start() {
      const { port, stop } = await startRedis()
      const bare = async () => {
        const client = createClient({ socket: { host: '127.0.0.1', port, reconnectStrategy: false } })
        client.on('error', () => {})
        await client.connect()
        await Promise.all([client.ping(), client.info()])
        client.destroy()
      }
      return { query: { host: '127.0.0.1', port }, bare, stop }
    },
  },
  {
    module: 'mysql_probe',
    library: 'mysql2',
    findMissing: findMissingMariadb,
    async start() {
      const { port, sql, stop } = await startMariadb()
      await sql("CREATE USER bench@'%' IDENTIFIED BY 'bench-password'")
      const login = { host: '127.0.0.1', port, user: 'bench', password: 'bench-password' }
      const bare = async () => {
        const connection = await createConnection(login)
        await connection.query('SELECT 1')
        await connection.end()
      }
      return { query: login, bare, stop }
    },
  },
  {
    module: 'mongo_probe',
    library: 'mongodb',
    async start() {
      const { hosts, stop } = await startReplicaSet()
      const url = `mongodb://${hosts}/?replicaSet=rs0`
      const bare = async () => {
        const client = new MongoClient(url, { maxPoolSize: 1, retryReads: false, retryWrites: false })
        await client.connect()
        await client.db('admin').command({ replSetGetStatus: 1 })
        await client.close(true)
      }
      return { query: { url }, bare, stop }
    },
  },
  {
    module: 'grpc_probe',
    library: '@grpc/grpc-js',
    async start() {
      const { port, stop } = await startGrpc()
      return { query: { host: '127.0.0.1', port }, bare: () => askGrpc(`127.0.0.1:${port}`), stop }
    },
  },
  {
    module: 'tcp_probe',
    library: 'node:net',
    async start() {
      const { url, stop } = await startComponent()
      const port = Number(new URL(url).port)
      return { query: { host: '127.0.0.1', port }, bare: () => connectOnce(port), stop }
    },
  },
  {
    module: 'dns_probe',
    library: 'dns-packet, node:dgram',
    findMissing: findMissingNamed,
    async start() {
      const { port, stop } = await startNamed(ZONE)
      return { query: { host: '127.0.0.1', port, name: 'www.example.org' }, bare: () => askDns(port), stop }
    },
  },
  {
    module: 'icmp_probe',
    library: 'node:child_process',
    findMissing: () => findMissing('ping', 'iputils-ping'),
    start: async () => ({
      query: { host: '127.0.0.1', count: 1 },
      bare: () => promisify(execFile)('ping', ['-n', '-q', '-c', '1', '127.0.0.1']),
      stop: async () => {},
    }),
  },
  {
    module: 'exec_probe',
    library: 'node:child_process',
    start: async () => ({
      query: { command: ['/bin/true'] },
      bare: () => promisify(execFile)('/bin/true'),
      stop: async () => {},
    }),
  },
  {
    module: 'host_probe',
    library: 'node:fs, the same files',
    start: async () => ({
      query: { paths: ['/'] },
      bare: () => Promise.all([statfs('/'), ...HOST_FILES.map((file) => readFile(file, 'utf8'))]),
      stop: async () => {},
    }),
  },
]

const ZONE = {
  origin: 'example.org',
  records: '$TTL 300\n@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns\nns A 127.0.0.1\nwww A 192.0.2.80\n',
}

const HOST_FILES = ['/proc/meminfo', '/proc/loadavg', '/proc/uptime']

function askHttp(url: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  get(url, { agent: false }, (answer) => answer.resume().on('end', resolve)).on('error', reject)
  return promise
}

async function connectOnce(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.destroy()
}

async function askDns(port: number): Promise<void> {
  const socket = createSocket('udp4')
  const questions = [{ type: 'A' as const, name: 'www.example.org' }]
  socket.send(dns.encode({ type: 'query', id: 7, flags: dns.RECURSION_DESIRED, questions }), port, '127.0.0.1')
  const [answer] = await once(socket, 'message')
  dns.decode(answer)
  socket.close()
}

/** One call with a channel of its own. */
function askGrpc(address: string): Promise<void> {
  const client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const same = (bytes: Buffer) => bytes
  client.makeUnaryRequest('/grpc.health.v1.Health/Check', same, same, Buffer.alloc(0), (error) => {
    client.close()
    if (error) reject(error)
    else resolve()
  })
  return promise
}
