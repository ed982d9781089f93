import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import {
  readSpidermanNotes,
  readWatchmanNotes,
  type SpidermanNotes,
  toRecollection,
  type WatchmanNotes,
  writeSpidermanNotes,
  writeWatchmanNotes,
} from '../../src/status/state-file.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'deadpool-notes-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const WRITTEN = { wallMs: 1_000_000, monotonicMs: 50_000 }
const watchman: WatchmanNotes = {
  format: 1,
  boot: 'boot-1',
  written: WRITTEN,
  pid: 7,
  config: 'deadpool.yml',
  name: 'TEST',
  staleAfterMs: 30_000,
  rules: { probes: [{ name: 'a', severity: 'critical', dependsOn: [] }], groups: [], onStale: 'dead' },
  countedSinceMs: 5,
  pace: { checksPerSecond: 1, lateP50Ms: 0, lateP99Ms: 0, lateMaxMs: 0, skipped: 0 },
  probes: {
    a: {
      module: 'url_probe',
      state: { life: 'dead', reason: 'naïve “quotes”', since: WRITTEN, streak: 1 },
      policy: { fall: 1, rise: 2, holdMs: 0, staleAfterMs: 30_000 },
      periodMs: 3000,
      isFlagged: true,
      counts: { alive: 1, dead: 2, unknown: 0 },
    },
  },
  shadows: {},
}
const spiderman: SpidermanNotes = {
  format: 1,
  pid: 7,
  startedMs: 1,
  version: '1',
  url: 'http://h/',
  config: 'c',
  loadedMs: 2,
}
const path = () => join(folder, 'state', 'watchman.json')

test('readWatchmanNotes() reads back what writeWatchmanNotes() wrote', async () => {
  await writeWatchmanNotes(folder, watchman)
  assert.deepEqual(await readWatchmanNotes(folder), watchman)
})

test('readSpidermanNotes() reads back what writeSpidermanNotes() wrote', async () => {
  await writeSpidermanNotes(folder, spiderman)
  assert.deepEqual(await readSpidermanNotes(folder), spiderman)
})

test('writeWatchmanNotes() leaves nothing but the notes, and does not touch the folder of the flags', async () => {
  await writeWatchmanNotes(folder, watchman)
  const before = statSync(folder).mtimeMs
  await writeWatchmanNotes(folder, watchman)
  assert.deepEqual(readdirSync(join(folder, 'state')), ['watchman.json'])
  assert.equal(statSync(folder).mtimeMs, before)
})

test('writeWatchmanNotes() makes the folders that are missing', async () => {
  rmSync(folder, { recursive: true })
  await writeWatchmanNotes(folder, watchman)
  assert.ok(existsSync(path()))
})

test('readWatchmanNotes() finds the old notes or the new ones, never a part, while others are written', async () => {
  const [small, large] = [watchman, { ...watchman, name: 'x'.repeat(300_000) }]
  await writeWatchmanNotes(folder, small)
  let isWriting = true
  const writing = (async () => {
    for (let round = 0; round < 40; round++) await writeWatchmanNotes(folder, round % 2 === 0 ? large : small)
    isWriting = false
  })()
  const lengths = new Set<number | undefined>()
  while (isWriting) lengths.add((await readWatchmanNotes(folder))?.name.length)
  await writing
  assert.deepEqual(
    [...lengths].filter((length) => length !== 4 && length !== 300_000),
    [],
  )
})

test('writeWatchmanNotes() rejects when the disk refuses, and leaves the old notes', async () => {
  await writeWatchmanNotes(folder, watchman)
  mkdirSync(join(folder, 'state', '.watchman.json~'))
  await assert.rejects(writeWatchmanNotes(folder, { ...watchman, name: 'new' }), { code: 'EISDIR' })
  assert.equal((await readWatchmanNotes(folder))?.name, 'TEST')
})

const garbage: { name: string; text: string }[] = [
  { name: 'an empty file', text: '' },
  { name: 'a part of a file', text: JSON.stringify(watchman).slice(0, 200) },
  { name: 'zeroes, as a power cut leaves them', text: '\0'.repeat(400) },
  { name: 'no JSON', text: 'hello' },
  { name: 'null', text: 'null' },
  { name: 'a number', text: '7' },
  { name: 'a list', text: '[]' },
  { name: 'another format', text: JSON.stringify({ ...watchman, format: 2 }) },
  { name: 'a format without the rest', text: '{"format":1}' },
  { name: 'a null where the probes should be', text: JSON.stringify({ ...watchman, probes: null }) },
  { name: 'a probe without a state', text: JSON.stringify({ ...watchman, probes: { a: { module: 'm' } } }) },
  { name: 'a text where the moment should be', text: JSON.stringify({ ...watchman, written: 'today' }) },
]
for (const { name, text } of garbage) {
  test(`readWatchmanNotes() makes nothing of ${name}`, async () => {
    mkdirSync(join(folder, 'state'))
    writeFileSync(path(), text)
    assert.equal(await readWatchmanNotes(folder), undefined)
    assert.equal(readFileSync(path(), 'utf8'), text)
  })
}

test('readWatchmanNotes() finds nothing where nothing was written, and rejects where the disk has a fault', async () => {
  assert.equal(await readWatchmanNotes(folder), undefined)
  mkdirSync(path(), { recursive: true })
  await assert.rejects(readWatchmanNotes(folder), { code: 'EISDIR' })
})

const ages = [
  {
    name: 'by the monotonic clock in the same run of the host',
    boot: 'boot-1',
    now: { wallMs: 0, monotonicMs: 54_000 },
    ageMs: 4000,
    isSameBoot: true,
  },
  {
    name: 'by the wall clock in a later run',
    boot: 'boot-2',
    now: { wallMs: 1_009_000, monotonicMs: 1 },
    ageMs: 9000,
    isSameBoot: false,
  },
  {
    name: 'by the wall clock where no run has a name',
    boot: '',
    now: { wallMs: 1_009_000, monotonicMs: 1 },
    ageMs: 9000,
    isSameBoot: false,
  },
  {
    name: 'as old rather than as fresh where the wall clock was set back',
    boot: 'boot-2',
    now: { wallMs: 0, monotonicMs: 1 },
    ageMs: 1_000_000,
    isSameBoot: false,
  },
]
for (const { name, boot, now, ageMs, isSameBoot } of ages) {
  test(`toRecollection() takes notes ${name}`, () => {
    assert.deepEqual(toRecollection(watchman, now, boot), { notes: watchman, ageMs, isSameBoot })
  })
}
