import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVerdictSource } from '../../src/spiderman/evidence.ts'
import type { FolderView } from '../../src/status/reader.ts'
import type { Report } from '../../src/verdict/verdict.ts'

const report = (life: 'alive' | 'dead', arrivedMs: number): Report => {
  return { life, reason: 'refused', sinceMs: 0, isFlagged: true, arrivedMs }
}

/** A source of verdicts on a folder and a WatchMan that the test moves. */
function createSource() {
  const view: FolderView = { flags: new Map(), fault: undefined, beganMs: 0 }
  const watcher = { reports: new Map<string, Report>(), version: 0, silentSinceMs: undefined as number | undefined }
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const read = createVerdictSource({
    probes: ['a'],
    reader: { isHanging: () => false, read: async () => ({ ...view, beganMs: performance.now() + view.beganMs }) },
    watcher: {
      reports: watcher.reports,
      version: () => watcher.version,
      silentSinceMs: () => watcher.silentSinceMs,
    },
    log,
  })
  const say = (life: 'alive' | 'dead', arrivedMs: number) => {
    watcher.reports.set('a', report(life, arrivedMs))
    watcher.version++
  }
  return { view, watcher, read, say }
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
  const { read, say, view } = createSource()
  say('alive', 0)
  await read()
  view.beganMs = -1000
  say('dead', performance.now())
  assert.equal((await read()).status, 'DEAD')
  view.beganMs = 1000
  assert.equal((await read()).status, 'OK', 'the newer reading shows that somebody removed the flag')
})
