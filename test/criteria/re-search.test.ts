import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reSearch } from '../../src/criteria/re-search.ts'

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

test('re_search judges a value that JSON cannot hold', () => {
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  assert.equal(reSearch.compile('green')(cycle), 'no match for "green" in "[object Object]"')
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
  test(`re_search refuses the query ${JSON.stringify(query)}`, () => {
    assert.throws(() => reSearch.compile(query), { name: 'CriterionError', message, path: [] })
  })
}
