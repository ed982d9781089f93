import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { startDeadPool, waitFor } from './binary.ts'
import { startComponent, urlProbe } from './component.ts'

async function startWith(context: TestContext) {
  const component = await startComponent(context)
  const probes = ['a', 'b'].map((name) => urlProbe(name, `${component.url}/${name}`)).join('\n')
  const deadpool = await startDeadPool(context, { probes, after: '\ngroups: { pair: { members: [b] } }' })
  await waitFor('the first round', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const path = (file: string) => join(deadpool.folder, 'probe', file)
  return { component, deadpool, put: (file: string, text: string) => writeFileSync(path(file), text), path }
}

test('a drain made with an editor counts at once on every path, and ends when its file goes', async (context) => {
  const { deadpool, put, path } = await startWith(context)
  put('drain', '')
  const empty = await deadpool.ask()
  assert.equal(empty.status, 503)
  assert.match(empty.text, /^DEAD drain\nTEST SERVER\ndrain: no reason given \(since 20.*Z\)\n$/)
  for (const name of ['a', 'b', 'pair']) assert.equal((await deadpool.ask({}, `/${name}`)).status, 503)
  rmSync(path('drain'))
  assert.equal((await deadpool.ask()).status, 200)
  put('drain', 'moving racks\nby alice\nuntil 2999-01-01T00:00:00Z\n')
  assert.match(
    (await deadpool.ask()).text,
    /^DEAD drain\nTEST SERVER\ndrain: moving racks \(by alice\) \(since 20.*Z, until 2999-01-01T00:00:00.000Z\)\n$/,
  )
  await waitFor('the line about it', () =>
    deadpool.log().some(({ message }) => message === 'drained until 2999-01-01T00:00:00.000Z, by alice: moving racks'),
  )
  // Changed in place, as some editors do.
  put('drain', 'moving racks, again\n')
  await waitFor('the change', async () => (await deadpool.ask()).text.includes('moving racks, again'), 3000)
})

test('a drain ends exactly when it says, though its file stays', async (context) => {
  const { deadpool, put } = await startWith(context)
  put('drain', 'racks\nfor 2s\n')
  const putMs = performance.now()
  assert.equal((await deadpool.ask()).status, 503)
  await waitFor('the end', async () => (await deadpool.ask()).status === 200)
  const lastedMs = performance.now() - putMs
  assert.ok(lastedMs > 1950 && lastedMs < 2300, `it lasted ${Math.round(lastedMs)} ms`)
})

test('a mute takes a dead probe or group out of the count, visibly, until it ends', async (context) => {
  const { component, deadpool, put } = await startWith(context)
  put('a.mute', 'upgrade\nby bob\nfor 3s\n')
  const muted =
    /^OK\nTEST SERVER\nwarning: a is muted until 20.*Z, by bob: upgrade; it is dead: status: 500 is not one of 2xx/
  component.status(500, '/a')
  await waitFor('the warning', async () => muted.test((await deadpool.ask()).text))
  assert.equal((await deadpool.ask({}, '/a')).status, 200)
  assert.match(await deadpool.becomes(503), /^DEAD a\n/)
  put('a.mute', 'for 1h')
  put('pair.mute', 'for 1h')
  component.status(500, '/b')
  await waitFor('the group', async () => /warning: pair is muted .*; it is dead:/.test((await deadpool.ask()).text))
  assert.equal((await deadpool.ask()).status, 200)
  put('pair.mute', 'until 2001-01-01T00:00:00Z')
  assert.match(await deadpool.becomes(503), /^DEAD pair\n/)
})

test('a mute of nothing is told in the answer', async (context) => {
  const { deadpool, put } = await startWith(context)
  put('aa.mute', 'oops')
  assert.equal(
    (await deadpool.ask()).text,
    'OK\nTEST SERVER\nwarning: aa.mute mutes nothing: there is no enabled probe and no group of that name\n',
  )
})

test('drains and mutes survive restarts of WatchMan and of DeadPool', async (context) => {
  const { component, deadpool, put } = await startWith(context)
  put('drain', 'racks')
  put('a.mute', 'for 1h')
  process.kill(deadpool.watcherPid(), 'SIGKILL')
  const before = await deadpool.ask()
  assert.match(before.text, /^DEAD drain\n.*\nwarning: a is muted/s)
  await deadpool.stop('SIGKILL')
  const probes = ['a', 'b'].map((name) => urlProbe(name, `${component.url}/${name}`)).join('\n')
  const { folder } = deadpool
  const next = await startDeadPool(context, { probes, folder, after: '\ngroups: { pair: { members: [b] } }' })
  assert.match((await next.ask()).text, /^DEAD drain\n.*\nwarning: a is muted/s)
})

test('a drain counts on every path below base_url, and in JSON it tells until when', async (context) => {
  const component = await startComponent(context)
  const probes = ['a', 'b'].map((name) => urlProbe(name, `${component.url}/${name}`)).join('\n')
  const after = '\ngroups: { pair: { members: [b] } }'
  const deadpool = await startDeadPool(context, { probes, after, web: 'base_url: /health' })
  const path = join(deadpool.folder, 'probe/drain')
  writeFileSync(path, 'until 2999-01-01T00:00:00Z\nnew racks\nby alice\n')
  const json = { headers: { accept: 'application/json' } }
  for (const page of ['/health', '/health/', '/health/a', '/health/pair']) {
    const { status, text } = await deadpool.ask(json, page)
    assert.equal(status, 503, page)
    const [{ since, ...drain }] = JSON.parse(text).dead
    assert.deepEqual(drain, { probe: 'drain', reason: 'new racks (by alice)', until: '2999-01-01T00:00:00.000Z' })
  }
  assert.equal((await deadpool.ask({}, '/health/nosuch')).status, 404)
  assert.equal((await deadpool.ask({ headers: { authorization: 'Bearer wrong' } }, '/health')).status, 511)
  rmSync(path)
  for (const page of ['/health', '/health/a']) assert.equal((await deadpool.ask({}, page)).status, 200, page)
})

test('a drain that is over before it is seen, or that another file replaces, counts as it says', async (context) => {
  const { deadpool, put } = await startWith(context)
  put('drain', 'racks\nuntil 2001-01-01T00:00:00Z\n')
  assert.equal((await deadpool.ask()).text, 'OK\nTEST SERVER\n')
  // Changed in place.
  put('drain', 'racks\nfor 1h\n')
  await waitFor('the drain', async () => (await deadpool.ask()).text.startsWith('DEAD drain\n'), 3000)
  put('drain', 'racks\nuntil 2001-01-01T00:00:00Z\n')
  await waitFor('the end', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n', 3000)
})

test('a mute taken away lets a death count at once, and one changed in place ends when it says', async (context) => {
  const { component, deadpool, put, path } = await startWith(context)
  put('a.mute', 'upgrade')
  component.status(500, '/a')
  const isMuted = async () => /^OK\n.*\nwarning: a is muted until .*; it is dead: /.test((await deadpool.ask()).text)
  await waitFor('the muted death', isMuted)
  rmSync(path('a.mute'))
  assert.match((await deadpool.ask()).text, /^DEAD a\n/)
  put('a.mute', 'for 1h')
  assert.ok(await isMuted())
  put('a.mute', 'for 2s')
  const putMs = performance.now()
  assert.match(await deadpool.becomes(503), /^DEAD a\n/)
  const lastedMs = performance.now() - putMs
  assert.ok(lastedMs > 1950 && lastedMs < 3000, `it lasted ${Math.round(lastedMs)} ms`)
  const lines = deadpool.log().flatMap(({ message }) => /^a is (no longer muted|muted)/.exec(message)?.[1] ?? [])
  assert.equal(lines.at(0), 'muted')
  assert.equal(lines.at(-1), 'no longer muted')
})

test('a muted member that is dead is left out of the count of its group; one that is alive is not', async (context) => {
  const component = await startComponent(context)
  const probes = ['x', 'y', 'z'].map((name) => urlProbe(name, `${component.url}/${name}`)).join('\n')
  const after = '\ngroups: { all: { members: [x, y, z], min_alive: "60%" } }'
  const deadpool = await startDeadPool(context, { probes, after })
  await waitFor('the first round', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const put = (name: string) => writeFileSync(join(deadpool.folder, `probe/${name}.mute`), 'for 1h')
  put('z')
  component.status(500, '/x')
  await waitFor('the death', async () => (await deadpool.ask({}, '/x')).status === 503)
  assert.match((await deadpool.ask()).text, /^OK\nTEST SERVER\nwarning: z is muted until \S+: no reason given\n$/)
  component.status(500, '/y')
  assert.match(await deadpool.becomes(503), /^DEAD all\n.*\nall: 1 of 3 alive, 2 needed \(x: .*; y: .*\)/)
  // One of two is less than 60%.
  put('y')
  assert.match((await deadpool.ask()).text, /^DEAD all\n.*\nall: 1 of 2 alive, 2 needed \(x: .*\)/)
  put('x')
  assert.equal((await deadpool.ask()).status, 200)
})

test('a drain goes on through a restart of DeadPool, and ends when it would have ended', async (context) => {
  const { component, deadpool, put } = await startWith(context)
  put('drain', 'racks\nfor 3s\n')
  const putMs = Date.now()
  assert.equal((await deadpool.ask()).status, 503)
  await deadpool.stop('SIGKILL')
  const probes = urlProbe('a', `${component.url}/a`)
  const next = await startDeadPool(context, { probes, folder: deadpool.folder })
  assert.match((await next.ask()).text, /^DEAD drain\n/)
  await next.becomes(200)
  const lastedMs = Date.now() - putMs
  assert.ok(lastedMs > 2950 && lastedMs < 3400, `it lasted ${lastedMs} ms`)
})
