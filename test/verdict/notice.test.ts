import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeNotice, isInForce, toTime } from '../../src/verdict/notice.ts'

const notice = { reason: 'disk swap', by: 'alice', sinceMs: 0 }

test('isInForce() counts a notice until the millisecond before its end, and not at its end', () => {
  assert.equal(isInForce({ ...notice, expiresMs: 1000 }, 999.999), true)
  assert.equal(isInForce({ ...notice, expiresMs: 1000 }, 1000), false)
  assert.equal(isInForce({ ...notice, expiresMs: 1000 }, 1001), false)
})

test('isInForce() counts a notice without an end for ever, and no notice never', () => {
  assert.equal(isInForce(notice, Number.MAX_SAFE_INTEGER), true)
  assert.equal(isInForce(undefined, 0), false)
})

test('describeNotice() says until when, and by whom if that is known', () => {
  assert.equal(describeNotice({ ...notice, untilMs: 0 }), 'until 1970-01-01T00:00:00.000Z, by alice')
  assert.equal(describeNotice({ ...notice, by: '' }), 'until it is taken back')
})

test('toTime() writes UTC, and survives a time that no calendar has', () => {
  assert.equal(toTime(Date.UTC(2026, 0, 2)), '2026-01-02T00:00:00.000Z')
  assert.equal(toTime(1e300), 'unknown')
})
