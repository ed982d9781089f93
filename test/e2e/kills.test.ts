import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type DeadPool, finallyDo, startDeadPool, waitFor } from './binary.ts'
import { startComponent, urlProbe } from './component.ts'
import { createRandom } from './random.ts'

/** How often the watcher is killed; a number of one's own makes a longer or a shorter run. */
const KILLS = Number(process.env.DEADPOOL_TEST_KILLS ?? 200)
/** What the random moments come from; it stands in the message of a failure, and repeats the run. */
const SEED = Number(process.env.DEADPOOL_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))

const NAMES = Array.from({ length: 10 }, (_, index) => `c${index}`)
const PERIOD_MS = 500
const TIMEOUT_MS = 500
/** After a kill the answers agree within a period and a deadline. The rest is what a new process may take on a busy machine. */
const LIMIT_MS = PERIOD_MS + TIMEOUT_MS + 1000

const WHOLE_FLAG = /^[^\n]+\nsince 20\d\d-\d\d-\d\dT[\d:.]+Z\n$/

/** Looks into the status folder without a pause, and keeps what a flag must never look like. */
function watchFlags(folder: string): { broken: string[]; looks(): number; stop(): void } {
  const broken: string[] = []
  let looks = 0
  let isStopped = false
  function look(): void {
    if (isStopped) return
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.dead'))) {
      const text = readIfThere(join(folder, file))
      if (text === undefined) continue
      looks++
      if (!WHOLE_FLAG.test(text)) broken.push(`${file}: ${JSON.stringify(text)}`)
    }
    setTimeout(look, 1)
  }
  look()
  return { broken, looks: () => looks, stop: () => (isStopped = true) }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // it was removed since the listing
  }
}

async function askDead(deadpool: DeadPool): Promise<{ dead: string[]; text: string }> {
  const { status, text } = await deadpool.ask({ headers: { accept: 'application/json' } })
  const answer = JSON.parse(text) as { status: string; dead: { probe: string }[] }
  const dead = answer.dead.map(({ probe }) => probe)
  assert.equal(status, dead.length > 0 ? 503 : 200)
  return { dead, text }
}

test(`${KILLS} SIGKILLs of the watcher while ten components flip: the answers follow, and no flag is ever half-written`, async (context) => {
  const component = await startComponent(context)
  const deadpool = await startDeadPool(context, {
    generic: '  log: { type: json, level: info }',
    probes: NAMES.map((name) =>
      urlProbe(name, `${component.url}/${name}`, {
        more: `period: ${PERIOD_MS / 1000}`,
        query: `timeout: ${TIMEOUT_MS / 1000}`,
      }),
    ).join('\n'),
  })
  const random = createRandom(SEED)
  const dead = new Set<string>()
  const unsettled = new Set<string>(NAMES)

  function flip(name: string): void {
    unsettled.add(name)
    if (!dead.delete(name)) dead.add(name)
    component.status(dead.has(name) ? 500 : 200, `/${name}`)
  }

  /** Whatever happens to the watcher, what stood before the last kill and has not changed stands in every answer. */
  async function isAgreed(): Promise<boolean> {
    const { dead: shown, text } = await askDead(deadpool)
    const wrong = NAMES.filter((name) => shown.includes(name) !== dead.has(name))
    const unchanged = wrong.filter((name) => !unsettled.has(name))
    if (unchanged.length > 0) throw new Error(`${unchanged.join(', ')} did not change, but are shown wrong: ${text}`)
    return wrong.length === 0
  }

  /** Waits until every probe was checked after a moment and the answer agrees with all components, and fails when that is late. */
  async function settle(fromMs: number): Promise<void> {
    for (;;) {
      const isChecked = NAMES.every((name) => (component.arrivals(`/${name}`).at(-1) ?? 0) > fromMs)
      if ((await isAgreed()) && isChecked) break
      const lateMs = performance.now() - fromMs
      if (lateMs > LIMIT_MS) {
        const shown = (await askDead(deadpool)).dead.join(', ')
        const truth = [...dead].sort().join(', ')
        throw new Error(`${Math.round(lateMs)} ms after it the answer names "${shown}", while "${truth}" are dead`)
      }
      await sleep(10)
    }
    unsettled.clear()
  }

  const folder = join(deadpool.folder, 'probe')
  let kill = 0
  try {
    await settle(performance.now())
    const flags = watchFlags(folder)
    finallyDo(context, flags.stop)
    for (; kill < KILLS; kill++) {
      // Some flip a while before the kill, so that flags are being written when it comes, and some in the same moment.
      for (const name of random.some(NAMES, 3)) flip(name)
      // The last answer of its first round is on the way to the watcher still.
      await sleep(50 + random.below(PERIOD_MS * 0.7))
      for (const name of random.some(NAMES, 3)) flip(name)
      const watcher = await waitFor('the watcher', () => deadpool.watcherPid())
      process.kill(watcher, 'SIGKILL')
      await settle(performance.now())
    }
    await waitFor('the drafts to go', () => !readdirSync(folder).some((name) => name.endsWith('~')), 3000)
    await waitFor('the flags to agree', () => {
      const standing = readdirSync(folder).filter((name) => name.endsWith('.dead'))
      return (
        standing.sort().join() ===
        [...dead]
          .map((name) => `${name}.dead`)
          .sort()
          .join()
      )
    })
    assert.deepEqual(flags.broken, [])
    assert.ok(flags.looks() > KILLS, `only ${flags.looks()} flags were looked at`)
  } catch (error) {
    throw new Error(`after ${kill} kills, with DEADPOOL_TEST_SEED=${SEED}`, { cause: error })
  }
  const pauses = deadpool
    .log()
    .flatMap(
      ({ message }) => /^WatchMan ended \(killed by SIGKILL\); starting it again in (.*)$/.exec(message)?.[1] ?? [],
    )
  assert.equal(pauses.length, KILLS)
  // On a busy machine a kill can come before the watcher has heard its last answer, and then counts as a bad start.
  const short = pauses.filter((pause) => pause === '100 ms').length
  assert.ok(short >= KILLS * 0.95, `a watcher that was well starts again after 100 ms, not ${pauses.join(', ')}`)
})
