import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isWatched } from '../../src/cli/notice.ts'
import { status, watchStatus } from '../../src/cli/status.ts'
import type { Look } from '../../src/cli/table.ts'
import { readOwnIdentity } from '../../src/status/process.ts'
import { type ProbeRecord, writeSpidermanNotes } from '../../src/status/state-file.ts'
import { ago, alive, dead, makeFolder, type NotesOptions, record, rule, writeNotes } from './notes.ts'

const PIPE: Look = { width: undefined, color: false }
const read = (folder: string, look = PIPE) => status(folder, { json: false, look })

interface Scenario {
  name: string
  probes: Record<string, ProbeRecord>
  notes?: NotesOptions
  files?: Record<string, string>
  code: 0 | 1
  /** Each is found in the output. */
  says: RegExp[]
}

/** Made anew for each test: what they tell of is so long ago from now. */
const makeScenarios = (): Scenario[] => [
  {
    name: 'everything alive',
    probes: { elastic: record(alive(300_000)) },
    code: 0,
    says: [
      /^OK: the answer is 200\ndc1, 1 probe; figures of (?:under )?\d s ago\n33\.3 checks per second, 99% start at most 3 ms late, none skipped\n\nNAME {5}STATE /,
      /^elastic {2}alive {2}critical {3}5 min ago \(\d{4}-\d\d-\d\dT[\d:.]+Z\) {2}[2-9] s ago, took 12 ms {2}- {12}-$/m,
    ],
  },
  {
    name: 'one dead',
    probes: { kafka: record(alive()), elastic: record(dead('refused', 7_500_000)) },
    code: 1,
    says: [
      /^DEAD: the answer is 503 for elastic\n/,
      /\nelastic {2}dead {3}critical {3}2 h 5 min ago .* refused\nkafka {4}alive/,
    ],
  },
  {
    name: 'failures that are not enough yet',
    probes: { elastic: record(alive(9000, { streak: 1, doubt: 'status: 500' })) },
    code: 0,
    says: [/ 1 of 3 failures {2}status: 500$/m],
  },
  {
    name: 'successes that are not enough yet',
    probes: { elastic: record(dead('refused', 9000, { streak: 2 })) },
    code: 1,
    says: [/ 2 of 5 successes {2}refused$/m],
  },
  {
    name: 'enough successes within the hold',
    probes: {
      elastic: record(dead('refused', 20_500, { streak: 7 }), {
        policy: { fall: 3, rise: 5, holdMs: 60_000, staleAfterMs: 30_000 },
      }),
    },
    code: 1,
    says: [/ held for another 3\d s {2}refused$/m],
  },
  {
    name: 'checks that cannot be made',
    probes: {
      elastic: record(alive(9000, { unknown: { reason: 'no resolver', count: 3, since: ago(9_500) } })),
    },
    code: 0,
    says: [
      / unknown, dead in (?:20|1\d) s {2}cannot be checked: no resolver$/m,
      /^warning: elastic cannot be checked since /m,
    ],
  },
  {
    name: 'a probe that was never checked',
    probes: { elastic: record(alive(10, { isAssumed: true }), { last: undefined }) },
    code: 0,
    says: [/^elastic {2}not checked {2}critical {3}- {6}- {11}- {12}-$/m, /^warning: not checked yet: elastic$/m],
  },
  {
    name: 'a group that has too few',
    probes: { a: record(dead('refused')), b: record(alive()) },
    notes: { groups: [{ name: 'kafka', severity: 'critical', members: ['a', 'b'], minAlive: { count: 2 } }] },
    code: 1,
    says: [
      /^DEAD: the answer is 503 for kafka$/m,
      /^dc1, 2 probes and 1 group;/m,
      /^kafka {2}dead .* 1 of 2 alive, 2 needed \(a: refused\)\na {6}dead {3}in kafka /m,
    ],
  },
  {
    name: 'a group that has lost a member, and another one to a mute',
    probes: { a: record(dead('refused')), b: record(alive()), c: record(dead('slow')) },
    notes: { groups: [{ name: 'kafka', severity: 'critical', members: ['a', 'b', 'c'], minAlive: { count: 1 } }] },
    files: { 'c.mute': 'known\nfor 100000h' },
    code: 0,
    says: [/^OK/, /^kafka {2}alive {2}critical {3}- .* 1 of 2 alive, 1 needed {2}-$/m],
  },
  {
    name: 'consequences and severities',
    probes: {
      site: record(dead('502')),
      db: record(dead('refused')),
      new: record(dead('red')),
      dns: record(dead('slow')),
    },
    notes: {
      rules: [
        rule('site', { dependsOn: ['db'] }),
        rule('new', { severity: 'shadow' }),
        rule('dns', { severity: 'warning' }),
      ],
    },
    code: 1,
    says: [
      /^DEAD: the answer is 503 for db, site$/m,
      /^site .* because of db: 502$/m,
      /^new {3}dead {3}shadow /m,
      /^dns {3}dead {3}warning /m,
      /^warning: dns is dead: slow /m,
    ],
  },
  {
    name: 'a drain and a mute',
    probes: { elastic: record(dead('refused')), kafka: record(alive()) },
    files: {
      drain: 'new racks\nby alice\nsince 2026-01-01T00:00:00.000Z\n',
      'elastic.mute': 'known\nby bob\nsince 2026-01-01T00:00:00.000Z\nuntil 2999-01-01T00:00:00.000Z\n',
    },
    code: 1,
    says: [
      /^DEAD: the answer is 503 for drain\ndrained until it is taken back, by alice: new racks$/m,
      /^elastic {2}dead {3}muted .* refused; muted until 2999-01-01T00:00:00\.000Z, by bob: known$/m,
    ],
  },
  {
    name: 'notices that are over',
    probes: { elastic: record(dead('refused')) },
    files: { drain: 'x\nuntil 2026-01-01T00:00:00.000Z\n', 'elastic.mute': 'x\nuntil 2026-01-01T00:00:00.000Z\n' },
    code: 1,
    says: [/^DEAD: the answer is 503 for elastic\ndc1/, /^elastic {2}dead {3}critical /m],
  },
  {
    name: 'a flag made by hand',
    probes: { elastic: record(alive()) },
    files: { 'elastic.dead': 'moving racks\n' },
    code: 1,
    says: [/^elastic {2}dead {3}critical .* dead by its flag {2}moving racks$/m],
  },
  {
    name: 'a flag removed by hand',
    probes: { elastic: record(dead('refused'), { isFlagged: true }) },
    code: 0,
    says: [/^elastic {2}alive .* its flag is gone {2}-$/m],
  },
  {
    name: 'a flag that cannot be set',
    probes: { elastic: record(dead('refused'), { fault: 'no space left' }) },
    code: 1,
    says: [/refused; its flag cannot be set: no space left$/m],
  },
  {
    name: 'notes of a WatchMan that is late',
    probes: { elastic: record(alive()) },
    notes: { ageMs: 20_000 },
    code: 0,
    says: [/^OK/, /^THESE FIGURES ARE 2\d s OLD, of \S+Z: does DeadPool run, and can it write there\?$/m],
  },
  {
    name: 'notes of a WatchMan that is silent',
    probes: { elastic: record(alive()) },
    notes: { ageMs: 31_000 },
    code: 1,
    says: [/^DEAD: the answer is 503 for WatchMan\n/, /^THESE FIGURES ARE 3\d s OLD/m],
  },
  {
    name: 'notes that are only due, with a short stale_after',
    probes: { elastic: record(alive()) },
    notes: { ageMs: 5000, staleAfterMs: 1000 },
    code: 0,
    says: [/^OK.*\n.*figures of [5-9] s ago\n/],
  },
  {
    name: 'notes of an earlier run of the host',
    probes: {
      elastic: record(dead('refused', 0, { streak: 6, since: { wallMs: Date.now() - 600_500, monotonicMs: 1e12 } }), {
        policy: { fall: 1, rise: 5, holdMs: 900_000, staleAfterMs: 30_000 },
      }),
    },
    notes: { boot: 'another', written: { wallMs: Date.now() - 20_000, monotonicMs: 1e12 } },
    code: 1,
    says: [/2\d s OLD/, /^elastic {2}dead {3}critical {3}10 min ago .* held for another 4 min /m],
  },
  {
    name: 'shadows',
    probes: { new: record(dead('red')), old: record(alive()) },
    notes: {
      rules: [rule('new', { severity: 'shadow' }), rule('old', { severity: 'shadow' })],
      shadows: {
        new: { count: 3, totalMs: 600_000, since: ago(120_100) },
        old: { count: 1, totalMs: 4000 },
      },
    },
    code: 0,
    says: [
      /^shadow new would have answered 503 3 times, for 12 min in all, and would now for 2 min \(counted since 2026-11-20T00:00:00\.000Z\)$/m,
      /^shadow old would have answered 503 1 time, for 4 s in all \(counted since /m,
    ],
  },
  {
    name: 'starts that were skipped',
    probes: { elastic: record(alive()) },
    notes: { pace: { checksPerSecond: 5000, lateP50Ms: 100, lateP99Ms: 2500, lateMaxMs: 9000, skipped: 17 } },
    code: 0,
    says: [/^5000 checks per second, 99% start at most 2\.5 s late, 17 skipped$/m],
  },
  {
    name: 'no pace yet',
    probes: { elastic: record(alive()) },
    notes: { pace: { lateP50Ms: 0.1, lateP99Ms: 3, lateMaxMs: 9, skipped: 0 } },
    code: 0,
    says: [/^just started, 99% start at most 3 ms late, none skipped$/m],
  },
]
for (const [index, { name }] of makeScenarios().entries()) {
  test(`status() with ${name}`, async (context) => {
    const { probes, notes, files = {}, code, says } = makeScenarios()[index] as Scenario
    const folder = makeFolder(context)
    await writeNotes(folder, probes, notes)
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text)
    const { out, err, code: found } = await read(folder)
    for (const pattern of says) assert.match(out, pattern)
    assert.equal(err, undefined)
    assert.equal(found, code)
  })
}

const HOSTILE = `red\x1b[31m\n\u202eover\u0085 日本語 e\u0301🙂 ${'x'.repeat(200)}`

test('status() shows no control characters, and every reason on one whole line in a pipe', async (context) => {
  const folder = makeFolder(context)
  await writeNotes(folder, { elastic: record(dead(HOSTILE)) }, { name: 'dc\x1b[2J' })
  writeFileSync(join(folder, 'drain'), `\x1b]0;title\x07${HOSTILE}`)
  const { out } = await read(folder)
  assert.doesNotMatch(out, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/)
  assert.match(out, /red\\x1b\[31m\\n\\u202eover\\x85 日本語 e\u0301🙂 x{200}$/m)
  const { out: json } = await status(folder, { json: true, look: PIPE })
  assert.doesNotMatch(json, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/)
  assert.equal(JSON.parse(json).items[0].reason, HOSTILE)
})

test('status() in a terminal is no wider than that, and gives the reasons room', async (context) => {
  const { default: stringWidth } = await import('string-width')
  const folder = makeFolder(context)
  const names = { elastic: record(dead(HOSTILE)), 'a-rather-long-name-of-a-probe': record(alive()) }
  await writeNotes(folder, names)
  for (const [width, hasLastCheck] of [
    [200, true],
    [100, false],
    [40, false],
    [12, false],
    [1, false],
  ] as const) {
    const { out } = await read(folder, { width, color: true })
    const lines = out.trimEnd().split('\n')
    for (const line of lines) assert.ok(stringWidth(line) <= width, `${width}: ${line}`)
    assert.equal(out.includes('LAST CHECK'), hasLastCheck, String(width))
    assert.equal(lines.length, 7)
  }
})

test('status() colours only when asked to', async (context) => {
  const folder = makeFolder(context)
  await writeNotes(folder, { elastic: record(dead('refused')) })
  const [plain, colored] = [await read(folder), await read(folder, { width: 120, color: true })]
  assert.ok(!plain.out.includes('\x1b'))
  assert.match(colored.out, /^\x1b\[31mDEAD: the answer is 503 for elastic\x1b\[39m\n/)
})

test('status() without notes says what to do, and exits 2', async (context) => {
  const folder = makeFolder(context)
  const absent = await read(join(folder, 'absent'))
  assert.deepEqual([absent.code, absent.out], [2, ''])
  assert.match(
    absent.err ?? '',
    /^deadpool: there are no notes of WatchMan in .*absent; start DeadPool .*"--folder DIR"\n$/,
  )
  mkdirSync(join(folder, 'state'))
  writeFileSync(join(folder, 'state/watchman.json'), '{"format":1,"pro')
  assert.equal((await read(folder)).code, 2)
  writeFileSync(join(folder, 'file'), '')
  const noFolder = await read(join(folder, 'file'))
  assert.deepEqual(
    [noFolder.code, noFolder.err],
    [2, `deadpool: the status cannot be told: ${folder}/file is not a folder\n`],
  )
})

test('status() of a DeadPool that has ended says so at once, and exits 2', async (context) => {
  const folder = makeFolder(context)
  const child = spawn('true')
  await once(child, 'close')
  const own = { ...readOwnIdentity(), startedMs: 0, version: '1', url: 'http://h/', config: 'c', loadedMs: 0 }
  await writeNotes(folder, { elastic: record(alive()) })
  const gone = { ...own, pid: child.pid as number }
  await writeSpidermanNotes(folder, gone)
  const { out, code } = await read(folder)
  assert.match(out, new RegExp(`^NOT RUNNING: process ${child.pid} has ended, and nobody answers; how things were `))
  assert.equal(code, 2)
  const json = await status(folder, { json: true, look: PIPE })
  const { status: verdict, has_ended: hasEnded } = JSON.parse(json.out)
  assert.deepEqual([json.code, verdict, hasEnded], [2, 'DEAD', true])
  assert.equal(await isWatched(folder), false)

  // Of one in another container nobody here knows.
  await writeSpidermanNotes(folder, { ...gone, pidNamespace: 'pid:[1]' })
  assert.equal((await read(folder)).code, 0)
  await writeSpidermanNotes(folder, own)
  assert.equal((await read(folder)).code, 0)
  assert.equal(await isWatched(folder), true)
})

test('status() of notes that cannot be used says why', async (context) => {
  const folder = makeFolder(context)
  mkdirSync(join(folder, 'state'))
  const path = join(folder, 'state/watchman.json')
  const rest = 'a WatchMan at work writes it anew within seconds'
  writeFileSync(path, '{"format":2}')
  const said = `deadpool: ${path} was written by another version (format 2; this one knows 1); ${rest}\n`
  assert.equal((await read(folder)).err, said)
  writeFileSync(path, '{"for')
  assert.equal((await read(folder)).err, `deadpool: ${path} is damaged; ${rest}\n`)
  rmSync(join(folder, 'state'), { recursive: true })
  writeFileSync(join(folder, 'state'), '')
  assert.equal((await read(folder)).err, `deadpool: the status cannot be told: ${folder}/state is not a folder\n`)
})

test('status() as JSON tells verdict, items, records, notices and age', async (context) => {
  const folder = makeFolder(context)
  const probes = { elastic: record(dead('refused')), kafka: record(alive()) }
  await writeNotes(folder, probes, {
    groups: [{ name: 'search', severity: 'warning', members: ['elastic'], minAlive: { percent: 50 } }],
  })
  writeFileSync(join(folder, 'kafka.mute'), 'known\nby bob\nsince 2026-01-01T00:00:00.000Z\nfor 100000h\n')
  const { out, code } = await status(folder, { json: true, look: PIPE })
  const told = JSON.parse(out)
  assert.equal(out.trimEnd().split('\n').length, 1)
  assert.deepEqual([told.status, told.dead, told.name, code], ['OK', [], 'dc1', 0])
  assert.ok(told.age_ms >= 500 && told.age_ms < 5000)
  assert.deepEqual([told.is_old, told.is_silent, told.drain, told.url], [false, false, null, null])
  const mute = { reason: 'known', by: 'bob', since: '2026-01-01T00:00:00.000Z', until: '2037-05-29T16:00:00.000Z' }
  assert.deepEqual(told.mutes, { kafka: mute })
  const [elastic, kafka, search] = told.items
  assert.deepEqual(
    [elastic.name, elastic.state, elastic.reason, elastic.is_counted],
    ['elastic', 'dead', 'refused', false],
  )
  assert.deepEqual(elastic.record, JSON.parse(JSON.stringify(probes.elastic)))
  assert.deepEqual([kafka.state, kafka.mute], ['alive', mute])
  assert.deepEqual(
    [search.kind, search.severity, search.state, 'record' in search],
    ['group', 'warning', 'dead', false],
  )
})

test('watchStatus() repaints a terminal in place, no longer than it is high, and goes on in a pipe', async (context) => {
  const folder = makeFolder(context)
  await writeNotes(folder, Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`p${index}`, record(alive())])))
  const watch = async (size: { columns: number; rows: number } | undefined, json = false) => {
    const written: string[] = []
    const controller = new AbortController()
    const write = (text: string) => {
      written.push(text)
      if (written.length === 3) controller.abort()
    }
    await watchStatus(
      folder,
      { json, color: false, everyMs: 1, signal: controller.signal },
      { size: () => size, write },
    )
    return written
  }
  const [clear, first = '', second = ''] = await watch({ columns: 80, rows: 10 })
  assert.equal(clear, '\x1b[H\x1b[2J')
  for (const paint of [first, second]) {
    assert.match(paint, /^\x1b\[HOK: the answer is 200\x1b\[K\n/)
    assert.match(paint, /\nand 17 more lines; make the terminal higher, or leave out --watch\x1b\[K\n\x1b\[J$/)
    assert.equal(paint.split('\n').length, 10)
  }
  for (const text of await watch(undefined)) assert.match(text, /^OK: the answer is 200\n[^\x1b]*\n\n$/)
  for (const line of await watch({ columns: 80, rows: 10 }, true)) assert.equal(JSON.parse(line).status, 'OK')
})
