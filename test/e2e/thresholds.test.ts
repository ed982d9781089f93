import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isRunning, makeFolder, runBinary, startDeadPool, waitFor } from './binary.ts'
import { startComponent, urlProbe } from './component.ts'

const SLOW = 'period: 2, fast_period: 100ms'

test('fall: failures are followed up at the fast period, and fewer in a row change nothing', async (context) => {
  const component = await startComponent(context)
  const probes = urlProbe('web', component.url, { more: `${SLOW}, fall: 3` })
  const deadpool = await startDeadPool(context, { probes })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  component.status(500)
  await waitFor('two failures', () => deadpool.log().some(({ message }) => message.startsWith('web failed, 2 of 3')))
  component.status(200)
  await waitFor('a success', () => deadpool.log().at(-1)?.message === 'web was checked: alive')
  assert.equal((await deadpool.ask()).status, 200)
  assert.equal(
    deadpool.log().some(({ message }) => message.startsWith('web is dead')),
    false,
  )

  const before = component.arrivals().length
  component.status(500)
  await deadpool.becomes(503)
  const [first = 0, , third = 0] = component.arrivals().slice(before)
  assert.ok(third - first < 1000, `three failures took ${Math.round(third - first)} ms, at a period of 2,000 ms`)
})

test('rise: so many successes in a row make it alive again, at the fast period', async (context) => {
  const component = await startComponent(context)
  component.status(500)
  const probes = urlProbe('web', component.url, { more: `${SLOW}, rise: 3` })
  const deadpool = await startDeadPool(context, { probes })
  await deadpool.becomes(503)
  const before = component.arrivals().length
  component.status(200)
  await deadpool.becomes(200)
  const successes = component.arrivals().slice(before)
  assert.equal(successes.length, 3)
  assert.ok((successes[2] as number) - (successes[0] as number) < 1000)
})

test('hold: a component that blinks stays dead for so long, through kills of WatchMan', async (context) => {
  const component = await startComponent(context)
  component.status(500)
  const probes = urlProbe('web', component.url, { more: 'period: 0.2, hold: 4' })
  const deadpool = await startDeadPool(context, { probes })
  await deadpool.becomes(503)
  const diedMs = performance.now()
  component.status(200)
  for (let kill = 0; kill < 3; kill++) {
    const watcher = deadpool.watcherPid()
    process.kill(watcher, 'SIGKILL')
    await waitFor('its end', () => !isRunning(watcher))
    await waitFor('the next watcher', () => {
      const next = deadpool.watcherPid()
      return next !== undefined && next !== watcher
    })
    assert.equal((await deadpool.ask()).status, 503)
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
  await deadpool.becomes(200)
  const heldMs = performance.now() - diedMs
  assert.ok(heldMs > 3800 && heldMs < 5500, `held for ${Math.round(heldMs)} ms`)
})

for (const [how, signal] of [
  ['stopped', 'SIGTERM'],
  ['killed', 'SIGKILL'],
] as const) {
  test(`DeadPool ${how} and started again goes on with states, streaks and holds, and its answers do not change`, async (context) => {
    const component = await startComponent(context)
    const folder = makeFolder(context)
    component.status(500, '/held')
    const probes = [
      urlProbe('held', `${component.url}/held`, { more: 'period: 0.2, hold: 60' }),
      urlProbe('streak', `${component.url}/streak`, { more: 'period: 60, fast_period: 1, fall: 3' }),
      urlProbe('well', `${component.url}/well`),
    ].join('\n')
    const first = await startDeadPool(context, { probes, folder })
    await waitFor('the first round', async () => /^DEAD held\nTEST SERVER\nheld: .*\n$/.test((await first.ask()).text))
    component.status(200, '/held')
    component.status(500, '/streak')
    const before = await first.ask()
    // What changed is written down within a moment.
    await new Promise((resolve) => setTimeout(resolve, 300))
    await first.stop(signal)

    const second = await startDeadPool(context, { probes, folder })
    assert.equal((await second.ask()).text, before.text)
    await waitFor('two failures', () => second.log().some(({ message }) => message.startsWith('streak failed, 2 of 3')))
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.equal((await second.ask()).text, before.text)
    await second.stop(signal)

    const third = await startDeadPool(context, { probes, folder })
    assert.equal((await third.ask()).text, before.text)
    await waitFor('the third failure', async () => (await third.ask()).text.startsWith('DEAD held, streak\n'))
    const failures = third.log().filter(({ message }) => message.startsWith('streak failed'))
    assert.deepEqual(failures, [], 'one failure was enough')
  })
}

test('DeadPool that is started again takes up a new probe, though it has the name of what every object has', async (context) => {
  const component = await startComponent(context)
  const folder = makeFolder(context)
  const first = await startDeadPool(context, { probes: urlProbe('web', component.url), folder })
  await waitFor('the notes', () => existsSync(join(folder, 'probe/state/watchman.json')))
  await first.stop()
  const names = ['constructor', 'toString', 'state']
  const probes = ['web', ...names].map((name) => urlProbe(name, component.url)).join('\n')
  const second = await startDeadPool(context, { probes, folder })
  await waitFor('the first round', async () => (await second.ask()).text === 'OK\nTEST SERVER\n')
  const run = await runBinary(['status', '--json', '--folder', join(folder, 'probe')])
  assert.deepEqual([run.code, run.stderr], [0, ''])
})
