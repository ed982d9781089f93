import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type DeadPool, startDeadPool, waitFor } from './binary.ts'
import { type Component, startComponent, urlProbe } from './component.ts'
import { LIMIT, limitDescriptors, openDescriptors, THROUGH_LIMIT } from './descriptor-limit.ts'

const PROBES = 500

/** YAML of so many probes that more checks are under way at a time than there are descriptors. */
function probesOf(component: Component): string {
  const names = Array.from({ length: PROBES }, (_, index) => `c${index}`)
  return names
    .map((name) => urlProbe(name, `${component.url}/${name}`, { more: 'period: 2', query: 'timeout: 1.8' }))
    .join('\n')
}

function count(deadpool: DeadPool, kind: string): number {
  return deadpool.log().filter(({ message }) => message.endsWith(` was checked: ${kind}`)).length
}

/** Asks for a while: every answer comes, in time, and calls nothing dead; the watcher is at its limit meanwhile. */
async function assertScarceAndAlive(deadpool: DeadPool, ms: number): Promise<void> {
  const watcher = await waitFor('the watcher', () => deadpool.watcherPid())
  const wrong = new Set<string>()
  let mostOpen = 0
  const endMs = performance.now() + ms
  while (performance.now() < endMs) {
    const startedMs = performance.now()
    const { status, text } = await deadpool.ask()
    assert.ok(performance.now() - startedMs < 2000, 'SpiderMan does not go on answering')
    if (status !== 200) wrong.add(text.slice(0, 200))
    mostOpen = Math.max(mostOpen, openDescriptors(watcher))
    await sleep(20)
  }
  assert.ok(mostOpen > LIMIT - 5, `${mostOpen} descriptors open at most: they never became scarce`)
  assert.deepEqual([...wrong], [], 'a component is called dead because this host has no descriptors left')
  const reasons = deadpool.log().flatMap(({ message }) => /^c\d+ could not be checked: (.*)$/.exec(message)?.[1] ?? [])
  assert.deepEqual([...new Set(reasons)], ['this process has no file descriptors left (EMFILE)'])
  assert.ok(count(deadpool, 'unknown') > 0)
  assert.equal(count(deadpool, 'dead'), 0)
}

test(`a start with ${LIMIT} file descriptors and ${PROBES} probes: those that get none are unknown, and none is dead`, async (context) => {
  const component = await startComponent(context, { delayMs: 300 })
  const deadpool = await startDeadPool(context, { through: THROUGH_LIMIT, probes: probesOf(component) })
  await assertScarceAndAlive(deadpool, 5000)
  assert.ok(count(deadpool, 'alive') > LIMIT, 'descriptors are given back, and serve the next checks')
})

test('descriptors of the watcher that become scarce while it runs, and are given back: every probe is checked again', async (context) => {
  const component = await startComponent(context, { delayMs: 300 })
  const deadpool = await startDeadPool(context, { probes: probesOf(component) })
  await waitFor('the first round', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  limitDescriptors(deadpool.watcherPid(), LIMIT)
  await sleep(500)
  await assertScarceAndAlive(deadpool, 4000)

  limitDescriptors(deadpool.watcherPid(), 4096)
  const names = (pattern: RegExp) =>
    new Set(deadpool.log().flatMap(({ message }) => pattern.exec(message)?.[1] ?? [])).size
  const missed = names(/^(c\d+) could not be checked: /)
  await waitFor('all of them to be checked', () => names(/^(c\d+) can be checked again$/) === missed, 5000)
  const unknown = count(deadpool, 'unknown')
  const alive = count(deadpool, 'alive')
  await waitFor('another round', () => count(deadpool, 'alive') >= alive + PROBES, 5000)
  assert.equal(count(deadpool, 'unknown'), unknown)
  assert.equal((await deadpool.ask()).text, 'OK\nTEST SERVER\n')
})

test(`${LIMIT} file descriptors and more clients than that: never 200 while a component is dead, and answers again when they are gone`, async (context) => {
  const component = await startComponent(context)
  component.status(500)
  const deadpool = await startDeadPool(context, {
    through: THROUGH_LIMIT,
    probes: urlProbe('down', component.url),
  })
  await deadpool.becomes(503)
  const { port } = new URL(deadpool.url)
  const clients = Array.from({ length: 2 * LIMIT }, () =>
    connect(Number(port), '127.0.0.1').on('error', () => undefined),
  )
  await waitFor('the descriptors to be scarce', () => openDescriptors(deadpool.pid) >= LIMIT - 1)
  const met = await deadpool.ask().then(
    ({ status }) => status,
    () => 'no answer',
  )
  assert.ok(met === 503 || met === 'no answer', `answered ${met} while a component is dead`)
  for (const client of clients) client.destroy()
  assert.match(await deadpool.becomes(503), /^DEAD down\n/)
  component.status(200)
  await waitFor('the warnings to go', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
})
