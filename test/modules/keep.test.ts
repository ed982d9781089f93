import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createKeep } from '../../src/modules/keep.ts'

function createClosing() {
  const closed: string[] = []
  return { closed, close: (thing: string) => closed.push(thing) }
}

test('take() gives what was left, once', () => {
  const keep = createKeep()
  const { closed, close } = createClosing()
  assert.equal(keep.take(), undefined)
  keep.leave('socket', close)
  assert.equal(keep.take(), 'socket')
  assert.equal(keep.take(), undefined)
  keep.close()
  assert.deepEqual(closed, [], 'what was taken is closed by whoever took it')
})

test('leave() closes what was left before', () => {
  const keep = createKeep()
  const { closed, close } = createClosing()
  keep.leave('first', close)
  keep.leave('second', close)
  assert.deepEqual(closed, ['first'])
})

test('close() closes what is held, and whatever a late check leaves', () => {
  const keep = createKeep()
  const { closed, close } = createClosing()
  keep.leave('held', close)
  keep.close()
  keep.leave('late', close)
  assert.deepEqual(closed, ['held', 'late'])
  assert.equal(keep.take(), undefined)
})

test('close() does not mind that closing fails', async () => {
  const keep = createKeep()
  keep.leave(1, () => {
    throw new Error('at once')
  })
  keep.leave(2, () => Promise.reject(new Error('later')))
  keep.close()
  await turn()
})
