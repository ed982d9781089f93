import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { reNotSearch, reSearch } from '../../src/criteria/re-search.ts'

const HOLDS: { name: string; query: string; value: unknown }[] = [
  { name: 'a text', query: 'elasticsearch+ green+', value: '1448 elasticsearch green 3 3\n' },
  { name: 'a number', query: '^20\\d$', value: 204 },
  { name: 'a boolean', query: '^true$', value: true },
  { name: 'an object as compact JSON', query: '"status":"(green|yellow)"', value: { status: 'green', nodes: 3 } },
  { name: 'a list as compact JSON', query: '^\\["a",1\\]$', value: ['a', 1] },
  { name: 'null as JSON', query: '^null$', value: null },
]

for (const { name, query, value } of HOLDS) {
  test(`re_search finds a pattern in ${name}`, () => assert.equal(reSearch.compile(query)(value), undefined))
}

const FAILS: { name: string; query: string; value: unknown; reason: string }[] = [
  {
    name: 'a text',
    query: 'elasticsearch+ green+',
    value: '1448 elasticsearch red 1 1\n',
    reason: 'no match for "elasticsearch+ green+" in "1448 elasticsearch red 1 1⏎"',
  },
  {
    name: 'a long text, shortened',
    query: 'green',
    value: 'red '.repeat(1000),
    reason: `no match for "green" in "${'red '.repeat(19)}red…"`,
  },
  {
    name: 'an object',
    query: 'green',
    value: { status: 'red' },
    reason: 'no match for "green" in "{"status":"red"}"',
  },
]

for (const { name, query, value, reason } of FAILS) {
  test(`re_search says what it did not find in ${name}`, () => assert.equal(reSearch.compile(query)(value), reason))
}

const cycle: Record<string, unknown> = {}
cycle.self = cycle

const UNSEARCHABLE: { name: string; query: string; value: unknown; reason: string }[] = [
  { name: 'NaN', query: 'NaN', value: Number.NaN, reason: 'NaN cannot be searched' },
  { name: 'a cycle', query: 'object', value: cycle, reason: '[object Object] cannot be searched' },
  { name: 'a Map', query: '^', value: new Map([['x', 1]]), reason: '{} cannot be searched' },
]

for (const { name, query, value, reason } of UNSEARCHABLE) {
  test(`re_search finds nothing in ${name}`, () => assert.equal(reSearch.compile(query)(value), reason))
}

const NOT_FOUND: { query: string; value: unknown }[] = [
  { query: 'red', value: 'elasticsearch green' },
  { query: '^$', value: ' ' },
  { query: '[1-4]', value: 5 },
  { query: 'false', value: true },
  { query: '"status":"red"', value: { status: 'green' } },
  { query: 'c', value: ['a', 'b'] },
]

for (const { query, value } of NOT_FOUND) {
  test(`re_not_search ${JSON.stringify(query)} holds for ${JSON.stringify(value)}`, () => {
    assert.equal(reNotSearch.compile(query)(value), undefined)
  })
}

const FOUND: { name: string; query: string; value: unknown; reason: string }[] = [
  { name: 'a text', query: 'err(or)?', value: 'an\nerror', reason: '"err(or)?" is found in "an⏎error"' },
  { name: 'a record', query: 'red', value: { status: 'red' }, reason: '"red" is found in "{"status":"red"}"' },
  { name: 'null', query: 'x', value: null, reason: 'null cannot be searched' },
  { name: 'NaN', query: 'x', value: Number.NaN, reason: 'NaN cannot be searched' },
  { name: 'a cycle', query: 'x', value: cycle, reason: '[object Object] cannot be searched' },
  { name: 'a Map', query: 'x', value: new Map([['x', 1]]), reason: '{} cannot be searched' },
]

for (const { name, query, value, reason } of FOUND) {
  test(`re_not_search says why it fails for ${name}`, () => assert.equal(reNotSearch.compile(query)(value), reason))
}

test('of re_search and re_not_search exactly one holds for any value of JSON but null', () => {
  const value = fc.jsonValue().filter((each) => each !== null)
  fc.assert(
    fc.property(fc.constantFrom('a', '1', '[{"]', '^$', 'x?'), value, (query, found) => {
      const isFound = reSearch.compile(query)(found) === undefined
      assert.equal(reNotSearch.compile(query)(found) === undefined, !isFound)
    }),
  )
})

const MISTAKES: { query: unknown; message: string }[] = [
  { query: '[', message: '"[" is not a pattern: missing closing ]' },
  {
    query: '(?!red)green',
    message:
      '"(?!red)green" has a look-ahead "(?!", which RE2 does not know, since it cannot be matched in linear time',
  },
  { query: '', message: '"" is found in every text; write what is to be found' },
  { query: 200, message: '200 is not a pattern; write a text, such as "200"' },
  { query: null, message: 'null is not a pattern; write a text, such as "green"' },
  { query: ['green'], message: '["green"] is not a pattern; write a text, such as "green"' },
]

for (const { query, message } of MISTAKES) {
  test(`re_search and re_not_search refuse the query ${JSON.stringify(query)}`, () => {
    assert.throws(() => reSearch.compile(query), { name: 'CriterionError', message, path: [] })
    assert.throws(() => reNotSearch.compile(query), { name: 'CriterionError', message, path: [] })
  })
}
