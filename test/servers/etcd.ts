import { freePort } from '../e2e/nginx.ts'
import type { Certificate } from './certificates.ts'
import { findMissing, type ServerProcess, startProcess } from './process.ts'

/** Why no etcd can be started here; where skips are forbidden the tests fail instead. */
export function findMissingEtcd(): string | false {
  return findMissing('etcd', 'etcd-server')
}

/** A real member of etcd. */
export interface Etcd extends ServerProcess {
  port: number
  url: string
  /** Asks its gateway; texts of keys and values are to be in base64. Fails when it refuses. */
  ask(path: string, body: object): Promise<Record<string, unknown>>
}

export interface EtcdOptions {
  /** Flags beside those of a member that stands alone. */
  flags?: string[]
  /** Shows this certificate, and wants one of the same authority. */
  tls?: Certificate | undefined
}

export async function startEtcd({ flags = [], tls }: EtcdOptions = {}): Promise<Etcd> {
  const [port, peerPort] = [await freePort(), await freePort()]
  return startMember({ name: 'one', port, peerPort, cluster: `one=http://127.0.0.1:${peerPort}`, flags, tls })
}

/** Starts a cluster of three members, which elect a leader within a second. */
export async function startEtcdCluster(): Promise<Etcd[]> {
  const names = ['one', 'two', 'three']
  const ports = await Promise.all(
    names.map(async (name) => ({ name, port: await freePort(), peerPort: await freePort() })),
  )
  const cluster = ports.map(({ name, peerPort }) => `${name}=http://127.0.0.1:${peerPort}`).join()
  return Promise.all(ports.map((member) => startMember({ ...member, cluster, flags: [] })))
}

interface Member extends EtcdOptions {
  name: string
  port: number
  peerPort: number
  cluster: string
}

async function startMember({ name, port, peerPort, cluster, flags = [], tls }: Member): Promise<Etcd> {
  const url = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`
  const peerUrl = `http://127.0.0.1:${peerPort}`
  const secure = tls
    ? ['--cert-file', tls.cert, '--key-file', tls.key, '--trusted-ca-file', tls.ca, '--client-cert-auth']
    : []
  const server = await startProcess({
    program: 'etcd',
    args: (folder) => [
      ...['--name', name, '--data-dir', `${folder}/data`, '--logger', 'zap', '--log-outputs', 'stderr'],
      ...['--listen-client-urls', url, '--advertise-client-urls', url],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl, '--initial-cluster', cluster],
      ...['--heartbeat-interval', '50', '--election-timeout', '500', ...secure, ...flags],
    ],
    isReady: (log) => /serving client traffic|ready to serve client requests/.test(log),
  })

  async function ask(path: string, body: object): Promise<Record<string, unknown>> {
    const response = await fetch(url + path, { method: 'POST', body: JSON.stringify(body) })
    const answer = (await response.json()) as Record<string, unknown>
    if (!response.ok) throw new Error(`${path}: ${answer.message ?? answer.error}`)
    return answer
  }

  return { ...server, port, url, ask }
}
