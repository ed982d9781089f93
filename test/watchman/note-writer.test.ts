import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createNoteWriter } from '../../src/watchman/note-writer.ts'

/** A writer of notes, and when it wrote, in milliseconds since its start. */
function start(write: () => Promise<void> = async () => {}) {
  const lines: string[] = []
  const keep = (message: string) => void lines.push(message)
  const log = { debug: keep, info: keep, warn: keep, error: keep }
  const startedMs = performance.now()
  const writtenMs: number[] = []
  const writer = createNoteWriter({
    folder: '/probe',
    log,
    write() {
      writtenMs.push(performance.now() - startedMs)
      return write()
    },
  })
  return { writer, writtenMs, lines }
}

test('createNoteWriter() writes many changes of a moment once, within a moment', async () => {
  const { writer, writtenMs } = start()
  for (let change = 0; change < 20; change++) writer.hurry()
  await sleep(300)
  assert.equal(writtenMs.length, 1)
  await writer.finish(100)
  assert.equal(writtenMs.length, 2, 'and once more at the end')
})

test('createNoteWriter() writes a change that comes while it writes', async () => {
  let finish: () => void = () => {}
  const { writer, writtenMs } = start(() => new Promise((resolve) => (finish = resolve)))
  writer.hurry()
  await sleep(100)
  assert.equal(writtenMs.length, 1)
  writer.hurry()
  finish()
  // Writing took tens of milliseconds, and rests thirty times as long.
  while (writtenMs.length < 2) await sleep(50)
  const restedMs = (writtenMs[1] as number) - (writtenMs[0] as number)
  assert.ok(restedMs > 500, `it rested for ${Math.round(restedMs)} ms only`)
  finish()
  await writer.finish(0)
})

test('createNoteWriter() says once that notes cannot be written, and when they can be again', async () => {
  let isFull = true
  const { writer, writtenMs, lines } = start(async () => {
    if (isFull) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
  })
  for (let count = 1; count <= 3; count++) {
    if (count === 3) isFull = false
    writer.hurry()
    while (writtenMs.length < count) await sleep(10)
  }
  await writer.finish(100)
  assert.deepEqual(lines, [
    'the notes cannot be written: /probe: no space left on the disk; a restart would not know streaks and holds',
    'the notes can be written again',
  ])
})

test('createNoteWriter() does not wait for a disk that hangs when it is to finish, and writes nothing after', async () => {
  const { writer, writtenMs } = start(() => new Promise(() => {}))
  writer.hurry()
  while (writtenMs.length < 1) await sleep(10)
  const beforeMs = performance.now()
  // The timer of the end does not keep a process alive by itself.
  await Promise.all([writer.finish(100), sleep(150)])
  assert.ok(performance.now() - beforeMs < 1000)
  writer.hurry()
  await sleep(150)
  assert.equal(writtenMs.length, 1)
})
