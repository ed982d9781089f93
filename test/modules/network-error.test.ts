import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explainNetworkError } from '../../src/modules/network-error.ts'

test('explainNetworkError() leaves an error as it is whose code is a number, as the reason of an abort', () => {
  const reason = new DOMException('the time of the check is over', 'TimeoutError')
  assert.equal(typeof reason.code, 'number')
  assert.equal(explainNetworkError(reason), reason)
})
