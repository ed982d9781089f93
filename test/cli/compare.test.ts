import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { compare, findDoubts } from '../../src/cli/compare.ts'
import { loadConfig } from '../../src/config/load.ts'
import { alive, dead, makeFolder, record, writeNotes } from './notes.ts'

const HEAD = 'WEB: { access_token: abcdefgh }\n'
const OLD = `${HEAD}probes:
  db: { module: url_probe }
  site: { module: url_probe }
  off: { module: url_probe, isEnabled: False }
`

async function compareTexts(folder: string, former: string, fresh: string): Promise<string[]> {
  const load = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return loadConfig(join(folder, name))
  }
  const lines = await compare(load('old.yml', former), load('new.yml', fresh))
  return lines.map((line) => line.replaceAll(`${folder}/`, '').replace(/(?:under )?\d s ago/, 'a moment ago'))
}

const scenarios = [
  { name: 'nothing', fresh: OLD, answer: '503 for db', changes: ['nothing else changes'] },
  {
    name: 'a severity',
    fresh: OLD.replace('db: {', 'db: { severity: warning,'),
    answer: '200',
    changes: ['what changes:', '  db: severity critical → warning'],
  },
  {
    name: 'probes that come and go',
    fresh: `${HEAD}probes: { site: { module: url_probe }, pg: { module: url_probe }, q: { module: x, isEnabled: False } }`,
    answer: '200',
    changes: [
      'what changes:',
      '  pg: new, critical; alive until its first checks say otherwise',
      '  q: new, disabled',
      '  db: gone; it is dead now',
      '  off: gone; it was disabled',
    ],
  },
  {
    name: 'a group',
    fresh: `${OLD}groups: { back: { members: [db, site], severity: critical, min_alive: "50%" } }`,
    answer: '200',
    changes: ['what changes:', '  group back: new, critical; db, site count through it, 50% needed'],
  },
  {
    name: 'how a probe is watched',
    fresh: OLD.replace(
      'site: {',
      'site: { fall: 3, rise: 2, hold: 1m, period: 5, fast_period: 1, depends_on: db, query: 7, ',
    ).replace('isEnabled: False', 'isEnabled: True'),
    answer: '503 for db',
    changes: [
      'what changes:',
      '  site: depends_on nothing → db; fall 1 → 3; rise 1 → 2; hold none → 1 min; period 3 s → 5 s; fast_period 3 s → 1 s; asks or judges otherwise (module, query, success_criteria)',
      '  off: isEnabled False → True',
    ],
  },
  {
    name: 'the silence of WatchMan',
    fresh: `${OLD}WatchMan: { stale_after: 10, on_stale: last_known }`,
    answer: '503 for db',
    changes: ['what changes:', '  WatchMan: stale_after 30 s → 10 s; on_stale dead → last_known'],
  },
]
for (const { name, fresh, answer, changes } of scenarios) {
  test(`compare() tells what changes with ${name}`, async (context) => {
    const folder = makeFolder(context)
    await writeNotes(join(folder, 'probe'), { db: record(dead('refused')), site: record(alive()) })
    assert.deepEqual(await compareTexts(folder, OLD, fresh), [
      'by the states of a moment ago:',
      '  old.yml: 503 for db',
      `  new.yml: ${answer}`,
      ...changes,
    ])
  })
}

test('compare() tells what changes in a group', async (context) => {
  const folder = makeFolder(context)
  await writeNotes(join(folder, 'probe'), { db: record(dead('refused')), site: record(alive()) })
  const withGroup = (group: string) => `${OLD}groups: { back: { ${group} } }`
  const lines = await compareTexts(
    folder,
    withGroup('members: [db, site]'),
    withGroup('members: [site, off], min_alive: 2, severity: shadow'),
  )
  assert.deepEqual(lines.slice(1), [
    '  old.yml: 200',
    '  new.yml: 503 for db',
    'what changes:',
    '  group back: severity critical → shadow; min_alive 1 → 2; with off; without db',
  ])
  assert.deepEqual((await compareTexts(folder, withGroup('members: [db]'), OLD)).slice(-2), [
    'what changes:',
    '  group back: gone; its members count by themselves',
  ])
})

test('compare() takes states from the former folder, and from silent notes too', async (context) => {
  const folder = makeFolder(context)
  const notes = { db: record(dead('refused')), site: record(alive()) }
  await writeNotes(join(folder, 'probe'), notes, { ageMs: 7_200_500 })
  const lines = await compareTexts(folder, OLD, `${OLD}WatchMan: { probe_status_folder: elsewhere }`)
  assert.deepEqual(lines, [
    'by the states of 2 h ago:',
    '  old.yml: 503 for db',
    '  new.yml: 503 for db',
    'nothing else changes',
  ])
})

test('compare() without notes takes all as alive, and says so', async (context) => {
  const lines = await compareTexts(makeFolder(context), OLD, OLD)
  assert.deepEqual(lines.slice(0, 3), [
    'no present states are known in probe; all are taken as alive:',
    '  old.yml: 200',
    '  new.yml: 200',
  ])
})

test('findDoubts() names the mistakes that make a comparison doubtful', (context) => {
  const file = join(makeFolder(context), 'old.yml')
  writeFileSync(
    file,
    'WEB: { access_token: { env: DEADPOOL_TEST_NOT_SET } }\nprobes: { a: { module: url_probe, fall: x } }',
  )
  const doubts = findDoubts(loadConfig(file, { env: {} }))
  assert.equal(doubts.length, 1)
  assert.match(doubts[0] ?? '', /probes\.a\.fall: "x" is not .* \(the comparison may be wrong by this\)$/)
})
