import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { finallyDo, isRunning, makeFolder, startDeadPool, waitFor } from './binary.ts'
import { startComponent, urlProbe } from './component.ts'

const modules = `module_folder: ${join(import.meta.dirname, '../fixtures/modules')}`

/** A DeadPool with a probe whose checks no longer come to an end, since its module loops; `web` goes on. */
async function startWithStubborn(context: TestContext, watchman: string) {
  const folder = makeFolder(context)
  const file = join(folder, 'stuck')
  // The thread ends when the file is gone.
  finallyDo(context, () => rmSync(file, { force: true }))
  const component = await startComponent(context)
  const probes = `stubborn: { module: stubborn, period: 0.2, query: { file: ${file} } }\n${urlProbe('web', component.url)}`
  const deadpool = await startDeadPool(context, { probes, folder, watchman: `${modules}\n${watchman}` })
  await waitFor('the first round', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  writeFileSync(file, '')
  // What was taken once is not asked for again, but by a new WatchMan.
  const watcher = deadpool.watcherPid()
  process.kill(watcher, 'SIGKILL')
  await waitFor('its end', () => !isRunning(watcher))
  return { deadpool, component, release: () => rmSync(file) }
}

test('a probe whose checks never end is stale by itself, while the others go on', async (context) => {
  const { deadpool, component, release } = await startWithStubborn(context, 'stale_after: 1')
  const expected = /^DEAD stubborn\nTEST SERVER\nstubborn: WatchMan does not get its checks done \(since 20.*Z\)\n$/
  await waitFor('the answer', async () => expected.test((await deadpool.ask()).text))
  assert.equal((await deadpool.ask({}, '/web')).text, 'OK\nTEST SERVER\n')
  assert.equal((await deadpool.ask({}, '/stubborn')).status, 503)
  component.status(500)
  await waitFor('the other one', async () => (await deadpool.ask()).text.startsWith('DEAD stubborn, web\n'))
  component.status(200)
  release()
  assert.equal(await deadpool.becomes(200), 'OK\nTEST SERVER\n')
})

test('on_stale: last_known lets the last state of a stale probe count, with a warning', async (context) => {
  const { deadpool, component } = await startWithStubborn(context, 'stale_after: 1\non_stale: last_known')
  const warned =
    'OK\nTEST SERVER\nwarning: WatchMan does not get the checks of stubborn done; the last known states count\n'
  await waitFor('the warning', async () => (await deadpool.ask()).text === warned)
  assert.equal((await deadpool.ask({}, '/web')).text, 'OK\nTEST SERVER\n')
  component.status(500)
  assert.match(await deadpool.becomes(503), /^DEAD web\n/)
})

test('WatchMan stopped by a signal is not killed, makes 503 after stale_after, and goes on where it was', async (context) => {
  const component = await startComponent(context)
  component.status(500, '/held')
  const probes = `${urlProbe('web', component.url)}\n${urlProbe('held', `${component.url}/held`, { more: 'period: 0.2, hold: 60, severity: warning' })}`
  const deadpool = await startDeadPool(context, { probes, watchman: 'stale_after: 2' })
  const before = await waitFor('the first round', async () => {
    const { text } = await deadpool.ask()
    return /^OK\nTEST SERVER\nwarning: held is dead: .*\n$/.test(text) ? text : undefined
  })
  const watcher = deadpool.watcherPid()
  const stoppedMs = performance.now()
  process.kill(watcher, 'SIGSTOP')
  await sleep(1000)
  assert.equal((await deadpool.ask()).text, before, 'not yet')
  assert.match(await deadpool.becomes(503), /^DEAD WatchMan\n/)
  // It counts from the last heartbeat, which came up to half a second before.
  const silentMs = performance.now() - stoppedMs
  assert.ok(silentMs > 1400 && silentMs < 4000, `after ${Math.round(silentMs)} ms`)
  for (const name of ['web', 'held']) assert.match((await deadpool.ask({}, `/${name}`)).text, /^DEAD WatchMan/)
  // Twice as long as one that hangs would be left alone.
  await sleep(3000)
  assert.equal(deadpool.watcherPid(), watcher)
  process.kill(watcher, 'SIGCONT')
  await waitFor('the answer as before', async () => (await deadpool.ask()).text === before)
  const blamed = deadpool.log().filter(({ message }) => /^web (is dead|failed)/.test(message))
  assert.deepEqual(blamed, [])
})
