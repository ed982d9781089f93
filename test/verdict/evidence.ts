import fc from 'fast-check'
import type { Notice } from '../../src/verdict/notice.ts'
import type { GroupRule, MinAlive, ProbeRule, Rules, Severity } from '../../src/verdict/rules.ts'
import type { Evidence, FolderEvidence, Report } from '../../src/verdict/standing.ts'

/** The moment of all evidence made here, on the monotonic clock, unless a test says otherwise. */
export const NOW_MS = 1000

/** Evidence on probes that are all critical and alive, but for what is given. */
export function evidenceOf({
  probes = ['a', 'b'],
  rules = {},
  folder = {},
  reports = {},
  ...rest
}: {
  probes?: (string | (Partial<ProbeRule> & { name: string }))[]
  rules?: Partial<Rules>
  folder?: Partial<FolderEvidence>
  reports?: Record<string, Partial<Report> | undefined>
} & Partial<Pick<Evidence, 'stale' | 'watcherSilentSinceMs' | 'nowMs'>> = {}): Evidence {
  const complete = probes.map((probe): ProbeRule => {
    return { severity: 'critical', dependsOn: [], ...(typeof probe === 'string' ? { name: probe } : probe) }
  })
  const said = complete.flatMap(({ name }): [string, Report][] => {
    return name in reports && !reports[name] ? [] : [[name, reportOf(reports[name])]]
  })
  return {
    rules: { probes: complete, groups: [], onStale: 'dead', ...rules },
    folder: { flags: new Map(), drain: undefined, mutes: new Map(), fault: undefined, beganMs: 900, ...folder },
    reports: new Map(said),
    stale: new Map(),
    watcherSilentSinceMs: undefined,
    nowMs: NOW_MS,
    ...rest,
  }
}

/** A report that arrived before the folder was read; dead ones wait for their flag. */
export function reportOf(part: Partial<Report> = {}): Report {
  const isDead = part.life === 'dead'
  return { life: 'alive', reason: isDead ? 'refused' : '', sinceMs: 5, isFlagged: !isDead, arrivedMs: 100, ...part }
}

export function noticeOf(part: Partial<Notice> = {}): Notice {
  return { reason: 'disk swap', by: 'alice', sinceMs: 1, ...part }
}

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f']
const severities = fc.constantFrom<Severity>('critical', 'critical', 'warning', 'shadow')
// The kind of object that the program itself makes, for comparisons by assert.deepEqual.
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(model, { noNullPrototype: true })
const optional = <T>(arbitrary: fc.Arbitrary<T>, freq = 2) => fc.option(arbitrary, { nil: undefined, freq })

const notices: fc.Arbitrary<Notice> = record({
  reason: fc.constantFrom('disk swap', 'move'),
  by: fc.constantFrom('', 'alice'),
  sinceMs: fc.nat(100),
  untilMs: optional(fc.nat(5000)),
  expiresMs: optional(fc.integer({ min: NOW_MS - 3, max: NOW_MS + 3 })),
})

const reports: fc.Arbitrary<Report> = record({
  isDead: fc.boolean(),
  cause: optional(fc.constantFrom('timeout' as const, 'unknown' as const), 4),
  unknown: optional(record({ reason: fc.constantFrom('EMFILE', 'ENOMEM'), sinceMs: fc.nat(9) }), 1),
  sinceMs: fc.constantFrom(1, 2, 20_000, 90_000),
  isFlagged: fc.boolean(),
  fault: optional(fc.constantFrom('no space', 'read-only'), 1),
  arrivedMs: fc.constantFrom(100, 900, 950),
}).map(({ isDead, cause, ...rest }) =>
  isDead ? { life: 'dead', reason: 'refused', cause, ...rest } : { life: 'alive', reason: '', ...rest },
)

const minAlives: fc.Arbitrary<MinAlive> = fc.oneof(
  record({ count: fc.integer({ min: 1, max: 4 }) }),
  record({ percent: fc.integer({ min: 1, max: 100 }) }),
)

/** Rules as the configuration lets them pass: names are unique, nothing leans on itself. */
const rules: fc.Arbitrary<Rules> = record({
  probes: fc.shuffledSubarray(NAMES, { minLength: 1 }),
  severities: fc.array(severities, { minLength: 8, maxLength: 8 }),
  leaning: fc.array(fc.subarray(NAMES, { maxLength: 2 }), { minLength: 6, maxLength: 6 }),
  order: fc.shuffledSubarray(NAMES, { minLength: 6 }),
  crews: fc.array(fc.tuple(fc.subarray(NAMES, { minLength: 1 }), minAlives), { maxLength: 2 }),
  onStale: fc.constantFrom('dead' as const, 'last_known' as const),
}).map(({ probes: names, severities: severe, leaning, order, crews, onStale }) => {
  // A probe leans only on those that come earlier in an order of its own: no circles, in any place of the list.
  const isBefore = (a: string, b: string) => order.indexOf(a) < order.indexOf(b)
  const probes = names.map((name, index): ProbeRule => {
    const dependsOn = (leaning[index] as string[]).filter((other) => names.includes(other) && isBefore(other, name))
    return { name, severity: severe[index] as Severity, dependsOn }
  })
  const groups = crews.flatMap(([crew, minAlive], index): GroupRule[] => {
    const members = crew.filter((name) => names.includes(name))
    return members.length > 0
      ? [{ name: `group-${index}`, severity: severe[6 + index] as Severity, members, minAlive }]
      : []
  })
  return { probes, groups, onStale }
})

const flags = record({ reason: fc.constantFrom('by hand', 'refused'), sinceMs: fc.nat(9) })
const mapOf = <T>(keys: readonly string[], values: fc.Arbitrary<T>) =>
  fc.dictionary(fc.constantFrom(...keys), values).map((entries) => new Map(Object.entries(entries)))

/** Any evidence that SpiderMan may ever come to hold. */
export const evidences: fc.Arbitrary<Evidence> = record({
  rules,
  folder: record({
    flags: mapOf(NAMES, flags),
    drain: optional(notices, 1),
    mutes: mapOf([...NAMES, 'group-0', 'group-1', 'stray', 'zombie'], notices),
    fault: optional(fc.constant('EIO'), 1),
    beganMs: fc.constant(900),
  }),
  reports: mapOf(NAMES, reports),
  stale: mapOf(NAMES, fc.nat(9)).map((stale) => new Map([...stale].slice(0, 2))),
  watcherSilentSinceMs: optional(fc.nat(9), 1),
  nowMs: fc.constant(NOW_MS),
})
