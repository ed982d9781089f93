import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { keepAsking } from './asking.ts'
import { childrenOf, type DeadPool, finallyDo, isRunning, startDeadPool, waitFor } from './binary.ts'
import { startComponent, urlProbe } from './component.ts'
import { createRandom } from './random.ts'
import { notesOf, said } from './upgrading.ts'

/** How many upgrades are disturbed; a number of one's own makes a longer or a shorter run. */
const ROUNDS = Number(process.env.DEADPOOL_TEST_UPGRADES ?? 8)
/** What the random moments come from; it stands in the message of a failure, and repeats the run. */
const SEED = Number(process.env.DEADPOOL_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))

/** The processes of one configuration, whoever started them: SpiderMen by their command line, and their children. */
function processesOf({ folder }: DeadPool): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  const spidermen = pids
    .map(Number)
    .filter((pid) => isRunning(pid) && commandOf(pid).includes(join(folder, 'deadpool.yml')))
  return spidermen.flatMap((pid) => [pid, ...childrenOf(pid).filter((child) => !spidermen.includes(child))])
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return '' // it is gone
  }
}

type Victim = 'the old WatchMan' | 'the new process' | 'the new WatchMan'

function find(victim: Victim, old: number): number | undefined {
  try {
    const children = childrenOf(old)
    const heir = children.find((pid) => commandOf(pid).includes('--config'))
    if (victim === 'the old WatchMan') return children.find((pid) => pid !== heir)
    return victim === 'the new process' || heir === undefined ? heir : childrenOf(heir)[0]
  } catch {
    return undefined // it is gone
  }
}

/** Whether a process takes back what it hands over if the new one dies now: it has not answered for half a second. */
function canBeTakenBack(deadpool: DeadPool, old: number): boolean {
  const [line] = said(deadpool, new RegExp(`in the place of process ${old}$`))
  return line === undefined || Date.now() - Date.parse(line.time) < 300
}

test(`${ROUNDS} upgrades, in each of which something is killed at some moment: no request fails, no answer is wrong, nothing is left over`, async (context) => {
  const component = await startComponent(context)
  component.status(500, '/dead')
  const probes = [urlProbe('web', component.url), urlProbe('dead', `${component.url}/dead`)].join('\n')
  const deadpool = await startDeadPool(context, { probes })
  finallyDo(context, () => {
    for (const pid of processesOf(deadpool)) process.kill(pid, 'SIGKILL')
  })
  await waitFor('the first checks', async () => (await deadpool.ask()).text.startsWith('DEAD dead\n'))
  const random = createRandom(SEED)
  const keep = (status: number, text: string) => `${status} ${text.split('\n')[0]}`
  const done: string[] = []
  let count = 0
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const agents = [false, false, new Agent({ keepAlive: true }), new Agent({ keepAlive: true })] as const
      const clients = agents.map((agent) => keepAsking(context, { url: deadpool.url, agent, keep }))
      const old = notesOf(deadpool).pid as number
      const [victim] = random.some<Victim>(['the old WatchMan', 'the new process', 'the new WatchMan'], 1)
      const afterMs = Math.round(random.below(900))
      process.kill(old, 'SIGUSR2')
      await sleep(afterMs)
      const isIn = victim !== 'the new process' || canBeTakenBack(deadpool, old)
      const pid = isRunning(old) && isIn ? find(victim as Victim, old) : undefined
      if (pid !== undefined) process.kill(pid, 'SIGKILL')
      done.push(`${victim} after ${afterMs} ms${pid === undefined ? ', which was not there' : ''}`)
      await waitFor(
        'one to be at work',
        () => {
          const over = /^(stopping: another process has taken over|no other process has taken over; .*)$/
          if (said(deadpool, over).length <= round) return false
          const all = processesOf(deadpool)
          const { pid: first } = notesOf(deadpool)
          return all.length === 2 && all[0] === first && childrenOf(first)[0] === all[1]
        },
        20_000,
      )
      const heard = new Set((await Promise.all(clients.map(({ stop }) => stop()))).flat())
      count += clients.reduce((sum, client) => sum + client.count(), 0)
      // What a process was answering that is killed is lost with it; before it answers, nothing is.
      const wasServing =
        victim === 'the new process' && said(deadpool, new RegExp(`in the place of process ${old}$`)).length > 0
      if (wasServing) for (const lost of ['ECONNRESET', 'socket hang up']) heard.delete(lost)
      assert.deepEqual([...heard], ['503 DEAD dead'])
    }
  } catch (error) {
    throw new Error(`DEADPOOL_TEST_SEED=${SEED}: ${done.join('; ')}`, { cause: error })
  }
  context.diagnostic(`${count} requests; ${done.join('; ')}`)
  assert.ok(count > 100 * ROUNDS, `${count} requests`)
  assert.equal(said(deadpool, 'an upgrade begins').length, ROUNDS)
})

for (const [whom, leaves] of [
  ['the old process', 0],
  ['the new process', 2],
] as const) {
  test(`SIGTERM to ${whom} at some moment of an upgrade leaves ${leaves} processes`, async (context) => {
    const component = await startComponent(context)
    const random = createRandom(SEED)
    await Promise.all(
      Array.from({ length: 5 }, async (_, index) => {
        const deadpool = await startDeadPool(context, { probes: urlProbe('web', component.url) })
        finallyDo(context, () => {
          for (const pid of processesOf(deadpool)) process.kill(pid, 'SIGKILL')
        })
        await deadpool.becomes(200)
        process.kill(deadpool.pid, 'SIGUSR2')
        const afterMs = Math.round((index + random.below(1)) * 300)
        await sleep(afterMs)
        const what = `${afterMs} ms after it began, with DEADPOOL_TEST_SEED=${SEED}`
        // What has taken over for good, and is told to stop, stops.
        const heir = isRunning(deadpool.pid) ? find('the new process', deadpool.pid) : undefined
        const isOver = () => said(deadpool, 'stopping: another process has taken over').length > 0
        if (whom === 'the new process') {
          if (heir !== undefined && canBeTakenBack(deadpool, deadpool.pid)) process.kill(heir, 'SIGTERM')
          await waitFor(
            `the old one to go on, ${what}`,
            () => isOver() || said(deadpool, 'no other process').length > 0,
          )
          if (!isOver()) await waitFor(`an answer, ${what}`, async () => (await deadpool.ask()).status === 200)
          return waitFor(`what is left, ${what}`, () => processesOf(deadpool).length === leaves)
        }
        if (isOver()) return
        const { code, signal } = await deadpool.stop()
        assert.deepEqual([code, signal], [0, null], what)
        assert.deepEqual(processesOf(deadpool), [], what)
      }),
    )
  })
}
