import assert from 'node:assert/strict'
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { carried } from '#carried'
import { reload } from '../../src/cli/reload.ts'
import { upgrade } from '../../src/cli/upgrade.ts'
import { readBootId } from '../../src/clock.ts'
import { readStartTicks } from '../../src/status/process.ts'
import { type SpidermanNotes, writeSpidermanNotes } from '../../src/status/state-file.ts'
import { makeFolder } from './notes.ts'

const FAKE = join(import.meta.dirname, 'fake-deadpool.ts')
const CWD = process.cwd()
const CONFIG = `WEB: { access_token: { env: DEADPOOL_TEST_NOT_SET } }
probes: { a: { module: url_probe, query: { url: "http://127.0.0.1/" } } }
`

async function setUp(context: TestContext, mode: string, { config = CONFIG, next = 'probe' } = {}) {
  const home = makeFolder(context)
  context.after(() => process.chdir(CWD))
  const file = join(home, 'deadpool.yml')
  writeFileSync(file, config)
  const folder = join(home, 'probe')
  const child = fork(FAKE, [folder, join(home, next), mode], { cwd: home })
  endWith(context, child)
  await once(child, 'message')
  const notes = { pid: child.pid as number, config: file }
  await writeSpiderman(folder, notes)
  return { home, file, folder, child }
}

function endWith(context: TestContext, child: ChildProcess): void {
  context.after(() => child.kill('SIGKILL'))
}

function writeSpiderman(folder: string, notes: Partial<SpidermanNotes> & Pick<SpidermanNotes, 'pid' | 'config'>) {
  const identity = { boot: readBootId(), startTicks: readStartTicks(notes.pid) ?? 0 }
  const times = { startedMs: Date.now(), loadedMs: Date.now() }
  const common = { ...identity, ...times, version: '0.1.0', url: 'http://127.0.0.1:9001/' }
  return writeSpidermanNotes(folder, { ...common, ...notes })
}

test('reload() says that DeadPool works by the configuration as it is now', async (context) => {
  const { file, folder } = await setUp(context, 'fine')
  const { out, err, code } = await reload(folder, { carried, config: file })
  assert.deepEqual([out, err, code], [`reloaded: DeadPool works by ${file} as it is now\n`, undefined, 0])
  assert.equal((await reload(folder, { carried, config: undefined })).code, 0)
})

test('reload() finds the notes where the new configuration puts them', async (context) => {
  const config = `${CONFIG}WatchMan: { probe_status_folder: elsewhere }\n`
  const { folder } = await setUp(context, 'fine', { config, next: 'elsewhere' })
  assert.equal((await reload(folder, { carried, config: undefined })).code, 0)
})

test('reload() prints the mistakes that DeadPool found', async (context) => {
  const { folder } = await setUp(context, 'mistakes')
  assert.deepEqual(await reload(folder, { carried, config: undefined }), {
    out: '',
    err: 'deadpool.yml:1:1 WEB: is wrong\ndeadpool: not reloaded: everything goes on as before\n',
    code: 1,
  })
})

test('reload() refuses a configuration with mistakes before anybody is asked', async (context) => {
  const { folder, child } = await setUp(context, 'ends', { config: CONFIG.replace('url_probe', 'url_prob') })
  await assert.rejects(reload(folder, { carried, config: undefined }), {
    name: 'ConfigError',
    message: /probes\.a\.module: "url_prob" is not a module; did you mean "url_probe"\?/,
  })
  assert.equal(child.exitCode, null)
})

test('reload() tells of a DeadPool that says nothing, and of one that ends', async (context) => {
  const deaf = await setUp(context, 'deaf')
  const silence = await reload(deaf.folder, { carried, config: undefined, timeoutMs: 300 })
  const said = `process ${deaf.child.pid} did not say within 0.3 s how the reload went; see its log`
  assert.deepEqual([silence.code, silence.err], [1, `deadpool: ${said}\n`])
  const ends = await setUp(context, 'ends')
  const end = await reload(ends.folder, { carried, config: undefined })
  assert.deepEqual(
    [end.code, end.err],
    [
      1,
      `deadpool: process ${ends.child.pid} ended, and no other has taken over, unless the notes in ${ends.folder} cannot be written, as on a read-only disk; see its log\n`,
    ],
  )
})

test('reload() without a DeadPool says so', async (context) => {
  const home = makeFolder(context)
  const folder = join(home, 'probe')
  const absent = await reload(folder, { carried, config: undefined })
  assert.equal(absent.code, 1)
  assert.match(
    absent.err ?? '',
    /^deadpool: DeadPool is not running: it left no notes in .*probe; .* "--folder DIR"\n$/,
  )
  const gone = spawn('true')
  await once(gone, 'close')
  const pid = gone.pid as number
  await writeSpiderman(folder, { pid, config: join(home, 'deadpool.yml') })
  const { err, code } = await reload(folder, { carried, config: undefined })
  assert.match(
    err ?? '',
    new RegExp(`^deadpool: DeadPool is not running: process ${pid}, which left its notes in .*, has ended\n$`),
  )
  assert.equal(code, 1)
})

test('reload() and upgrade() send no signal to whoever got the number of the process since', async (context) => {
  const { file, folder, child } = await setUp(context, 'ends')
  const pid = child.pid as number
  const startTicks = readStartTicks(pid) as number
  // It stands in the same folder and runs the same program, as any other command of this program may.
  const cases = [
    {
      notes: { startTicks: startTicks - 1 },
      said: /^deadpool: DeadPool is not running: process \d+ is another program/,
    },
    { notes: { boot: 'another run' }, said: /^deadpool: DeadPool is not running: process \d+, .*, has ended\n$/ },
  ]
  for (const { notes, said } of cases) {
    await writeSpiderman(folder, { pid, config: file, ...notes })
    for (const ask of [reload, upgrade]) {
      const { err, code } = await ask(folder, { carried, config: undefined })
      assert.match(err ?? '', said)
      assert.equal(code, 1)
    }
  }
  assert.equal(child.exitCode ?? child.signalCode, null)
})

test('reload() of a DeadPool that is being replaced is answered by the one that takes over', async (context) => {
  const { file, folder } = await setUp(context, 'hands over')
  const { out, code } = await reload(folder, { carried, config: undefined })
  assert.deepEqual([out, code], [`reloaded: DeadPool works by ${file} as it is now\n`, 0])
})

test('reload() goes by the configuration that DeadPool works by', async (context) => {
  const { home, file, folder } = await setUp(context, 'fine')
  const copy = join(home, 'copy.yml')
  copyFileSync(file, copy)
  const { err, code } = await reload(folder, { carried, config: copy })
  assert.deepEqual(
    [err, code],
    [`deadpool: the DeadPool of ${folder} works by ${file}, not by ${copy}; name that one by --config\n`, 1],
  )
  mkdirSync(join(home, 'link'))
  assert.equal((await reload(folder, { carried, config: join(home, 'link/../deadpool.yml') })).code, 0)
})
