import { chmodSync, cpSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCertificate } from '../servers/certificates.ts'
import { startElastic } from '../servers/elastic.ts'
import { startEtcd } from '../servers/etcd.ts'
import { startGrpc } from '../servers/grpc.ts'
import { startMariadb } from '../servers/mariadb.ts'
import { startMember } from '../servers/mongo.ts'
import { startNamed } from '../servers/named.ts'
import { startPostgres } from '../servers/postgres.ts'
import { startRabbitmq } from '../servers/rabbitmq.ts'
import { startRedis } from '../servers/redis.ts'

/**
 * A program of its own: starts a server for each stock module that asks one, where DeadPool's unit is tried, and then writes
 * the probes for them, as YAML, into the given folder. Passwords are files there. It runs until it is killed.
 */
const [folder = ''] = process.argv.slice(2)
const password = 's3cret'

mkdirSync(join(folder, 'pem'), { recursive: true })
const tls = createCertificate(join(folder, 'pem'), 'one')
const [redis, etcd, postgres, mariadb, mongo, rabbitmq, grpc, elastic, named] = await Promise.all([
  startRedis({ tls, settings: ['--requirepass', password] }),
  startEtcd(),
  startPostgres({ tls }),
  startMariadb({ tls }),
  startMember({ tls, user: { name: 'deadpool', password, mechanisms: ['SCRAM-SHA-256'] } }),
  startRabbitmq({ tls }),
  startGrpc({ tls: { cert: tls.cert, key: tls.key } }),
  startElastic(
    { one: { health: 'elasticsearch-8.17/health.json', blocks: 'elasticsearch-8.17/blocks.json' } },
    { tls },
  ),
  startNamed({ origin: 'one.test', records: '@ 60 SOA a b 1 60 60 60 60\n@ 60 NS a\na 60 A 192.0.2.1\n' }, { tls }),
])
await Promise.all([
  postgres.sql(`CREATE USER deadpool PASSWORD '${password}'`),
  mariadb.sql(`CREATE USER deadpool IDENTIFIED BY '${password}'`),
])

cpSync(tls.ca, join(folder, 'ca.pem'))
writeFileSync(join(folder, 'password'), password)
for (const file of ['ca.pem', 'password']) chmodSync(join(folder, file), 0o644)
const secure = { tls: { ca_file: join(folder, 'ca.pem') } }
const login = { user: 'deadpool', password: { file: join(folder, 'password') } }
const host = 'localhost'
const probes = {
  redis: { module: 'redis_probe', query: { host, port: redis.tlsPort, password: login.password, ...secure } },
  etcd: { module: 'etcd_probe', query: { url: etcd.url } },
  postgres: { module: 'postgres_probe', query: { host, port: postgres.port, ...login, ...secure } },
  mysql: { module: 'mysql_probe', query: { host, port: mariadb.port, ...login, ...secure } },
  mongo: { module: 'mongo_probe', query: { url: `mongodb://localhost:${mongo.port}`, ...login, ...secure } },
  rabbitmq: { module: 'rabbitmq_probe', query: { host, port: rabbitmq.tlsPort, ...secure } },
  grpc: { module: 'grpc_probe', query: { host, port: grpc.port, ...secure } },
  elastic: { module: 'elastic_probe', query: { url: `https://localhost:${elastic.port}/one`, ...secure } },
  dns: { module: 'dns_probe', query: { host, port: named.port, name: 'a.one.test', recursion: false } },
  dns_tls: {
    module: 'dns_probe',
    query: { host, port: named.tlsPort, name: 'a.one.test', recursion: false, transport: 'tls', ...secure },
  },
  tcp: { module: 'tcp_probe', query: { host, port: postgres.port, starttls: 'postgres', ...secure } },
}
const lines = Object.entries(probes).map(([name, probe]) => `  ${name}: ${JSON.stringify(probe)}\n`)
writeFileSync(join(folder, 'draft'), lines.join(''))
renameSync(join(folder, 'draft'), join(folder, 'probes'))
