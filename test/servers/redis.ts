import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { waitFor } from '../e2e/binary.ts'
import { freePort } from '../e2e/nginx.ts'
import type { Certificate } from './certificates.ts'
import { findMissing, type ServerProcess, startProcess } from './process.ts'

/** Why no Redis can be started here; where skips are forbidden the tests fail instead. */
export function findMissingRedis(): string | false {
  return findMissing('redis-server', 'redis-server') || findMissing('redis-sentinel', 'redis-sentinel')
}

/** A real Redis, alone unless its settings say otherwise. */
export interface Redis extends ServerProcess {
  port: number
  /** Where it speaks TLS, if it was given a certificate. */
  tlsPort: number
  /** The path of its Unix socket. */
  path: string
  /** Runs `redis-cli` as the user without a password, or by `--user` and `--pass`. */
  cli(...args: string[]): Promise<string>
}

export interface RedisOptions {
  /** Settings beside those of an empty server that saves nothing: `['--maxmemory', '10mb']`. */
  settings?: string[]
  tls?: Certificate
  port?: number
  /** Does not wait until it has read its data. */
  isLoading?: boolean
}

export async function startRedis(options: RedisOptions = {}): Promise<Redis> {
  const { settings = [], tls, isLoading, port = await freePort() } = options
  const tlsPort = tls ? await freePort() : 0
  const secure = tls
    ? ['--tls-port', `${tlsPort}`, '--tls-cert-file', tls.cert, '--tls-key-file', tls.key, '--tls-ca-cert-file', tls.ca]
    : []
  const server = await startProcess({
    program: 'redis-server',
    args: (folder) => [
      ...['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--unixsocket', `${folder}/sock`],
      ...[
        '--enable-debug-command',
        'yes',
        '--enable-protected-configs',
        'yes',
        '--tls-auth-clients',
        'no',
        ...secure,
        ...settings,
      ],
    ],
    isReady: (log) => log.includes(isLoading ? 'Server initialized' : 'Ready to accept connections'),
  })
  return { ...server, port, tlsPort, path: join(server.folder, 'sock'), cli: createCli(port) }
}

function createCli(port: number): Redis['cli'] {
  return async (...args) => {
    const { stdout } = await promisify(execFile)('redis-cli', ['-p', `${port}`, '--no-auth-warning', '-e', ...args])
    return stdout.trim()
  }
}

export interface Sentinel extends ServerProcess {
  port: number
  cli: Redis['cli']
}

/** Starts one Sentinel, whose word is enough, for the master at `port`; it notices after 300 ms that it is gone. */
export async function startSentinel(
  port: number,
  { name, password, masterPassword }: { name: string; password: string; masterPassword: string },
): Promise<Sentinel> {
  const own = await freePort()
  const server = await startProcess({
    program: 'redis-sentinel',
    args(folder) {
      const config = join(folder, 'sentinel.conf')
      writeFileSync(
        config,
        `port ${own}
bind 127.0.0.1
dir ${folder}
requirepass ${password}
sentinel monitor ${name} 127.0.0.1 ${port} 1
sentinel auth-pass ${name} ${masterPassword}
sentinel down-after-milliseconds ${name} 300
sentinel failover-timeout ${name} 3000
`,
      )
      return [config]
    },
    isReady: (log) => log.includes('+monitor master'),
  })
  return { ...server, port: own, cli: createCli(own) }
}

/** Starts three masters and makes a cluster of them, by `redis-cli --cluster create`; a node is missed after 500 ms. */
export async function startRedisCluster(): Promise<Redis[]> {
  const settings = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '500']
  const nodes = await Promise.all([1, 2, 3].map(() => startNode(settings)))
  const [first] = nodes
  if (!first) throw new Error('there is no node')
  await first.cli('--cluster', 'create', ...nodes.map(({ port }) => `127.0.0.1:${port}`), '--cluster-yes')
  for (const node of nodes) {
    await waitFor('the cluster', async () => (await node.cli('cluster', 'info')).includes('cluster_state:ok'))
  }
  return nodes
}

/** The nodes talk on a port of their own: by itself 10,000 above, which may be none. */
async function startNode(settings: string[]): Promise<Redis> {
  return startRedis({ settings: [...settings, '--cluster-port', `${await freePort()}`] })
}
