import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { claimFolder } from '../../src/status/claim.ts'
import { isStillRunning, readOwnIdentity, readStartTicks } from '../../src/status/process.ts'
import { readSpidermanNotes, type SpidermanNotes, writeSpidermanNotes } from '../../src/status/state-file.ts'
import { finallyDo, makeFolder } from '../e2e/binary.ts'

const about = { startedMs: 0, version: '1.2.3', url: 'http://h:1/', config: '/d.yml', loadedMs: 0 }

async function startOther(context: TestContext) {
  const child = spawn('sleep', ['60'])
  finallyDo(context, () => child.kill('SIGKILL'))
  await once(child, 'spawn')
  const pid = child.pid as number
  return { child, notes: { ...about, ...readOwnIdentity(), pid, startTicks: readStartTicks(pid) as number } }
}

test('claimFolder() refuses a folder whose DeadPool runs, and takes it when that is gone', async (context) => {
  const folder = makeFolder(context)
  const { child, notes } = await startOther(context)
  await claimFolder(folder, notes)
  const own = { ...about, ...readOwnIdentity() }
  await assert.rejects(claimFolder(folder, own), {
    name: 'FolderTakenError',
    message: `another DeadPool (process ${notes.pid}, 1.2.3, http://h:1/, by /d.yml) works with ${folder}; stop it, let it be replaced by "deadpool upgrade", or set another WatchMan.probe_status_folder`,
  })
  assert.equal((await readSpidermanNotes(folder))?.pid, notes.pid)
  child.kill('SIGKILL')
  await once(child, 'close')
  await claimFolder(folder, own)
  assert.equal((await readSpidermanNotes(folder))?.pid, process.pid)
  assert.deepEqual(readdirSync(join(folder, 'state')), ['spiderman.json'])
})

const stale: { name: string; change: Partial<SpidermanNotes> }[] = [
  { name: 'of another run of the host', change: { boot: 'other' } },
  { name: 'of a process whose number another one has by now', change: { startTicks: 1 } },
  { name: 'that do not say which process it was', change: { boot: undefined as never } },
]

for (const { name, change } of stale) {
  test(`claimFolder() passes over notes ${name}`, async (context) => {
    const folder = makeFolder(context)
    const { notes } = await startOther(context)
    await writeSpidermanNotes(folder, { ...notes, ...change })
    await claimFolder(folder, { ...about, ...readOwnIdentity() })
    assert.equal((await readSpidermanNotes(folder))?.pid, process.pid)
  })
}

test('claimFolder() passes over what is no notes, and over what the disk does not allow', async (context) => {
  const folder = makeFolder(context)
  mkdirSync(join(folder, 'state'))
  writeFileSync(join(folder, 'state/spiderman.json'), '{"pid":')
  const own = { ...about, ...readOwnIdentity() }
  await claimFolder(folder, own)
  assert.equal((await readSpidermanNotes(folder))?.pid, process.pid)
  const file = join(folder, 'file')
  writeFileSync(file, '')
  await claimFolder(file, own)
})

test('claimFolder() lets one of many that start at the same moment have the folder', async (context) => {
  for (let round = 0; round < 20; round++) {
    const folder = makeFolder(context)
    if (round % 2 === 0) await writeSpidermanNotes(folder, { ...about, pid: 1, boot: 'other', startTicks: 1 })
    const others = await Promise.all(Array.from({ length: 5 }, () => startOther(context)))
    const ends = await Promise.allSettled(others.map(({ notes }) => claimFolder(folder, notes)))
    const winners = others.filter((_, index) => ends[index]?.status === 'fulfilled')
    assert.equal(winners.length, 1)
    assert.equal((await readSpidermanNotes(folder))?.pid, winners[0]?.notes.pid)
  }
})

test('isStillRunning() knows this process, and none that has ended', async () => {
  assert.equal(isStillRunning(readOwnIdentity()), true)
  const gone = spawn('true')
  await once(gone, 'close')
  assert.equal(isStillRunning({ ...readOwnIdentity(), pid: gone.pid as number }), false)
})
