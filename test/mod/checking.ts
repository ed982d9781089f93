import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { compileCriterion } from '../../src/criteria/criterion.ts'
import type { Explaining } from '../../src/criteria/judge.ts'
import type { Facts, Probe } from '../../src/modules/define-probe.ts'
import { prepareQuery } from '../../src/modules/local.ts'
import type { PreparedQuery } from '../../src/modules/module.ts'
import type { Outcome } from '../../src/verdict/state.ts'
import { runCheck } from '../../src/watchman/check.ts'

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }
const QUIET = { log: SILENT, stalls: { between: () => 0 } }

export type Query = Record<string, unknown>

/** Takes a query as the core does: through the module's schema; fails with what the module finds wrong. */
export async function prepare(probe: Probe, query: Query): Promise<PreparedQuery> {
  const prepared = await prepareQuery(probe, query)
  assert.deepEqual(prepared.problems, [])
  return prepared
}

/** Everything that a module finds wrong with a query, as `path: message`. */
export async function findProblems(probe: Probe, query: unknown): Promise<string[]> {
  const { problems } = await prepareQuery(probe, query)
  return problems.map(({ path, message }) => `${path.join('.')}: ${message}`)
}

/** Makes one check and gives its facts; throws as the module does. */
export async function observe(probe: Probe, query: Query, signal = AbortSignal.timeout(10_000)): Promise<Facts> {
  const prepared = await prepare(probe, query)
  try {
    return await prepared.observe(signal, SILENT)
  } finally {
    prepared.close()
  }
}

/** Makes one check whole, as WatchMan does: deadline, facts, criteria (the module's own where none are given). */
export async function check(probe: Probe, query: Query, criteria?: Probe['criteria']): Promise<Outcome> {
  const prepared = await prepare(probe, query)
  try {
    return await checkPrepared(probe, prepared, criteria)
  } finally {
    prepared.close()
  }
}

/** The same for a query that was prepared. */
export async function checkPrepared(
  probe: Probe,
  prepared: PreparedQuery,
  criteria: Probe['criteria'] = { ...probe.criteria, ...prepared.criteria },
): Promise<Outcome> {
  const judges = Object.entries(criteria).flatMap(([fact, specs]) =>
    [specs ?? []].flat().map((spec) => ({ fact, judge: compileCriterion(spec) })),
  )
  const explaining = Object.entries(probe.facts).flatMap(([fact, spec]): Explaining[] => {
    const explains = typeof spec === 'object' && spec.explains
    return explains ? [{ fact, of: explains === true ? 'all' : explains }] : []
  })
  const { outcome, settled } = await runCheck({ ...prepared, criteria: judges, explaining }, QUIET)
  await settled
  return outcome
}

/** What this process holds: descriptors of sockets and pipes, and child processes. */
function readHoldings(): { sockets: number; children: number } {
  const sockets = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return /^(?:socket|pipe):/.test(readlinkSync(`/proc/self/fd/${fd}`))
    } catch {
      return false // closed meanwhile
    }
  }).length
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean).length
  return { sockets, children }
}

/**
 * Makes `count` checks in a row, and fails when they leave a socket, a process or growing memory behind. Each must come to
 * `kind`.
 */
export async function assertNothingLeft(
  probe: Probe,
  query: Query,
  { count = 300, kind = 'alive' }: { count?: number; kind?: Outcome['kind'] } = {},
): Promise<void> {
  const prepared = await prepare(probe, query)
  const checkOnce = async () => {
    const outcome = await checkPrepared(probe, prepared)
    assert.equal(outcome.kind, kind, `the check came to ${JSON.stringify(outcome)}`)
  }
  // What is loaded, compiled and pooled once is no leak.
  for (let i = 0; i < 50; i++) await checkOnce()
  await settle(readHoldings())
  const before = readHoldings()
  const heapBefore = await readHeap()
  for (let i = 0; i < count; i++) await checkOnce()
  prepared.close()
  await settle(before)
  const heapGrowth = (await readHeap()) - heapBefore
  assert.deepEqual(readHoldings(), before)
  assert.ok(heapGrowth < 2_000_000 + count * 1000, `the heap grew by ${heapGrowth} bytes in ${count} checks`)
}

/** Waits until no more is held than `before`, two seconds at most: what is closed is gone a moment later. */
async function settle(before: { sockets: number; children: number }): Promise<void> {
  for (let i = 0; i < 100; i++) {
    await sleep(20)
    const now = readHoldings()
    if (now.sockets <= before.sockets && now.children <= before.children) return
  }
}

async function readHeap(): Promise<number> {
  const { setFlagsFromString } = process.getBuiltinModule('node:v8')
  setFlagsFromString('--expose-gc')
  const collect = process.getBuiltinModule('node:vm').runInNewContext('gc') as () => void
  for (let i = 0; i < 3; i++) {
    collect()
    await sleep(10)
  }
  return process.memoryUsage().heapUsed
}
