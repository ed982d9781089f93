import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVerdictSource } from '../../src/spiderman/evidence.ts'
import type { FolderView } from '../../src/status/reader.ts'
import type { Rules } from '../../src/verdict/rules.ts'
import type { Report } from '../../src/verdict/standing.ts'

const report = (life: 'alive' | 'dead', arrivedMs: number): Report => {
  return { life, reason: 'refused', sinceMs: 0, isFlagged: true, arrivedMs }
}

const RULES: Rules = {
  probes: [{ name: 'a', severity: 'critical', dependsOn: [] }],
  groups: [],
  onStale: 'dead',
}

/** A source of verdicts on a folder and a WatchMan that the test moves. */
function createSource() {
  const view: FolderView = { flags: new Map(), drain: undefined, mutes: new Map(), fault: undefined, beganMs: 0 }
  const watcher = { reports: new Map<string, Report>(), version: 0, silentSinceMs: undefined as number | undefined }
  const clock = { ms: 10_000 }
  const lines: string[] = []
  const note = (message: string) => lines.push(message)
  const verdicts = createVerdictSource({
    rules: RULES,
    reader: {
      isHanging: () => false,
      follow() {},
      read: async () => ({ ...view, beganMs: clock.ms + view.beganMs }),
    },
    watcher: {
      reports: watcher.reports,
      stale: new Map(),
      version: () => watcher.version,
      silentSinceMs: () => watcher.silentSinceMs,
    },
    log: { debug: note, info: note, warn: note, error: note },
    now: () => ++clock.ms,
  })
  const say = (life: 'alive' | 'dead', arrivedMs: number) => {
    watcher.reports.set('a', report(life, arrivedMs))
    watcher.version++
  }
  return { view, watcher, read: verdicts.read, verdicts, say, clock, lines }
}

test('createVerdictSource() gives the same object while nothing changes', async () => {
  const { read, say } = createSource()
  say('alive', 0)
  await read()
  const verdict = await read()
  assert.equal(await read(), verdict)
})

test('createVerdictSource() follows the silence of WatchMan and its end', async () => {
  const { read, say, watcher } = createSource()
  say('alive', 0)
  assert.equal((await read()).status, 'OK')
  watcher.silentSinceMs = 5
  assert.equal((await read()).status, 'DEAD')
  watcher.silentSinceMs = undefined
  assert.equal((await read()).status, 'OK')
})

test('createVerdictSource() follows a fault of the folder and its end', async () => {
  const { read, say, view } = createSource()
  say('dead', 0)
  await read()
  assert.equal((await read()).status, 'OK', 'a flag removed by hand counts')
  view.fault = 'EIO'
  assert.equal((await read()).status, 'DEAD')
  view.fault = undefined
  assert.equal((await read()).status, 'OK')
})

test('createVerdictSource() lets a report rule over an older reading only, and then the folder again', async () => {
  const { read, say, view, clock } = createSource()
  say('alive', 0)
  await read()
  view.beganMs = -1000
  say('dead', clock.ms)
  assert.equal((await read()).status, 'DEAD')
  view.beganMs = 1000
  assert.equal((await read()).status, 'OK', 'the newer reading shows that somebody removed the flag')
})

test('createVerdictSource() ends a drain at its very moment, though nothing else changes', async () => {
  const { read, say, view, clock, lines } = createSource()
  say('alive', 0)
  await read()
  view.drain = { reason: 'racks', by: 'alice', sinceMs: 0, untilMs: 1_000_000, expiresMs: clock.ms + 500 }
  assert.equal((await read()).status, 'DEAD')
  const verdict = await read()
  assert.equal(await read(), verdict)
  clock.ms = 10_600
  assert.equal((await read()).status, 'OK')
  assert.deepEqual(
    lines.filter((line) => line.includes('drain')),
    [
      'drained until 1970-01-01T00:16:40.000Z, by alice: racks',
      'the answer is 503 from now on: drain',
      'no longer drained',
    ],
  )
})

test('createVerdictSource() gives the verdict on one name, the same object while nothing changes', async () => {
  const { verdicts, say } = createSource()
  say('alive', 0)
  await verdicts.readOne('a')
  const verdict = await verdicts.readOne('a')
  assert.equal(verdict?.status, 'OK')
  assert.equal(await verdicts.readOne('a'), verdict)
  assert.equal(await verdicts.readOne('b'), undefined)
  assert.deepEqual([verdicts.has('a'), verdicts.has('b')], [true, false])
})

test('createVerdictSource() follows other rules from the next request on', async () => {
  const { verdicts, say } = createSource()
  say('dead', 20_000)
  assert.equal((await verdicts.read()).status, 'DEAD')
  verdicts.follow({ ...RULES, probes: [{ name: 'a', severity: 'warning', dependsOn: [] }] })
  assert.equal((await verdicts.read()).status, 'OK')
})

test('createVerdictSource() believes no missing flag in a folder that took the place of another', async () => {
  const { read, say, view, clock } = createSource()
  say('dead', clock.ms)
  view.beganMs = 1000
  assert.equal((await read()).status, 'OK', 'removed by hand')
  view.replacedMs = clock.ms
  assert.equal((await read()).status, 'DEAD', 'the report is older than the folder')
})
