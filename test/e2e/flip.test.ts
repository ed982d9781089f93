import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { finallyDo, makeFolder, startDeadPool, waitFor } from './binary.ts'
import { isMissing, startNginx } from './nginx.ts'

const elastic = (url: string, more = '') => `elastic:
  module: url_probe
  isEnabled: True
  period: 0.2
  query: { url: '${url}', header: {}, query_type: get, timeout: 2 }
  success_criteria:
    body: { type: re_search, query: 'elasticsearch+ green+' }
    status: { type: status_in, query: [200] }
${more}`

test('the answer follows nginx from green to red to gone and back, and so does the flag', async (context) => {
  if (isMissing(context, 'nginx', 'nginx')) return
  const nginx = await startNginx(context)
  const deadpool = await startDeadPool(context, { probes: elastic(nginx.url) })
  const flag = join(deadpool.folder, 'probe/elastic.dead')

  await waitFor('the first check', () => deadpool.log().some(({ message }) => message === 'elastic was checked: alive'))
  assert.equal(await deadpool.becomes(200), 'OK\nTEST SERVER\n')
  assert.equal(existsSync(flag), false)

  nginx.say('red')
  const red = await deadpool.becomes(503)
  assert.match(
    red,
    /^DEAD elastic\nTEST SERVER\nelastic: body: no match for "elasticsearch\+ green\+" in ".*red.*" \(since 20\d\d-.*Z\)\n$/,
  )
  assert.match(
    readFileSync(flag, 'utf8'),
    /^body: no match for "elasticsearch\+ green\+" in ".*red.*"\nsince 20\d\d-.*Z\n$/,
  )

  await nginx.stop()
  await waitFor('the new reason', async () => (await deadpool.ask()).text.includes('connection refused'))
  assert.match(readFileSync(flag, 'utf8'), /connection refused by 127\.0\.0\.1:\d+\nsince /)

  nginx.say('green')
  await nginx.start()
  assert.equal(await deadpool.becomes(200), 'OK\nTEST SERVER\n')
  await waitFor('the flag to go', () => !existsSync(flag))

  const changes = deadpool.log().filter(({ message }) => /^elastic is (dead|alive)/.test(message))
  assert.deepEqual(
    changes.map(({ level, message }) => `${level} ${message.split(':')[0]}`),
    ['warn elastic is dead', 'info elastic is alive again'],
  )
  const [died, rose] = changes
  assert.equal(died?.probe, 'elastic')
  assert.equal(died?.module, 'url_probe')
  assert.match(String(died?.reason), /no match for/)
  assert.match(String(died?.was_alive_for), /^\d/)
  assert.match(String(rose?.was_dead_for), /^\d/)
})

test('a flag made or removed by hand counts at once, and the next check sets it right', async (context) => {
  if (isMissing(context, 'nginx', 'nginx')) return
  const nginx = await startNginx(context)
  const deadpool = await startDeadPool(context, { probes: elastic(nginx.url).replace('0.2', '3') })
  const flag = join(deadpool.folder, 'probe/elastic.dead')
  await waitFor('the first check', () => deadpool.log().some(({ message }) => message === 'elastic was checked: alive'))
  await deadpool.becomes(200)
  writeFileSync(flag, 'moving racks')
  const { status, text } = await deadpool.ask()
  assert.equal(status, 503)
  assert.match(text, /^DEAD elastic\nTEST SERVER\nelastic: moving racks \(since /)
  await deadpool.becomes(200)
  assert.equal(existsSync(flag), false)

  await nginx.stop()
  await deadpool.becomes(503)
  await waitFor('the flag', () => existsSync(flag))
  rmSync(flag)
  assert.equal((await deadpool.ask()).status, 200)
  await deadpool.becomes(503)
  assert.equal(existsSync(flag), true)
  for (const change of ['made', 'removed']) {
    const line = `the flag of elastic was ${change} by hand; the check just made sets it right`
    assert.ok(
      deadpool.log().some(({ message }) => message === line),
      line,
    )
  }
})

test('a restart keeps the answer of a dead component, and clears flags of disabled and removed probes only', async (context) => {
  const folder = makeFolder(context)
  mkdirSync(join(folder, 'probe'))
  const put = (name: string, text: string) => writeFileSync(join(folder, 'probe', name), text)
  const ours = 'connection refused\nsince 2026-01-01T00:00:00.000Z\n'
  for (const name of ['elastic.dead', 'off.dead', 'removed.dead']) put(name, ours)
  put('notes.txt', 'mine')
  put('stranger.dead', 'made by hand')
  // Nobody listens on port 1, so the first check confirms what the flag says.
  const probes = elastic(
    'http://127.0.0.1:1/',
    'off: { module: url_probe, isEnabled: False, query: { url: "http://127.0.0.1:1/" } }\n',
  )
  const deadpool = await startDeadPool(context, { probes, folder })
  const first = await deadpool.ask()
  assert.equal(first.status, 503)
  assert.match(first.text, /since 2026-01-01T00:00:00.000Z/)
  await waitFor('the first check', () => deadpool.log().some(({ message }) => message === 'elastic was checked: dead'))
  await waitFor('the folder to be tidied', () => !existsSync(join(folder, 'probe/removed.dead')))
  const names = () =>
    readdirSync(join(folder, 'probe'))
      .filter((name) => !name.startsWith('.') && name !== 'state')
      .sort()
  assert.deepEqual(names(), ['elastic.dead', 'notes.txt', 'stranger.dead'])
  assert.match((await deadpool.ask()).text, /^DEAD elastic\n.*since 2026-01-01T00:00:00.000Z/s)
  await deadpool.stop()
  assert.deepEqual(names(), ['elastic.dead', 'notes.txt', 'stranger.dead'])
})

test('checks start every period, and a slow component neither overlaps nor shifts them', async (context) => {
  const starts: number[] = []
  let open = 0
  let mostOpen = 0
  const { createServer } = await import('node:http')
  const server = createServer((_, response) => {
    starts.push(performance.now())
    mostOpen = Math.max(mostOpen, ++open)
    setTimeout(
      () => {
        open--
        response.end('elasticsearch green')
      },
      starts.length % 3 === 0 ? 700 : 10,
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  finallyDo(context, () => server.close())
  const { port } = server.address() as { port: number }
  await startDeadPool(context, { probes: elastic(`http://127.0.0.1:${port}/`).replace('0.2', '0.5') })
  await waitFor('eight checks', () => starts.length >= 8, 15_000)
  assert.equal(mostOpen, 1)
  const first = starts[0] as number
  // Every start lies near a multiple of the period from the first: nothing drifts.
  const offBeat = starts.map((ms) => Math.abs(((ms - first + 250) % 500) - 250))
  assert.ok(Math.max(...offBeat) < 150, `off the beat by ${offBeat.map(Math.round).join(', ')} ms`)
})
