import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { finallyDo, makeFolder, skip, waitFor } from './binary.ts'

/** A real nginx that plays Elasticsearch's `_cat/health`. */
export interface Nginx {
  port: number
  url: string
  /** Changes what it answers, without a restart. */
  say(health: 'green' | 'red'): void
  /** Stops it: connections are refused from then on. */
  stop(): Promise<void>
  start(): Promise<void>
}

/** Tells whether `program` is missing, and then skips the test with the command that installs it. */
export function isMissing(context: TestContext, program: string, debianPackage: string): boolean {
  const isThere = spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin:/sbin command -v ${program}`]).status === 0
  if (isThere) return false
  skip(context, `${program} is missing: apt-get install ${debianPackage}`)
  return true
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

export async function startNginx(context: TestContext): Promise<Nginx> {
  const folder = makeFolder(context)
  const port = await freePort()
  mkdirSync(join(folder, 'html/_cat'), { recursive: true })
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log; user root;
events {}
http {
  access_log ${folder}/access.log; client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  server { listen 127.0.0.1:${port}; root ${folder}/html; default_type text/plain; }
}
`,
  )
  let child: ChildProcess | undefined
  async function stop(): Promise<void> {
    if (!child) return
    const ending = child
    child = undefined
    const gone = new Promise((resolve) => ending.once('close', resolve))
    ending.kill('SIGTERM')
    await gone
  }
  async function start(): Promise<void> {
    child = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')], {
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
      stdio: 'ignore',
    })
    await waitFor('nginx', () => canConnect(port))
  }
  const say: Nginx['say'] = (health) =>
    writeFileSync(
      join(folder, 'html/_cat/health'),
      `1700000000 12:00:00 elasticsearch ${health} 3 3 10 5 0 0 0 0 - 100.0%\n`,
    )
  finallyDo(context, stop)
  say('green')
  await start()
  return { port, url: `http://127.0.0.1:${port}/_cat/health`, say, stop, start }
}

export function canConnect(port: number): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(undefined))
  })
}
