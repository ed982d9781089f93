import assert from 'node:assert/strict'
import { afterEach, beforeEach, mock, test } from 'node:test'
import type { Cause } from '../../src/verdict/state.ts'
import { createTroubleLog } from '../../src/watchman/trouble-log.ts'

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
afterEach(() => mock.timers.reset())

function createWith(count: number) {
  const lines: string[] = []
  const at = (level: string) => (message: string) => void lines.push(`${level} ${message}`)
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  const troubles = createTroubleLog(log, () => count)
  const write = (probe: string, cause: Cause | undefined, message: string) =>
    troubles.write(probe, cause, {
      level: message === 'is alive again' ? 'info' : 'warn',
      message: `${probe} ${message}`,
      fields: {},
    })
  return { lines, write, troubles }
}

test('createTroubleLog() writes at once what does not speak of this host', () => {
  const { lines, write } = createWith(4)
  write('a', undefined, 'is dead')
  assert.deepEqual(lines, ['warn a is dead'])
})

test('createTroubleLog() writes a single trouble a moment later, as it is', () => {
  const { lines, write } = createWith(4)
  write('a', 'timeout', 'timed out')
  assert.deepEqual(lines, [])
  mock.timers.tick(1000)
  assert.deepEqual(lines, ['warn a timed out'])
})

test('createTroubleLog() tells most probes as one, and the end of it', () => {
  const { lines, write } = createWith(5)
  for (const name of ['a', 'b', 'c']) write(name, 'timeout', 'timed out')
  mock.timers.tick(1000)
  assert.deepEqual(lines, [
    'error 3 of 5 probes timed out in the same moment, which speaks of this host, its network or WatchMan: a, b, c',
    'debug a timed out',
    'debug b timed out',
    'debug c timed out',
  ])
  lines.length = 0
  write('d', 'timeout', 'timed out')
  mock.timers.tick(1000)
  assert.deepEqual(lines, ['debug d timed out'])
  lines.length = 0
  for (const name of ['a', 'b', 'c']) write(name, undefined, 'is alive again')
  mock.timers.tick(1000)
  assert.deepEqual(lines, [
    'info most probes can be judged again; 1 of 5 cannot yet',
    'debug a is alive again',
    'debug b is alive again',
    'debug c is alive again',
  ])
})

test('createTroubleLog() tells by name what dies in the moment in which the others can be judged again', () => {
  const { lines, write } = createWith(5)
  for (const name of ['a', 'b', 'c']) write(name, 'timeout', 'timed out')
  mock.timers.tick(1000)
  lines.length = 0
  for (const name of ['a', 'b']) write(name, undefined, 'is alive again')
  write('c', undefined, 'is still dead')
  write('d', 'timeout', 'timed out')
  mock.timers.tick(1000)
  assert.deepEqual(lines, [
    'info most probes can be judged again; 1 of 5 cannot yet',
    'debug a is alive again',
    'debug b is alive again',
    'warn c is still dead',
    'warn d timed out',
  ])
})

test('createTroubleLog() does not add time-outs and checks that cannot be made together', () => {
  const { lines, write } = createWith(5)
  write('a', 'timeout', 'timed out')
  write('b', 'timeout', 'timed out')
  write('c', 'unknown', 'could not be checked')
  mock.timers.tick(1000)
  assert.deepEqual(lines, ['warn a timed out', 'warn b timed out', 'warn c could not be checked'])
})

test('createTroubleLog() counts no probe that is gone', () => {
  const { lines, write, troubles } = createWith(5)
  for (const name of ['a', 'b', 'c']) write(name, 'timeout', 'timed out')
  troubles.forget('c')
  mock.timers.tick(1000)
  assert.equal(lines[0], 'warn a timed out')
})
