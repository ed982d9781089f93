import assert from 'node:assert/strict'
import { chmodSync, cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  BINARY,
  childrenOf,
  finallyDo,
  isRunning,
  makeFolder,
  runBinary,
  skip,
  startDeadPool,
  waitFor,
} from './binary.ts'
import { startComponent, urlProbe } from './component.ts'

// Nobody listens on port 1.
const DEAD = 'down: { module: url_probe, period: 0.2, query: { url: "http://127.0.0.1:1/" } }'

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} stops both processes within 2 s, with exit code 0, and leaves the flags`, async (context) => {
    const deadpool = await startDeadPool(context, { probes: DEAD })
    await deadpool.becomes(503)
    await waitFor('the flag', () => existsSync(join(deadpool.folder, 'probe/down.dead')))
    const watcher = deadpool.watcherPid()
    const startedMs = performance.now()
    const { code, signal: endSignal } = await deadpool.stop(signal)
    assert.deepEqual([code, endSignal], [0, null])
    assert.ok(performance.now() - startedMs < 2000)
    assert.equal(isRunning(watcher), false)
    assert.equal(existsSync(join(deadpool.folder, 'probe/down.dead')), true)
    assert.equal(
      deadpool.log().some(({ message }) => message.startsWith('WatchMan ended')),
      false,
    )
  })
}

test('Ctrl-C, which reaches both processes at once, stops them in order', async (context) => {
  const deadpool = await startDeadPool(context, { probes: DEAD })
  await deadpool.becomes(503)
  const watcher = deadpool.watcherPid()
  process.kill(watcher, 'SIGINT')
  const { code } = await deadpool.stop('SIGINT')
  assert.equal(code, 0)
  assert.equal(isRunning(watcher), false)
  assert.equal(
    deadpool.log().some(({ message }) => message.startsWith('WatchMan ended')),
    false,
  )
})

test('a stop of the whole group leaves no flag of what was killed with it', async (context) => {
  const probes = 'slow: { module: exec_probe, period: 0.2, query: { command: [sleep, "10"], timeout: 20 } }'
  const deadpool = await startDeadPool(context, { probes })
  const watcher = deadpool.watcherPid()
  const [program] = await waitFor('the program', () => {
    const children = childrenOf(watcher)
    return children.length > 0 ? children : undefined
  })
  // A client that keeps its connection holds up the stop for half a second.
  assert.equal((await deadpool.ask()).status, 200)
  const stopping = deadpool.stop()
  for (const pid of [watcher, program as number]) process.kill(pid, 'SIGTERM')
  assert.equal((await stopping).code, 0)
  assert.equal(existsSync(join(deadpool.folder, 'probe/slow.dead')), false)
  assert.doesNotMatch(deadpool.output(), /slow is dead|WatchMan ended/)
})

test('a stop waits for no client that keeps its connection open', async (context) => {
  const deadpool = await startDeadPool(context, { probes: DEAD })
  const { connect } = await import('node:net')
  const { port } = new URL(deadpool.url)
  const sockets = Array.from({ length: 5 }, () => connect(Number(port), '127.0.0.1').on('error', () => undefined))
  finallyDo(context, () => {
    for (const socket of sockets) socket.destroy()
  })
  sockets[0]?.write('GET / HTTP/1.1\r\nHost: x\r\n')
  await deadpool.ask()
  const startedMs = performance.now()
  assert.equal((await deadpool.stop()).code, 0)
  assert.ok(performance.now() - startedMs < 2000)
})

test('SIGKILL on the parent: the watcher is gone within 2 s', async (context) => {
  const deadpool = await startDeadPool(context, { probes: DEAD })
  await deadpool.becomes(503)
  const watcher = deadpool.watcherPid()
  assert.equal(isRunning(watcher), true)
  process.kill(deadpool.pid, 'SIGKILL')
  await waitFor('the watcher to end', () => !isRunning(watcher), 2000)
})

test('SIGKILL on the watcher: it is started again, and the answers go on meanwhile', async (context) => {
  const server = createServer((_, response) => response.end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  finallyDo(context, () => server.close())
  const { port } = server.address() as { port: number }
  const up = `up: { module: url_probe, period: 0.2, query: { url: "http://127.0.0.1:${port}/" } }`
  const deadpool = await startDeadPool(context, { probes: `${DEAD}\n${up}` })
  const expected = /^DEAD down\nTEST SERVER\ndown: connection refused by 127\.0\.0\.1:1 \(since .*\)\n$/
  await waitFor('the whole answer', async () => expected.test((await deadpool.ask()).text))
  for (let round = 0; round < 3; round++) {
    const watcher = deadpool.watcherPid()
    process.kill(watcher, 'SIGKILL')
    await waitFor('the next watcher', async () => {
      const { status, text } = await deadpool.ask()
      assert.equal(status, 503)
      assert.match(text, expected)
      const [next] = childrenOf(deadpool.pid)
      return next !== undefined && next !== watcher
    })
  }
  const pauses = deadpool
    .log()
    .flatMap(
      ({ message }) => /^WatchMan ended \(killed by SIGKILL\); starting it again in (.*)$/.exec(message)?.[1] ?? [],
    )
  assert.deepEqual(pauses, ['100 ms', '200 ms', '400 ms'])
  // It really checks again: the component that comes up is seen.
  server.close()
  server.closeAllConnections()
  await waitFor('the new watcher to see the other one die', async () =>
    (await deadpool.ask()).text.startsWith('DEAD down, up\n'),
  )
})

test('a watcher that falls silent is itself a reason for 503, until it is heard again', async (context) => {
  const server = createServer((_, response) => response.end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  finallyDo(context, () => server.close())
  const { port } = server.address() as { port: number }
  const deadpool = await startDeadPool(context, {
    probes: `up: { module: url_probe, period: 0.2, query: { url: "http://127.0.0.1:${port}/" } }`,
    watchman: 'stale_after: 1',
  })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const watcher = deadpool.watcherPid()
  process.kill(watcher, 'SIGSTOP')
  const text = await deadpool.becomes(503)
  assert.match(
    text,
    /^DEAD WatchMan\nTEST SERVER\nWatchMan: silent: nobody checks the components any more \(since 20.*Z\)\n$/,
  )
  process.kill(watcher, 'SIGCONT')
  assert.equal(await deadpool.becomes(200), 'OK\nTEST SERVER\n')
})

for (const { name, staleAfter, pauseMs } of [
  { name: 'shorter than stale_after', staleAfter: 30, pauseMs: 2000 },
  { name: 'longer than stale_after', staleAfter: 1, pauseMs: 2500 },
]) {
  test(`a watcher stopped for ${name}, past the deadline of a check under way: that check is unknown, and nothing dead`, async (context) => {
    const component = await startComponent(context, { delayMs: 300 })
    const deadpool = await startDeadPool(context, {
      probes: urlProbe('up', component.url, { more: 'period: 0.5', query: 'timeout: 1' }),
      watchman: `stale_after: ${staleAfter}`,
    })
    const outcomes = () => deadpool.log().flatMap(({ message }) => /^up was checked: (.*)$/.exec(message)?.[1] ?? [])
    await waitFor('the first check', () => outcomes().length > 0)
    const before = component.arrivals().length
    await waitFor('a check under way', () => component.arrivals().length > before)
    const watcher = deadpool.watcherPid()
    const stoppedAt = Date.now()
    process.kill(watcher, 'SIGSTOP')
    const answers = new Set<string>()
    const listen = async (untilMs: number) => {
      while (Date.now() < untilMs) {
        answers.add((await deadpool.ask()).text)
        await sleep(20)
      }
    }
    await listen(stoppedAt + pauseMs)
    process.kill(watcher, 'SIGCONT')
    const checked = outcomes().length
    await waitFor('two checks after the pause', async () => {
      answers.add((await deadpool.ask()).text)
      return outcomes().length >= checked + 2
    })
    await deadpool.becomes(200)

    assert.deepEqual([...new Set(outcomes())].sort(), ['alive', 'unknown'])
    assert.deepEqual(
      [...answers].filter((text) => /^DEAD.*\bup\b/.test(text)),
      [],
    )
    const silent = [...answers].filter((text) => text.startsWith('DEAD WatchMan\n'))
    assert.equal(silent.length, pauseMs > staleAfter * 1000 ? 1 : 0, 'answers that name WatchMan')
    for (const text of silent) {
      const since = Date.parse(/^WatchMan: .*\(since (\S+)\)$/m.exec(text)?.[1] ?? '')
      assert.ok(Math.abs(since - stoppedAt) < 1000, `silent since ${since - stoppedAt} ms after the stop`)
    }
  })
}

test('SpiderMan stopped for longer than stale_after does not take its own absence for the silence of WatchMan', async (context) => {
  const server = createServer((_, response) => response.end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  finallyDo(context, () => server.close())
  const { port } = server.address() as { port: number }
  const deadpool = await startDeadPool(context, {
    probes: `up: { module: url_probe, period: 0.2, query: { url: "http://127.0.0.1:${port}/" } }`,
    watchman: 'stale_after: 1',
  })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  process.kill(deadpool.pid, 'SIGSTOP')
  const asking = deadpool.ask()
  await new Promise((resolve) => setTimeout(resolve, 2500))
  process.kill(deadpool.pid, 'SIGCONT')
  assert.equal((await asking).status, 200)
})

test('a watcher cannot be started by hand, so that it cannot fork itself without end', async () => {
  const { code, stderr } = await runBinary([], { env: { DEADPOOL_ROLE: 'watchman' } })
  assert.deepEqual([code, stderr], [2, "deadpool: DEADPOOL_ROLE is for DeadPool's own use; unset it\n"])
})

const config = (web: string, watchman = '') =>
  `Generic: { log: { type: console } }\nWEB: { ${web} }\nWatchMan: { ${watchman} }\nprobes: { a: { module: url_probe, query: { url: "http://127.0.0.1:1/" } } }\n`

test('a port in use is one clear line and exit code 1, and leaves no watcher behind', async (context) => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  finallyDo(context, () => server.close())
  const { port } = server.address() as { port: number }
  const folder = makeFolder(context)
  writeFileSync(join(folder, 'deadpool.yml'), config(`access_token: abcdefgh, host: 127.0.0.1, port: ${port}`))
  const { code, stderr } = await runBinary([], { cwd: folder })
  assert.equal(
    stderr,
    `deadpool: cannot listen on 127.0.0.1:${port}: another program listens there; stop it, or set another WEB.port\n`,
  )
  assert.equal(code, 1)
})

test('an address of another host is one clear line and exit code 1', async (context) => {
  const folder = makeFolder(context)
  writeFileSync(join(folder, 'deadpool.yml'), config('access_token: abcdefgh, host: 192.0.2.1, port: 0'))
  const { code, stderr } = await runBinary([], { cwd: folder })
  assert.equal(
    stderr,
    'deadpool: cannot listen on 192.0.2.1:0: this host has no such address; set WEB.host to one of its own, or 0.0.0.0\n',
  )
  assert.equal(code, 1)
})

test('a missing token is one clear line and exit code 2', async (context) => {
  const folder = makeFolder(context)
  writeFileSync(join(folder, 'deadpool.yml'), config('port: 0'))
  const { code, stderr } = await runBinary([], { cwd: folder })
  assert.equal(stderr, 'deadpool.yml:2:1 WEB.access_token: is missing; it is required\n')
  assert.equal(code, 2)
})

test('a status folder that cannot be written is one clear line and exit code 2', async (context) => {
  if (process.getuid?.() !== 0) return skip(context, 'needs root, to run the binary as nobody')
  const folder = makeFolder(context)
  chmodSync(folder, 0o755)
  mkdirSync(join(folder, 'probe'), { mode: 0o755 })
  writeFileSync(join(folder, 'deadpool.yml'), config('access_token: abcdefgh, port: 0'))
  // Nobody may not reach the checkout.
  const binary = join(folder, 'deadpool')
  cpSync(BINARY, binary)
  for (const args of [[], ['--check-config']]) {
    const { code, stderr } = await runBinary(args, { cwd: folder, uid: 65534, binary })
    assert.equal(
      stderr,
      `deadpool.yml:3:1 WatchMan.probe_status_folder: flags cannot be kept there: ${folder}/probe: permission denied\n`,
    )
    assert.equal(code, 2)
  }
})
