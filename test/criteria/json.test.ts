import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { compileCriterion } from '../../src/criteria/criterion.ts'
import type { FactType } from '../../src/criteria/criterion-type.ts'
import { MAX_STEPS } from '../../src/criteria/json-path/budget.ts'

const CLUSTER = {
  status: 'green',
  nodes: [
    { name: 'a', state: 'up', role: 'master', lag: 0 },
    { name: 'b', state: 'down', role: 'data', lag: 12 },
    { name: 'c', state: 'up', role: 'data', lag: null },
  ],
  embedded: '{"deep":[1,2]}',
  "it's\n": 1,
}

const compile = (query: unknown, factType?: FactType) => compileCriterion({ type: 'json', query }, factType)
const is = (query: unknown) => ({ type: 'equals', query })

const HOLDS: { name: string; query: unknown; value?: unknown }[] = [
  { name: 'a path that selects something', query: { path: '$.nodes' } },
  { name: 'a path that selects null', query: { path: '$.nodes[2].lag' } },
  { name: 'any', query: { path: '$.nodes[*].role', any: is('master') } },
  { name: 'all', query: { path: '$.nodes[*].state', all: { type: 'in', query: ['up', 'down'] } } },
  { name: 'a count', query: { path: "$.nodes[?@.state == 'up']", count: { type: 'gte', query: 2 } } },
  { name: 'a count of nothing', query: { path: '$.errors[*]', count: is(0) } },
  { name: 'a text', query: { path: '$.a[0]', any: is(5) }, value: ' {"a":[5]}\n' },
  { name: 'a list', query: { path: '$[1]', any: is(2) }, value: [1, 2] },
  { name: 'a descendant segment', query: { path: '$..lag', count: is(3) } },
  { name: 'match() on the whole', query: { path: "$.nodes[?match(@.name, '[ab]')]", count: is(2) } },
  { name: 'search() on a part', query: { path: "$.nodes[?search(@.state, 'ow')].name", all: is('b') } },
  {
    name: 'JSON in a text of JSON',
    query: { path: '$.embedded', any: { type: 'json', query: { path: '$.deep[1]' } } },
  },
]

for (const { name, query, value = CLUSTER } of HOLDS) {
  test(`json holds for ${name}`, () => assert.equal(compile(query)(value), undefined))
}

const FAILS: { name: string; query: unknown; value?: unknown; reason: string }[] = [
  { name: 'nothing selected', query: { path: '$.errors[*]' }, reason: '$.errors[*] selects nothing' },
  { name: 'all of nothing', query: { path: '$.x', all: is(1) }, reason: '$.x selects nothing' },
  { name: 'any of nothing', query: { path: '$.x', any: is(1) }, reason: '$.x selects nothing' },
  {
    name: 'all, with the place of the first that fails',
    query: { path: '$.nodes[*].state', all: is('up') },
    reason: '$.nodes[1].state: "down" is not "up"',
  },
  {
    name: 'any of several',
    query: { path: '$.nodes[*].role', any: is('ingest') },
    reason: 'none of 3 fits: $.nodes[0].role: "master" is not "ingest"',
  },
  { name: 'any of one', query: { path: '$.status', any: is('red') }, reason: '$.status: "green" is not "red"' },
  {
    name: 'a count',
    query: { path: "$.nodes[?@.state == 'up']", count: { type: 'gte', query: 3 } },
    reason: "count of $.nodes[?@.state == 'up']: 2 is less than 3",
  },
  {
    name: 'a value of another type',
    query: { path: '$.nodes[*].lag', all: { type: 'lt', query: 20 } },
    reason: '$.nodes[2].lag: null is not a number',
  },
  {
    name: 'what must not be, of another type',
    query: { path: '$.status', all: { type: 'not_equals', query: 5 } },
    reason: '$.status: "green" is a text, not a number',
  },
  {
    name: 'a name with a line break',
    query: { path: '$["it\'s\\n"]', any: is(2) },
    reason: '$["it\'s\\n"]: 1 is not 2',
  },
  { name: 'a text that is no JSON', query: { path: '$' }, value: '<html>\n', reason: '"<html>⏎" is not JSON' },
  { name: 'an empty text', query: { path: '$' }, value: '', reason: '"" is not JSON' },
  { name: 'a number', query: { path: '$' }, value: 5, reason: '5 is a number, not a text or a list or a record' },
  { name: 'null', query: { path: '$' }, value: null, reason: 'null is not a text or a list or a record' },
]

for (const { name, query, value = CLUSTER, reason } of FAILS) {
  test(`json says why it fails for ${name}`, () => assert.equal(compile(query)(value), reason))
}

const MISTAKES: { query: unknown; path: unknown[]; message: string }[] = [
  { query: '$.a', path: ['query'], message: '"$.a" is not a mapping; write the "path", and any, all or count' },
  { query: {}, path: ['query'], message: 'has no "path"; write a JSONPath, such as $.status' },
  {
    query: { path: 5 },
    path: ['query', 'path'],
    message: '5 is not a JSONPath; write a text, such as $.status',
  },
  {
    query: { path: '$.a[' },
    path: ['query', 'path'],
    message: '"$.a[" is not a JSONPath (RFC 9535), at character 5: unclosed bracket',
  },
  {
    query: { path: '$', some: 1 },
    path: ['query', 'some'],
    message: 'is unknown; path, any, all, count are allowed',
  },
  {
    query: { path: '$', count: is(1), any: is(1) },
    path: ['query', 'count'],
    message: 'stands beside "any"; only one of any, all, count is allowed',
  },
  {
    query: { path: '$', any: { type: 'in', query: [1, [2]] } },
    path: ['query', 'any', 'query', 1],
    message: '[2] is not a text, a number, true, false or null',
  },
  {
    query: { path: '$', count: { type: 'contains', query: 'a' } },
    path: ['query', 'count', 'type'],
    message:
      'contains judges a text or a list, and this fact is a number; use re_search, re_not_search, status_in, equals, not_equals, in, not_in, lt, lte, gt, gte, between',
  },
  {
    query: { path: '$', any: { type: 'json', query: { path: 'a' } } },
    path: ['query', 'any', 'query', 'path'],
    message: '"a" is not a JSONPath (RFC 9535), at character 1: expected "$", found "a"',
  },
]

for (const { query, path, message } of MISTAKES) {
  test(`json refuses the query ${JSON.stringify(query)}`, () => {
    assert.throws(() => compile(query), { name: 'CriterionError', message, path })
  })
}

const nest = (depth: number) => `${'['.repeat(depth)}1${']'.repeat(depth)}`
const row = JSON.parse(nest(60))
const tooMuch = `takes more than ${MAX_STEPS} steps on this fact`
const never = is('never')
const wide = Array.from({ length: 50_000 }, (_, index) => index)

const HOSTILE: { name: string; query: { path: string }; value: unknown; reason: string }[] = [
  {
    name: 'a list without end',
    query: { path: '$[*]' },
    value: new Array(MAX_STEPS).fill(0),
    reason: tooMuch,
  },
  { name: 'a filter in a filter', query: { path: '$[?count($[?@ > 5]) == 1]' }, value: wide, reason: tooMuch },
  {
    name: 'descendants of descendants',
    query: { path: '$..[*]..[*]..[*]', count: is(0) } as { path: string },
    value: Array(500).fill(row),
    reason: tooMuch,
  },
  { name: 'a large comparison, often', query: { path: '$[?$ != $]' }, value: wide, reason: tooMuch },
  {
    name: 'a large text, often searched',
    query: { path: "$[?search($[0], 'b')]" },
    value: Array(10_000).fill('a'.repeat(50_000)),
    reason: tooMuch,
  },
  {
    name: 'the same text in all that is selected',
    query: { path: '$..*', any: { type: 're_search', query: 'b' } } as { path: string },
    value: JSON.parse(`${'['.repeat(90)}"${'a'.repeat(1_000_000)}"${']'.repeat(90)}`),
    reason: tooMuch,
  },
  {
    name: 'a path for each of many nodes',
    query: { path: '$[*]', any: { type: 'json', query: { path: '$..*', any: never } } } as { path: string },
    value: Array(5000).fill(row),
    reason: tooMuch,
  },
  {
    name: 'what is nested deeply',
    query: { path: '$..x' },
    value: nest(100_000),
    reason: 'cannot go more than 100 levels down',
  },
  {
    name: 'a comparison of what is nested deeply',
    query: { path: '$[?@ == $[0][0]]' },
    value: nest(100_000),
    reason: 'has too much to go through, or is nested too deeply',
  },
]

for (const { name, query, value, reason } of HOSTILE) {
  test(`json gives up on ${name}`, () => {
    const judge = compile(query)
    const startedAt = performance.now()
    assert.equal(judge(value), `${query.path} ${reason}`)
    assert.ok(performance.now() - startedAt < 5000)
  })
}

test('json goes in circles only so far', () => {
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  assert.equal(compile({ path: '$..x' })(cycle), '$..x cannot go more than 100 levels down')
  assert.equal(compile({ path: '$.self', any: is(1) })(cycle), `$.self ${tooMuch}`)
})

test('json has all its steps again for each judgement', () => {
  const judge = compile({ path: '$[*]', any: is(-1) })
  for (let run = 0; run < 12; run++) assert.match(judge(wide) ?? '', /^none of 50000 fits: /)
})

test('json never throws, and any holds wherever all does, for any JSON', () => {
  const paths = ['$', '$..*', '$[*]', '$[?@ > 1]', "$[?length(@) == 1]['a']", '$[0:2]']
  fc.assert(
    fc.property(fc.constantFrom(...paths), fc.jsonValue(), fc.constantFrom(null, 'a', 0), (path, value, operand) => {
      const [any, all] = ['any', 'all'].map((key) => compile({ path, [key]: is(operand) })(value))
      if (all === undefined) assert.equal(any, undefined)
    }),
  )
})

test('json for a fact of a known type is a mistake where it has nothing to select from', () => {
  assert.throws(() => compile({ path: '$' }, 'number'), { path: ['type'] })
})
