import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  BINARY,
  childrenOf,
  finallyDo,
  isRunning,
  type LogLine,
  makeFolder,
  startDeadPool,
  TOKEN,
  waitFor,
  writeConfig,
} from './binary.ts'
import { startComponent, urlProbe } from './component.ts'
import { startLoad } from './load.ts'

/** Starts what follows again and again with the sockets that it was given itself, as systemd does with a unit. */
const SUPERVISOR = `
trap 'kill "$child"; wait; exit' TERM
while true; do
  (export LISTEN_PID=$BASHPID; exec "$@") & child=$!
  wait "$child"
done`

export interface Activated {
  folder: string
  urls: string[]
  pid(): number
  log(): LogLine[]
  ask(url?: string): Promise<{ status: number; text: string }>
}

async function findPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Runs DeadPool under sockets that somebody else holds; `names` are those of the sockets. */
async function activate(
  context: TestContext,
  options: { probes: string; port?: number; names?: string[] },
): Promise<Activated> {
  const { names = ['deadpool.socket'] } = options
  const folder = makeFolder(context)
  const file = join(folder, 'deadpool.yml')
  writeFileSync(file, writeConfig(options).replace('port: 0', `port: ${options.port ?? 0}`))
  const ports = await Promise.all(names.map(findPort))
  const listens = ports.flatMap((port) => ['--listen', `127.0.0.1:${port}`])
  const args = [...listens, `--fdname=${names.join(':')}`, 'bash', '-c', SUPERVISOR, 'bash', BINARY, '--config', file]
  const supervisor = spawn('systemd-socket-activate', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  supervisor.stdout.on('data', (chunk) => (output += chunk))
  supervisor.stderr.on('data', (chunk) => (output += chunk))
  const pid = () => JSON.parse(readFileSync(join(folder, 'probe/state/spiderman.json'), 'utf8')).pid as number
  finallyDo(context, async () => {
    supervisor.kill('SIGKILL')
    const last = await waitFor('its notes', pid).catch(() => undefined)
    if (last !== undefined && isRunning(last)) process.kill(last, 'SIGKILL')
  })
  const urls = ports.map((port) => `http://127.0.0.1:${port}/`)
  const ask = async (url = urls[0] as string) => {
    const answer = await fetch(url, {
      headers: { authorization: `Bearer ${TOKEN}`, connection: 'close' },
      signal: AbortSignal.timeout(10_000),
    })
    return { status: answer.status, text: await answer.text() }
  }
  await waitFor('the sockets', () => output.split('Listening on').length > ports.length)
  await ask()
  const log = () =>
    output.split('\n').flatMap((line) => {
      try {
        return line.startsWith('{') ? [JSON.parse(line) as LogLine] : []
      } catch {
        return [] // still being written
      }
    })
  return { folder, urls, pid, log, ask }
}

const said = (activated: Activated, text: string | RegExp) =>
  activated.log().filter(({ message }) => (typeof text === 'string' ? message.includes(text) : text.test(message)))

test('20 restarts under a passed socket and load: no request fails, and no answer is wrong', async (context) => {
  const component = await startComponent(context)
  const activated = await activate(context, { probes: urlProbe('web', component.url) })
  await waitFor('the first check', async () => (await activated.ask()).text === 'OK\nTEST SERVER\n')
  const load = startLoad(context, { url: activated.urls[0] as string, component })
  await sleep(1000)
  for (let restart = 1; restart <= 20; restart++) {
    const former = activated.pid()
    // In the middle of every fourth restart the component turns.
    if (restart % 4 === 0) load.turn(restart % 8 === 0 ? 200 : 500)
    process.kill(former, 'SIGTERM')
    await waitFor('the next one', () => activated.pid() !== former)
    await sleep(500)
  }
  await sleep(500)
  const { count, slowestMs } = await load.judge()
  context.diagnostic(`${count} requests, the slowest took ${Math.round(slowestMs)} ms`)
  assert.ok(count > 5000, `${count} requests`)
  assert.equal(said(activated, /^stopping: SIGTERM$/).length, 20)
  assert.deepEqual(said(activated, 'WatchMan ended'), [])
})

test('several passed sockets are listened on, named in the log, kept by a reload, and known to no other process', async (context) => {
  const component = await startComponent(context)
  component.status(500)
  const probes = urlProbe('web', component.url)
  const activated = await activate(context, { probes, port: 9, names: ['one.socket', 'two'] })
  const [one, two] = activated.urls as [string, string]
  await waitFor('the first check', async () => (await activated.ask(two)).status === 503)
  assert.equal((await activated.ask(one)).status, 503)
  assert.equal(said(activated, `answers at ${one}, on the passed sockets one.socket, two`).length, 1)
  const [mismatch] = said(activated, 'do not count')
  assert.equal(mismatch?.level, 'warn')
  assert.match(
    mismatch?.message ?? '',
    /^WEB\.host 127\.0\.0\.1 and WEB\.port 9 do not count: the service manager passed a socket of 127\.0\.0\.1 port \d+, 127\.0\.0\.1 port \d+$/,
  )

  const pid = activated.pid()
  const listening = new Set([3, 4].map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`)))
  const [watcher] = childrenOf(pid) as [number]
  const open = readdirSync(`/proc/${watcher}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${watcher}/fd/${fd}`)
    } catch {
      return '' // closed meanwhile
    }
  })
  assert.ok(open.length > 5, open.join(' '))
  assert.deepEqual(
    open.filter((name) => listening.has(name)),
    [],
  )
  assert.doesNotMatch(readFileSync(`/proc/${watcher}/environ`, 'utf8'), /\0(LISTEN|NOTIFY|WATCHDOG)_/)

  const file = join(activated.folder, 'deadpool.yml')
  writeFileSync(file, writeConfig({ probes, web: 'base_url: /health' }).replace('port: 0', 'port: 10'))
  process.kill(pid, 'SIGHUP')
  await waitFor('the reload', () => said(activated, 'the configuration was loaded again').length === 1)
  for (const url of activated.urls) {
    assert.equal((await activated.ask(`${url}health`)).status, 503)
    assert.equal((await activated.ask(url)).status, 404)
  }

  process.kill(pid, 'SIGUSR2')
  await waitFor('the next process', () => activated.pid() !== pid)
  await waitFor('the former one to go', () => !isRunning(pid))
  for (const url of activated.urls) assert.equal((await activated.ask(`${url}health`)).status, 503)
  assert.equal(said(activated, `sockets one.socket, two, in the place of process ${pid}`).length, 1)
})

test('sockets that are meant for another process are left alone, and that is said', async (context) => {
  const deadpool = await startDeadPool(context, {
    probes: 'a: { module: url_probe, query: { url: "http://127.0.0.1:1/" } }',
    env: { LISTEN_FDS: '1', LISTEN_PID: '1' },
  })
  await deadpool.becomes(503)
  const remark = deadpool.log().find(({ message }) => message.startsWith('LISTEN_FDS=1 '))
  assert.match(
    remark?.message ?? '',
    / is for process 1, not for this one \(\d+\): no passed socket is used; .* "exec" deadpool$/,
  )
})

test('a passed descriptor that is no listening socket is one clear line and exit code 1', async (context) => {
  const folder = makeFolder(context)
  writeFileSync(
    join(folder, 'deadpool.yml'),
    writeConfig({ probes: 'a: { module: url_probe, query: { url: "http://127.0.0.1:1/" } }' }),
  )
  const script = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" 3</dev/null'
  const child = spawn('bash', ['-c', script, BINARY], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  const [text, [code]] = await Promise.all([child.stderr.setEncoding('utf8').toArray(), once(child, 'close')])
  assert.equal(code, 1)
  assert.match(
    text.join(''),
    /^deadpool: cannot listen on the passed socket "unknown" \(descriptor 3\): .*; a "\.socket" unit for DeadPool has ListenStream= and Accept=no\n$/,
  )
})

test('a request under way when DeadPool is told to stop is answered, and its kept connection is closed with the answer', async (context) => {
  // Such a request hangs on the disk of the flags; here it is one that is still being sent.
  const component = await startComponent(context)
  const deadpool = await startDeadPool(context, { probes: urlProbe('web', component.url) })
  await deadpool.becomes(200)
  const { hostname, port } = new URL(deadpool.url)
  const socket = connect(Number(port), hostname)
  finallyDo(context, () => socket.destroy())
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk) => (text += chunk))
  const request = `GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`
  socket.write(request)
  await waitFor('the first answer', () => text.includes('TEST SERVER'))
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n/)
  assert.doesNotMatch(text, /connection: close/i)
  text = ''
  socket.write(request.slice(0, 20))
  const stopping = deadpool.stop()
  await sleep(300)
  socket.write(request.slice(20))
  await once(socket, 'close')
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n[\s\S]*connection: close\r\n[\s\S]*TEST SERVER\n$/i)
  assert.equal((await stopping).code, 0)
})
