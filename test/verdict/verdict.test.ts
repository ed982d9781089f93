import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isInForce } from '../../src/verdict/notice.ts'
import { type Evidence, standingOf } from '../../src/verdict/standing.ts'
import { decide, decideOne } from '../../src/verdict/verdict.ts'
import { evidenceOf, evidences, NOW_MS, noticeOf } from './evidence.ts'

const dead = { life: 'dead' } as const
const timedOut = { life: 'dead', reason: 'timed out', cause: 'timeout' } as const
const mutes = (...names: string[]) => new Map(names.map((name) => [name, noticeOf()]))
const groupOf = (members: string[], count = 1) => {
  return { name: 'group', severity: 'critical' as const, members, minAlive: { count } }
}

const scenarios: { name: string; given: Parameters<typeof evidenceOf>[0]; dead?: string[]; warnings?: string[] }[] = [
  { name: 'nothing dead', given: {} },
  { name: 'a dead probe', given: { reports: { b: dead } }, dead: ['b: refused'] },
  {
    name: 'the dead in configuration order, the drain and a silent WatchMan before them',
    given: {
      probes: ['zeta', 'alpha', '10'],
      reports: { zeta: dead, alpha: dead, 10: dead },
      folder: { drain: noticeOf() },
      watcherSilentSinceMs: 5,
    },
    dead: [
      'drain: disk swap (by alice)',
      'WatchMan: silent: nobody checks the components any more',
      'zeta: refused',
      'alpha: refused',
      '10: refused',
    ],
  },
  { name: 'a drain of nobody', given: { folder: { drain: noticeOf({ by: '' }) } }, dead: ['drain: disk swap'] },
  { name: 'a drain that is over', given: { folder: { drain: noticeOf({ expiresMs: NOW_MS }) } } },
  {
    name: 'a silent WatchMan under last_known',
    given: { rules: { onStale: 'last_known' }, reports: { a: dead }, watcherSilentSinceMs: 0 },
    dead: ['a: refused'],
    warnings: ['WatchMan is silent since 1970-01-01T00:00:00.000Z; the answer is the last known one'],
  },
  {
    name: 'a single stale probe',
    given: { stale: new Map([['b', 5]]) },
    dead: ['b: WatchMan does not get its checks done'],
  },
  {
    name: 'a single stale probe under last_known',
    given: { rules: { onStale: 'last_known' }, stale: new Map([['b', 5]]) },
    warnings: ['WatchMan does not get the checks of b done; the last known states count'],
  },
  {
    name: 'dead probes of every severity',
    given: {
      probes: [{ name: 'w', severity: 'warning' }, { name: 's', severity: 'shadow' }, 'c'],
      reports: { w: { ...dead, sinceMs: 0 }, s: dead },
    },
    warnings: ['w is dead: refused (since 1970-01-01T00:00:00.000Z)'],
  },
  {
    name: 'a muted dead probe',
    given: { reports: { a: { ...dead, sinceMs: 0 } }, folder: { mutes: mutes('a') } },
    warnings: [
      'a is muted until it is taken back, by alice: disk swap; it is dead: refused (since 1970-01-01T00:00:00.000Z)',
    ],
  },
  {
    name: 'a muted probe that is alive, and a mute of nothing',
    given: { folder: { mutes: mutes('stray', 'a') } },
    warnings: [
      'a is muted until it is taken back, by alice: disk swap',
      'stray.mute mutes nothing: there is no enabled probe and no group of that name',
    ],
  },
  {
    name: 'a mute that is over',
    given: { reports: { a: dead }, folder: { mutes: new Map([['a', noticeOf({ expiresMs: NOW_MS })]]) } },
    dead: ['a: refused'],
  },
  {
    name: 'a dead member of a group that lives',
    given: { rules: { groups: [groupOf(['a', 'b'])] }, reports: { a: dead } },
  },
  {
    name: 'a group with too few members alive',
    given: { rules: { groups: [groupOf(['a', 'b'], 2)] }, reports: { a: dead } },
    dead: ['group: 1 of 2 alive, 2 needed (a: refused)'],
  },
  {
    name: 'a muted group with too few members alive',
    given: {
      rules: { groups: [groupOf(['a', 'b'], 2)] },
      reports: { a: { ...dead, sinceMs: 0 } },
      folder: { mutes: mutes('group') },
    },
    warnings: [
      'group is muted until it is taken back, by alice: disk swap; it is dead: 1 of 2 alive, 2 needed (a: refused) (since 1970-01-01T00:00:00.000Z)',
    ],
  },
  {
    name: 'a consequence behind its cause',
    given: {
      probes: [{ name: 'web', dependsOn: ['net'] }, 'mail', 'net'],
      reports: { web: dead, mail: dead, net: dead },
    },
    dead: ['mail: refused', 'net: refused', 'web: refused (because of net)'],
  },
  {
    name: 'a consequence of a group',
    given: {
      probes: [{ name: 'web', dependsOn: ['group'] }, 'a'],
      rules: { groups: [groupOf(['a'])] },
      reports: { web: dead, a: dead },
    },
    dead: ['group: 0 of 1 alive, 1 needed (a: refused)', 'web: refused (because of group)'],
  },
  {
    name: 'a dead probe whose dependency lives',
    given: { probes: [{ name: 'web', dependsOn: ['net'] }, 'net'], reports: { web: dead } },
    dead: ['web: refused'],
  },
  {
    name: 'most probes timed out at once, instead of each',
    given: { probes: ['a', 'b', 'c', 'd'], reports: { a: timedOut, b: timedOut, c: timedOut, d: dead } },
    dead: [
      'WatchMan: 3 of 4 probes timed out in the same moment, which speaks of this host, its network or WatchMan: a, b, c',
      'd: refused',
    ],
  },
  {
    name: 'most probes timed out at once, though one has been so for long, which is listed',
    given: {
      probes: ['a', 'b', 'c', 'd'],
      reports: { a: timedOut, b: timedOut, c: timedOut, d: { ...timedOut, sinceMs: -1e9 } },
    },
    dead: [
      'WatchMan: 3 of 4 probes timed out in the same moment, which speaks of this host, its network or WatchMan: a, b, c',
      'd: timed out',
    ],
  },
  {
    name: 'most probes timed out at once while WatchMan is silent, WatchMan once',
    given: { probes: ['a', 'b', 'c'], reports: { a: timedOut, b: timedOut, c: timedOut }, watcherSilentSinceMs: 9 },
    dead: [
      'WatchMan: silent: nobody checks the components any more; 3 of 3 probes timed out in the same moment, which speaks of this host, its network or WatchMan: a, b, c',
    ],
  },
  {
    name: 'most probes timed out at once, with their groups',
    given: {
      probes: ['a', 'b', 'c'],
      rules: { groups: [groupOf(['a', 'b', 'c'])] },
      reports: { a: timedOut, b: timedOut, c: timedOut },
    },
    dead: [
      'WatchMan: 3 of 3 probes timed out in the same moment, which speaks of this host, its network or WatchMan: a, b, c',
    ],
  },
  {
    name: 'most probes timed out at once, none of which counts',
    given: {
      probes: ['a', 'b', 'c'].map((name) => ({ name, severity: 'shadow' })),
      reports: { a: timedOut, b: timedOut, c: timedOut },
    },
  },
  {
    name: 'a folder that cannot be read, flags that cannot be set, and a probe not checked yet',
    given: {
      probes: ['a', 'b', 'c'],
      folder: { fault: 'EIO' },
      reports: { a: { fault: 'no space left' }, b: { fault: 'no space left' }, c: undefined },
    },
    warnings: [
      'the status folder cannot be read: EIO; the answer comes from the last checks',
      'the flag of a, b cannot be set: no space left',
      'not checked yet: c',
    ],
  },
  {
    name: 'a probe that cannot be checked',
    given: { reports: { a: { unknown: { reason: 'EMFILE', sinceMs: 0 } } } },
    warnings: ['a cannot be checked since 1970-01-01T00:00:00.000Z: EMFILE; its last state counts'],
  },
  {
    name: 'most probes that cannot be checked, in one line',
    given: {
      probes: ['a', 'b', 'c'],
      reports: {
        a: { unknown: { reason: 'EMFILE', sinceMs: 5 } },
        b: { unknown: { reason: 'EMFILE', sinceMs: 0 } },
        c: { unknown: { reason: 'ENOMEM', sinceMs: 5 } },
      },
    },
    warnings: [
      'WatchMan cannot check 3 of 3 probes since 1970-01-01T00:00:00.000Z: EMFILE, and 1 other reasons; their last states count',
    ],
  },
]

for (const { name, given, dead: expected = [], warnings = [] } of scenarios) {
  test(`decide() lists ${name}`, () => {
    const decision = decide(evidenceOf(given))
    assert.deepEqual(decision.dead.map(toLine), expected)
    assert.deepEqual(decision.warnings, warnings)
    assert.equal(decision.status, expected.length > 0 ? 'DEAD' : 'OK')
  })
}

const singles: {
  name: string
  given: Parameters<typeof evidenceOf>[0]
  of?: string
  dead: string[]
  warnings?: string[]
}[] = [
  { name: 'of a live probe beside a dead one', given: { reports: { b: dead } }, dead: [] },
  { name: 'of a dead probe', given: { reports: { a: dead } }, dead: ['a: refused'] },
  {
    name: 'of a dead shadow probe',
    given: { probes: [{ name: 'a', severity: 'shadow' }], reports: { a: dead } },
    dead: ['a: refused'],
  },
  {
    name: 'of a dead member of a live group',
    given: { rules: { groups: [groupOf(['a', 'b'])] }, reports: { a: dead } },
    dead: ['a: refused'],
  },
  {
    name: 'of one of many that timed out',
    given: { probes: ['a', 'b', 'c'], reports: { a: timedOut, b: timedOut, c: timedOut } },
    dead: ['a: timed out'],
  },
  {
    name: 'of a live probe under a drain',
    given: { folder: { drain: noticeOf() } },
    dead: ['drain: disk swap (by alice)'],
  },
  {
    name: 'of a muted dead probe',
    given: { reports: { a: { ...dead, sinceMs: 0 } }, folder: { mutes: mutes('a', 'b') } },
    dead: [],
    warnings: [
      'a is muted until it is taken back, by alice: disk swap; it is dead: refused (since 1970-01-01T00:00:00.000Z)',
    ],
  },
  {
    name: 'of a group, with the doubts about its members only',
    given: {
      probes: ['a', 'b', 'c'],
      rules: { groups: [groupOf(['a', 'b'])] },
      reports: { b: undefined, c: undefined },
    },
    of: 'group',
    dead: [],
    warnings: ['not checked yet: b'],
  },
]
for (const { name, given, of = 'a', dead: expected, warnings = [] } of singles) {
  test(`decideOne() gives the verdict ${name}`, () => {
    const evidence = evidenceOf(given)
    const verdict = decideOne(decide(evidence), of, evidence)
    assert.deepEqual(verdict && [verdict.dead.map(toLine), verdict.warnings], [expected, warnings])
    assert.equal(verdict?.status, expected.length > 0 ? 'DEAD' : 'OK')
  })
}

test('decideOne() knows no name that is not configured', () => {
  const evidence = evidenceOf({
    folder: { flags: new Map([['old', { reason: 'x', sinceMs: 1 }]]), mutes: mutes('old') },
  })
  assert.equal(decideOne(decide(evidence), 'old', evidence), undefined)
})

test('decide() says DEAD exactly when something that counts is dead, and decideOne() when the one is', () => {
  fc.assert(
    fc.property(evidences, (evidence) => {
      const decision = decide(evidence)
      assert.equal(decision.status, hasReason(evidence) ? 'DEAD' : 'OK')
      assert.equal(decision.status === 'OK', decision.dead.length === 0)
      for (const { name } of [...evidence.rules.probes, ...evidence.rules.groups]) {
        const isDown = isOverruled(evidence) || (isDead(name, evidence) && !isMuted(name, evidence))
        assert.equal(decideOne(decision, name, evidence)?.status, isDown ? 'DEAD' : 'OK')
      }
    }),
    { numRuns: 3000 },
  )
})

test('decide() lists nothing twice, and what is because of something listed behind it', () => {
  fc.assert(
    fc.property(evidences, (evidence) => {
      const { dead: listed, warnings } = decide(evidence)
      const names = listed.map(({ name }) => name)
      assert.equal(new Set(names).size, names.length)
      assert.equal(new Set(warnings).size, warnings.length)
      for (const [index, { becauseOf }] of listed.entries()) {
        if (becauseOf !== undefined) assert.ok(names.indexOf(becauseOf) < index)
      }
    }),
    { numRuns: 3000 },
  )
})

test('decide() never turns OK into DEAD for a mute, nor does decideOne()', () => {
  fc.assert(
    fc.property(evidences, fc.nat(), (evidence, pick) => {
      const names = [...evidence.rules.probes, ...evidence.rules.groups].map(({ name }) => name)
      const name = names[pick % names.length] as string
      const mutedMore = new Map([...evidence.folder.mutes, [name, noticeOf()]])
      const muted = { ...evidence, folder: { ...evidence.folder, mutes: mutedMore } }
      const [before, after] = [decide(evidence), decide(muted)]
      if (before.status === 'OK') assert.equal(after.status, 'OK')
      for (const each of names) {
        if (decideOne(before, each, evidence)?.status === 'OK')
          assert.equal(decideOne(after, each, muted)?.status, 'OK')
      }
    }),
    { numRuns: 3000 },
  )
})

test('decide() takes a drain or mute at its end as if it were gone, and a millisecond earlier as if it had no end', () => {
  fc.assert(
    fc.property(evidences, fc.integer({ min: NOW_MS - 3, max: NOW_MS + 3 }), (evidence, nowMs) => {
      const { drain, mutes: given } = evidence.folder
      const isOver = (expiresMs: number | undefined) => expiresMs !== undefined && expiresMs <= nowMs
      const folder = {
        ...evidence.folder,
        drain: drain && !isOver(drain.expiresMs) ? { ...drain, expiresMs: undefined } : undefined,
        mutes: new Map(
          [...given].flatMap(([name, mute]) =>
            isOver(mute.expiresMs) ? [] : [[name, { ...mute, expiresMs: undefined }]],
          ),
        ),
      }
      const { status, dead: listed, warnings } = decide({ ...evidence, nowMs })
      const plain = decide({ ...evidence, nowMs, folder })
      assert.deepEqual(
        { status, listed, warnings },
        { status: plain.status, listed: plain.dead, warnings: plain.warnings },
      )
    }),
    { numRuns: 2000 },
  )
})

test('decide() decides the same at any two moments before validUntilMs, which is the next end of a notice', () => {
  fc.assert(
    fc.property(evidences, fc.nat(999), (evidence, thousandth) => {
      const now = decide(evidence)
      assert.ok(now.validUntilMs > NOW_MS)
      const spanMs = Math.min(now.validUntilMs, NOW_MS + 1e9) - NOW_MS
      assert.deepEqual(decide({ ...evidence, nowMs: NOW_MS + (spanMs * thousandth) / 1000 }), now)
      const { drain, mutes: given } = evidence.folder
      const ends = [drain, ...given.values()].map((notice) => notice?.expiresMs ?? Number.POSITIVE_INFINITY)
      assert.equal(now.validUntilMs, Math.min(Number.POSITIVE_INFINITY, ...ends.filter((end) => end > NOW_MS)))
    }),
    { numRuns: 2000 },
  )
})

// Reports come over IPC one by one, files of the folder are read side by side: what arrives within one millisecond may
// be entered in any order, and the maps of the evidence keep the order of their entries.
test('decide() does not depend on the order in which reports, flags and mutes were entered', () => {
  fc.assert(
    fc.property(evidences, fc.infiniteStream(fc.double({ noNaN: true })), (evidence, dice) => {
      const shuffle = <T>(map: ReadonlyMap<string, T>) => {
        const drawn = [...map].map((entry) => ({ entry, at: dice.next().value as number }))
        return new Map(drawn.sort((a, b) => a.at - b.at).map(({ entry }) => entry))
      }
      const { flags, mutes: given } = evidence.folder
      const shuffled: Evidence = {
        ...evidence,
        folder: { ...evidence.folder, flags: shuffle(flags), mutes: shuffle(given) },
        reports: shuffle(evidence.reports),
        stale: shuffle(evidence.stale),
      }
      assert.deepEqual(decide(shuffled), decide(evidence))
    }),
    { numRuns: 2000 },
  )
})

test('decide() decides the same twice, and leaves the evidence as it is', () => {
  fc.assert(
    fc.property(evidences, (evidence) => {
      const [copy, untouched] = [structuredClone(evidence), structuredClone(evidence)]
      assert.deepEqual(decide(copy), decide(evidence))
      assert.deepEqual(copy, untouched)
    }),
  )
})

function toLine({ name, reason, becauseOf }: { name: string; reason: string; becauseOf?: string | undefined }): string {
  return `${name}: ${reason}${becauseOf === undefined ? '' : ` (because of ${becauseOf})`}`
}

/** The rules of the verdict, as one would say them. */
function hasReason(evidence: Evidence): boolean {
  const { probes, groups } = evidence.rules
  const isMember = (name: string) => groups.some(({ members }) => members.includes(name))
  const counting = [...probes.filter(({ name }) => !isMember(name)), ...groups]
  return (
    isOverruled(evidence) ||
    counting.some(({ name, severity }) => severity === 'critical' && isDead(name, evidence) && !isMuted(name, evidence))
  )
}

function isOverruled({ folder, watcherSilentSinceMs, rules, nowMs }: Evidence): boolean {
  return isInForce(folder.drain, nowMs) || (watcherSilentSinceMs !== undefined && rules.onStale === 'dead')
}

function isMuted(name: string, { folder, nowMs }: Evidence): boolean {
  return isInForce(folder.mutes.get(name), nowMs)
}

function isDead(name: string, evidence: Evidence): boolean {
  const group = evidence.rules.groups.find((each) => each.name === name)
  if (!group) return standingOf(name, evidence).life === 'dead'
  const counted = group.members.filter((member) => !isDead(member, evidence) || !isMuted(member, evidence))
  const alive = counted.filter((member) => !isDead(member, evidence)).length
  const { minAlive } = group
  if ('count' in minAlive) return alive < Math.min(minAlive.count, counted.length)
  return alive * 100 < minAlive.percent * counted.length
}
