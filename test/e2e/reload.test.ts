import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { keepAsking } from './asking.ts'
import { makeFolder, runBinary, startDeadPool, TOKEN, waitFor, writeConfig } from './binary.ts'
import { startComponent, urlProbe } from './component.ts'
import { freePort } from './nginx.ts'
import { reload, watcherFollows } from './reloading.ts'

test('SIGHUP with a bad new file changes nothing, and logs every mistake', async (context) => {
  const component = await startComponent(context)
  const probes = urlProbe('web', component.url)
  const deadpool = await startDeadPool(context, { probes })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const watcher = deadpool.watcherPid()
  assert.equal(await reload(deadpool, { probes: `${probes}\nbad: { module: url_prob, perod: 3 }` }), false)
  const errors = deadpool.log().filter(({ level }) => level === 'error')
  assert.deepEqual(
    errors.map(({ message }) => message.replace(/^.*deadpool.yml:\d+:\d+ /, '')),
    [
      'probes.bad.module: "url_prob" is not a module; did you mean "url_probe"?',
      'probes.bad.perod: is not a known key; did you mean "period"?',
      'the configuration was not loaded again; everything goes on as before',
    ],
  )
  assert.equal(await reload(deadpool, 'WEB: ['), false)
  assert.equal(deadpool.watcherPid(), watcher)
  component.status(500)
  await deadpool.becomes(503)
  component.status(200)
  assert.equal(await deadpool.becomes(200), 'OK\nTEST SERVER\n')
})

test('a reload begins only the changed probes anew; the others keep their schedule, state, streak and hold', async (context) => {
  const component = await startComponent(context)
  const same = urlProbe('same', `${component.url}/same`, { more: 'period: 1, fall: 4' })
  const held = urlProbe('held', `${component.url}/held`, { more: 'period: 0.2, hold: 60' })
  const changing = (path: string) => urlProbe('changing', `${component.url}${path}`, { more: 'period: 0.5' })
  const gone = urlProbe('gone', `${component.url}/gone`)
  component.status(500, '/held')
  component.status(500, '/gone')
  const deadpool = await startDeadPool(context, { probes: [same, held, changing('/old'), gone].join('\n') })
  await waitFor('the flags', () =>
    ['held', 'gone'].every((name) => existsSync(join(deadpool.folder, `probe/${name}.dead`))),
  )
  component.status(200, '/held')
  component.status(500, '/same')
  await waitFor('two failures', () => deadpool.log().some(({ message }) => message.startsWith('same failed, 2 of 4')))
  const watcher = deadpool.watcherPid()

  const added = urlProbe('added', `${component.url}/added`)
  assert.equal(await reload(deadpool, { probes: [added, same, held, changing('/new')].join('\n') }), true)
  await watcherFollows(deadpool, 1)
  assert.equal(deadpool.watcherPid(), watcher)
  await waitFor('the flag of the probe that is gone to go', () => !existsSync(join(deadpool.folder, 'probe/gone.dead')))
  await waitFor('the new address to be asked', () => component.arrivals('/new').length > 0)
  const asked = component.arrivals('/old').length
  assert.match((await deadpool.ask()).text, /^DEAD held\n/, 'the hold goes on')
  // The streak of two goes on: two more failures, not four.
  await deadpool.becomes(503)
  await waitFor('four failures', async () => (await deadpool.ask()).text.startsWith('DEAD same, held\n'))
  assert.equal(component.arrivals('/same').length <= 5, true)
  assert.equal(component.arrivals('/old').length, asked, 'the former address is not asked any more')
  const beats = component.arrivals('/same')
  const first = beats[0] as number
  const offBeat = beats.map((ms) => Math.abs(((ms - first + 500) % 1000) - 500))
  assert.ok(Math.max(...offBeat) < 250, `off the beat by ${offBeat.map(Math.round).join(', ')} ms`)
  const message = /^watching 4 probes by the new configuration; 2 probes begun anew, 1 probe ended$/
  assert.ok(deadpool.log().some((line) => message.test(line.message)))
})

test('a reload changes what counts, the token, the name and the path from the next request on', async (context) => {
  const component = await startComponent(context)
  component.status(500)
  const probe = (more: string) => urlProbe('web', component.url, { more: `period: 0.2${more}` })
  const deadpool = await startDeadPool(context, { probes: probe('') })
  await deadpool.becomes(503)
  const text = writeConfig({ probes: probe(', severity: warning'), web: 'base_url: /health' })
    .replace('TEST SERVER', 'OTHER NAME')
    .replace(TOKEN, 'another-token-4711')
  await reload(deadpool, text)
  assert.equal((await deadpool.ask()).status, 511)
  const headers = { authorization: 'Bearer another-token-4711' }
  assert.equal((await deadpool.ask({ headers })).status, 404)
  const answer = await deadpool.ask({ headers }, '/health')
  assert.match(answer.text, /^OK\nOTHER NAME\nwarning: web is dead: /)
  assert.equal(deadpool.output().includes('another-token-4711'), false)
})

test('a reload of what counts alone begins no probe anew', async (context) => {
  const component = await startComponent(context)
  component.status(500, '/a')
  component.status(500, '/b')
  const probes = (more: string) =>
    ['a', 'b', 'c']
      .map((name) => urlProbe(name, `${component.url}/${name}`, { more: `period: 60${name === 'b' ? more : ''}` }))
      .join('\n')
  const deadpool = await startDeadPool(context, { probes: probes('') })
  await waitFor('the first round', async () => (await deadpool.ask()).text.startsWith('DEAD a, b\n'))
  await reload(deadpool, { probes: probes(', depends_on: a'), watchman: 'stale_after: 20' })
  assert.match((await deadpool.ask()).text, /^DEAD a, b\n.*\na: .*\nb: .* \(because of a\) \(since .*\)\n$/)
  await reload(deadpool, { probes: probes(', severity: warning'), after: '\ngroups: { pair: { members: [a, c] } }' })
  assert.match((await deadpool.ask()).text, /^OK\nTEST SERVER\nwarning: b is dead: .*\n$/)
  await reload(deadpool, { probes: probes(''), after: '\ngroups: { pair: { members: [a, c], min_alive: 2 } }' })
  assert.match((await deadpool.ask()).text, /^DEAD b, pair\n/)
  await watcherFollows(deadpool, 3)
  const lines = deadpool.log().filter(({ message }) => message.includes('by the new configuration'))
  assert.deepEqual(
    lines.map(({ message }) => message),
    Array(3).fill('watching 3 probes by the new configuration; none changed'),
  )
  for (const path of ['/a', '/b', '/c']) assert.equal(component.arrivals(path).length, 1, path)
})

test('a reload moves the listening address, and no request fails meanwhile', async (context) => {
  const component = await startComponent(context)
  const probes = urlProbe('web', component.url)
  const deadpool = await startDeadPool(context, { probes })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  let url = deadpool.url
  const clients = [false as const, new Agent({ keepAlive: true })].map((agent) =>
    keepAsking(context, { url: () => url, agent, keep: (status) => String(status) }),
  )
  for (let round = 0; round < 5; round++) {
    const port = await freePort()
    const config = writeConfig({ probes }).replace('port: 0', `port: ${port}`)
    writeFileSync(join(deadpool.folder, 'deadpool.yml'), config)
    const next = `http://127.0.0.1:${port}/`
    deadpool.child.kill('SIGHUP')
    await waitFor('the new address', () => fetch(next).then(({ status }) => status === 511))
    url = next
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  for (const client of clients) {
    assert.deepEqual(await client.stop(), ['200'])
    assert.ok(client.count() > 20, `${client.count()} answers`)
  }
})

test('twenty reloads in a row under load: no request fails, and the answers follow the component', async (context) => {
  const component = await startComponent(context)
  const probes = (period: number) => urlProbe('web', component.url, { more: `period: ${period}` })
  const deadpool = await startDeadPool(context, { probes: probes(0.2) })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const clients = [false as const, new Agent({ keepAlive: true })].map((agent) =>
    keepAsking(context, { url: deadpool.url, agent, keep: (status) => String(status) }),
  )
  for (let round = 0; round < 20; round++)
    assert.equal(await reload(deadpool, { probes: probes(0.2 + round / 100) }), true)
  for (const client of clients) {
    assert.deepEqual(await client.stop(), ['200'])
    assert.ok(client.count() > 20, `${client.count()} answers`)
  }
  component.status(500)
  await deadpool.becomes(503)
})

test('a reload to an address that is taken changes nothing', async (context) => {
  const component = await startComponent(context)
  const { port } = component.server.address() as { port: number }
  const probes = urlProbe('web', component.url)
  const deadpool = await startDeadPool(context, { probes })
  const config = writeConfig({ probes, web: '' }).replace('port: 0', `port: ${port}`).replace('TEST SERVER', 'OTHER')
  assert.equal(await reload(deadpool, config), false)
  assert.ok(
    deadpool.log().some(({ level, message }) => level === 'error' && message.startsWith('cannot listen on 127.0.0.1:')),
  )
  await waitFor('the answer as before', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
})

test('a reload to another status folder carries the states over', async (context) => {
  const component = await startComponent(context)
  const probes = urlProbe('web', component.url, { more: 'period: 0.2, hold: 60' })
  const deadpool = await startDeadPool(context, { probes })
  component.status(500)
  await deadpool.becomes(503)
  component.status(200)
  const since = /since (\S+)\)/.exec((await deadpool.ask()).text)?.[1]
  const config = writeConfig({ probes }).replace('probe_status_folder: probe', 'probe_status_folder: other')
  assert.equal(await reload(deadpool, config), true)
  await waitFor('the flag in the new folder', () => existsSync(join(deadpool.folder, 'other/web.dead')))
  const { status, text } = await deadpool.ask()
  assert.equal(status, 503)
  assert.ok(since && text.includes(since), text)
})

test('a reload to another status folder never answers 200 while a component is dead, however long its check takes', async (context) => {
  const component = await startComponent(context)
  component.status(500)
  const probes = urlProbe('web', component.url, { query: 'timeout: 2' })
  const deadpool = await startDeadPool(context, { probes })
  await deadpool.becomes(503)
  await waitFor('the flag', () => existsSync(join(deadpool.folder, 'probe/web.dead')))
  component.server.removeAllListeners('request')
  const config = writeConfig({ probes }).replace('probe_status_folder: probe', 'probe_status_folder: other')
  assert.equal(await reload(deadpool, config), true)
  while (!existsSync(join(deadpool.folder, 'other/web.dead'))) assert.equal((await deadpool.ask()).status, 503)
})

test('a reload makes no probe stale that was checked just before', async (context) => {
  const component = await startComponent(context)
  const names = Array.from({ length: 20 }, (_, index) => `p${index}`)
  const probes = names.map((name) => urlProbe(name, component.url, { more: 'period: 5', query: 'timeout: 0.5' }))
  const deadpool = await startDeadPool(context, { probes: probes.join('\n'), watchman: 'stale_after: 1' })
  await waitFor('the second round', () => component.arrivals().length >= 2 * names.length)
  await reload(deadpool, { probes: probes.join('\n'), watchman: 'stale_after: 1.5' })
  const endMs = performance.now() + 4500
  while (performance.now() < endMs) {
    assert.equal((await deadpool.ask()).status, 200)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
})

test('a reload takes up the new code of an external module, and leaves the probes of others alone', async (context) => {
  const component = await startComponent(context)
  const folder = makeFolder(context)
  mkdirSync(join(folder, 'mod'))
  const writeModule = (word: string) =>
    writeFileSync(
      join(folder, 'mod/word.ts'),
      `import { defineProbe, z } from 'deadpool'
export const Probe = defineProbe({
  summary: 'Says a word.', query: z.strictObject({}), facts: { word: 'the word' },
  probe: async () => ({ word: '${word}' }),
})
`,
    )
  writeModule('first')
  const probes = `word: { module: word, period: 0.2, success_criteria: { word: { type: re_search, query: first } } }
${urlProbe('web', component.url)}`
  const options = { probes, folder, watchman: `module_folder: ${join(folder, 'mod')}` }
  const deadpool = await startDeadPool(context, options)
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  writeModule('second')
  await reload(deadpool, options)
  assert.match(await deadpool.becomes(503), /^DEAD word\nTEST SERVER\nword: word: no match for "first" in "second"/)
  const message = /^watching 2 probes by the new configuration; 1 probe begun anew$/
  assert.ok(deadpool.log().some((line) => message.test(line.message)))
})

test('a reload sends the log elsewhere', async (context) => {
  const component = await startComponent(context)
  const probes = urlProbe('web', component.url)
  const deadpool = await startDeadPool(context, { probes })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  writeFileSync(
    join(deadpool.folder, 'deadpool.yml'),
    writeConfig({ probes, generic: '  log: { type: console, level: debug }' }),
  )
  deadpool.child.kill('SIGHUP')
  await waitFor('both on standard error', () => {
    const text = deadpool.output()
    return / INFO {2}the configuration was loaded again/.test(text) && / INFO {2}watching 1 probe/.test(text)
  })
  await waitFor('the answer as before', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
})

test('a reload while WatchMan is being started again reaches the new WatchMan', async (context) => {
  const component = await startComponent(context)
  const deadpool = await startDeadPool(context, { probes: urlProbe('web', component.url) })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  process.kill(deadpool.watcherPid(), 'SIGKILL')
  await waitFor('its end', () => deadpool.log().some(({ message }) => message.startsWith('WatchMan ended')))
  component.status(500, '/b')
  await reload(deadpool, { probes: urlProbe('b', `${component.url}/b`) })
  assert.match(await deadpool.becomes(503), /^DEAD b\n/)
})

test('deadpool reload tells whether DeadPool took the new file', async (context) => {
  const component = await startComponent(context)
  const probes = urlProbe('web', component.url)
  const deadpool = await startDeadPool(context, { probes })
  const file = join(deadpool.folder, 'deadpool.yml')
  writeFileSync(
    file,
    `${readFileSync(file, 'utf8')}${'  '}more: { module: url_probe, query: { url: "${component.url}" } }\n`,
  )
  const good = await runBinary(['reload', '-c', file])
  assert.equal(good.code, 0, good.stderr)
  assert.equal((await deadpool.ask({}, '/more')).status, 200)
  writeFileSync(file, 'WEB: 1\n')
  const bad = await runBinary(['reload', '-c', file])
  assert.equal(bad.code, 2)
  assert.match(bad.stderr, /WEB/)
  assert.equal((await deadpool.ask()).status, 200)
})
