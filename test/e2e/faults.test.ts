import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type DeadPool, finallyDo, makeFolder, runBinary, skip, startDeadPool, waitFor } from './binary.ts'
import { startComponent, urlProbe } from './component.ts'

test('a status folder deleted, replaced by a file, and given back: never 200 while the component is dead', async (context) => {
  const component = await startComponent(context)
  const deadpool = await startDeadPool(context, { probes: urlProbe('web', component.url) })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const folder = join(deadpool.folder, 'probe')

  rmSync(folder, { recursive: true })
  await waitFor('the folder to be made again', () => existsSync(folder))
  await waitFor('the notes of SpiderMan', () => existsSync(join(folder, 'state/spiderman.json')))

  component.status(500)
  await deadpool.becomes(503)
  await waitFor('the flag', () => existsSync(join(folder, 'web.dead')))
  renameSync(folder, `${folder}.moved`)
  writeFileSync(folder, 'a file now')
  for (let round = 0; round < 20; round++) assert.equal((await deadpool.ask()).status, 503)
  assert.match(
    (await deadpool.ask()).text,
    /^warning: the status folder cannot be read: .*probe is not a folder; the answer comes from the last checks$/m,
  )

  // The component comes back while no flag can be removed: a fault of the disk must not keep it dead.
  component.status(200)
  assert.match(await deadpool.becomes(200), /^OK\nTEST SERVER\nwarning: the status folder cannot be read/)
  component.status(500)
  await deadpool.becomes(503)

  rmSync(folder)
  await waitFor('the flag to be written again', () => existsSync(join(folder, 'web.dead')))
  assert.equal((await deadpool.ask()).status, 503)
  component.status(200)
  await waitFor('an answer without warnings', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
})

test('a status folder moved away again and again: never 200 while two components are dead, and the fault is a warning', async (context) => {
  const component = await startComponent(context)
  component.status(500)
  const probes = ['web', 'db'].map((name) => urlProbe(name, component.url, { more: 'period: 0.1' })).join('\n')
  const deadpool = await startDeadPool(context, { probes })
  const expected = /^DEAD web, db\nTEST SERVER\nweb: .*\ndb: .*\n$/
  await waitFor('both deaths', async () => expected.test((await deadpool.ask()).text))
  const folder = join(deadpool.folder, 'probe')
  const areFlagged = () => existsSync(join(folder, 'web.dead')) && existsSync(join(folder, 'db.dead'))
  await waitFor('the flags', areFlagged)

  const wrong = new Set<string>()
  let warned = 0
  for (let round = 0; round < 50; round++) {
    // At one blow: a flag removed by itself would count as removed by hand.
    renameSync(folder, `${folder}.${round}`)
    await waitFor(
      'the flags to be written again',
      async () => {
        for (const { text } of await Promise.all([deadpool.ask(), deadpool.ask(), deadpool.ask()])) {
          if (/^warning: the status folder cannot be read: .*probe does not exist; /m.test(text)) warned++
          if (!text.startsWith('DEAD web, db\n')) wrong.add(text)
        }
        return areFlagged()
      },
      3000,
    )
  }
  assert.deepEqual([...wrong], [])
  assert.ok(warned > 0, 'the fault was never a warning')
  await waitFor('an answer without warnings', async () => expected.test((await deadpool.ask()).text))
})

test('a read-only status folder: the state reaches the answer all the same, with a warning', async (context) => {
  const disk = mountSmallDisk(context)
  if (!disk) return
  const { folder, probe } = disk
  const component = await startComponent(context)
  const deadpool = await startDeadPool(context, { probes: urlProbe('web', component.url), folder })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')

  spawnSync('mount', ['-o', 'remount,ro', probe])
  component.status(500)
  await deadpool.becomes(503)
  const expected =
    /^DEAD web\nTEST SERVER\nweb: .*\nwarning: the flag of web cannot be set: .*probe is on a read-only file system\n$/s
  await waitFor('the warning', async () => expected.test((await deadpool.ask()).text))
  assert.equal(existsSync(join(probe, 'web.dead')), false)
  component.status(200)
  await deadpool.becomes(200)
  component.status(500)
  await deadpool.becomes(503)
  spawnSync('mount', ['-o', 'remount,rw', probe])
  await waitFor('the flag', () => existsSync(join(probe, 'web.dead')))
  await waitFor('the warning to go', async () => !(await deadpool.ask()).text.includes('warning'))
  const errors = deadpool
    .log()
    .filter(({ level, message }) => level === 'error' && message.startsWith('flags cannot be set'))
  assert.ok(errors.length >= 1 && errors.length <= 3, `${errors.length} lines about one fault`)
})

test('a full disk: the state reaches the answer all the same', async (context) => {
  const disk = mountSmallDisk(context)
  if (!disk) return
  const { folder, probe } = disk
  const component = await startComponent(context)
  const deadpool = await startDeadPool(context, { probes: urlProbe('web', component.url), folder })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  await waitFor('the notes', () => existsSync(join(probe, 'state/watchman.json')))
  spawnSync('sh', ['-c', `dd if=/dev/zero of=${probe}/filler bs=1k count=64`])
  component.status(500)
  await deadpool.becomes(503)
  const expected =
    /^DEAD web\nTEST SERVER\nweb: .*\nwarning: the flag of web cannot be set: .*no space left on the disk\n$/
  await waitFor('the warning', async () => expected.test((await deadpool.ask()).text))
  assert.deepEqual(
    readdirSync(probe).filter((name) => /\.dead\b/.test(name)),
    [],
    'half a flag',
  )
  // The notes need no more room than they have: commands are told the truth.
  const status = await waitFor('the status to tell it', async () => {
    const told = await runBinary(['status', '--folder', probe])
    return told.code === 1 ? told.stdout : undefined
  })
  assert.match(status, /^DEAD: the answer is 503 for web\n/)
  const reloaded = await runBinary(['reload', '--config', join(folder, 'deadpool.yml')])
  assert.deepEqual([reloaded.code, reloaded.stderr], [0, ''])
  // Checks go on, and with each of them the disk is tried again: the answer stays.
  await assertAlways(deadpool, 503, 500)
  component.status(200)
  assert.equal(await deadpool.becomes(200), 'OK\nTEST SERVER\n')
  component.status(500)
  await deadpool.becomes(503)
  rmSync(join(probe, 'filler'))
  await waitFor('the flag', () => existsSync(join(probe, 'web.dead')))
  await waitFor('the warning to go', async () => !(await deadpool.ask()).text.includes('warning'))
  await assertAlways(deadpool, 503, 300)
})

test('a disk that fills up, or turns read-only, after the flag was written: the component stays dead until it is well, even over a killed watcher', async (context) => {
  const disk = mountSmallDisk(context)
  if (!disk) return
  const { folder, probe } = disk
  const component = await startComponent(context)
  const deadpool = await startDeadPool(context, { probes: urlProbe('web', component.url), folder })
  const flag = join(probe, 'web.dead')
  for (const { breakDisk, mendDisk } of [
    {
      breakDisk: () => spawnSync('sh', ['-c', `dd if=/dev/zero of=${probe}/filler bs=1k count=64`]),
      mendDisk: () => rmSync(join(probe, 'filler')),
    },
    {
      breakDisk: () => spawnSync('mount', ['-o', 'remount,ro', probe]),
      mendDisk: () => spawnSync('mount', ['-o', 'remount,rw', probe]),
    },
  ]) {
    component.status(500)
    await deadpool.becomes(503)
    await waitFor('the flag', () => existsSync(flag))
    breakDisk()
    const watcher = deadpool.watcherPid()
    process.kill(watcher, 'SIGKILL')
    const died = component.arrivals().length
    await waitFor('checks by the next watcher', async () => {
      assert.equal((await deadpool.ask()).status, 503)
      return component.arrivals().length > died + 2
    })
    assert.match(readFileSync(flag, 'utf8'), /^.+\nsince .+Z\n$/)
    component.status(200)
    await deadpool.becomes(200)
    mendDisk()
    await waitFor('the flag to go', () => !existsSync(flag))
    await waitFor('the warning to go', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  }
})

/** Mounts 16 KiB of memory where DeadPool in `folder` keeps its flags; undefined where the test has to be skipped. */
function mountSmallDisk(context: TestContext): { folder: string; probe: string } | undefined {
  if (process.getuid?.() !== 0) return void skip(context, 'needs root, to mount a tmpfs')
  const folder = makeFolder(context)
  const probe = join(folder, 'probe')
  mkdirSync(probe)
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', probe]).status !== 0)
    return void skip(context, 'this host lets nobody mount')
  finallyDo(context, () => spawnSync('umount', ['-l', probe]))
  return { folder, probe }
}

/** Asks without a pause, and fails when any answer has another status. */
async function assertAlways(deadpool: DeadPool, status: number, ms: number): Promise<void> {
  const endMs = performance.now() + ms
  while (performance.now() < endMs) assert.equal((await deadpool.ask()).status, status)
}

test('a WatchMan killed while the disk is full takes nothing it knew with it', async (context) => {
  const disk = mountSmallDisk(context)
  if (!disk) return
  const { folder, probe } = disk
  const component = await startComponent(context)
  spawnSync('sh', ['-c', `dd if=/dev/zero of=${probe}/filler bs=1k count=64`])
  const probes = urlProbe('web', component.url, { more: 'period: 1, fall: 3, fast_period: 200ms' })
  const deadpool = await startDeadPool(context, { probes, folder })
  component.status(500)
  await deadpool.becomes(503)
  for (let kill = 0; kill < 3; kill++) {
    const watcher = deadpool.watcherPid()
    process.kill(watcher, 'SIGKILL')
    await waitFor('the next watcher', async () => {
      assert.equal((await deadpool.ask()).status, 503)
      return deadpool.watcherPid() !== undefined && deadpool.watcherPid() !== watcher
    })
    await assertAlways(deadpool, 503, 1000)
  }
  assert.equal(existsSync(join(probe, 'web.dead')), false)
})

test('a module that blocks, crashes or does not load harms only its own probes', async (context) => {
  const component = await startComponent(context)
  const modules = join(import.meta.dirname, '../fixtures/modules')
  const deadpool = await startDeadPool(context, {
    watchman: `module_folder: ${modules}\nstale_after: 2`,
    probes: `${urlProbe('web', component.url)}
good: { module: good, period: 0.2, query: { mood: fine } }
blocks: { module: blocks, period: 0.5, query: { loop: true } }
throws: { module: throws, period: 0.5 }
loops: { module: loops-at-load, period: 0.5 }
none: { module: no-probe, period: 0.5 }
`,
  })
  await waitFor(
    'all verdicts',
    async () => (await deadpool.ask()).text.startsWith('DEAD blocks, throws, loops, none\n'),
    20_000,
  )
  const { text } = await deadpool.ask()
  assert.match(text, /^blocks: timed out after 300 ms \(/m)
  assert.match(text, /^throws: cannot check: module "throws" cannot be used: no licence found \(/m)
  assert.match(
    text,
    /^loops: cannot check: module "loops-at-load" cannot be used: it did not finish loading within 5 s \(/m,
  )
  assert.match(text, /^none: cannot check: module "no-probe" cannot be used: it exports no "Probe"/m)
  // The others are checked on time meanwhile: the answer follows the component.
  const checks = () => deadpool.log().filter(({ message }) => message === 'good was checked: alive').length
  const before = checks()
  await waitFor('ten more checks', () => checks() >= before + 10, 4000)
  component.status(500)
  await waitFor('the other probe to die', async () => (await deadpool.ask()).text.startsWith('DEAD web, blocks'))
  assert.equal(checks() > before, true)
})

test('a check that cannot be made holds the state, and counts as dead only after stale_after', async (context) => {
  const deadpool = await startDeadPool(context, {
    watchman: `module_folder: ${join(import.meta.dirname, '../fixtures/modules')}\nstale_after: 2`,
    probes: 'blind: { module: good, period: 0.2, query: { mood: unknown } }',
  })
  await waitFor('the first check', () => deadpool.log().some(({ message }) => message === 'blind was checked: unknown'))
  assert.equal((await deadpool.ask()).status, 200)
  const text = await deadpool.becomes(503)
  assert.match(text, /^DEAD blind\nTEST SERVER\nblind: cannot check: cannot ask \(since /)
  const warnings = deadpool
    .log()
    .filter(({ level, message }) => level === 'warn' && message === 'blind could not be checked: cannot ask')
  assert.equal(warnings.length, 1)
})
