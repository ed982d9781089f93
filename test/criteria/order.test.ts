import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { CriterionType } from '../../src/criteria/criterion-type.ts'
import { between, gt, gte, lt, lte } from '../../src/criteria/order.ts'

const HOLDS: { type: CriterionType; query: unknown; value: unknown }[] = [
  { type: lt, query: 10, value: 9.99 },
  { type: lte, query: 10, value: 10 },
  { type: gt, query: -1, value: 0 },
  { type: gte, query: 3, value: 3 },
  { type: between, query: [1, 10], value: 1 },
  { type: between, query: [1, 10], value: 10 },
  { type: between, query: [0, 0], value: -0 },
]

for (const { type, query, value } of HOLDS) {
  test(`${type.name} ${JSON.stringify(query)} holds for ${value}`, () => {
    assert.equal(type.compile(query)(value), undefined)
  })
}

const FAILS: { type: CriterionType; query: unknown; value: unknown; reason: string }[] = [
  { type: lt, query: 10, value: 12, reason: '12 is not less than 10' },
  { type: lt, query: 10, value: 10, reason: '10 is not less than 10' },
  { type: lte, query: 10, value: 10.5, reason: '10.5 is more than 10' },
  { type: gt, query: 5, value: 5, reason: '5 is not more than 5' },
  { type: gte, query: 5, value: 3, reason: '3 is less than 5' },
  { type: between, query: [1, 10], value: 12, reason: '12 is not between 1 and 10' },
  { type: lt, query: 10, value: '9', reason: '"9" is a text, not a number' },
  { type: gt, query: 10, value: '', reason: '"" is a text, not a number' },
  { type: lte, query: 10, value: null, reason: 'null is not a number' },
  { type: gte, query: 0, value: true, reason: 'true is a boolean, not a number' },
  { type: gte, query: 0, value: [1], reason: '[1] is a list, not a number' },
  { type: lt, query: 10, value: Number.NaN, reason: 'NaN is not a usable number' },
  { type: between, query: [1, 10], value: Number.NaN, reason: 'NaN is not a usable number' },
  { type: between, query: [1, 10], value: '5', reason: '"5" is a text, not a number' },
]

for (const { type, query, value, reason } of FAILS) {
  test(`${type.name} ${JSON.stringify(query)} says why it fails for ${JSON.stringify(value)}`, () => {
    assert.equal(type.compile(query)(value), reason)
  })
}

const BOUNDS = 'is not two numbers; write the lower and the higher, such as [1, 10]'

const MISTAKES: { type: CriterionType; query: unknown; path?: number[]; message: string }[] = [
  { type: lt, query: '10', message: '"10" is not a number; write 10 without quotes' },
  { type: gte, query: ' -1.5e3 ', message: '" -1.5e3 " is not a number; write -1.5e3 without quotes' },
  { type: gt, query: 'ten', message: '"ten" is not a number; write a number, such as 10' },
  { type: gt, query: null, message: 'null is not a number; write a number, such as 10' },
  { type: lte, query: [10], message: '[10] is not a number; write a number, such as 10' },
  { type: lt, query: Number.POSITIVE_INFINITY, message: 'Infinity cannot be compared with; write a number' },
  { type: lt, query: Number.NaN, message: 'NaN cannot be compared with; write a number' },
  { type: between, query: 10, message: `10 ${BOUNDS}` },
  { type: between, query: [1], message: `[1] ${BOUNDS}` },
  { type: between, query: [1, 2, 3], message: `[1,2,3] ${BOUNDS}` },
  { type: between, query: [1, '10'], path: [1], message: '"10" is not a number; write 10 without quotes' },
  { type: between, query: [Number.NaN, 1], path: [0], message: 'NaN cannot be compared with; write a number' },
  { type: between, query: [10, 1], message: '[10,1] ends before it begins; write [1, 10]' },
]

for (const { type, query, path = [], message } of MISTAKES) {
  test(`${type.name} refuses ${JSON.stringify(query)} (${message})`, () => {
    assert.throws(() => type.compile(query), { name: 'CriterionError', message, path })
  })
}

const operand = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true, noDefaultInfinity: true }))
const value = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true }))
const holds = (type: CriterionType, query: unknown, found: unknown) => type.compile(query)(found) === undefined

test('of lt and gte, and of gt and lte, exactly one holds for any number', () => {
  fc.assert(
    fc.property(operand, value, (bound, found) => {
      assert.notEqual(holds(lt, bound, found), holds(gte, bound, found))
      assert.notEqual(holds(gt, bound, found), holds(lte, bound, found))
    }),
  )
})

test('between holds exactly where gte and lte do', () => {
  fc.assert(
    fc.property(operand, operand, value, (a, b, found) => {
      const [low, high] = a < b ? [a, b] : [b, a]
      assert.equal(holds(between, [low, high], found), holds(gte, low, found) && holds(lte, high, found))
    }),
  )
})

test('no comparison holds for what is no number', () => {
  fc.assert(
    fc.property(operand, fc.oneof(fc.anything(), fc.constant(Number.NaN)), (bound, found) => {
      fc.pre(typeof found !== 'number' || Number.isNaN(found))
      for (const type of [lt, lte, gt, gte]) assert.equal(holds(type, bound, found), false)
      assert.equal(holds(between, [bound, bound], found), false)
    }),
  )
})
