import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFreshness } from '../../src/watchman/freshness.ts'

const WALL = 1_000_000

function createTwo() {
  const freshness = createFreshness()
  freshness.follow([
    { name: 'a', freshForMs: 1000 },
    { name: 'b', freshForMs: 5000 },
  ])
  return freshness
}

test('createFreshness() calls a probe stale when no check of it was finished for too long', () => {
  const freshness = createTwo()
  assert.equal(freshness.pass(1000, WALL), false, 'at the very end of its time it is fresh')
  assert.equal(freshness.pass(1, WALL), true)
  assert.deepEqual([...freshness.stale], [['a', WALL - 1001]])
  assert.equal(freshness.pass(1000, WALL), false)
  freshness.refresh(['a', 'nosuch'])
  assert.equal(freshness.pass(1, WALL), true)
  assert.deepEqual([...freshness.stale], [])
})

test('createFreshness() counts no time in which WatchMan as a whole was silent', () => {
  const freshness = createTwo()
  freshness.pass(500, WALL)
  freshness.pass(9000, WALL)
  assert.deepEqual([...freshness.stale.keys()], ['a', 'b'])
  assert.equal(freshness.forgive(9000, WALL), true)
  assert.deepEqual([...freshness.stale], [])
  assert.equal(freshness.pass(501, WALL), true, 'the 500 ms before still count')
  assert.deepEqual([...freshness.stale.keys()], ['a'])
})

test('createFreshness() keeps the age of a probe that is followed on, at another place too', () => {
  const freshness = createTwo()
  freshness.pass(900, WALL)
  freshness.follow([
    { name: 'new', freshForMs: 1000 },
    { name: 'a', freshForMs: 1000 },
  ])
  freshness.pass(200, WALL)
  assert.deepEqual([...freshness.stale.keys()], ['a'])
  freshness.follow([{ name: 'new', freshForMs: 1000 }])
  assert.deepEqual([...freshness.stale], [])
})
