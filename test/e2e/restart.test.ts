import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { keepAsking } from './asking.ts'
import { type DeadPool, isRunning, makeFolder, startDeadPool, waitFor } from './binary.ts'
import { startComponent, urlProbe } from './component.ts'

const said = (deadpool: DeadPool, start: string) => deadpool.log().some(({ message }) => message.startsWith(start))

/** Kills WatchMan, and waits until another one is at work. */
async function killWatchMan(deadpool: DeadPool): Promise<void> {
  const watcher = deadpool.watcherPid()
  const starts = () => deadpool.log().filter(({ message }) => message.startsWith('watching ')).length
  const before = starts()
  process.kill(watcher, 'SIGKILL')
  await waitFor('its end', () => !isRunning(watcher))
  await waitFor('the next WatchMan', () => starts() > before)
}

test('kills of WatchMan: the answer stays the same all the time, and a streak goes on', async (context) => {
  const component = await startComponent(context)
  component.status(500, '/dead')
  component.status(500, '/held')
  const probes = [
    urlProbe('dead', `${component.url}/dead`),
    urlProbe('held', `${component.url}/held`, { more: 'period: 0.2, hold: 60' }),
    urlProbe('well', `${component.url}/well`),
    // After the first of its failures each WatchMan makes the next one.
    urlProbe('streak', `${component.url}/streak`, { more: 'period: 60, fast_period: 60, fall: 4' }),
  ].join('\n')
  const deadpool = await startDeadPool(context, { probes })
  await waitFor('the first round', async () =>
    /^DEAD dead, held\n.*\ndead: .*\nheld: .*\n$/.test((await deadpool.ask()).text),
  )
  component.status(200, '/held')
  component.status(500, '/streak')
  const asking = keepAsking(context, { url: deadpool.url })
  for (let failures = 1; failures <= 3; failures++) {
    await killWatchMan(deadpool)
    await waitFor(`failure ${failures}`, () => said(deadpool, `streak failed, ${failures} of 4 in a row`))
    // Notes are written within a moment.
    await sleep(200)
  }
  const texts = await asking.stop()
  assert.ok(asking.count() > 100, `${asking.count()} answers`)
  assert.equal(texts.length, 1, texts.join('---\n'))
  await killWatchMan(deadpool)
  await waitFor('the fourth failure', async () => (await deadpool.ask()).text.startsWith('DEAD dead, held, streak\n'))
})

test('a kill of WatchMan with clear_on_start: what is cleared at the start of DeadPool is not cleared again', async (context) => {
  // Slow enough for the time between the start of a WatchMan and its first outcome to be seen.
  const component = await startComponent(context, { delayMs: 500 })
  component.status(500)
  const probes = urlProbe('web', component.url)
  const deadpool = await startDeadPool(context, { probes, watchman: 'clear_on_start: true' })
  await deadpool.becomes(503)
  await waitFor('the flag', () => readFileSync(join(deadpool.folder, 'probe/web.dead')).length > 0)
  const asking = keepAsking(context, { url: deadpool.url })
  await killWatchMan(deadpool)
  await sleep(800)
  assert.deepEqual(
    (await asking.stop()).map((text) => text.split('\n')[0]),
    ['DEAD web'],
  )
})

test('a hold that began before DeadPool was killed ends when it would have ended', async (context) => {
  const component = await startComponent(context)
  component.status(500)
  const folder = makeFolder(context)
  const probes = urlProbe('web', component.url, { more: 'period: 0.1, hold: 5' })
  const first = await startDeadPool(context, { probes, folder })
  const text = await first.becomes(503)
  const diedMs = Date.parse(/since (\S+)\)/.exec(text)?.[1] ?? '')
  component.status(200)
  await sleep(500)
  await first.stop('SIGKILL')
  const second = await startDeadPool(context, { probes, folder })
  assert.equal((await second.ask()).text, text)
  await second.becomes(200)
  const heldMs = Date.now() - diedMs
  assert.ok(heldMs > 4900 && heldMs < 6000, `held for ${heldMs} ms`)
})

test('a pause longer than stale_after: the dead are dead, the others are not checked yet, and streaks are forgotten', async (context) => {
  const component = await startComponent(context)
  component.status(500, '/dead')
  const folder = makeFolder(context)
  const probe = (name: string, more: string) => urlProbe(name, `${component.url}/${name}`, { more })
  const probes = [probe('dead', 'period: 0.2'), probe('streak', 'period: 60, fast_period: 0.2, fall: 3')].join('\n')
  const options = { probes, folder, watchman: 'stale_after: 1' }
  const first = await startDeadPool(context, options)
  const before = await waitFor('the first round', async () => {
    const { text } = await first.ask()
    return /^DEAD dead\n.*\ndead: .*\n$/.test(text) ? text : undefined
  })
  component.status(500, '/streak')
  await first.stop()
  const second = await startDeadPool(context, options)
  await waitFor('the first failure', () => said(second, 'streak failed, 1 of 3'))
  await second.stop()
  await sleep(1200)
  // Nothing is learned before the first answer.
  component.hold()
  const third = await startDeadPool(context, options)
  assert.equal((await third.ask()).text, `${before}warning: not checked yet: streak\n`)
  component.release()
  await waitFor('the row to begin anew', () => said(third, 'streak failed, 1 of 3'))
  await waitFor('the third failure', async () => (await third.ask()).text.startsWith('DEAD dead, streak\n'))
  assert.ok(said(third, 'streak failed, 2 of 3'))
})

test('the counts and the shadows of the notes go on through restarts', async (context) => {
  const component = await startComponent(context)
  component.status(500)
  const folder = makeFolder(context)
  const probes = urlProbe('trial', component.url, { more: 'period: 0.2, severity: shadow' })
  const notes = () => JSON.parse(readFileSync(join(folder, 'probe/state/watchman.json'), 'utf8'))
  const first = await startDeadPool(context, { probes, folder })
  await waitFor('a death', () => notes().shadows.trial?.count === 1)
  await first.stop()
  const before = notes()
  const second = await startDeadPool(context, { probes, folder })
  await waitFor(
    'notes of the next',
    () => notes().pid !== before.pid && notes().probes.trial.counts.dead > before.probes.trial.counts.dead,
  )
  assert.equal(notes().countedSinceMs, before.countedSinceMs)
  assert.deepEqual(notes().shadows.trial, before.shadows.trial, 'one and the same death')
  component.status(200)
  await waitFor('its end', () => notes().shadows.trial.since === undefined)
  const { count, totalMs } = notes().shadows.trial
  assert.equal(count, 1)
  const lastedMs = Date.now() - before.shadows.trial.since.wallMs
  assert.ok(Math.abs(totalMs - lastedMs) < 2500, `${totalMs} ms, where ${lastedMs} ms passed`)
  assert.equal((await second.ask()).text, 'OK\nTEST SERVER\n')
})
