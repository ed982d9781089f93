import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Certificate } from './certificates.ts'

/** Why the tests cannot run here; where skips are forbidden they fail instead. */
export function findMissingNginx(): string | false {
  if (process.env.DEADPOOL_TEST_NO_SKIP || !spawnSync('nginx', ['-v'], { env: ENV }).error) return false
  return 'nginx is missing: apt-get install nginx'
}

/** The questions that a cluster is asked, by the path. */
const PATHS = {
  health: '/_cluster/health',
  blocks: '/_cluster/state/blocks',
  disk: '/_nodes/data:true/stats/fs',
  about: '/',
} as const

/** What a cluster answers: a fixture such as `elasticsearch-8.17/red.json`, with the status 200 if it is not given first. */
export type Answer = string | [status: number, fixture: string]

/** A cluster below the path `/<name>`. */
export interface Cluster extends Partial<Record<keyof typeof PATHS, Answer>> {
  /** Whom it lets in; what the others are told. */
  auth?: { user: string; password: string; refusal: string } | { apiKey: string; refusal: string }
}

export interface ElasticOptions {
  tls?: Certificate
}

/** A real nginx that answers like Elasticsearch or OpenSearch, from recorded answers. */
export interface Elastic {
  url: string
  port: number
  pid: number
  /** What was asked so far, in order. */
  readRequests(): string[]
  pause(): void
  resume(): void
  stop(): Promise<void>
}

const ENV = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }
const FIXTURES = join(import.meta.dirname, '../fixtures/elastic')

/** Starts it; whoever does stops it. */
export async function startElastic(clusters: Record<string, Cluster>, { tls }: ElasticOptions = {}): Promise<Elastic> {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-elastic-'))
  const port = await freePort()
  writeFileSync(join(folder, 'nginx.conf'), writeConfig(folder, port, clusters, tls))
  // One process, so that a signal stops all of it.
  const child = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')], {
    env: ENV,
    stdio: 'ignore',
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  async function stop(): Promise<void> {
    child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
  for (let i = 0; !(await canConnect(port)); i++) {
    if (child.exitCode !== null || i === 500) {
      const log = readFileSync(join(folder, 'error.log'), 'utf8')
      await stop()
      throw new Error(`nginx did not start: ${log}`)
    }
    await sleep(10)
  }
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    port,
    pid: child.pid as number,
    readRequests: () => readFileSync(join(folder, 'access.log'), 'utf8').split('\n').filter(Boolean),
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    stop,
  }
}

function writeConfig(folder: string, port: number, clusters: Record<string, Cluster>, tls?: Certificate): string {
  const locations = Object.entries(clusters).map(([name, cluster]) => writeLocations(folder, name, cluster))
  return `daemon off; master_process off; pid ${folder}/nginx.pid; user root;
events {}
http {
  log_format asked '$request_uri';
  access_log ${folder}/access.log asked; client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  types { application/json json; text/plain txt; }
  server {
    listen 127.0.0.1:${port}${tls ? ' ssl' : ''};
    ${tls ? `ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key};` : ''}
    location /fixtures/ { internal; alias ${FIXTURES}/; }
    ${locations.join('\n    ')}
  }
}
`
}

function writeLocations(folder: string, name: string, { auth, ...answers }: Cluster): string {
  let guard = ''
  if (auth && 'user' in auth) {
    const file = join(folder, `${name}.htpasswd`)
    writeFileSync(file, `${auth.user}:{PLAIN}${auth.password}\n`)
    guard = `auth_basic security; auth_basic_user_file ${file}; error_page 401 /fixtures/${auth.refusal};`
  } else if (auth) {
    // In the rewrite phase, which comes before the answer.
    guard = `error_page 401 /fixtures/${auth.refusal}; if ($http_authorization != "ApiKey ${auth.apiKey}") { return 401; }`
  }
  return Object.entries(answers)
    .map(([question, answer]) => {
      const [status, fixture] = typeof answer === 'string' ? [200, answer] : answer
      const path = PATHS[question as keyof typeof PATHS]
      const say =
        status === 200
          ? `rewrite .* /fixtures/${fixture} last;`
          : // By way of a status that nginx has no use for: a 408 of its own it does not even answer.
            `error_page 418 =${status} /fixtures/${fixture}; return 418;`
      // nginx checks passwords after it rewrites, so the answer lies behind one more location.
      const inner = auth && 'user' in auth ? `try_files /none @${name}_${question};` : say
      const behind = inner === say ? '' : `location @${name}_${question} { ${say} }`
      return `location ${question === 'about' ? '=' : ''} /${name}${path} { ${guard} ${inner} } ${behind}`
    })
    .join('\n    ')
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
