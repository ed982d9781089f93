import assert from 'node:assert/strict'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { keepAsking } from './asking.ts'
import { type DeadPool, isRunning, startDeadPool, waitFor, writeConfig } from './binary.ts'
import { startComponent, urlProbe } from './component.ts'
import { reload, watcherFollows } from './reloading.ts'

const said = (deadpool: DeadPool, start: string) => deadpool.log().some(({ message }) => message.startsWith(start))

/** Waits until a WatchMan other than `former` is at work. */
async function isReplaced(deadpool: DeadPool, former: number): Promise<void> {
  await waitFor('the former WatchMan to go', () => !isRunning(former))
  await waitFor('another WatchMan', () => deadpool.watcherPid() !== undefined)
}

test('a reload that takes a new WatchMan keeps states, streaks and holds, and the answer never changes', async (context) => {
  const component = await startComponent(context)
  component.status(500, '/held')
  component.status(500, '/dead')
  const probes = [
    urlProbe('dead', `${component.url}/dead`),
    urlProbe('held', `${component.url}/held`, { more: 'period: 0.2, hold: 60' }),
    urlProbe('streak', `${component.url}/streak`, { more: 'period: 60, fast_period: 60, fall: 3' }),
  ].join('\n')
  const deadpool = await startDeadPool(context, { probes })
  await waitFor('the first round', async () =>
    /^DEAD dead, held\n.*\ndead: .*\nheld: .*\n$/.test((await deadpool.ask()).text),
  )
  component.status(200, '/held')
  component.status(500, '/streak')
  const asking = keepAsking(context, { url: deadpool.url })
  const config = (level: string) =>
    writeConfig({ probes, generic: `  log: { type: json, level: debug }`, watchman: level })
  for (const [round, folder] of ['one', 'two'].entries()) {
    const watcher = deadpool.watcherPid()
    const text = config('').replace('probe_status_folder: probe', `probe_status_folder: ${folder}`)
    assert.equal(await reload(deadpool, text), true)
    await isReplaced(deadpool, watcher)
    await waitFor('a failure', () => said(deadpool, `streak failed, ${round + 1} of 3`))
    await waitFor('the flags', () =>
      ['dead', 'held'].every((name) => existsSync(join(deadpool.folder, `${folder}/${name}.dead`))),
    )
  }
  assert.equal((await asking.stop()).length, 1, asking.heard().join('---\n'))
  assert.equal(said(deadpool, 'WatchMan ended'), false)
  const watcher = deadpool.watcherPid()
  assert.equal(
    await reload(
      deadpool,
      config('').replace('probe_status_folder: probe', 'probe_status_folder: two').replace('TEST SERVER', 'OTHER NAME'),
    ),
    true,
  )
  await isReplaced(deadpool, watcher)
  await waitFor('the third failure', async () =>
    (await deadpool.ask()).text.startsWith('DEAD dead, held, streak\nOTHER NAME\n'),
  )
})

test('two reloads in a row, the first to another status folder while WatchMan stands still: nothing is forgotten', async (context) => {
  const component = await startComponent(context)
  component.status(500, '/held')
  const probes = [
    urlProbe('held', `${component.url}/held`, { more: 'period: 0.2, hold: 60' }),
    urlProbe('streak', `${component.url}/streak`, { more: 'period: 60, fast_period: 60, fall: 2' }),
  ].join('\n')
  const deadpool = await startDeadPool(context, { probes })
  const before = await waitFor('the first round', async () => {
    const { text } = await deadpool.ask()
    return /^DEAD held\n.*\nheld: .*\n$/.test(text) ? text : undefined
  })
  component.status(200, '/held')
  component.status(500, '/streak')
  process.kill(deadpool.watcherPid(), 'SIGKILL')
  await waitFor('a failure', () => said(deadpool, 'streak failed, 1 of 2'))
  await waitFor(
    'the notes of it',
    () =>
      JSON.parse(readFileSync(join(deadpool.folder, 'probe/state/watchman.json'), 'utf8')).probes.streak.state
        .streak === 1,
  )
  const watcher = deadpool.watcherPid()
  process.kill(watcher, 'SIGSTOP')
  const next = writeConfig({ probes }).replace('probe_status_folder: probe', 'probe_status_folder: other')
  assert.equal(await reload(deadpool, next), true)
  assert.equal(await reload(deadpool, next.replace('hold: 60', 'hold: 50')), true)
  assert.equal((await deadpool.ask()).text, before)
  await isReplaced(deadpool, watcher)
  await waitFor('the second failure', async () => (await deadpool.ask()).text.startsWith('DEAD held, streak\n'))
})

test('a reload while WatchMan stands still counts when it goes on', async (context) => {
  const component = await startComponent(context)
  const deadpool = await startDeadPool(context, { probes: urlProbe('web', component.url) })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const watcher = deadpool.watcherPid()
  process.kill(watcher, 'SIGSTOP')
  component.status(500, '/b')
  assert.equal(await reload(deadpool, { probes: urlProbe('b', `${component.url}/b`) }), true)
  assert.equal((await deadpool.ask()).text, 'OK\nTEST SERVER\nwarning: not checked yet: b\n')
  process.kill(watcher, 'SIGCONT')
  await watcherFollows(deadpool, 1)
  assert.match(await deadpool.becomes(503), /^DEAD b\n/)
  assert.equal(deadpool.watcherPid(), watcher)
})

test('kills of WatchMan between reloads under load: no answer fails, and the last configuration counts', async (context) => {
  const component = await startComponent(context)
  const probes = (count: number) =>
    Array.from({ length: count }, (_, index) => urlProbe(`p${index}`, component.url)).join('\n')
  const deadpool = await startDeadPool(context, { probes: probes(1) })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const asking = keepAsking(context, { url: deadpool.url, keep: (status) => String(status) })
  for (let count = 2; count <= 6; count++) {
    if (count % 2 === 0) process.kill(deadpool.watcherPid() ?? 0, 'SIGKILL')
    assert.equal(await reload(deadpool, { probes: probes(count) }), true)
    await sleep(300)
  }
  await waitFor('all to be checked', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  assert.deepEqual(await asking.stop(), ['200'])
  assert.equal((await deadpool.ask({}, '/p5')).status, 200)
  component.status(500)
  await waitFor('all deaths', async () => (await deadpool.ask()).text.startsWith('DEAD p0, p1, p2, p3, p4, p5\n'))
})

test('the flag of a probe that is disabled or removed goes, and comes not back when the probe does', async (context) => {
  const component = await startComponent(context)
  component.status(500)
  const web = urlProbe('web', component.url, { more: 'period: 0.2, hold: 60' })
  const well = urlProbe('well', `${component.url}/well`)
  const deadpool = await startDeadPool(context, { probes: `${web}\n${well}` })
  const flag = join(deadpool.folder, 'probe/web.dead')
  for (const probes of [`${web.replace('hold', 'isEnabled: False, hold')}\n${well}`, well]) {
    await deadpool.becomes(503)
    await waitFor('the flag', () => existsSync(flag))
    assert.equal(await reload(deadpool, { probes }), true)
    assert.equal((await deadpool.ask()).text, 'OK\nTEST SERVER\n')
    await waitFor('the flag to go', () => !existsSync(flag))
    assert.equal((await deadpool.ask({}, '/web')).status, 404)
    assert.equal(await reload(deadpool, { probes: `${web}\n${well}` }), true)
    assert.equal((await deadpool.ask({}, '/well')).status, 200)
  }
  component.status(200)
  rmSync(flag, { force: true })
  writeFileSync(join(deadpool.folder, 'probe/other.dead'), 'somebody')
  await sleep(300)
  assert.equal((await deadpool.ask({}, '/well')).status, 200)
})

test('reloads without a pause, each to another folder and another log, lose neither an answer nor a death', async (context) => {
  const component = await startComponent(context)
  component.status(500, '/held')
  const probes = `${urlProbe('held', `${component.url}/held`, { more: 'period: 0.2, hold: 60' })}\n${urlProbe('web', component.url)}`
  const deadpool = await startDeadPool(context, { probes })
  await waitFor('the first round', async () => /^DEAD held\n.*\nheld: .*\n$/.test((await deadpool.ask()).text))
  component.status(200, '/held')
  const asking = keepAsking(context, { url: deadpool.url })
  const file = join(deadpool.folder, 'deadpool.yml')
  const loads = () => deadpool.log().filter(({ message }) => message.startsWith('the configuration was loaded again'))
  for (let round = 1; round <= 12; round++) {
    const level = round % 2 === 0 ? 'debug' : 'info'
    const text = writeConfig({ probes, generic: `  log: { type: json, level: ${level} }` })
    // A file that is only half written would be refused, which is another test.
    writeFileSync(`${file}.new`, text.replace('probe_status_folder: probe', `probe_status_folder: f${round % 3}`))
    renameSync(`${file}.new`, file)
    deadpool.child.kill('SIGHUP')
    await sleep(round % 4 === 0 ? 400 : 20)
  }
  await waitFor('all reloads', () => loads().length >= 6)
  await sleep(500)
  await waitFor('the flag in the last folder', () => existsSync(join(deadpool.folder, 'f0/held.dead')))
  assert.equal((await asking.stop()).length, 1, asking.heard().join('---\n'))
  const errors = deadpool.log().filter(({ level }) => level === 'error')
  assert.deepEqual(
    errors.map(({ message }) => message),
    [],
  )
  component.status(500)
  await waitFor('the other one', async () => (await deadpool.ask()).text.startsWith('DEAD held, web\n'))
})
