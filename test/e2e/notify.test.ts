import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { readMonotonic } from '../../src/clock.ts'
import { finallyDo, isRunning, makeFolder, startDeadPool, waitFor } from './binary.ts'
import { startComponent, urlProbe } from './component.ts'
import { reload } from './reloading.ts'

interface Manager {
  env: NodeJS.ProcessEnv
  /** What came, a message each, without barriers. */
  messages(): { lines: string[]; at: number }[]
  /** The lines of all messages in their order. */
  lines(): string[]
}

/** A real notify socket, without a systemd behind it. */
async function startManager(context: TestContext, watchdogMs?: number): Promise<Manager> {
  const path = join(makeFolder(context), 'notify')
  const receiver = spawn('python3', [join(import.meta.dirname, 'service-manager.py'), path])
  finallyDo(context, () => receiver.kill('SIGKILL'))
  let output = ''
  receiver.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  await waitFor('the receiver', () => output !== '')
  const messages = () =>
    output
      .split('\n')
      .slice(1, -1)
      .map((line) => JSON.parse(line) as { text: string; at: number })
      .map(({ text, at }) => ({ lines: text.split('\n').filter((each) => each !== ''), at }))
      .filter(({ lines }) => lines[0] !== 'BARRIER=1')
  return {
    env: { NOTIFY_SOCKET: path, ...(watchdogMs === undefined ? {} : { WATCHDOG_USEC: String(watchdogMs * 1000) }) },
    messages,
    lines: () => messages().flatMap(({ lines }) => lines),
  }
}

test('the manager hears when the first round is done, what the verdict is, of reloads and of the end', async (context) => {
  const manager = await startManager(context)
  const component = await startComponent(context)
  component.hold()
  const probes = [urlProbe('web', component.url), urlProbe('other', `${component.url}/other`)].join('\n')
  const options = { probes, env: manager.env }
  const deadpool = await startDeadPool(context, options)
  await waitFor('the first status', () => manager.lines().includes('STATUS=making the first checks'))
  await sleep(500)
  assert.deepEqual(manager.lines(), ['STATUS=making the first checks'], 'not ready before the first round is done')
  component.release()
  await waitFor('the verdict', () => manager.lines().includes('STATUS=OK: the answer is 200'))
  assert.deepEqual(manager.lines().slice(1), ['READY=1', 'STATUS=OK: the answer is 200'])

  component.status(500)
  component.status(500, '/other')
  await waitFor('both deaths', () => manager.lines().includes('STATUS=DEAD: the answer is 503 for web, other'))
  component.status(200)
  component.status(200, '/other')
  await waitFor('the end', () => manager.lines().at(-1) === 'STATUS=OK: the answer is 200')

  const before = manager.messages().length
  const reloadedMs = readMonotonic()
  assert.equal(await reload(deadpool, { ...options, web: 'base_url: /health' }), true)
  await waitFor('the end of the reload', () => manager.messages().length >= before + 2)
  const [begin, end] = manager.messages().slice(before)
  assert.equal(begin?.lines[0], 'RELOADING=1')
  const atMs = Number(/^MONOTONIC_USEC=(\d+)$/.exec(begin?.lines[1] ?? '')?.[1]) / 1000
  assert.ok(atMs >= reloadedMs - 1 && atMs <= (end?.at ?? 0), `${atMs} after ${reloadedMs}`)
  assert.deepEqual(end?.lines, ['READY=1'])
  assert.equal(await reload(deadpool, 'nonsense: true'), false)
  await waitFor('the end of the refused one', () => manager.lines().filter((line) => line === 'READY=1').length === 3)

  assert.equal((await deadpool.stop()).code, 0)
  assert.deepEqual(manager.lines().slice(-2), ['STOPPING=1', 'STATUS=stopped'])
})

test('a component that does not answer holds up the start no longer than its deadline', async (context) => {
  const manager = await startManager(context)
  const component = await startComponent(context)
  component.hold()
  const probes = urlProbe('web', component.url, { query: 'timeout: 1' })
  await startDeadPool(context, { probes, env: manager.env })
  await waitFor('the readiness', () => manager.lines().includes('READY=1'))
  await waitFor('the verdict', () => manager.lines().at(-1) === 'STATUS=DEAD: the answer is 503 for web')
})

test('the watchdog is fed while SpiderMan answers and WatchMan is heard, and only then', async (context) => {
  const manager = await startManager(context, 600)
  const component = await startComponent(context)
  const deadpool = await startDeadPool(context, {
    probes: urlProbe('web', component.url),
    watchman: 'stale_after: 1',
    env: manager.env,
  })
  const fed = () => manager.lines().filter((line) => line === 'WATCHDOG=1').length
  await waitFor('five meals', () => fed() >= 5)
  const [first, , , , fifth] = manager.messages().filter(({ lines }) => lines[0] === 'WATCHDOG=1')
  const meanMs = ((fifth?.at ?? 0) - (first?.at ?? 0)) / 4
  assert.ok(meanMs > 250 && meanMs < 600, `every ${meanMs} ms`)
  // A dead component is no reason: DeadPool itself is well.
  component.status(500)
  await deadpool.becomes(503)
  const atDeath = fed()
  await waitFor('more meals', () => fed() >= atDeath + 2)

  const watcher = deadpool.watcherPid()
  process.kill(watcher, 'SIGSTOP')
  await waitFor('the word of it', () =>
    deadpool
      .log()
      .some(({ message }) => /^the watchdog .* is not fed: WatchMan is silent; it will restart/.test(message)),
  )
  await sleep(300)
  const hungry = fed()
  await sleep(1500)
  assert.equal(fed(), hungry)
  process.kill(watcher, 'SIGCONT')
  await waitFor('meals again', () => fed() >= hungry + 2)

  process.kill(deadpool.pid, 'SIGSTOP')
  await sleep(200)
  const stopped = fed()
  await sleep(1200)
  assert.ok(fed() <= stopped, 'a SpiderMan that stands still feeds nobody')
  process.kill(deadpool.pid, 'SIGCONT')
  await waitFor('meals at last', () => fed() > stopped)
})

test('without systemd-notify DeadPool says so once, and works', async (context) => {
  const manager = await startManager(context, 400)
  const component = await startComponent(context)
  const empty = makeFolder(context)
  const deadpool = await startDeadPool(context, {
    probes: urlProbe('web', component.url),
    env: { ...manager.env, PATH: empty },
  })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  component.status(500)
  await deadpool.becomes(503)
  await sleep(1000)
  const remarks = deadpool.log().filter(({ message }) => message.includes('service manager'))
  assert.deepEqual(
    remarks.map(({ level, message }) => [level, message]),
    [['warn', 'the service manager cannot be told how DeadPool is: "systemd-notify" is not installed']],
  )
  assert.deepEqual(manager.lines(), [])
  assert.equal((await deadpool.stop()).code, 0)
})

test('an upgrade tells the manager which process it is to watch from now on, and the watchdog goes on', async (context) => {
  const manager = await startManager(context, 1000)
  const component = await startComponent(context)
  const deadpool = await startDeadPool(context, { probes: urlProbe('web', component.url), env: manager.env })
  await waitFor('its readiness', () => manager.lines().includes('WATCHDOG=1'))
  deadpool.child.kill('SIGUSR2')
  const line = await waitFor('the next process', () => manager.lines().find((each) => each.startsWith('MAINPID=')))
  const next = Number(line.slice('MAINPID='.length))
  finallyDo(context, () => isRunning(next) && process.kill(next, 'SIGKILL'))
  await waitFor('the former one to go', () => !isRunning(deadpool.pid))
  assert.equal(isRunning(next), true)
  assert.equal(JSON.parse(readFileSync(join(deadpool.folder, 'probe/state/spiderman.json'), 'utf8')).pid, next)
  assert.equal(manager.lines().includes('STOPPING=1'), false, 'the service goes on')
  const meals = () => manager.lines().filter((each) => each === 'WATCHDOG=1').length
  const before = meals()
  await waitFor('its meals', () => meals() >= before + 2)
  process.kill(next, 'SIGTERM')
  await waitFor('the end', () => manager.lines().at(-2) === 'STOPPING=1')
})
