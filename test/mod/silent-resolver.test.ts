import assert from 'node:assert/strict'
import * as dns from 'node:dns'
import { after, before, describe, mock, test } from 'node:test'
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
import { check, type Query } from './checking.ts'

const host = 'silent.invalid'
const asked: { name: string; probe: Probe; query: Query }[] = [
  { name: 'elastic_probe', probe: elastic, query: { url: `http://${host}:9200` } },
  { name: 'etcd_probe', probe: etcd, query: { url: `http://${host}:2379` } },
  { name: 'grpc_probe', probe: grpc, query: { host } },
  { name: 'grpc_probe over TLS', probe: grpc, query: { host, tls: true } },
  { name: 'mongo_probe', probe: mongo, query: { url: `mongodb://${host}` } },
  { name: 'mysql_probe', probe: mysql, query: { host, user: 'u' } },
  { name: 'postgres_probe', probe: postgres, query: { host, user: 'u' } },
  { name: 'rabbitmq_probe', probe: rabbitmq, query: { host } },
  {
    name: 'rabbitmq_probe with a management API that refuses',
    probe: rabbitmq,
    query: { host, management: { url: 'http://127.0.0.1:1' } },
  },
  { name: 'redis_probe', probe: redis, query: { host } },
  { name: 'redis_probe of a Sentinel', probe: redis, query: { host, mode: 'sentinel', master_name: 'm' } },
  { name: 'redis_probe of a cluster', probe: redis, query: { host, mode: 'cluster' } },
  { name: 'tcp_probe', probe: tcp, query: { host, port: 25, starttls: 'smtp' } },
  { name: 'url_probe', probe: url, query: { url: `https://${host}` } },
  { name: 'url_probe of a proxy', probe: url, query: { url: 'http://127.0.0.1', proxy: `http://${host}:3128` } },
  { name: 'url_probe of one family', probe: url, query: { url: `http://${host}`, ip_version: 6 } },
]

describe('while the resolver does not answer', () => {
  const { promise: answer, reject } = Promise.withResolvers<never>()
  answer.catch(() => {})
  before(() => void mock.method(dns.promises, 'lookup', () => answer))
  after(() => reject(new Error('the end')))

  for (const { name, probe, query } of asked) {
    test(`${name} is unknown, and says why`, async () => {
      const outcome = await check(probe, { ...query, timeout: '200ms' })
      assert.equal(outcome.kind, 'unknown', JSON.stringify(outcome))
      assert.match(
        outcome.reason,
        /^the resolver of this host d(oes|id) not answer for silent\.invalid( within 200 ms)?$/,
      )
    })
  }
})
