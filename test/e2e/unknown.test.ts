import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { finallyDo, isRunning, startDeadPool, waitFor } from './binary.ts'
import { startComponent, urlProbe } from './component.ts'
import { reload, watcherFollows } from './reloading.ts'
import { startSilentComponent } from './silent-component.ts'

const modules = `module_folder: ${join(import.meta.dirname, '../fixtures/modules')}`

/** Serves so many bytes of a and b without a pattern, in which `a[ab]{200}[cd]` has much to try and nothing to find. */
async function startSlowText(context: TestContext, bytes: number): Promise<string> {
  const text = randomBytes(bytes).map((byte) => 0x61 + (byte & 1))
  const server = createServer((_, response) => response.end(text))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  finallyDo(context, () => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as { port: number }
  return `http://127.0.0.1:${port}/`
}

const slowProbe = (url: string, period: string) =>
  `slow: { module: url_probe, period: ${period}, query: { url: "${url}", max_body: 64MiB, timeout: 60 }, success_criteria: { body: { type: re_search, query: "a[ab]{200}[cd]" } } }`

test('a check that cannot be made is tried again at once and then less often, counted, and holds the state', async (context) => {
  const probes = 'blind: { module: good, period: 60, query: { mood: unknown } }'
  const deadpool = await startDeadPool(context, { probes, watchman: `${modules}\nstale_after: 3` })
  const tries = () =>
    deadpool
      .log()
      .filter(({ message }) => message === 'blind was checked: unknown')
      .map(({ time }) => Date.parse(time))
  await waitFor('five tries, at a period of a minute', () => tries().length >= 5)
  const [first = 0, second = 0, , fourth = 0, fifth = 0] = tries()
  assert.ok(second - first < 90, `the second came after ${second - first} ms`)
  assert.ok(fifth - fourth > second - first, 'the distances grow')
  const { status, text } = await deadpool.ask()
  assert.equal(status, 200)
  assert.match(
    text,
    /^OK\nTEST SERVER\nwarning: blind cannot be checked since 20.*Z: cannot ask; its last state counts\n$/,
  )
  assert.match(await deadpool.becomes(503), /^DEAD blind\nTEST SERVER\nblind: cannot check: cannot ask \(since /)
  const notes = join(deadpool.folder, 'probe/state/watchman.json')
  await waitFor('the count', () => JSON.parse(readFileSync(notes, 'utf8')).probes.blind.counts.unknown >= 5)
})

test('while WatchMan itself stands still, no component is called dead', async (context) => {
  // Half of the time a check of each is under way.
  const component = await startComponent(context, { delayMs: 100 })
  const others = ['a', 'b'].map((name) => urlProbe(name, component.url, { more: 'period: 0.2', query: 'timeout: 0.2' }))
  const url = await startSlowText(context, 1 << 20)
  const probes = [slowProbe(url, '0.5'), ...others].join('\n')
  const deadpool = await startDeadPool(context, { probes, watchman: 'stale_after: 60' })
  const judged = () => deadpool.log().filter(({ message }) => message === 'slow was checked: dead').length
  await waitFor('the slow pattern to be tried three times', () => judged() >= 3, 60_000)
  const stalled = deadpool
    .log()
    .filter(({ message }) => /^[ab] could not be checked: WatchMan itself stood/.test(message))
  assert.ok(stalled.length > 0, 'it stood still while they were checked')
  const blamed = deadpool.log().filter(({ message }) => /^[ab] was checked: dead$/.test(message))
  assert.deepEqual(blamed, [])
  assert.match((await deadpool.ask()).text, /^DEAD slow\n/)
})

test('WatchMan that hangs is killed and started again, and the log names what it was busy with', async (context) => {
  const component = await startComponent(context)
  const url = await startSlowText(context, 16 << 20)
  const probes = `${urlProbe('web', component.url)}\n${slowProbe(url, '5')}`
  const deadpool = await startDeadPool(context, { probes, watchman: 'stale_after: 8' })
  const watcher = deadpool.watcherPid()
  const line = await waitFor(
    'the line about it',
    () => deadpool.log().find(({ message }) => message.startsWith('WatchMan hangs')),
    30_000,
  )
  assert.match(
    line.message,
    /^WatchMan hangs: it is silent for \d.*, while it was judging what was said by slow \(module url_probe\); killing it$/,
  )
  await waitFor('its end', () => !isRunning(watcher))
  await waitFor('another one', () => {
    const next = deadpool.watcherPid()
    return next !== undefined && next !== watcher
  })
  assert.doesNotMatch((await deadpool.ask()).text, /DEAD WatchMan/)
})

test('most probes that time out in the same moment are told as one trouble of WatchMan', async (context) => {
  const component = await startComponent(context)
  const silent = await startSilentComponent()
  finallyDo(context, silent.stop)
  const names = ['a', 'b', 'c', 'd']
  const mute = names.map((name) => urlProbe(name, silent.url, { more: 'period: 0.5', query: 'timeout: 0.3' }))
  const probes = [urlProbe('web', component.url), ...mute].join('\n')
  const deadpool = await startDeadPool(context, { probes })
  const trouble =
    '4 of 5 probes timed out in the same moment, which speaks of this host, its network or WatchMan: a, b, c, d'
  const expected = new RegExp(`^DEAD WatchMan\nTEST SERVER\nWatchMan: ${trouble} \\(since .*\\)\n$`)
  await waitFor('the answer', async () => expected.test((await deadpool.ask()).text))
  await waitFor('the line', () => deadpool.log().some(({ message }) => message === trouble))
  const single = await deadpool.ask({}, '/a')
  assert.match(single.text, /^DEAD a\nTEST SERVER\na: timed out after 300 ms /)
  const warnings = deadpool
    .log()
    .filter(({ level, message }) => level === 'warn' && / is dead: timed out/.test(message))
  assert.deepEqual(warnings, [])
  // What else is dead has nothing to do with it.
  component.status(500)
  await waitFor('the other one', async () => (await deadpool.ask()).text.startsWith('DEAD WatchMan, web\n'))
})

test('most probes that time out are still the same trouble after a reload, until they answer', async (context) => {
  const component = await startComponent(context)
  component.hold()
  const names = ['a', 'b', 'c', 'd']
  const all = (period: number) =>
    names.map((name) => urlProbe(name, component.url, { more: `period: ${period}`, query: 'timeout: 0.3' })).join('\n')
  const deadpool = await startDeadPool(context, { probes: all(0.5) })
  const said = (start: string) => deadpool.log().filter(({ message }) => message.startsWith(start)).length
  await waitFor('the trouble', () => said('4 of 4 probes timed out') === 1)
  await reload(deadpool, { probes: all(0.4) })
  await watcherFollows(deadpool, 1)
  // They answer again, and badly: no longer a trouble of WatchMan, but the death of each.
  component.status(500)
  component.release()
  await waitFor('all of them', async () => (await deadpool.ask()).text.startsWith('DEAD a, b, c, d\n'))
  await waitFor('the end of the trouble', () => said('most probes can be judged again; 0 of 4 cannot yet') === 1)
  assert.equal(said('4 of 4 probes timed out'), 1)
  assert.equal(said('most probes can be judged again'), 1)
})

test('most probes that cannot be checked are told as one trouble, in one warning and one line', async (context) => {
  const component = await startComponent(context)
  const names = ['a', 'b', 'c', 'd']
  const blind = names.map((name) => `${name}: { module: good, period: 0.5, query: { mood: unknown } }`)
  const probes = [urlProbe('web', component.url), ...blind].join('\n')
  const deadpool = await startDeadPool(context, { probes, watchman: `${modules}\nstale_after: 3` })
  const warned =
    /^OK\nTEST SERVER\nwarning: WatchMan cannot check 4 of 5 probes since 20.*Z: cannot ask; their last states count\n$/
  await waitFor('the warning', async () => warned.test((await deadpool.ask()).text))
  assert.match(
    (await deadpool.ask({}, '/a')).text,
    /^OK\nTEST SERVER\nwarning: a cannot be checked since .*: cannot ask; /,
  )
  const trouble =
    '4 of 5 probes cannot be checked in the same moment, which speaks of this host, its network or WatchMan: a, b, c, d'
  await waitFor('the line', () => deadpool.log().some(({ message }) => message === trouble))
  const text = await deadpool.becomes(503)
  await waitFor('all of them', async () => (await deadpool.ask()).text.includes(`WatchMan: ${trouble} (since `))
  assert.match(text, /^DEAD /)
  assert.match((await deadpool.ask({}, '/a')).text, /^DEAD a\nTEST SERVER\na: cannot check: cannot ask \(since /)
  const told = deadpool
    .log()
    .filter(({ level, message }) => level !== 'debug' && /^[abcd] (is dead|could not)/.test(message))
  assert.deepEqual(told, [])
  assert.equal(deadpool.log().filter(({ message }) => message === trouble).length, 1)
})

test('on_stale: last_known lets the last states count while WatchMan is stopped', async (context) => {
  const component = await startComponent(context)
  const probes = urlProbe('web', component.url)
  const deadpool = await startDeadPool(context, { probes, watchman: 'stale_after: 1\non_stale: last_known' })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const watcher = deadpool.watcherPid()
  process.kill(watcher, 'SIGSTOP')
  const warned = /^OK\nTEST SERVER\nwarning: WatchMan is silent since .*; the answer is the last known one\n$/
  await waitFor('the warning', async () => warned.test((await deadpool.ask()).text))
  await waitFor('the line about it', () =>
    deadpool.log().some(({ message }) => /^WatchMan \(process \d+\) was stopped by a signal/.test(message)),
  )
  assert.equal(deadpool.watcherPid(), watcher, 'it is not killed')
  process.kill(watcher, 'SIGCONT')
  await waitFor('the end of it', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
})
