import assert from 'node:assert/strict'
import { test } from 'node:test'
import { statusIn } from '../../src/criteria/status-in.ts'

const HOLDS: { query: unknown; value: unknown }[] = [
  { query: [200], value: 200 },
  { query: [200, 204], value: 204 },
  { query: 200, value: 200 },
  { query: ['200'], value: 200 },
  { query: ['2xx'], value: 299 },
  { query: '2XX', value: 200 },
  { query: ['200-299'], value: 200 },
  { query: [' 200 - 299 ', 302], value: 299 },
  { query: [200], value: '200' },
  { query: ['100-599'], value: 599 },
]

for (const { query, value } of HOLDS) {
  test(`status_in ${JSON.stringify(query)} holds for ${JSON.stringify(value)}`, () => {
    assert.equal(statusIn.compile(query)(value), undefined)
  })
}

const FAILS: { query: unknown; value: unknown; reason: string }[] = [
  { query: [200], value: 503, reason: '503 is not one of 200' },
  { query: 200, value: '503', reason: '503 is not one of 200' },
  { query: [200, '3xx', '400-404'], value: 405, reason: '405 is not one of 200, 3xx, 400-404' },
  { query: ['2xx'], value: 300, reason: '300 is not one of 2xx' },
  { query: ['2xx'], value: 199, reason: '199 is not one of 2xx' },
  { query: [200], value: 0, reason: '0 is not one of 200' },
  { query: [200], value: 'OK', reason: '"OK" is not a status' },
  { query: [200], value: '', reason: '"" is not a status' },
  { query: [200], value: ' 200', reason: '" 200" is not a status' },
  { query: [200], value: 200.5, reason: '200.5 is not a status' },
  { query: [200], value: Number.NaN, reason: 'NaN is not a status' },
  { query: [200], value: true, reason: 'true is not a status' },
  { query: [200], value: null, reason: 'null is not a status' },
  { query: [200], value: [200], reason: '[200] is not a status' },
]

for (const { query, value, reason } of FAILS) {
  test(`status_in ${JSON.stringify(query)} says why it fails for ${JSON.stringify(value)}`, () => {
    assert.equal(statusIn.compile(query)(value), reason)
  })
}

const FORMS = 'is not a status; write 200, "2xx" or "200-299"'
const LIMITS = 'is out of range; statuses from 100 to 599 are allowed'

const MISTAKES: { query: unknown; path: unknown[]; message: string }[] = [
  { query: [], path: [], message: 'the list is empty; name at least one status' },
  { query: null, path: [], message: `null ${FORMS}` },
  { query: 'OK', path: [], message: `"OK" ${FORMS}` },
  { query: [200, '2x'], path: [1], message: `"2x" ${FORMS}` },
  { query: [200.5], path: [0], message: `200.5 ${FORMS}` },
  { query: [[200]], path: [0], message: `[200] ${FORMS}` },
  { query: [true], path: [0], message: `true ${FORMS}` },
  { query: 99, path: [], message: `99 ${LIMITS}` },
  { query: [200, 600], path: [1], message: `600 ${LIMITS}` },
  { query: ['9xx'], path: [0], message: `"9xx" ${LIMITS}` },
  { query: ['299-200'], path: [0], message: '"299-200" ends before it begins; write the lower status first' },
]

for (const { query, path, message } of MISTAKES) {
  test(`status_in refuses the query ${JSON.stringify(query)}`, () => {
    assert.throws(() => statusIn.compile(query), { name: 'CriterionError', message, path })
  })
}
