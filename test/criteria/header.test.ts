import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileCriterion } from '../../src/criteria/criterion.ts'

const HEADERS = { 'x-cache': 'HIT', 'set-cookie': ['a=1', 'b=2'], 'x-empty': [], 'x-none': '', vary: 'accept, origin' }

const HIT = { type: 'equals', query: 'HIT' }
const compile = (query: unknown) => compileCriterion({ type: 'header', query }, 'record')

const HOLDS: { name: string; query: unknown }[] = [
  { name: 'a header that is there', query: { name: 'x-cache' } },
  { name: 'its name in any case', query: { name: 'X-Cache' } },
  { name: 'a header that is there and empty', query: { name: 'x-none' } },
  { name: 'any of one value', query: { name: 'x-cache', any: HIT } },
  { name: 'any of several values', query: { name: 'set-cookie', any: { type: 'contains', query: 'b=' } } },
  { name: 'all values', query: { name: 'set-cookie', all: { type: 're_search', query: '=\\d$' } } },
  { name: 'the count of values', query: { name: 'set-cookie', count: { type: 'between', query: [2, 3] } } },
  { name: 'a value with a comma as one', query: { name: 'vary', count: { type: 'equals', query: 1 } } },
  { name: 'no header at all', query: { name: 'x-debug', count: { type: 'equals', query: 0 } } },
  { name: 'an empty list of values as none', query: { name: 'x-empty', count: { type: 'equals', query: 0 } } },
]

for (const { name, query } of HOLDS) {
  test(`header holds for ${name}`, () => assert.equal(compile(query)(HEADERS), undefined))
}

const FAILS: { name: string; query: unknown; value?: unknown; reason: string }[] = [
  { name: 'a missing header', query: { name: 'X-Debug' }, reason: 'has no header X-Debug' },
  { name: 'any of a missing header', query: { name: 'x-debug', any: HIT }, reason: 'has no header x-debug' },
  { name: 'all of a missing header', query: { name: 'x-debug', all: HIT }, reason: 'has no header x-debug' },
  { name: 'an empty list', query: { name: 'x-empty' }, reason: 'has no header x-empty' },
  { name: 'what every object inherits', query: { name: 'constructor' }, reason: 'has no header constructor' },
  {
    name: 'one value',
    query: { name: 'x-cache', any: { type: 'equals', query: 'MISS' } },
    reason: 'x-cache: "HIT" is not "MISS"',
  },
  {
    name: 'any of several values',
    query: { name: 'set-cookie', any: HIT },
    reason: 'none of 2 fits: set-cookie: "a=1" is not "HIT"',
  },
  {
    name: 'all of several values',
    query: { name: 'set-cookie', all: { type: 'contains', query: 'a' } },
    reason: 'set-cookie: "b=2" does not contain "a"',
  },
  {
    name: 'the count',
    query: { name: 'set-cookie', count: { type: 'lt', query: 2 } },
    reason: 'count of set-cookie: 2 is not less than 2',
  },
  {
    name: 'a value that is no text',
    query: { name: 'age', any: { type: 'not_equals', query: 'x' } },
    value: { age: 5 },
    reason: 'age: 5 is a number, not a text',
  },
  { name: 'what is no record', query: { name: 'age' }, value: 'age: 5', reason: '"age: 5" is a text, not a record' },
  {
    name: 'null',
    query: { name: 'age', count: { type: 'equals', query: 0 } },
    value: null,
    reason: 'null is not a record',
  },
]

for (const { name, query, value = HEADERS, reason } of FAILS) {
  test(`header says why it fails for ${name}`, () => assert.equal(compile(query)(value), reason))
}

const MAPPING = 'is not a mapping; write the header\'s "name", and any, all or count'

const MISTAKES: { query: unknown; path: unknown[]; message: string }[] = [
  { query: 'x-cache', path: ['query'], message: `"x-cache" ${MAPPING}` },
  { query: ['x-cache'], path: ['query'], message: `["x-cache"] ${MAPPING}` },
  { query: {}, path: ['query'], message: 'has no "name"; write the name of a header' },
  {
    query: { name: 'x cache' },
    path: ['query', 'name'],
    message: '"x cache" is not the name of a header; write letters, digits and "-"',
  },
  {
    query: { name: 5 },
    path: ['query', 'name'],
    message: '5 is not the name of a header; write letters, digits and "-"',
  },
  {
    query: { name: 'age', al: HIT },
    path: ['query', 'al'],
    message: 'is unknown; name, any, all, count are allowed; did you mean "all"?',
  },
  {
    query: { name: 'age', all: HIT, any: HIT },
    path: ['query', 'all'],
    message: 'stands beside "any"; only one of any, all, count is allowed',
  },
  {
    query: { name: 'age', any: null },
    path: ['query', 'any'],
    message: 'null is not a criterion; write its "type" and its "query"',
  },
  {
    query: { name: 'age', any: { type: 'in', query: ['1', 2] } },
    path: ['query', 'any', 'query', 1],
    message: '2 is a number, and this fact is a text; write "2"',
  },
  {
    query: { name: 'age', count: { type: 'equals', query: '1' } },
    path: ['query', 'count', 'query'],
    message: '"1" is a text, and this fact is a number; write 1 without quotes',
  },
]

for (const { query, path, message } of MISTAKES) {
  test(`header refuses the query ${JSON.stringify(query)}`, () => {
    assert.throws(() => compile(query), { name: 'CriterionError', message, path })
  })
}

test('header tells that a value of a header is no number', () => {
  const query = { name: 'age', any: { type: 'lt', query: 10 } }
  assert.throws(() => compile(query), {
    path: ['query', 'any', 'type'],
    message: /^lt judges a number, and this fact is a text; use re_search, /,
  })
})
