import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProbeConfig } from '../../src/config/probes.ts'
import type { Catalog } from '../../src/modules/catalog.ts'
import { Dead, Unknown } from '../../src/modules/errors.ts'
import type { FlagKeeper } from '../../src/status/keeper.ts'
import type { FlagReader, FolderView } from '../../src/status/reader.ts'
import { initialState } from '../../src/verdict/state.ts'
import type { WatchmanMessage } from '../../src/watchman/messages.ts'
import { createWatcher } from '../../src/watchman/watcher.ts'

const CONFIG: ProbeConfig = {
  name: 'a',
  path: ['probes', 'a'],
  module: 'fake',
  isEnabled: true,
  periodMs: 3000,
  fastPeriodMs: 500,
  fall: 2,
  rise: 1,
  holdMs: 0,
  severity: 'critical',
  dependsOn: [],
  query: {},
  criteria: { status: { type: 'status_in', query: [200] } },
}
const VIEW: FolderView = { flags: new Map(), drain: undefined, mutes: new Map(), fault: undefined, beganMs: 0 }

/** A watcher whose module reports or throws what the test says, with everything that it did. */
function createOne() {
  const target: { answer: () => unknown } = { answer: () => ({ status: 200 }) }
  const did: string[] = []
  const clock = { ms: 0 }
  const module = {
    name: 'fake',
    origin: { kind: 'stock' as const },
    description: { summary: '', query: [], facts: { status: { about: '' } }, factsVary: false, criteria: {} },
    prepare: async () => ({
      problems: [],
      timeoutMs: 1000,
      facts: {},
      criteria: {},
      close() {},
      observe: async () => target.answer() as Record<string, unknown>,
    }),
  }
  const catalog = { has: () => true, open: async () => module } as unknown as Catalog
  const keeper: FlagKeeper = {
    want: (_, flag) => void did.push(flag ? `flag: ${flag.reason}` : 'no flag'),
    drop() {},
    compare: () => void did.push('compared'),
  }
  const reader: FlagReader = { read: async () => VIEW, follow() {}, isHanging: () => false }
  const send = (message: WatchmanMessage) => {
    if (message.kind !== 'report') return
    const { life, reason, isFlagged, unknown } = message
    did.push(`report: ${life}${reason && ` ${reason}`}${isFlagged ? ', flagged' : ''}${unknown ? ', unknown' : ''}`)
  }
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const now = () => ({ wallMs: clock.ms, monotonicMs: clock.ms })
  const watcher = createWatcher(
    { probe: CONFIG, state: initialState(undefined, now()), onStep() {}, onChecked: () => void did.push('checked') },
    {
      catalog,
      keeper,
      reader,
      stalls: { between: () => 0 },
      log,
      troubles: { write() {}, forget() {} },
      redact: (text) => text.replaceAll('secret', '***'),
      send,
      onChange: () => void did.push('changed'),
      staleAfterMs: () => 30_000,
      now,
    },
  )
  const takeDid = () => did.splice(0)
  return { watcher, target, takeDid, clock }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

test('checkOnce() reports the first check, and then only what changed', async () => {
  const { watcher, takeDid } = createOne()
  assert.equal(await watcher.checkOnce(), 3000)
  assert.deepEqual(takeDid(), ['changed', 'report: alive', 'no flag', 'checked', 'compared'])
  watcher.flagSettled(undefined)
  assert.deepEqual(takeDid(), ['report: alive, flagged'])
  await watcher.checkOnce()
  assert.deepEqual(takeDid(), ['checked', 'compared'])
})

test('checkOnce() says before the flag is set that it does not stand yet', async () => {
  const { watcher, target, takeDid } = createOne()
  await watcher.checkOnce()
  watcher.flagSettled(undefined)
  takeDid()
  target.answer = () => {
    throw new Dead('refused: secret')
  }
  assert.equal(await watcher.checkOnce(), 500)
  assert.deepEqual(takeDid(), ['changed', 'checked', 'compared'], 'one of two failures')
  await watcher.checkOnce()
  assert.deepEqual(takeDid(), ['changed', 'report: dead refused: ***', 'flag: refused: ***', 'checked', 'compared'])
  assert.equal(watcher.record().isFlagged, false)
  watcher.flagSettled(undefined)
  assert.deepEqual(takeDid(), ['report: dead refused: ***, flagged'])
  assert.deepEqual(watcher.record().counts, { alive: 1, dead: 2, unknown: 0 })
})

test('checkOnce() reports that a check could not be made, and tries again at once', async () => {
  const { watcher, target, takeDid } = createOne()
  await watcher.checkOnce()
  takeDid()
  target.answer = () => {
    throw new Unknown('no resolver')
  }
  assert.equal(await watcher.checkOnce(), 0)
  assert.deepEqual(takeDid(), ['changed', 'report: alive, unknown', 'checked', 'compared'])
  assert.equal(await watcher.checkOnce(), 100)
  assert.deepEqual(takeDid(), ['changed', 'checked', 'compared'])
})

test('retire() lets nothing count that is still learned', async () => {
  const { watcher, target, takeDid } = createOne()
  await watcher.checkOnce()
  takeDid()
  const { promise, resolve } = Promise.withResolvers<unknown>()
  target.answer = () => promise
  const checking = watcher.checkOnce()
  await settle()
  watcher.retire()
  resolve({ status: 500 })
  await checking
  assert.deepEqual(takeDid(), [])
  assert.equal(watcher.state().streak, 0)
})
