import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { createFlagKeeper, type Settled } from '../../src/status/keeper.ts'
import { createFlagReader } from '../../src/status/reader.ts'
import { tidyFolder } from '../../src/status/tidy.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'deadpool-status-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const flagNames = (view: { flags: ReadonlyMap<string, unknown> }) => [...view.flags.keys()].sort()
const put = (name: string, text = 'x') => writeFileSync(join(folder, name), text)

test('createFlagReader() sees flags come and go at once, many times within one tick of the clock', async () => {
  const reader = createFlagReader({ folder, probes: ['a', 'b'] })
  for (let round = 0; round < 200; round++) {
    put('a.dead')
    assert.deepEqual(flagNames(await reader.read()), ['a'])
    renameSync(join(folder, 'a.dead'), join(folder, 'b.dead'))
    assert.deepEqual(flagNames(await reader.read()), ['b'])
    rmSync(join(folder, 'b.dead'))
    assert.deepEqual(flagNames(await reader.read()), [])
  }
})

test('createFlagReader() gives reason and time, and passes over what is no flag of its probes', async () => {
  put('a.dead', 'refused\nsince 2026-01-01T00:00:00.000Z\n')
  put('other.dead')
  put('a.dead.bak')
  put('.a.dead.1~')
  const { flags, fault } = await createFlagReader({ folder, probes: ['a', 'b'] }).read()
  assert.deepEqual([...flags], [['a', { reason: 'refused', sinceMs: Date.UTC(2026, 0), isOurs: true }]])
  assert.equal(fault, undefined)
})

test('createFlagReader() lists a quiet folder once, and gives the same object again', async () => {
  let clockMs = 0
  const reader = createFlagReader({ folder, probes: ['a', 'b'], now: () => clockMs })
  put('a.dead')
  await reader.read()
  clockMs = 3000
  const settled = await reader.read()
  const again = await reader.read()
  assert.equal(again.flags, settled.flags)
  put('b.dead')
  assert.notEqual((await reader.read()).flags, settled.flags)
})

test('createFlagReader() shares a reading among all who ask while one runs', async () => {
  const reader = createFlagReader({ folder, probes: ['a'] })
  const first = reader.read()
  const second = reader.read()
  assert.equal(reader.read(), second)
  assert.notEqual(first, second)
  const [began, beganNext] = [(await first).beganMs, (await second).beganMs]
  assert.ok(beganNext > began)
})

test('createFlagReader() reads the folder at most twice for a thousand who ask at once', async () => {
  const reader = createFlagReader({ folder, probes: ['a'] })
  const views = await Promise.all(Array.from({ length: 1000 }, () => reader.read()))
  assert.equal(new Set(views).size, 2)
})

test('createFlagReader() does not wait for a disk that hangs, nor let others wait, and recovers', async (context) => {
  let release: () => void = () => {}
  const held = new Promise<void>((resolve) => (release = resolve))
  const reader = createFlagReader({ folder, probes: ['a'], timeoutMs: 50, beforeReading: () => held })
  put('a.dead')
  assert.equal((await reader.read()).fault, `${folder} did not answer within 50 ms`)
  const startedMs = performance.now()
  for (let round = 0; round < 100; round++) await reader.read()
  assert.ok(performance.now() - startedMs < 50, context.name)
  release()
  for (let round = 0; round < 1000 && (await reader.read()).fault !== undefined; round++) {
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  assert.deepEqual(flagNames(await reader.read()), ['a'])
})

test('createFlagReader() keeps the last view and names the fault when the folder is gone, and recovers', async () => {
  put('a.dead')
  const reader = createFlagReader({ folder, probes: ['a'] })
  await reader.read()
  renameSync(folder, `${folder}.moved`)
  const view = await reader.read()
  assert.equal(view.fault, `${folder} does not exist`)
  assert.deepEqual(flagNames(view), ['a'])
  writeFileSync(folder, 'a file now')
  assert.equal((await reader.read()).fault, `${folder} is not a folder`)
  rmSync(folder)
  renameSync(`${folder}.moved`, folder)
  assert.equal((await reader.read()).fault, undefined)
})

test('createFlagReader() is not held up by a flag that is a FIFO', async () => {
  execFileSync('mkfifo', [join(folder, 'a.dead')])
  const view = await createFlagReader({ folder, probes: ['a'] }).read()
  assert.deepEqual(flagNames(view), ['a'])
})

test('createFlagKeeper() makes and removes flags whole, and says when it is done', async () => {
  const { keeper, next } = createKeeper()
  keeper.want('a', { reason: 'refused', sinceMs: 0 })
  assert.deepEqual(await next(), { probe: 'a', fault: undefined })
  assert.equal(readFileSync(join(folder, 'a.dead'), 'utf8'), 'refused\nsince 1970-01-01T00:00:00.000Z\n')
  keeper.want('a', undefined)
  assert.deepEqual(await next(), { probe: 'a', fault: undefined })
  assert.deepEqual(readdirSync(folder), [])
})

test('createFlagKeeper() carries out the last of several wishes', async () => {
  const { keeper, next } = createKeeper()
  for (let round = 0; round < 50; round++)
    keeper.want('a', round % 2 === 0 ? { reason: `r${round}`, sinceMs: 0 } : undefined)
  keeper.want('a', { reason: 'last', sinceMs: 0 })
  await next()
  assert.match(readFileSync(join(folder, 'a.dead'), 'utf8'), /^last\n/)
  assert.deepEqual(readdirSync(folder), ['a.dead'])
})

test('createFlagKeeper() makes a deleted folder again', async () => {
  rmSync(folder, { recursive: true })
  const { keeper, next } = createKeeper()
  keeper.want('a', { reason: 'x', sinceMs: 0 })
  assert.equal((await next()).fault, undefined)
  assert.deepEqual(readdirSync(folder), ['a.dead'])
})

test('createFlagKeeper() says why a flag cannot be made, and leaves no draft', async () => {
  mkdirSync(join(folder, 'a.dead'))
  const { keeper, next } = createKeeper()
  keeper.want('a', { reason: 'x', sinceMs: 0 })
  assert.equal((await next()).fault, `${folder}/a.dead is a folder; remove it`)
  assert.deepEqual(readdirSync(folder), ['a.dead'])
})

test('createFlagKeeper() sets right what was changed by hand', async () => {
  const { keeper, next } = createKeeper()
  const reader = createFlagReader({ folder, probes: ['a', 'b'] })
  keeper.want('a', { reason: 'x', sinceMs: 0 })
  await next()
  keeper.want('b', undefined)
  await next()
  rmSync(join(folder, 'a.dead'))
  put('b.dead')
  const view = await reader.read()
  keeper.compare('a', view)
  await next()
  keeper.compare('b', view)
  await next()
  assert.deepEqual(readdirSync(folder), ['a.dead'])
})

test('tidyFolder() removes drafts and flags of disabled and removed probes, and leaves the rest alone', async () => {
  const ours = 'refused\nsince 2026-01-01T00:00:00.000Z\n'
  for (const name of ['on.dead', 'off.dead', 'removed.dead', '.on.dead.99~']) put(name, ours)
  put('off-by-hand.dead', 'maintenance')
  put('by-hand.dead', 'maintenance')
  put('notes.txt', ours)
  const standing = await tidyFolder(folder, {
    enabled: new Set(['on']),
    disabled: new Set(['off', 'off-by-hand']),
    clear: false,
  })
  assert.deepEqual([...standing], [['on', { reason: 'refused', sinceMs: Date.UTC(2026, 0) }]])
  assert.deepEqual(readdirSync(folder).sort(), ['by-hand.dead', 'notes.txt', 'on.dead'])
})

test('tidyFolder() clears the flags of enabled probes when told to', async () => {
  put('on.dead')
  const standing = await tidyFolder(folder, { enabled: new Set(['on']), disabled: new Set(), clear: true })
  assert.equal(standing.size, 0)
  assert.deepEqual(readdirSync(folder), [])
})

test('tidyFolder() makes a missing folder', async () => {
  chmodSync(folder, 0o755)
  const path = join(folder, 'deep', 'probe')
  await tidyFolder(path, { enabled: new Set(), disabled: new Set(), clear: false })
  assert.deepEqual(readdirSync(path), [])
})

function createKeeper() {
  const settled: Settled[] = []
  const waiting: ((value: Settled) => void)[] = []
  const keeper = createFlagKeeper({
    folder,
    onSettled: (value) => {
      const resolve = waiting.shift()
      if (resolve) resolve(value)
      else settled.push(value)
    },
  })
  const next = () =>
    new Promise<Settled>((resolve) => {
      const value = settled.shift()
      if (value) resolve(value)
      else waiting.push(resolve)
    })
  return { keeper, next }
}

test('createFlagKeeper() takes a disk that is busy with many flags for none that hangs', async () => {
  const faults: string[] = []
  const count = 15_000
  let left = count
  await new Promise<void>((resolve) => {
    const keeper = createFlagKeeper({
      folder,
      onSettled({ fault }) {
        if (fault === undefined && --left === 0) resolve()
        if (fault !== undefined) faults.push(fault)
      },
    })
    for (let index = 0; index < count; index++) keeper.want(`p${index}`, { reason: 'refused', sinceMs: 0 })
  })
  assert.deepEqual([...new Set(faults)], [])
})

test('createFlagReader() tells when another folder took the place of the one before', async () => {
  let nowMs = 0
  const reader = createFlagReader({ folder, probes: ['a'], now: () => ++nowMs })
  put('a.dead')
  assert.equal((await reader.read()).replacedMs, undefined)
  put('b.dead')
  assert.equal((await reader.read()).replacedMs, undefined, 'a change is no other folder')
  renameSync(folder, `${folder}.moved`)
  assert.equal((await reader.read()).replacedMs, undefined, 'it is gone, and no other is there')
  mkdirSync(folder)
  const view = await reader.read()
  assert.deepEqual([flagNames(view), view.fault], [[], undefined])
  assert.ok(view.replacedMs !== undefined && view.replacedMs > view.beganMs, `replaced at ${view.replacedMs}`)
  assert.equal((await reader.read()).replacedMs, view.replacedMs)
  rmSync(`${folder}.moved`, { recursive: true })
})

test('createFlagReader() misses a flag of a known dead probe only when the folder outlives it', async () => {
  const reader = createFlagReader({ folder, probes: ['a'], isKnown: () => true })
  put('a.dead')
  await reader.read()
  rmSync(join(folder, 'a.dead'))
  const reading = reader.read()
  await new Promise((resolve) => setTimeout(resolve, 15))
  rmSync(folder, { recursive: true })
  const view = await reading
  assert.equal(view.fault, `${folder} does not exist`)
  assert.deepEqual(flagNames(view), ['a'], 'the flag as it was seen last')
  mkdirSync(folder)
  put('a.dead')
  await reader.read()
  rmSync(join(folder, 'a.dead'))
  assert.deepEqual(flagNames(await reader.read()), [], 'removed by hand')
})
