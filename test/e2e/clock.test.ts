import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type DeadPool, startDeadPool, waitFor } from './binary.ts'
import { gaps, startComponent, urlProbe } from './component.ts'
import { createFakeClock } from './fake-clock.ts'
import { notesOf, startToUpgrade, upgrade } from './upgrading.ts'

const HOUR_S = 3600
const PERIOD_MS = 500
/** How late a busy machine may be. */
const LATE_MS = 300

/** Asks until the moment comes, and gives the different answers. */
async function listenUntil(deadpool: DeadPool, endMs: number): Promise<string[]> {
  const answers = new Set<string>()
  while (performance.now() < endMs) {
    answers.add((await deadpool.ask()).text)
    await sleep(20)
  }
  return [...answers]
}

/** How far the clock of a role jumped between two neighbouring lines of its log, in whole hours. */
function jumps(deadpool: DeadPool, role: string): number[] {
  const times = deadpool.log().flatMap((line) => (line.role === role ? [Date.parse(line.time)] : []))
  return times
    .slice(1)
    .map((ms, index) => Math.round((ms - (times[index] as number)) / (HOUR_S * 1000)))
    .filter((hours) => hours !== 0)
}

test('the system clock set an hour forth and back: checks keep their period, and WatchMan is not silent', async (context) => {
  const clock = createFakeClock(context)
  if (!clock) return
  const component = await startComponent(context)
  const deadpool = await startDeadPool(context, {
    env: clock.env,
    watchman: 'stale_after: 2',
    probes: urlProbe('web', component.url, { more: 'period: 0.5', query: 'timeout: 0.4' }),
  })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const answers = new Set<string>()
  const startedMs = performance.now()
  // Longer than stale_after each, so that whoever measured by this clock would have the time to say so.
  for (const offset of [0, HOUR_S, 0, -HOUR_S, 0]) {
    clock.set(offset)
    for (const text of await listenUntil(deadpool, performance.now() + 2500)) answers.add(text)
  }
  const arrivals = component.arrivals().filter((ms) => ms > startedMs)
  assert.deepEqual([...answers], ['OK\nTEST SERVER\n'])
  assert.deepEqual(jumps(deadpool, 'WatchMan'), [1, -1, -1, 1], 'the clock did not jump')
  const { longestMs, shortestMs } = gaps(arrivals)
  assert.ok(longestMs < PERIOD_MS + LATE_MS, `no check for ${Math.round(longestMs)} ms`)
  assert.ok(shortestMs > PERIOD_MS - LATE_MS, `two checks within ${Math.round(shortestMs)} ms`)
  const due = (performance.now() - startedMs) / PERIOD_MS
  assert.ok(Math.abs(arrivals.length - due) <= 2, `${arrivals.length} checks, where ${due} are due`)

  // What people read is the clock as it was set.
  clock.set(HOUR_S)
  component.status(500)
  const died = await deadpool.becomes(503)
  const since = Date.parse(/\(since (\S+)\)/.exec(died)?.[1] ?? '')
  assert.ok(Math.abs(since - Date.now() - HOUR_S * 1000) < 2000, died)
})

test('a hold while the system clock is set an hour forth and back is neither cut short nor prolonged', async (context) => {
  const clock = createFakeClock(context)
  if (!clock) return
  const component = await startComponent(context)
  const more = 'period: 0.5, fall: 2, hold: 3'
  const deadpool = await startDeadPool(context, {
    env: clock.env,
    probes: urlProbe('web', component.url, { more, query: 'timeout: 0.4' }),
  })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  for (const [first, second] of [
    [HOUR_S, 0],
    [-HOUR_S, 0],
  ] as const) {
    const failingMs = performance.now()
    component.status(500)
    // The clock jumps between the two checks that it takes, too.
    await waitFor('the first failure', () => component.arrivals().some((ms) => ms > failingMs))
    clock.set(first)
    await deadpool.becomes(503)
    const diedMs = performance.now()
    const failures = component.arrivals().filter((ms) => ms > failingMs)
    assert.equal(failures.length, 2, 'checks that it took to die')
    component.status(200)
    const held = await listenUntil(deadpool, diedMs + 1500)
    clock.set(second)
    held.push(...(await listenUntil(deadpool, diedMs + 3000 - LATE_MS)))
    assert.deepEqual(
      held.filter((text) => !text.startsWith('DEAD web\n')),
      [],
      'the hold was cut short',
    )
    await deadpool.becomes(200)
    const heldMs = performance.now() - diedMs
    assert.ok(heldMs < 3000 + PERIOD_MS + LATE_MS, `held for ${Math.round(heldMs)} ms instead of 3 s`)
  }
})

test('a drain until a moment while the system clock is set an hour forth and back ends after the time that it was given', async (context) => {
  const clock = createFakeClock(context)
  if (!clock) return
  const component = await startComponent(context)
  const deadpool = await startDeadPool(context, { env: clock.env, probes: urlProbe('web', component.url) })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  for (const [first, second] of [
    [HOUR_S, 0],
    [-HOUR_S, 0],
  ] as const) {
    const now = Date.now()
    const until = new Date(now + 4000).toISOString()
    const startedMs = performance.now()
    writeFileSync(
      join(deadpool.folder, 'probe/drain'),
      `moving racks\nby tester\nsince ${new Date(now).toISOString()}\nuntil ${until}\n`,
    )
    assert.match(await deadpool.becomes(503, 2000), /^DEAD drain\nTEST SERVER\ndrain: moving racks \(.*\)\n$/)
    clock.set(first)
    const drained = await listenUntil(deadpool, startedMs + 2000)
    clock.set(second)
    drained.push(...(await listenUntil(deadpool, startedMs + 4000 - LATE_MS)))
    assert.deepEqual(
      drained.filter((text) => !text.startsWith('DEAD drain\n')),
      [],
      'the drain ended early',
    )
    assert.equal(await deadpool.becomes(200), 'OK\nTEST SERVER\n')
    const drainedMs = performance.now() - startedMs
    assert.ok(drainedMs < 4000 + LATE_MS, `drained for ${Math.round(drainedMs)} ms instead of 4 s`)
  }
})

test('an upgrade while the system clock is set an hour forth or back keeps holds, and takes nobody for dead', async (context) => {
  const clock = createFakeClock(context)
  if (!clock) return
  const [web, other] = [await startComponent(context), await startComponent(context)]
  const deadpool = await startToUpgrade(context, {
    env: clock.env,
    watchman: 'stale_after: 5',
    probes: [
      urlProbe('web', web.url, { more: 'period: 0.2, hold: 600', query: 'timeout: 0.4' }),
      urlProbe('other', other.url, { query: 'timeout: 0.4' }),
    ].join('\n'),
  })
  await deadpool.becomes(200)
  web.status(500)
  await deadpool.becomes(503)
  web.status(200)
  for (const offset of [HOUR_S, 0, -HOUR_S]) {
    const former = notesOf(deadpool).pid
    const done = upgrade(deadpool)
    // The new process was told the moments by the former clock, and goes by the new one.
    await waitFor('the new process', () => deadpool.log().some(({ message }) => message.includes(`(${former})`)))
    clock.set(offset)
    const { code, stderr } = await done
    assert.deepEqual([code, stderr], [0, ''])
    assert.notEqual(notesOf(deadpool).pid, former)
    const answers = await listenUntil(deadpool, performance.now() + 800)
    assert.deepEqual(
      answers.filter((text) => !/^DEAD web\nTEST SERVER\nweb: .*\n$/.test(text)),
      [],
    )
  }
  assert.deepEqual(jumps(deadpool, 'SpiderMan'), [1, -1, -1], 'the clock did not jump')
})
