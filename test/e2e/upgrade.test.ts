import assert from 'node:assert/strict'
import { symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { keepAsking } from './asking.ts'
import {
  BINARY,
  type DeadPool,
  finallyDo,
  isRunning,
  makeFolder,
  runBinary,
  startDeadPool,
  TOKEN,
  waitFor,
  writeConfig,
} from './binary.ts'
import { startComponent, urlProbe } from './component.ts'
import { startLoad } from './load.ts'
import { nameBinary, notesOf, replaceBinary, said, startToUpgrade as start, upgrade } from './upgrading.ts'

const reload = ({ folder }: DeadPool) => runBinary(['reload', '--config', join(folder, 'deadpool.yml')])

test('20 upgrades in a row under load: no request fails, and no answer is wrong', async (context) => {
  const component = await startComponent(context)
  const deadpool = await start(context, { probes: urlProbe('web', component.url) })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const load = startLoad(context, { url: deadpool.url, component })
  await sleep(1000)
  for (let round = 1; round <= 20; round++) {
    const { pid } = notesOf(deadpool)
    if (round % 4 === 0) load.turn(round % 8 === 0 ? 200 : 500)
    process.kill(pid, 'SIGUSR2')
    await waitFor('the next process', () => notesOf(deadpool).pid !== pid)
    await waitFor('the former one to go', () => !isRunning(pid))
  }
  await sleep(500)
  const { count, slowestMs } = await load.judge()
  context.diagnostic(`${count} requests, the slowest took ${Math.round(slowestMs)} ms`)
  assert.ok(count > 5000, `${count} requests`)
  const errors = deadpool.log().filter(({ level }) => level === 'error')
  assert.deepEqual(errors, [])
})

test('states, streaks and holds outlive an upgrade, and the answer stays the same', async (context) => {
  const component = await startComponent(context)
  component.status(500, '/dead')
  component.status(500, '/held')
  const probes = [
    urlProbe('dead', `${component.url}/dead`),
    urlProbe('held', `${component.url}/held`, { more: 'period: 0.2, hold: 60' }),
    // After the first of its failures each WatchMan makes the next one.
    urlProbe('streak', `${component.url}/streak`, { more: 'period: 60, fast_period: 60, fall: 3' }),
  ].join('\n')
  const deadpool = await start(context, { probes, watchman: 'clear_on_start: true' })
  await waitFor('the first round', async () =>
    /^DEAD dead, held\n.*\ndead: .*\nheld: .*\n$/.test((await deadpool.ask()).text),
  )
  component.status(200, '/held')
  component.status(500, '/streak')
  const asking = keepAsking(context, { url: deadpool.url })
  const pids = [deadpool.pid]
  for (let failures = 1; failures <= 2; failures++) {
    const { stdout, stderr, code } = await upgrade(deadpool)
    assert.deepEqual([stderr, code], ['', 0])
    const { pid, version } = notesOf(deadpool)
    assert.match(version, /^\d+\.\d+\.\d+\+[0-9a-f]{12}(\.dirty)?$/, 'two builds of one version can be told apart')
    const place = `in the place of process ${pids.at(-1)} (${version})`
    assert.equal(stdout, `upgraded: process ${pid} (${version}) answers at ${deadpool.url} ${place}\n`)
    pids.push(pid)
    await waitFor(`failure ${failures}`, () => said(deadpool, `streak failed, ${failures} of 3 in a row`).length > 0)
  }
  assert.equal((await asking.stop()).length, 1, asking.heard().join('---\n'))
  assert.ok(asking.count() > 20, `${asking.count()} answers`)
  assert.equal(new Set(pids).size, 3)
  assert.deepEqual(
    pids.map((pid) => isRunning(pid)),
    [false, false, true],
  )
  // Two of WatchMan would make more checks than one.
  const before = component.arrivals('/dead').length
  await sleep(2000)
  const checks = component.arrivals('/dead').length - before
  assert.ok(checks <= 11, `${checks} checks in 2 s`)
  assert.equal((await upgrade(deadpool)).code, 0)
  await waitFor('the third failure', async () => (await deadpool.ask()).text.startsWith('DEAD dead, held, streak\n'))
})

test('an upgrade runs what stands by now where the binary was, behind a link too', async (context) => {
  const component = await startComponent(context)
  const folder = makeFolder(context)
  const binary = nameBinary(folder)
  const link = join(folder, 'current')
  symlinkSync(binary, link)
  const deadpool = await start(context, { probes: urlProbe('web', component.url), folder, binary: link })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  replaceBinary(binary, `echo '{"message":"the new one: '"$*"'"}'; exec ${BINARY} "$@"`)
  process.kill(deadpool.pid, 'SIGUSR2')
  await waitFor('the next process', () => notesOf(deadpool).pid !== deadpool.pid)
  assert.equal(said(deadpool, `the new one: run --config ${join(folder, 'deadpool.yml')}`).length, 1)
  await waitFor('the former one to go', () => !isRunning(deadpool.pid))
  assert.equal((await deadpool.ask()).status, 200)
})

test('what the new process learns before it answers counts for the one that does', async (context) => {
  const component = await startComponent(context)
  const probes = [
    urlProbe('web', component.url),
    urlProbe('slow', `${component.url}/slow`, { more: 'period: 0.2', query: 'timeout: 5' }),
  ].join('\n')
  const deadpool = await start(context, { probes, watchman: 'stale_after: 1' })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  // The first round lasts until the deadline of this one, longer than stale_after.
  component.server.prependListener('request', (request, response) => {
    if (request.url !== '/slow') return
    response.writeHead = () => response
    response.end = () => response
  })
  await sleep(500)
  process.kill(deadpool.pid, 'SIGUSR2')
  await waitFor('its WatchMan', () => said(deadpool, 'watching 2 probes').length === 2)
  component.status(500)
  await deadpool.becomes(503)
  const answers = await Promise.all(
    Array.from({ length: 60 }, async (_, index) => {
      await sleep(index * 10)
      return (await deadpool.ask({ headers: { connection: 'close' } })).text.split('\n')[0]
    }),
  )
  assert.deepEqual(said(deadpool, /in the place of process/), [])
  assert.deepEqual([...new Set(answers)], ['DEAD web'])
  await waitFor('the former one to go', () => !isRunning(deadpool.pid), 15_000)
  await waitFor('the slow one', async () => (await deadpool.ask()).text.startsWith('DEAD web, slow\n'))
})

test('a connection that a client keeps goes on after upgrades, whenever it is used', async (context) => {
  const component = await startComponent(context)
  const deadpool = await start(context, { probes: urlProbe('web', component.url) })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const { hostname, port } = new URL(deadpool.url)
  const request = `GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`
  const answer = /^HTTP\/1\.1 200 OK\r\n[\s\S]*TEST SERVER\n$/
  let isOver = false

  /** A client that never repeats a request, and counts on its connection. */
  async function askAgainAndAgain(pauseMs: () => number): Promise<number> {
    const socket = connect(Number(port), hostname)
    finallyDo(context, () => socket.destroy())
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk) => (text += chunk))
    let end = ''
    socket.on('error', (error) => (end = error.message)).on('end', () => (end = 'it was closed'))
    let count = 0
    for (; !isOver; count++) {
      text = ''
      socket.write(request)
      await waitFor(`answer ${count} (${end})`, () => answer.test(text), 5000)
      assert.doesNotMatch(text, /connection: close/i)
      await sleep(pauseMs())
    }
    return count
  }

  // One connection is used for the first time when all is over.
  const early = connect(Number(port), hostname)
  finallyDo(context, () => early.destroy())
  const asking = Array.from({ length: 100 }, () => askAgainAndAgain(() => Math.random() * 800))
  asking.push(
    askAgainAndAgain(() => 0),
    askAgainAndAgain(() => 5),
  )
  await Promise.race([Promise.all(asking), upgrade(deadpool).then(() => upgrade(deadpool))])
  isOver = true
  const counts = await Promise.all(asking)
  assert.ok(Math.min(...counts) > 1, counts.join())
  assert.notEqual(notesOf(deadpool).pid, deadpool.pid)
  early.write(request.replace('Host', 'Connection: close\r\nHost'))
  assert.match((await early.setEncoding('utf8').toArray()).join(''), answer)
})

test('a status folder that another DeadPool works with is taken neither by a reload nor by an upgrade', async (context) => {
  const component = await startComponent(context)
  const probes = urlProbe('web', component.url)
  const [deadpool, other] = [await start(context, { probes }), await start(context, { probes })]
  const file = join(deadpool.folder, 'deadpool.yml')
  writeFileSync(
    file,
    writeConfig({ probes }).replace('probe_status_folder: probe', `probe_status_folder: ${other.folder}/probe`),
  )
  for (const command of ['reload', 'upgrade']) {
    const { stderr, code } = await runBinary([command, '--folder', join(deadpool.folder, 'probe')])
    assert.match(
      stderr,
      new RegExp(`^another DeadPool \\(process ${other.pid}, .*\\) works with ${other.folder}/probe; `),
    )
    assert.equal(code, 1)
  }
  assert.equal(notesOf(other).pid, other.pid)
  assert.equal(notesOf(deadpool).pid, deadpool.pid)
})

test('a changed port is listened on after an upgrade, and the former one is answered a while longer', async (context) => {
  const component = await startComponent(context)
  const probes = urlProbe('web', component.url)
  const deadpool = await start(context, { probes })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const other = await startDeadPool(context, { probes })
  const { port } = new URL(other.url)
  const file = join(deadpool.folder, 'deadpool.yml')
  writeFileSync(file, writeConfig({ probes }).replace('port: 0', `port: ${port}`))
  const refused = await upgrade(deadpool)
  assert.deepEqual(
    [refused.stderr, refused.code],
    [
      `cannot listen on 127.0.0.1:${port}: another program listens there; stop it, or set another WEB.port\ndeadpool: not upgraded: everything goes on as before\n`,
      1,
    ],
  )
  assert.equal((await deadpool.ask()).status, 200)
  // One port, and all hosts instead of one: what can only be done one after the other is the work of a reload.
  const here = Number(new URL(deadpool.url).port)
  writeFileSync(file, writeConfig({ probes }).replace('port: 0', `port: ${here}`))
  assert.equal((await reload(deadpool)).code, 0)
  const wide = writeConfig({ probes }).replace('port: 0', `port: ${here}`).replace('host: 127.0.0.1', 'host: 0.0.0.0')
  writeFileSync(file, wide)
  assert.match(
    (await upgrade(deadpool)).stderr,
    /replaced listens on 127\.0\.0\.1:\d+; change WEB\.host by "deadpool reload", then/,
  )
  assert.equal((await reload(deadpool)).code, 0)
  assert.equal((await upgrade(deadpool)).code, 0)
  assert.equal((await deadpool.ask()).status, 200)
  writeFileSync(file, writeConfig({ probes }).replace('port: 0', `port: ${port}`))

  await other.stop()
  const asking = keepAsking(context, { url: deadpool.url, keep: (status) => String(status) })
  assert.equal((await upgrade(deadpool)).code, 0)
  assert.equal(notesOf(deadpool).url, other.url)
  assert.deepEqual(await asking.stop(), ['200'])
  assert.equal((await other.ask()).status, 200)
})
