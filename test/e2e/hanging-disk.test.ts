import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  childrenOf,
  type DeadPool,
  finallyDo,
  isRunning,
  makeFolder,
  runBinary,
  startDeadPool,
  waitFor,
  writeConfig,
} from './binary.ts'
import { gaps, startComponent, urlProbe } from './component.ts'
import { mountHangingDisk } from './hanging-disk.ts'
import { said, upgrade } from './upgrading.ts'

const CANNOT_READ = /^warning: the status folder cannot be read: .*probe did not answer within /m

/** Asks for a while, one request after the other, and says how long each took and what came. */
async function askFor(deadpool: DeadPool, ms: number): Promise<{ tookMs: number; status: number; text: string }[]> {
  const answers: { tookMs: number; status: number; text: string }[] = []
  const endMs = performance.now() + ms
  while (performance.now() < endMs) {
    const startedMs = performance.now()
    const { status, text } = await deadpool.ask()
    answers.push({ tookMs: performance.now() - startedMs, status, text })
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return answers
}

/** One request meets the hanging disk first and waits for it; a busy machine may slow down a few more, but not many. */
function assertFast(answers: { tookMs: number }[]): void {
  const slow = answers.map(({ tookMs }) => Math.round(tookMs)).filter((ms) => ms > 300)
  assert.ok(slow.length <= 2 && Math.max(0, ...slow) < 2000, `slow answers: ${slow.join(', ')} ms`)
}

test('a status folder on a disk that hangs: a component that dies meanwhile is 503 with a warning, and its flag comes later', async (context) => {
  const folder = makeFolder(context)
  const disk = await mountHangingDisk(context, folder)
  if (!disk) return
  const component = await startComponent(context)
  const deadpool = await startDeadPool(context, { probes: urlProbe('web', component.url), folder })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')

  disk.hang()
  const hungMs = performance.now()
  component.status(500)
  const answers = await askFor(deadpool, 4000)
  assertFast(answers)
  const turn = answers.findIndex(({ status }) => status === 503)
  assert.notEqual(turn, -1, 'the death never came through')
  assert.deepEqual([...new Set(answers.slice(turn).map(({ status }) => status))], [503])
  assert.match(answers.at(-1)?.text ?? '', /^DEAD web\nTEST SERVER\nweb: .*\n/)
  assert.match(answers.at(-1)?.text ?? '', CANNOT_READ)
  // The other way round as well: a flag that cannot be removed keeps nothing dead.
  component.status(200)
  assert.match(await deadpool.becomes(200), CANNOT_READ)
  component.status(500)
  assert.match(await deadpool.becomes(503), CANNOT_READ)
  const { longestMs } = gaps(component.arrivals().filter((ms) => ms > hungMs))
  assert.ok(longestMs < 600, `no check for ${Math.round(longestMs)} ms, with a period of 200 ms`)
  assert.equal(existsSync(join(disk.below, 'web.dead')), false)

  disk.resume()
  await waitFor('the flag', () => existsSync(join(disk.below, 'web.dead')))
  await waitFor('the warning to go', async () => !(await deadpool.ask()).text.includes('warning'))
  assert.equal((await deadpool.ask()).status, 503)
  component.status(200)
  await waitFor('the flag to go', () => !existsSync(join(disk.below, 'web.dead')))
  assert.equal(await deadpool.becomes(200), 'OK\nTEST SERVER\n')
})

test('a status folder on a disk that hangs: a component that was dead before stays 503 in every answer, whatever the disk does', async (context) => {
  const folder = makeFolder(context)
  const disk = await mountHangingDisk(context, folder)
  if (!disk) return
  const component = await startComponent(context)
  component.status(500)
  const deadpool = await startDeadPool(context, { probes: urlProbe('web', component.url), folder })
  await deadpool.becomes(503)
  const flag = join(disk.below, 'web.dead')
  await waitFor('the flag', () => existsSync(flag))
  const stood = readFileSync(flag, 'utf8')

  const statuses = new Set<number>()
  for (let round = 0; round < 3; round++) {
    disk.hang()
    const hanging = await askFor(deadpool, 1500)
    assertFast(hanging)
    assert.match(hanging.at(-1)?.text ?? '', CANNOT_READ)
    disk.resume()
    for (const { status } of [...hanging, ...(await askFor(deadpool, 500))]) statuses.add(status)
  }
  assert.deepEqual([...statuses], [503])
  await waitFor('the warning to go', async () => !(await deadpool.ask()).text.includes('warning'))
  assert.equal(readFileSync(flag, 'utf8'), stood)
})

test('a watcher that is killed while the disk hangs is replaced, and the new one checks without the folder', async (context) => {
  const folder = makeFolder(context)
  const disk = await mountHangingDisk(context, folder)
  if (!disk) return
  const component = await startComponent(context)
  const probes = urlProbe('web', component.url)
  const deadpool = await startDeadPool(context, { probes, folder, watchman: 'stale_after: 20' })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  disk.hang()
  await waitFor('the warning', async () => CANNOT_READ.test((await deadpool.ask()).text))
  process.kill(deadpool.watcherPid(), 'SIGKILL')
  component.status(500)
  assert.match(await deadpool.becomes(503), /^DEAD web\n/)
  disk.resume()
  await waitFor('the flag', () => existsSync(join(disk.below, 'web.dead')))
})

test('SIGTERM while the disk hangs ends both processes within 5 s', async (context) => {
  const folder = makeFolder(context)
  const disk = await mountHangingDisk(context, folder)
  if (!disk) return
  const component = await startComponent(context)
  const deadpool = await startDeadPool(context, { probes: urlProbe('web', component.url), folder })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  disk.hang()
  component.status(500)
  await waitFor('the warning', async () => CANNOT_READ.test((await deadpool.ask()).text))
  const watcher = deadpool.watcherPid()
  const startedMs = performance.now()
  await deadpool.stop()
  assert.ok(performance.now() - startedMs < 5000)
  assert.equal(isRunning(watcher), false)
})

test('a start while the disk hangs says so within 5 s, and leaves nothing running', async (context) => {
  const folder = makeFolder(context)
  const disk = await mountHangingDisk(context, folder)
  if (!disk) return
  writeFileSync(join(folder, 'deadpool.yml'), writeConfig({ probes: urlProbe('web', 'http://127.0.0.1:1/') }))
  disk.hang()
  const startedMs = performance.now()
  const { code, stderr } = await runBinary([], { cwd: folder })
  assert.ok(performance.now() - startedMs < 5000)
  assert.match(
    stderr,
    /^deadpool\.yml:\d+:\d+ WatchMan\.probe_status_folder: flags cannot be kept there: .*probe: its disk does not answer\n$/,
  )
  assert.notEqual(code, 0)
})

test('a disk that hangs in the middle of an upgrade: the dead stay dead and nobody else dies, whichever process goes on', async (context) => {
  const folder = makeFolder(context)
  const disk = await mountHangingDisk(context, folder)
  if (!disk) return
  const [web, other] = [await startComponent(context), await startComponent(context)]
  const probes = `${urlProbe('web', web.url)}\n${urlProbe('other', other.url)}`
  const deadpool = await startDeadPool(context, { probes, folder })
  await deadpool.becomes(200)
  web.status(500)
  await deadpool.becomes(503)
  const [watcher] = childrenOf(deadpool.pid)
  const asked = upgrade(deadpool)
  await waitFor('the new process', () => childrenOf(deadpool.pid).length === 2)
  const heir = childrenOf(deadpool.pid).find((pid) => pid !== watcher) as number
  finallyDo(context, () => isRunning(heir) && process.kill(heir, 'SIGKILL'))
  // Once it has a WatchMan of its own it has read the configuration, so this is in the middle.
  await waitFor('the new WatchMan', () => childrenOf(heir).length === 1)
  disk.hang()
  const answers: string[] = []
  const isOver = () => said(deadpool, /^(stopping: another process has taken over|no other process has taken over)/)
  while (isOver().length === 0) answers.push(...(await askFor(deadpool, 500)).map(({ text }) => text))
  answers.push(...(await askFor(deadpool, 500)).map(({ text }) => text))
  assert.deepEqual(
    answers.filter((text) => !/^DEAD web\nTEST SERVER\nweb: status: 500 is not one of 2xx .*\n/.test(text)),
    [],
  )
  const { stderr } = await asked
  assert.equal(
    stderr,
    `deadpool: process ${deadpool.pid} was asked for the upgrade, but how it went cannot be read; see its log: ${disk.folder}: its disk does not answer\n`,
  )
  disk.resume()
  web.status(200)
  await deadpool.becomes(200)
})
