import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Facts } from '../../src/modules/define-probe.ts'
import { Dead, Unknown } from '../../src/modules/errors.ts'
import { currentLookupWatch } from '../../src/modules/lookup.ts'
import { ModuleError } from '../../src/modules/module.ts'
import { type CheckSurroundings, judgeError, runCheck } from '../../src/watchman/check.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }
const QUIET = { log, stalls: { between: () => 0 } }
const coded = (code: string, message = code) => Object.assign(new Error(message), { code })

function checkOf(
  observe: (signal: AbortSignal) => Promise<Facts>,
  timeoutMs = 1000,
  around: CheckSurroundings = QUIET,
) {
  const criteria = [{ fact: 'status', judge: (value: unknown) => (value === 200 ? undefined : `${value} is not 200`) }]
  return runCheck({ timeoutMs, observe, criteria }, around)
}

test('runCheck() says alive when the facts meet the criteria', async () => {
  const { outcome } = await checkOf(async () => ({ status: 200 }))
  assert.deepEqual(outcome, { kind: 'alive' })
})

test('runCheck() says dead, with fact and reason, when a criterion is not met', async () => {
  const { outcome } = await checkOf(async () => ({ status: 503 }))
  assert.deepEqual(outcome, { kind: 'dead', reason: 'status: 503 is not 200' })
})

test('runCheck() calls the target dead when the deadline passes, and aborts the module', async () => {
  let signal: AbortSignal | undefined
  const startedMs = performance.now()
  const { outcome } = await checkOf((given) => {
    signal = given
    return new Promise(() => {})
  }, 50)
  assert.deepEqual(outcome, { kind: 'dead', reason: 'timed out after 50 ms', cause: 'timeout' })
  assert.equal(signal?.aborted, true)
  assert.ok(performance.now() - startedMs < 1000)
})

test('runCheck() settles only when a module that ignores its signal is done', async () => {
  let finish: (facts: Facts) => void = () => {}
  const { settled } = await checkOf(() => new Promise((resolve) => (finish = resolve)), 20)
  let isSettled = false
  settled.then(() => (isSettled = true))
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(isSettled, false)
  finish({})
  await settled
})

test('runCheck() leaves no timer behind', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  await checkOf(async () => ({ status: 200 }), 60_000)
  assert.equal(timers(), before)
})

test('runCheck() takes a module that throws before its first await like any other', async () => {
  const { outcome } = await checkOf(() => {
    throw new Dead('refused')
  })
  assert.deepEqual(outcome, { kind: 'dead', reason: 'refused' })
})

test('runCheck() does not blame the target for a lookup that the resolver does not answer', async () => {
  // A promise that never resolves stands for getaddrinfo on a thread of its own.
  const { outcome } = await checkOf(() => {
    const watch = currentLookupWatch()
    assert.ok(watch)
    watch.resolving = 'db.example.org'
    return new Promise(() => {})
  }, 50)
  const reason = 'the resolver of this host did not answer for db.example.org within 50 ms'
  assert.deepEqual(outcome, { kind: 'unknown', reason })
})

test('runCheck() takes a failure for unknown while WatchMan itself stood still for a quarter of the deadline', async () => {
  const dead = async (): Promise<Facts> => {
    throw new Dead('refused')
  }
  const stalledFor = (ms: number) => ({ log, stalls: { between: () => ms } })
  const excused = await checkOf(dead, 1000, stalledFor(250))
  const reason = 'WatchMan itself stood still for 250 ms of the check (which came to: refused)'
  assert.deepEqual(excused.outcome, { kind: 'unknown', reason })
  const blamed = await checkOf(dead, 1000, stalledFor(249))
  assert.deepEqual(blamed.outcome, { kind: 'dead', reason: 'refused' })
  const alive = await checkOf(async () => ({ status: 200 }), 1000, stalledFor(900))
  assert.deepEqual(alive.outcome, { kind: 'alive' })
})

test('runCheck() tells its steps before it makes them', async () => {
  const steps: string[] = []
  await checkOf(
    async () => {
      steps.push('asked')
      return { status: 200 }
    },
    1000,
    { ...QUIET, onStep: (step) => steps.push(step) },
  )
  assert.deepEqual(steps, ['asking', 'asked', 'judging'])
})

const errors: { name: string; error: unknown; kind: 'dead' | 'unknown'; reason: string }[] = [
  { name: 'Dead', error: new Dead('-LOADING'), kind: 'dead', reason: '-LOADING' },
  { name: 'Unknown', error: new Unknown('no resolver'), kind: 'unknown', reason: 'no resolver' },
  {
    name: 'a module that does not load',
    error: new ModuleError('it exports no Probe'),
    kind: 'unknown',
    reason: 'it exports no Probe',
  },
  {
    name: 'a refused connection',
    error: coded('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:1'),
    kind: 'dead',
    reason: 'connect ECONNREFUSED 127.0.0.1:1',
  },
  { name: 'a plain error', error: new Error('replication is broken'), kind: 'dead', reason: 'replication is broken' },
  { name: 'a text', error: 'gone', kind: 'dead', reason: 'gone' },
  {
    name: 'no descriptors',
    error: coded('EMFILE'),
    kind: 'unknown',
    reason: 'this process has no file descriptors left (EMFILE)',
  },
  {
    name: 'no resolver, wrapped as fetch does',
    error: new TypeError('fetch failed', { cause: coded('EAI_AGAIN') }),
    kind: 'unknown',
    reason: 'the resolver of this host does not answer (EAI_AGAIN)',
  },
  {
    name: 'a resolver in trouble',
    error: coded('EAI_FAIL'),
    kind: 'unknown',
    reason: 'the resolver of this host failed (EAI_FAIL)',
  },
  {
    name: 'a refused connection, wrapped as fetch does',
    error: new TypeError('fetch failed', { cause: coded('ECONNREFUSED') }),
    kind: 'dead',
    reason: 'fetch failed: ECONNREFUSED',
  },
  {
    name: 'a bug',
    error: new TypeError('x is not a function'),
    kind: 'unknown',
    reason: 'the module has a bug: TypeError: x is not a function',
  },
  {
    name: 'a misuse of Node',
    error: Object.assign(new TypeError('bad'), { code: 'ERR_INVALID_ARG_TYPE' }),
    kind: 'unknown',
    reason: 'the module has a bug: TypeError: bad',
  },
]
for (const { name, error, kind, reason } of errors) {
  test(`judgeError() takes ${name} as ${kind}`, () => assert.deepEqual(judgeError(error), { kind, reason }))
}

test('runCheck() quotes after the reason what the target said itself', async () => {
  const observe = async () => ({ status: 503, message: 'the disk is full' })
  const criteria = [{ fact: 'status', judge: () => 'is bad' }]
  const { outcome } = await runCheck(
    { timeoutMs: 1000, observe, criteria, explaining: [{ fact: 'message', of: 'all' as const }] },
    QUIET,
  )
  assert.deepEqual(outcome, { kind: 'dead', reason: 'status: is bad (message: "the disk is full")' })
})

test('judgeError() adds nothing to what a module says itself', () => {
  const cause = coded('ENOENT', 'ENOENT: no such file or directory')
  for (const [Kind, kind] of [
    [Dead, 'dead'],
    [Unknown, 'unknown'],
  ] as const) {
    assert.deepEqual(judgeError(new Kind('the key is gone', { cause })), { kind, reason: 'the key is gone' })
  }
})

test('runCheck() says unknown when a fact that is judged could not be asked for and nothing else is wrong', async () => {
  const observe = async () => ({
    disk: 3,
    get clock(): number {
      throw new Unknown('no time server answers')
    },
  })
  const check = async (diskFault?: string) => {
    const criteria = [
      { fact: 'clock', judge: () => undefined },
      { fact: 'disk', judge: () => diskFault },
    ]
    return (await runCheck({ timeoutMs: 1000, observe, criteria }, QUIET)).outcome
  }
  assert.deepEqual(await check(), { kind: 'unknown', reason: 'no time server answers' })
  assert.deepEqual(await check('is full'), { kind: 'dead', reason: 'disk: is full' })
})
