import assert from 'node:assert/strict'
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { carried } from '#carried'
import { reload } from '../../src/cli/reload.ts'
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
  const common = { startedMs: Date.now(), version: '0.1.0', url: 'http://127.0.0.1:9001/', loadedMs: Date.now() }
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
  assert.deepEqual([end.code, end.err], [1, `deadpool: process ${ends.child.pid} ended meanwhile; see its log\n`])
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

test('reload() sends no signal to whoever got the number of the process since', async (context) => {
  const home = makeFolder(context)
  const folder = join(home, 'probe')
  const notOurs = async (child: ChildProcess, startedMs: number) => {
    await writeSpiderman(folder, { pid: child.pid as number, config: join(home, 'deadpool.yml'), startedMs })
    const { err, code } = await reload(folder, { carried, config: undefined })
    const said = `deadpool: DeadPool is not running: process ${child.pid} is another program by now\n`
    assert.deepEqual([err, code], [said, 1])
    assert.equal(child.exitCode ?? child.signalCode, null)
  }
  const sleeper = spawn('sleep', ['60'], { cwd: home })
  endWith(context, sleeper)
  await once(sleeper, 'spawn')
  await notOurs(sleeper, Date.now() + 5000)
  // Another DeadPool: it began after the notes, and stands elsewhere.
  const other = fork(FAKE, [folder, folder, 'ends'], { cwd: '/' })
  endWith(context, other)
  await once(other, 'message')
  await notOurs(other, Date.now() - 60_000)
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
