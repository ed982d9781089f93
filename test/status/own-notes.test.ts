import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createOwnNotes } from '../../src/status/own-notes.ts'
import { readOwnIdentity, readStartTicks } from '../../src/status/process.ts'
import { writeSpidermanNotes } from '../../src/status/state-file.ts'
import { finallyDo, makeFolder, waitFor } from '../e2e/binary.ts'

const about = { startedMs: 0, version: '1', url: 'http://h:1/', config: '/d.yml', loadedMs: 0 }

async function setUp(context: TestContext) {
  const folder = makeFolder(context)
  const lines: string[] = []
  const say = (level: string) => (message: string) => void lines.push(`${level} ${message}`)
  const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') }
  const notes = createOwnNotes({ notes: { ...about, ...readOwnIdentity() }, folder: () => folder, log, everyMs: 20 })
  await notes.write({ version: '2' })
  const keeping = notes.keep()
  finallyDo(context, keeping.end)
  const path = join(folder, 'state/spiderman.json')
  const pidThere = () => {
    try {
      return JSON.parse(readFileSync(path, 'utf8')).pid
    } catch {
      return undefined
    }
  }
  return { folder, path, lines, notes, keeping, pidThere }
}

test('createOwnNotes() writes notes again that were deleted, spoilt, or taken by a process that is gone', async (context) => {
  const { folder, path, pidThere, lines, keeping } = await setUp(context)
  rmSync(folder, { recursive: true })
  await waitFor('the notes', () => pidThere() === process.pid)
  writeFileSync(path, 'garbage')
  await waitFor('the notes', () => pidThere() === process.pid)
  assert.equal(JSON.parse(readFileSync(path, 'utf8')).version, '2')
  const gone = spawn('true')
  await once(gone, 'close')
  await writeSpidermanNotes(folder, { ...about, ...readOwnIdentity(), pid: gone.pid as number })
  await waitFor('the notes', () => pidThere() === process.pid)
  assert.deepEqual(lines, [])
  keeping.end()
  rmSync(path)
  await sleep(60)
  assert.equal(pidThere(), undefined)
})

test('createOwnNotes() leaves the notes of a process that takes over', async (context) => {
  const { folder, pidThere } = await setUp(context)
  const heir = spawn('sleep', ['60'])
  finallyDo(context, () => heir.kill('SIGKILL'))
  await once(heir, 'spawn')
  const pid = heir.pid as number
  const { boot } = readOwnIdentity()
  await writeSpidermanNotes(folder, { ...about, boot, pid, startTicks: readStartTicks(pid) as number })
  await sleep(100)
  assert.equal(pidThere(), pid)
})

test('createOwnNotes() tells once that notes cannot be written, and when they can, with what changed meanwhile', async (context) => {
  const { path, lines, notes, pidThere } = await setUp(context)
  rmSync(path)
  mkdirSync(path)
  await notes.write({ version: '3' })
  await notes.write({ version: '4' })
  await sleep(60)
  const fault = `${path} is a folder; remove it`
  assert.deepEqual(lines, [`warn the notes cannot be written: ${fault}; commands may not find this process`])
  rmSync(path, { recursive: true })
  await waitFor('the notes', () => pidThere() === process.pid)
  assert.equal(JSON.parse(readFileSync(path, 'utf8')).version, '4')
  await waitFor('the line', () => lines.length === 2)
  assert.equal(lines[1], 'info the notes can be written again')
})
