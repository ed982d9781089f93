import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileCriterion, criterionNames } from '../../src/criteria/criterion.ts'
import type { FactType } from '../../src/criteria/criterion-type.ts'

const NAMES = [
  ...['re_search', 're_not_search', 'status_in', 'equals', 'not_equals', 'in', 'not_in', 'contains'],
  ...['lt', 'lte', 'gt', 'gte', 'between', 'header', 'json'],
]

test('criterionNames() names every type once', () => {
  assert.deepEqual(criterionNames(), NAMES)
})

test('compileCriterion() makes the judge of a criterion', () => {
  const judge = compileCriterion({ type: 'status_in', query: [200] })
  assert.equal(judge(200), undefined)
  assert.equal(judge(503), '503 is not one of 200')
})

const ALLOWED = `${NAMES.join(', ')} are allowed`

const MISTAKES: { name: string; spec: unknown; factType?: FactType; path: unknown[]; message: string }[] = [
  { name: 'nothing', spec: null, path: [], message: 'null is not a criterion; write its "type" and its "query"' },
  { name: 'a text', spec: 'green', path: [], message: '"green" is not a criterion; write its "type" and its "query"' },
  { name: 'a list', spec: [200], path: [], message: '[200] is not a criterion; write its "type" and its "query"' },
  { name: 'no type', spec: { query: 200 }, path: [], message: `has no "type"; ${ALLOWED}` },
  {
    name: 'a misspelled type',
    spec: { type: 're_serch', query: 'green' },
    path: ['type'],
    message: `"re_serch" is not a type of criterion; ${ALLOWED}; did you mean "re_search"?`,
  },
  {
    name: 'an unknown type',
    spec: { type: 'kubernetes', query: 1 },
    path: ['type'],
    message: `"kubernetes" is not a type of criterion; ${ALLOWED}`,
  },
  {
    name: 'a type that is no text',
    spec: { type: 5, query: 1 },
    path: ['type'],
    message: `5 is not a type of criterion; ${ALLOWED}`,
  },
  { name: 'no query', spec: { type: 'status_in' }, path: [], message: 'has no "query"; status_in needs one' },
  {
    name: 'an unknown key',
    spec: { type: 'status_in', query: 200, quary: 1 },
    path: ['quary'],
    message: 'is unknown; type, query are allowed; did you mean "query"?',
  },
  {
    name: 'a bad query',
    spec: { type: 're_search', query: '[' },
    path: ['query'],
    message: '"[" is not a pattern: missing closing ]',
  },
  {
    name: 'a bad item of a query',
    spec: { type: 'status_in', query: [200, 99] },
    path: ['query', 1],
    message: '99 is out of range; statuses from 100 to 599 are allowed',
  },
  {
    name: 'a comparison of numbers for a text',
    spec: { type: 'lt', query: 5 },
    factType: 'text',
    path: ['type'],
    message:
      'lt judges a number, and this fact is a text; use re_search, re_not_search, status_in, equals, not_equals, in, not_in, contains, json',
  },
  {
    name: 'a status that is a boolean',
    spec: { type: 'status_in', query: 200 },
    factType: 'boolean',
    path: ['type'],
    message:
      'status_in judges a number or a text, and this fact is a boolean; use re_search, re_not_search, equals, not_equals, in, not_in',
  },
  {
    name: 'a value of a type that the fact never is',
    spec: { type: 'in', query: [4, '5'] },
    factType: 'number',
    path: ['query', 1],
    message: '"5" is a text, and this fact is a number; write 5 without quotes',
  },
]

for (const { name, spec, factType, path, message } of MISTAKES) {
  test(`compileCriterion() says what is wrong with ${name}`, () => {
    assert.throws(() => compileCriterion(spec, factType), { name: 'CriterionError', message, path })
  })
}
