import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contains } from '../../src/criteria/contains.ts'
import type { FactType } from '../../src/criteria/criterion-type.ts'

const HOLDS: { query: unknown; factType?: FactType; value: unknown }[] = [
  { query: 'green', value: '1448 elasticsearch green' },
  { query: 'master', value: ['data', 'master'] },
  { query: 5, value: [4, 5] },
  { query: false, value: [false] },
  { query: null, value: [1, null] },
  { query: '', factType: 'list', value: ['a', ''] },
]

for (const { query, factType, value } of HOLDS) {
  test(`contains ${JSON.stringify(query)} holds for ${JSON.stringify(value)}`, () => {
    assert.equal(contains.compile(query, factType)(value), undefined)
  })
}

const FAILS: { query: unknown; value: unknown; reason: string }[] = [
  { query: 'green', value: 'a red one', reason: '"a red one" does not contain "green"' },
  { query: 'green', value: 'GREEN', reason: '"GREEN" does not contain "green"' },
  { query: 'mast', value: ['master'], reason: '["master"] does not contain "mast"' },
  { query: 5, value: ['5'], reason: '["5"] does not contain 5' },
  { query: 'x', value: [], reason: '[] does not contain "x"' },
  { query: 5, value: '456', reason: '"456" is a text, not a list' },
  { query: '5', value: 456, reason: '456 is a number, not a text or a list' },
  { query: 'x', value: { x: 1 }, reason: '{"x":1} is a record, not a text or a list' },
  { query: 'x', value: null, reason: 'null is not a text or a list' },
  { query: 1, value: [Number.NaN], reason: '[null] does not contain 1' },
]

for (const { query, value, reason } of FAILS) {
  test(`contains ${JSON.stringify(query)} says why it fails for ${JSON.stringify(value)}`, () => {
    assert.equal(contains.compile(query)(value), reason)
  })
}

const MISTAKES: { query: unknown; factType?: FactType; message: string }[] = [
  { query: '', message: '"" is in every text; write what is to be in it' },
  { query: '', factType: 'text', message: '"" is in every text; write what is to be in it' },
  { query: ['a'], message: '["a"] is not a text, a number, true, false or null' },
  { query: 5, factType: 'text', message: '5 is a number, and this fact is a text; write "5"' },
  { query: null, factType: 'text', message: 'null is in no text; write a text' },
]

for (const { query, factType, message } of MISTAKES) {
  test(`contains refuses ${JSON.stringify(query)} for ${factType ?? 'any fact'}`, () => {
    assert.throws(() => contains.compile(query, factType), { name: 'CriterionError', message, path: [] })
  })
}
