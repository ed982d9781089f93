import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { drain, resume } from '../../src/cli/drain.ts'
import { checkMuteName, mute, unmute } from '../../src/cli/mute.ts'
import { makeNotice, whoAmI } from '../../src/cli/notice.ts'
import { formatNotice, parseNotice } from '../../src/status/notice-file.ts'
import { alive, makeFolder, record, writeNotes } from './notes.ts'

const TIME = '\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z'
const plain = { reason: undefined, forMs: undefined }

test('drain() writes the file whole, readable for all, into a folder that it makes', async (context) => {
  const folder = join(makeFolder(context), 'not/there/yet')
  const former = process.umask(0o077)
  context.after(() => process.umask(former))
  const { out, code } = await drain(folder, { reason: 'new racks', forMs: 1_800_000 }, 'alice')
  const said = new RegExp(
    `^drained until (${TIME}): the answer will be 503 once DeadPool runs; end it with "deadpool resume"\\n$`,
  )
  assert.match(out, said)
  assert.equal(code, 0)
  assert.deepEqual(readdirSync(folder), ['drain'])
  assert.equal(statSync(join(folder, 'drain')).mode & 0o777, 0o644)
  const text = readFileSync(join(folder, 'drain'), 'utf8')
  assert.match(text, new RegExp(`^new racks\\nby alice\\nsince ${TIME}\\nuntil ${TIME}\\n$`))
  assert.equal(said.exec(out)?.[1], /until (.*)/.exec(text)?.[1])
  const { sinceMs, untilMs = 0 } = parseNotice(text, 0, 'drain')
  assert.equal(untilMs - sinceMs, 1_800_000)
  assert.ok(Math.abs(Date.now() - sinceMs) < 5000)
})

test('drain() beside a WatchMan at work says what the answer is, and what it takes the place of', async (context) => {
  const folder = makeFolder(context)
  await writeNotes(folder, { elastic: record(alive()) })
  const first = await drain(folder, plain, 'alice')
  assert.equal(first.out, 'drained: the answer is 503; end it with "deadpool resume"\n')
  assert.match(readFileSync(join(folder, 'drain'), 'utf8'), new RegExp(`^\\nby alice\\nsince ${TIME}\\n$`))
  const second = await drain(folder, { reason: 'short', forMs: 1000 }, 'bob')
  assert.match(second.out, /; it takes the place of one that stood until it is taken back, by alice\n$/)
  writeFileSync(join(folder, 'drain'), 'over\nby bob\nuntil 2026-01-01T00:00:00.000Z\n')
  assert.equal((await drain(folder, plain, 'bob')).out, first.out)
})

test('resume() ends a drain, and says when there is none', async (context) => {
  const folder = makeFolder(context)
  await drain(folder, plain, 'alice')
  assert.deepEqual(await resume(folder), {
    out: 'no longer drained: the answer follows the components again\n',
    code: 0,
  })
  const none = { out: `not drained: there is no drain in ${folder}\n`, code: 0 }
  assert.deepEqual(await resume(folder), none)
  assert.equal((await resume(join(folder, 'absent'))).code, 0)
})

test('mute() and unmute() are about one name', async (context) => {
  const folder = makeFolder(context)
  await writeNotes(folder, { elastic: record(alive()) })
  const muted = await mute(folder, 'elastic', { reason: 'INC-1', forMs: 3_600_000 }, 'bob')
  const end = 'its death does not count; end it with "deadpool unmute elastic"'
  assert.match(muted.out, new RegExp(`^elastic is muted until ${TIME}: ${end}\\n$`))
  assert.match(
    readFileSync(join(folder, 'elastic.mute'), 'utf8'),
    new RegExp(`^INC-1\\nby bob\\nsince ${TIME}\\nuntil ${TIME}\\n$`),
  )
  const again = await mute(folder, 'elastic', { reason: 'INC-1', forMs: 60_000 }, 'bob')
  assert.match(again.out, new RegExp(`; it takes the place of one that stood until ${TIME}, by bob\\n$`))
  assert.deepEqual(await unmute(folder, 'elastik'), { out: 'elastik is not muted; did you mean "elastic"?\n', code: 0 })
  assert.deepEqual(await unmute(folder, 'elastic'), {
    out: 'elastic is no longer muted: its death counts again\n',
    code: 0,
  })
  assert.deepEqual(await unmute(folder, 'elastic'), { out: 'elastic is not muted\n', code: 0 })
  await assert.rejects(unmute(folder, '../elastic'), {
    name: 'UsageError',
    message: /"\.\.\/elastic" is not a probe name/,
  })
})

test('drain(), mute() and their ends say why the folder cannot be changed', async (context) => {
  const file = join(makeFolder(context), 'file')
  writeFileSync(file, '')
  const runs = [
    [drain(file, plain, 'alice'), 'not drained'],
    [resume(file), 'still drained'],
    [mute(file, 'elastic', { ...plain, forMs: 1000 }, 'alice'), 'elastic is not muted'],
    [unmute(file, 'elastic'), 'elastic is still muted'],
  ] as const
  for (const [run, what] of runs) {
    const { out, err, code } = await run
    assert.deepEqual([out, err, code], ['', `deadpool: ${what}: ${file} is not a folder\n`, 1])
  }
})

test('drain() leaves no draft behind when the file cannot be put there', async (context) => {
  const folder = makeFolder(context)
  mkdirSync(join(folder, 'drain/inside'), { recursive: true })
  const { code, err } = await drain(folder, plain, 'alice')
  assert.equal(code, 1)
  assert.match(err ?? '', /^deadpool: not drained: /)
  assert.deepEqual(readdirSync(folder), ['drain'])
})

test('makeNotice() keeps every reason from being read as another line', () => {
  for (const reason of [
    'by bob',
    'for 30m',
    'since 2026-01-01',
    'until 2027-01-01T00:00:00Z',
    'for the new racks',
    'x',
    '',
  ]) {
    const notice = makeNotice({ reason, forMs: 60_000 }, 'alice', 1_000_000)
    const read = parseNotice(formatNotice(notice), 0, 'drain')
    assert.deepEqual(
      [read.by, read.sinceMs, read.untilMs, read.reason.replaceAll('"', '')],
      ['alice', 1_000_000, 1_060_000, reason || 'no reason given'],
    )
  }
})

test('whoAmI() is who called sudo, else the user', () => {
  assert.equal(whoAmI({ SUDO_USER: 'carol' }), 'carol')
  assert.match(whoAmI({}), /^\S+$/)
})

test('checkMuteName() takes probes and groups, and says which was probably meant', async (context) => {
  const folder = makeFolder(context)
  writeFileSync(join(folder, 'deadpool.yml'), 'probes: { elastic: {}, kafka-1: {} }\ngroups: { kafka: {} }')
  const around = { env: {}, cwd: folder, home: '/' }
  const check = (name: string, place: { folder?: string; config?: string } = {}) =>
    checkMuteName(name, { folder: place.folder, config: place.config }, join(folder, 'probe'), around)
  for (const name of ['elastic', 'kafka-1', 'kafka']) await check(name)
  const unknown = {
    name: 'UsageError',
    message: '"elastik" is not the name of a probe or group; did you mean "elastic"?',
  }
  await assert.rejects(check('elastik'), unknown)
  await assert.rejects(check('zzz'), {
    message: '"zzz" is not the name of a probe or group; there are elastic, kafka-1, kafka',
  })
  await assert.rejects(check('../x'), { name: 'UsageError' })
  // With --folder alone the configuration found here may be that of another DeadPool.
  await check('elastik', { folder: 'probe' })
  await writeNotes(join(folder, 'probe'), { other: record(alive()) })
  await assert.rejects(check('elastic', { folder: 'probe' }), { message: /there are other$/ })
  await check('other', { folder: 'probe' })
  await check('elastic', { folder: 'probe', config: 'deadpool.yml' })
})
