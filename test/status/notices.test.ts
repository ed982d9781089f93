import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, type TestContext, test } from 'node:test'
import { createFlagReader } from '../../src/status/reader.ts'
import { isInForce } from '../../src/verdict/notice.ts'

const HOUR_MS = 3_600_000

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'deadpool-notices-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const put = (name: string, text = '') => writeFileSync(join(folder, name), text)

/** A reader whose clocks the test moves. */
function createReader(context: TestContext) {
  const clock = { monotonicMs: 50_000 }
  context.mock.timers.enable({ apis: ['Date'], now: Date.now() })
  const reader = createFlagReader({ folder, probes: ['a'], now: () => clock.monotonicMs })
  return {
    read: () => reader.read(),
    pass(ms: number) {
      clock.monotonicMs += ms
      context.mock.timers.setTime(Date.now() + ms)
    },
    setWall: (byMs: number) => context.mock.timers.setTime(Date.now() + byMs),
    now: () => clock.monotonicMs,
  }
}

test('createFlagReader() sees drains and mutes come and go at once, many times within one tick of the clock', async (context) => {
  const { read } = createReader(context)
  for (let round = 0; round < 50; round++) {
    put('drain', 'move')
    assert.equal((await read()).drain?.reason, 'move')
    put('a.mute', 'disk swap')
    assert.deepEqual([...(await read()).mutes.keys()], ['a'])
    rmSync(join(folder, 'drain'))
    assert.equal((await read()).drain, undefined)
    rmSync(join(folder, 'a.mute'))
    assert.equal((await read()).mutes.size, 0)
  }
})

test('createFlagReader() sees a drain edited in place within a second', async (context) => {
  const { read, pass } = createReader(context)
  put('drain', 'move')
  await read()
  pass(5000)
  await read()
  pass(5000)
  await read()
  put('drain', 'move to the other hall')
  pass(1001)
  assert.equal((await read()).drain?.reason, 'move to the other hall')
})

test('createFlagReader() gives the same objects while flags and notices stay as they are', async (context) => {
  const { read, pass } = createReader(context)
  put('drain', 'move')
  put('a.mute')
  put('a.dead', 'refused\nsince 2026-01-01T00:00:00.000Z\n')
  await read()
  pass(5000)
  const before = await read()
  pass(5000)
  const after = await read()
  assert.equal(after.drain, before.drain)
  assert.equal(after.mutes, before.mutes)
  assert.equal(after.flags, before.flags)
})

for (const byMs of [-10 * HOUR_MS, 10 * HOUR_MS]) {
  test(`createFlagReader() ends a mute in time though the wall clock is set by ${byMs / HOUR_MS} h`, async (context) => {
    const { read, pass, setWall, now } = createReader(context)
    put('a.mute', `x\nuntil ${new Date(Date.now() + 60_000).toISOString()}`)
    const mute = (await read()).mutes.get('a')
    assert.equal(Math.round((mute?.expiresMs ?? 0) - now()), 60_000)
    setWall(byMs)
    pass(59_000)
    assert.equal(isInForce((await read()).mutes.get('a'), now()), true)
    pass(1001)
    assert.equal(isInForce((await read()).mutes.get('a'), now()), false)
  })
}

test('createFlagReader() takes an end that was moved by an edit', async (context) => {
  const { read, pass, now } = createReader(context)
  put('drain', `x\nuntil ${new Date(Date.now() + 60_000).toISOString()}`)
  await read()
  put('drain', `x\nuntil ${new Date(Date.now() + 90_000).toISOString()}`)
  pass(1001)
  assert.equal(Math.round(((await read()).drain?.expiresMs ?? 0) - now()), 88_999)
})

test('createFlagReader() lets a mute without an end end an hour after the file was written', async (context) => {
  const { read, now } = createReader(context)
  put('a.mute')
  const writtenS = Date.now() / 1000 - 3599
  utimesSync(join(folder, 'a.mute'), writtenS, writtenS)
  assert.equal(isInForce((await read()).mutes.get('a'), now()), true)
  utimesSync(join(folder, 'a.mute'), writtenS - 2, writtenS - 2)
  put('touch')
  assert.equal(isInForce((await read()).mutes.get('a'), now()), false)
})

const unreadable = [
  { name: 'is a folder', make: (path: string) => mkdirSync(path), reason: /^a\.mute cannot be read \(EISDIR\)$/ },
  {
    name: 'may not be read',
    make: (path: string) => {
      writeFileSync(path, 'for 9h')
      chmodSync(path, 0)
    },
    reason: process.getuid?.() === 0 ? /^no reason given$/ : /^a\.mute cannot be read \(EACCES\)$/,
  },
]
for (const { name, make, reason } of unreadable) {
  test(`createFlagReader() lets a mute that ${name} end all the same`, async (context) => {
    const { read, pass, now } = createReader(context)
    make(join(folder, 'a.mute'))
    assert.match((await read()).mutes.get('a')?.reason ?? '', reason)
    for (let minute = 0; minute < 10 * 60; minute++) {
      pass(60_000)
      await read()
    }
    assert.equal(isInForce((await read()).mutes.get('a'), now()), false)
  })
}

test('createFlagReader() keeps drains and mutes while the folder cannot be read', async (context) => {
  const { read } = createReader(context)
  put('drain', 'move')
  put('a.mute')
  await read()
  rmSync(folder, { recursive: true })
  const view = await read()
  assert.equal(view.fault, `${folder} does not exist`)
  assert.deepEqual([view.drain?.reason, [...view.mutes.keys()]], ['move', ['a']])
})

test('createFlagReader() passes over a drain or a mute that is only a draft, a backup or of another name', async (context) => {
  const { read } = createReader(context)
  for (const file of ['.drain.12~', 'drain~', 'drain.bak', '.a.mute.12~', 'a.mute~', 'Drain']) put(file)
  const view = await read()
  assert.deepEqual([view.drain, view.mutes.size], [undefined, 0])
})
