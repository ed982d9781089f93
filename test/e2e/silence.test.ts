import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { finallyDo, startDeadPool, waitFor } from './binary.ts'
import { urlProbe } from './component.ts'
import { countSockets, rssBytes } from './process-use.ts'
import { startSilentComponent } from './silent-component.ts'

const PROBES = 1000
const PERIOD_S = 2
const TIMEOUT_MS = 1000

/** Heaps grow to their size first. */
const WARM_UP_S = 28
const WATCH_S = 12

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number
}

test(`${PROBES} probes of a component that accepts and says nothing: deadlines are kept, and neither sockets nor memory grow`, async (context) => {
  const component = await startSilentComponent()
  finallyDo(context, component.stop)
  const deadpool = await startDeadPool(context, {
    generic: '  log: { type: json, level: info }',
    probes: Array.from({ length: PROBES }, (_, index) =>
      urlProbe(`c${index}`, component.url, {
        more: `period: ${PERIOD_S}`,
        query: `timeout: ${TIMEOUT_MS / 1000}`,
      }),
    ).join('\n'),
  })
  const watcher = await waitFor('the watcher', () => deadpool.watcherPid())
  await sleep(WARM_UP_S * 1000)
  const before = component.takeWaits()
  assert.ok(before.length > (PROBES / PERIOD_S) * (WARM_UP_S - 5), `only ${before.length} checks were made`)

  const sockets: number[] = []
  const watcherMb: number[] = []
  const parentMb: number[] = []
  for (let second = 0; second < WATCH_S; second++) {
    await sleep(1000)
    sockets.push(countSockets(watcher))
    watcherMb.push(rssBytes(watcher) / 1e6)
    parentMb.push(rssBytes(deadpool.pid) / 1e6)
  }
  const lateMs = component
    .takeWaits()
    .map((ms) => ms - TIMEOUT_MS)
    .sort((a, b) => a - b)
  // The component's own clock starts a moment after the check's.
  assert.ok((lateMs[0] as number) > -100, `a check ended ${lateMs[0]} ms before its deadline`)
  const p99 = lateMs[Math.floor(lateMs.length * 0.99)] as number
  assert.ok(p99 < 100, `deadlines are missed by ${Math.round(p99)} ms`)

  // On the average half of the probes have a check under way; a leak of one socket in a hundred would show.
  const due = (PROBES / PERIOD_S) * (TIMEOUT_MS / 1000)
  const mean = sockets.reduce((sum, count) => sum + count, 0) / WATCH_S
  assert.ok(Math.abs(mean - due) < due / 5, `${sockets.join(', ')} sockets, where ${due} are due on the average`)
  for (const [who, mb] of Object.entries({ WatchMan: watcherMb, SpiderMan: parentMb })) {
    const grownMb = median(mb.slice(WATCH_S / 2)) - median(mb.slice(0, WATCH_S / 2))
    assert.ok(grownMb < median(mb) / 10, `${who} grows: ${mb.map(Math.round).join(', ')} MB`)
  }
  const { status, text } = await deadpool.ask()
  assert.equal(status, 503)
  assert.match(text, /timed out/)
})
