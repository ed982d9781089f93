import assert from 'node:assert/strict'
import { test } from 'node:test'
import { msSince } from '../../src/modules/ms-since.ts'

test('msSince() gives the milliseconds that passed, to a tenth', (context) => {
  context.mock.method(performance, 'now', () => 112.3456)
  assert.equal(msSince(100), 12.3)
})
