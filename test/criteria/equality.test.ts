import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { CriterionType, FactType } from '../../src/criteria/criterion-type.ts'
import { equals, isIn, notEquals, notIn } from '../../src/criteria/equality.ts'

const HOLDS: { type: CriterionType; query: unknown; value: unknown }[] = [
  { type: equals, query: 'master', value: 'master' },
  { type: equals, query: '', value: '' },
  { type: equals, query: 0, value: -0 },
  { type: equals, query: 1.5, value: 1.5 },
  { type: equals, query: false, value: false },
  { type: equals, query: null, value: null },
  { type: equals, query: [], value: [] },
  { type: equals, query: ['a', 1, null], value: ['a', 1, null] },
  { type: notEquals, query: 'master', value: 'replica' },
  { type: notEquals, query: 5, value: 6 },
  { type: notEquals, query: true, value: false },
  { type: notEquals, query: null, value: 'x' },
  { type: notEquals, query: null, value: {} },
  { type: isIn, query: ['green', 'yellow'], value: 'yellow' },
  { type: isIn, query: ['green', 1, null], value: 1 },
  { type: isIn, query: ['green', null], value: null },
  { type: notIn, query: ['red', 'black'], value: 'green' },
  { type: notIn, query: ['red', 1], value: 2 },
  { type: notIn, query: [null], value: 2 },
]

for (const { type, query, value } of HOLDS) {
  test(`${type.name} ${JSON.stringify(query)} holds for ${JSON.stringify(value)}`, () => {
    assert.equal(type.compile(query)(value), undefined)
  })
}

const FAILS: { type: CriterionType; query: unknown; value: unknown; reason: string }[] = [
  { type: equals, query: 'master', value: 'replica', reason: '"replica" is not "master"' },
  { type: equals, query: 'master', value: 'Master', reason: '"Master" is not "master"' },
  { type: equals, query: [], value: ['memory'], reason: '["memory"] is not []' },
  { type: equals, query: ['a', 'b'], value: ['b', 'a'], reason: '["b","a"] is not ["a","b"]' },
  { type: equals, query: ['a'], value: ['a', 'a'], reason: '["a","a"] is not ["a"]' },
  { type: equals, query: ['5'], value: [5], reason: '[5] is not ["5"]' },
  { type: equals, query: [], value: '', reason: '"" is a text, not a list' },
  { type: equals, query: [], value: {}, reason: '{} is a record, not a list' },
  { type: equals, query: 5, value: 6, reason: '6 is not 5' },
  { type: equals, query: 5, value: '5', reason: '"5" is a text, not a number' },
  { type: equals, query: '5', value: 5, reason: '5 is a number, not a text' },
  { type: equals, query: true, value: 'true', reason: '"true" is a text, not a boolean' },
  { type: equals, query: 'x', value: null, reason: 'null is not a text' },
  { type: equals, query: null, value: 0, reason: '0 is not null' },
  { type: equals, query: null, value: Number.NaN, reason: 'NaN is not a usable number' },
  { type: equals, query: 5, value: Number.NaN, reason: 'NaN is not a usable number' },
  { type: equals, query: 'x', value: ['x'], reason: '["x"] is a list, not a text' },
  { type: equals, query: 'x', value: { x: 1 }, reason: '{"x":1} is a record, not a text' },
  { type: equals, query: 'a\nb', value: 'a\r\x1b', reason: '"a\u{fffd}\u{fffd}" is not "a⏎b"' },
  { type: notEquals, query: 'down', value: 'down', reason: 'must not be "down"' },
  { type: notEquals, query: null, value: null, reason: 'must not be null' },
  { type: notEquals, query: 5, value: '6', reason: '"6" is a text, not a number' },
  { type: notEquals, query: 'x', value: null, reason: 'null is not a text' },
  { type: notEquals, query: 5, value: Number.NaN, reason: 'NaN is not a usable number' },
  { type: notEquals, query: 5, value: undefined, reason: 'undefined is not a number' },
  {
    type: notEquals,
    query: null,
    value: new Map(),
    reason: '{} is not a text or a number or a boolean or a list or a record or null',
  },
  { type: isIn, query: ['green', 'yellow'], value: 'red', reason: '"red" is none of "green", "yellow"' },
  { type: isIn, query: ['green'], value: 'red', reason: '"red" is not "green"' },
  { type: isIn, query: ['green', 1, null], value: true, reason: 'true is a boolean, not a text or a number or null' },
  { type: isIn, query: [1], value: Number.NaN, reason: 'NaN is not a usable number' },
  { type: notIn, query: ['red', 'black'], value: 'black', reason: 'must not be "black"' },
  { type: notIn, query: ['red', 'black'], value: 5, reason: '5 is a number, not a text' },
  { type: notIn, query: ['red'], value: null, reason: 'null is not a text' },
]

for (const { type, query, value, reason } of FAILS) {
  test(`${type.name} ${JSON.stringify(query)} says why it fails for ${JSON.stringify(value)}`, () => {
    assert.equal(type.compile(query)(value), reason)
  })
}

const FORMS = 'is not a text, a number, true, false or null'

const MISTAKES: {
  type: CriterionType
  query: unknown
  factType?: FactType
  path?: number[]
  message: string
}[] = [
  { type: equals, query: [['x']], path: [0], message: `["x"] ${FORMS}` },
  { type: equals, query: { a: 1 }, message: `{"a":1} ${FORMS}` },
  { type: equals, query: Number.NaN, message: `NaN ${FORMS}` },
  { type: notEquals, query: Number.POSITIVE_INFINITY, message: `Infinity ${FORMS}` },
  {
    type: equals,
    query: '5',
    factType: 'number',
    message: '"5" is a text, and this fact is a number; write 5 without quotes',
  },
  { type: equals, query: 'five', factType: 'number', message: '"five" is a text, and this fact is a number' },
  { type: notEquals, query: 5, factType: 'text', message: '5 is a number, and this fact is a text; write "5"' },
  {
    type: notEquals,
    query: 'True',
    factType: 'boolean',
    message: '"True" is a text, and this fact is a boolean; write True without quotes',
  },
  { type: equals, query: 1, factType: 'boolean', message: '1 is a number, and this fact is a boolean' },
  { type: isIn, query: 'green', message: '"green" is not a list; write ["green"]' },
  { type: notIn, query: [], message: 'the list is empty; name at least one value' },
  { type: isIn, query: ['a', ['b']], path: [1], message: `["b"] ${FORMS}` },
  {
    type: notIn,
    query: [1, '2'],
    factType: 'number',
    path: [1],
    message: '"2" is a text, and this fact is a number; write 2 without quotes',
  },
]

for (const { type, query, factType, path = [], message } of MISTAKES) {
  test(`${type.name} refuses ${JSON.stringify(query)} for ${factType ?? 'any fact'}`, () => {
    assert.throws(() => type.compile(query, factType), { name: 'CriterionError', message, path })
  })
}

test('equals and not_equals take null for a fact of any type', () => {
  for (const factType of ['text', 'number', 'boolean'] as const) {
    assert.equal(equals.compile(null, factType)(null), undefined)
    assert.equal(notEquals.compile(null, factType)(null), 'must not be null')
  }
})

const number = fc.double({ noNaN: true, noDefaultInfinity: true })
const scalar = fc.oneof(fc.string(), number, fc.boolean())
const sameType = fc.oneof(
  fc.tuple(fc.string({ maxLength: 2 }), fc.string({ maxLength: 2 })),
  fc.tuple(number, number),
  fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })),
  fc.tuple(fc.boolean(), fc.boolean()),
)
const holds = (type: CriterionType, query: unknown, value: unknown) => type.compile(query)(value) === undefined

test('of equals and not_equals, and of in and not_in, exactly one holds for a value of the right type', () => {
  fc.assert(
    fc.property(sameType, fc.array(scalar, { maxLength: 3 }), ([operand, value], more) => {
      assert.notEqual(holds(equals, operand, value), holds(notEquals, operand, value))
      assert.notEqual(holds(isIn, [operand, ...more], value), holds(notIn, [operand, ...more], value))
    }),
  )
})

test('of equals and not_equals, and of in and not_in, neither holds for a value of another type', () => {
  fc.assert(
    fc.property(scalar, fc.oneof(scalar, fc.anything(), fc.constant(Number.NaN)), (operand, value) => {
      fc.pre(typeof operand !== typeof value || Number.isNaN(value))
      const types = [equals, notEquals].map((type) => holds(type, operand, value))
      const lists = [isIn, notIn].map((type) => holds(type, [operand], value))
      assert.deepEqual([...types, ...lists], [false, false, false, false])
    }),
  )
})
