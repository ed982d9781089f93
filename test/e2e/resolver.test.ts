import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startDeadPool, waitFor } from './binary.ts'
import { gaps, startComponent, urlProbe } from './component.ts'
import { startSilentResolver } from './silent-resolver.ts'

const NAMED = Array.from({ length: 1000 }, (_, index) => `n${index}`)
const PLAIN = Array.from({ length: 20 }, (_, index) => `p${index}`)
const PERIOD_MS = 500
const STALE_S = 7

/** Starts probes of one component, many by names that nobody resolves and a few by its address. */
async function start(context: TestContext) {
  const resolver = await startSilentResolver(context)
  if (!resolver) return undefined
  const component = await startComponent(context)
  const { port } = new URL(component.url)
  const plain = PLAIN.map((name) =>
    urlProbe(name, `${component.url}/${name}`, { more: `period: ${PERIOD_MS / 1000}`, query: 'timeout: 0.45' }),
  )
  const named = NAMED.map((name) =>
    urlProbe(name, `http://${name}.silent.test:${port}/${name}`, { more: 'period: 2', query: 'timeout: 1' }),
  )
  const deadpool = await startDeadPool(context, {
    through: resolver.through,
    watchman: `stale_after: ${STALE_S}`,
    probes: [...plain, ...named].join('\n'),
  })
  return { resolver, component, deadpool, startedMs: performance.now() }
}

test(`${PLAIN.length} probes with plain addresses keep their period, and stay alive, while ${NAMED.length} wait for a resolver that does not answer`, async (context) => {
  const rig = await start(context)
  if (!rig) return
  const { resolver, component, deadpool, startedMs } = rig
  await sleep(6000)
  const endMs = performance.now()
  assert.ok(resolver.questions() > 0, 'the resolver was never asked')
  // A busy machine is a period late now and then; a lookup that stands in the way holds a check up for five seconds.
  const due = (endMs - startedMs) / PERIOD_MS
  for (const name of PLAIN) {
    const arrivals = component.arrivals(`/${name}`)
    const { longestMs } = gaps([startedMs, ...arrivals, endMs])
    assert.ok(longestMs < 3 * PERIOD_MS, `${name} was not checked for ${Math.round(longestMs)} ms`)
    assert.ok(arrivals.length > due * 0.75, `${name} was checked ${arrivals.length} times, ${Math.round(due)} are due`)
  }
  const outcomes = deadpool.log().flatMap(({ message }) => /^p\d+ was checked: (.*)$/.exec(message)?.[1] ?? [])
  assert.deepEqual([...new Set(outcomes)], ['alive'])
  assert.doesNotMatch((await deadpool.ask()).text, /^p\d+: /m)
})

test(`${NAMED.length} probes whose resolver does not answer are unknown, dead only after stale_after, and alive when it answers`, async (context) => {
  const rig = await start(context)
  if (!rig) return
  const { resolver, component, deadpool, startedMs } = rig
  const wrong = new Set<string>()
  while (performance.now() < startedMs + (STALE_S - 1) * 1000) {
    const { status, text } = await deadpool.ask()
    if (status !== 200) wrong.add(text.slice(0, 200))
    await sleep(50)
  }
  assert.deepEqual([...wrong], [], 'a component is called dead because nobody could ask for its address')
  const text = await deadpool.becomes(503, (STALE_S + 5) * 1000)
  // When most of them die at once, the answer may say that of all together.
  assert.match(text, /^n\d+: cannot check: .*resolver.* \(since |probes cannot be checked in the same moment/m)
  const lines = deadpool.log().map(({ message }) => message)
  const named = (pattern: RegExp) => new Set(lines.flatMap((line) => pattern.exec(line)?.[1] ?? [])).size
  assert.ok(named(/^(n\d+) could not be checked: .*resolver/) > 0, 'no line speaks of the resolver')
  assert.equal(named(/^(n\d+) was checked: unknown$/), NAMED.length, 'probes that are unknown')
  assert.equal(named(/^(n\d+) was checked: dead$/), 0, 'probes that are dead')
  // The C library repeats its questions every five seconds.
  resolver.answer()
  await waitFor('the names to be alive', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n', 30_000)
  for (const name of NAMED) assert.ok(component.arrivals(`/${name}`).length > 0, `${name} was never checked`)
})
