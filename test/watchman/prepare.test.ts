import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { carried } from '#carried'
import type { ProbeConfig } from '../../src/config/probes.ts'
import { formatPath } from '../../src/config/problem.ts'
import { criterionNames } from '../../src/criteria/criterion.ts'
import { createCatalog } from '../../src/modules/catalog.ts'
import { prepareProbe } from '../../src/watchman/prepare.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {} }
const folder = join(import.meta.dirname, '../fixtures/modules')
const catalog = createCatalog({ folder, carried, log: silent })
after(() => catalog.close())

const URL = { url: 'http://127.0.0.1:1/' }

const PROBE: ProbeConfig = {
  name: 'a',
  path: ['probes', 'a'],
  module: 'url_probe',
  isEnabled: true,
  periodMs: 1000,
  fastPeriodMs: 1000,
  fall: 1,
  rise: 1,
  holdMs: 0,
  severity: 'critical',
  dependsOn: [],
  query: URL,
  criteria: undefined,
}

async function problemsOf(given: Partial<ProbeConfig>): Promise<string[]> {
  const { problems } = await prepareProbe({ ...PROBE, ...given }, catalog)
  return problems.map(({ kind, path, message }) => `${kind} ${formatPath(path)}: ${message}`)
}

const rule = '1 to 100 letters, digits, "-", "_" or ".", beginning with a letter or digit are allowed'
for (const module of ['../x', 'a/b', '.', '..', '', '__proto__', '/etc/passwd', 'url_probe\0', 'x'.repeat(300)]) {
  test(`prepareProbe() refuses the module name ${JSON.stringify(module.slice(0, 20))}`, async () => {
    const shown = module.length > 60 ? `${module.slice(0, 60)}…` : module
    const expected = `mistake probes.a.module: ${JSON.stringify(shown)} is not a module name; ${rule}`
    assert.deepEqual(await problemsOf({ module }), [expected])
  })
}

for (const module of ['constructor', 'toString', 'hasOwnProperty']) {
  test(`prepareProbe() knows no module "${module}"`, async () => {
    const [problem] = await problemsOf({ module })
    assert.match(
      problem ?? '',
      new RegExp(`^mistake probes\\.a\\.module: "${module}" is not a module; there are .*url_probe`),
    )
  })
}

const mistakes: { name: string; given: Partial<ProbeConfig>; problems: string[] }[] = [
  {
    name: 'a module that is misspelt',
    given: { module: 'url_prob' },
    problems: ['mistake probes.a.module: "url_prob" is not a module; did you mean "url_probe"?'],
  },
  {
    name: 'a module that does not load',
    given: { module: 'throws' },
    problems: ['broken probes.a.module: module "throws" cannot be used: no licence found'],
  },
  {
    name: 'a fact that the module does not report',
    given: { criteria: { stauts: { type: 'status_in', query: [200] } } },
    problems: [
      'mistake probes.a.success_criteria.stauts: is not a fact that module "url_probe" reports; did you mean "status"?',
    ],
  },
  {
    name: 'an unknown criterion',
    given: { criteria: { status: { type: 'status_is', query: [200] } } },
    problems: [
      `mistake probes.a.success_criteria.status.type: "status_is" is not a type of criterion; ${criterionNames().join(', ')} are allowed; did you mean "status_in"?`,
    ],
  },
  {
    name: 'a bad query of one criterion in a list',
    given: {
      criteria: {
        body: [
          { type: 're_search', query: 'ok' },
          { type: 're_search', query: '[' },
        ],
      },
    },
    problems: ['mistake probes.a.success_criteria.body[1].query: "[" is not a pattern: missing closing ]'],
  },
  {
    name: 'a pattern that RE2 does not know',
    given: { criteria: { body: { type: 're_search', query: '(?!red)green' } } },
    problems: [
      'mistake probes.a.success_criteria.body.query: "(?!red)green" has a look-ahead "(?!", which RE2 does not know, since it cannot be matched in linear time',
    ],
  },
  {
    name: 'a criterion for numbers where the fact is a text',
    given: { module: 'typed', query: {}, criteria: { word: { type: 'lt', query: 5 } } },
    problems: [
      'mistake probes.a.success_criteria.word.type: lt judges a number, and this fact is a text; use re_search, re_not_search, status_in, equals, not_equals, in, not_in, contains, json',
    ],
  },
  {
    name: 'a value that is of another type than the fact',
    given: { module: 'typed', query: {}, criteria: { word: [{ type: 'in', query: ['a', 5] }] } },
    problems: ['mistake probes.a.success_criteria.word[0].query[1]: 5 is a number, and this fact is a text; write "5"'],
  },
  {
    name: 'an empty list of criteria, which a module may have',
    given: { criteria: { status: [] } },
    problems: [
      'mistake probes.a.success_criteria.status: an empty list judges nothing; at least one criterion is needed',
    ],
  },
  {
    name: 'a negative timeout',
    given: { query: { ...URL, timeout: -1 } },
    problems: ['mistake probes.a.query.timeout: -1 is out of range; 1 ms to 10 min is allowed'],
  },
  {
    name: 'an absurd timeout',
    given: { query: { ...URL, timeout: 1e9 } },
    problems: ['mistake probes.a.query.timeout: 1000000000 is out of range; 1 ms to 10 min is allowed'],
  },
  {
    name: 'an invalid URL',
    given: { query: { url: 'localhost:9200' } },
    problems: [
      'mistake probes.a.query.url: "localhost:9200" is not an http or https URL; write it like http://localhost:9200/_cat/health',
    ],
  },
  {
    name: 'an unknown key of the query',
    given: { query: { ...URL, headers: {} } },
    problems: ['mistake probes.a.query.headers: is not a known key; did you mean "header"?'],
  },
  {
    name: 'no criteria where the module has none of its own',
    given: { module: 'typed', query: {} },
    problems: [
      'mistake probes.a.success_criteria: is missing; module "typed" has no criteria of its own, so name a fact to judge: word',
    ],
  },
]
for (const { name, given, problems } of mistakes) {
  test(`prepareProbe() refuses ${name}`, async () => assert.deepEqual(await problemsOf(given), problems))
}

test('prepareProbe() takes the timeout of the query, and the criteria of the module where none are given', async () => {
  const { probe } = await prepareProbe({ ...PROBE, query: { ...URL, timeout: '250ms' } }, catalog)
  assert.equal(probe?.timeoutMs, 250)
  assert.deepEqual(
    probe?.criteria.map(({ fact, judge }) => [fact, judge(204), judge(404)]),
    [['status', undefined, '404 is not one of 2xx']],
  )
})

const choosy = [
  { name: 'with the criteria that the query gives rise to', query: { choosy: true }, facts: ['word', 'size'] },
  { name: 'without them where it gives rise to none', query: { choosy: false }, facts: ['word'] },
  {
    name: 'unless it has criteria of its own',
    query: { choosy: true },
    criteria: { size: { type: 'gt', query: 1 } },
    facts: ['size'],
  },
]
for (const { name, query, criteria, facts } of choosy) {
  test(`prepareProbe() judges a probe by the criteria of its module, ${name}`, async () => {
    const { probe, problems } = await prepareProbe({ ...PROBE, module: 'choosy', query, criteria }, catalog)
    assert.deepEqual(problems, [])
    assert.deepEqual(
      probe?.criteria.map(({ fact }) => fact),
      facts,
    )
  })
}
