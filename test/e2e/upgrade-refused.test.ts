import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { keepAsking } from './asking.ts'
import { BINARY, childrenOf, isRunning, makeFolder, runBinary, waitFor, writeConfig } from './binary.ts'
import { startComponent, urlProbe } from './component.ts'
import { limitDescriptors, openDescriptors } from './descriptor-limit.ts'
import { nameBinary, notesOf, replaceBinary, said, startToUpgrade as start, upgrade } from './upgrading.ts'

const NONSENSE = [null, 7, 'ready', { kind: 'failed' }, { kind: 'report' }, { kind: 'toString' }, { kind: 'prepared' }]
/** Says what no DeadPool says, and then why it cannot go on. */
const PRATTLE = `
  for (const each of ${JSON.stringify(NONSENSE)}) process.send(each)
  process.send({ kind: "failed", reasons: ["of another time"] }, () => process.exit(0))`

interface Failure {
  name: string
  put(binary: string): void
  fault: RegExp
}

const script = (text: string) => (binary: string) => replaceBinary(binary, text)

const failures: Failure[] = [
  { name: 'crashes', put: script('exit 3'), fault: /^the new process \(\d+\) ended at once, by exit code 3$/ },
  { name: 'hangs', put: script('exec sleep 60'), fault: /^the new process \(\d+\) did not say "started" within 10 s$/ },
  { name: 'prattles', put: script(`exec ${process.execPath} -e '${PRATTLE}'`), fault: /^of another time$/ },
  {
    name: 'dies when it has begun to answer',
    // As soon as it has written its notes.
    put: script(`
      (until grep -q '"pid":'$$, "$(dirname "$3")/probe/state/spiderman.json"; do sleep 0.01; done; kill -9 $$) 3>&- &
      exec ${BINARY} "$@"`),
    fault: /^the new process \(\d+\) ended at once, by SIGKILL$/,
  },
  {
    name: 'is no program',
    put(binary) {
      replaceBinary(binary, '')
      chmodSync(binary, 0o644)
    },
    fault: /\/deadpool cannot be started: it may not be run \(EACCES\); is it a file with mode 755\?$/,
  },
  {
    name: 'is a part of one',
    put(binary) {
      rmSync(binary)
      writeFileSync(binary, readFileSync(BINARY).subarray(0, 100_000), { mode: 0o755 })
    },
    fault: /\/deadpool is cut off: it has 100000 bytes of at least \d{9}; copy it again$/,
  },
  {
    name: 'is a folder',
    put(binary) {
      rmSync(binary)
      mkdirSync(binary)
    },
    fault: /\/deadpool cannot be started: it may not be run \(EACCES\); is it a file with mode 755\?$/,
  },
  {
    name: 'is a link to nowhere',
    put(binary) {
      rmSync(binary)
      symlinkSync('nowhere', binary)
    },
    fault: /\/deadpool cannot be started: it is not there, or what it runs by is not \(ENOENT\)$/,
  },
]

for (const { name, put, fault } of failures) {
  test(`a new process that ${name}: the old one stays and says why`, async (context) => {
    const component = await startComponent(context)
    const folder = makeFolder(context)
    const binary = nameBinary(folder)
    const deadpool = await start(context, { probes: urlProbe('web', component.url), folder, binary })
    await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
    put(binary)
    const asking = keepAsking(context, { url: deadpool.url })
    process.kill(deadpool.pid, 'SIGUSR2')
    await waitFor('its word', () => notesOf(deadpool).upgrade !== undefined, 15_000)
    assert.match(notesOf(deadpool).upgrade.faults.join('\n'), fault)
    const errors = await waitFor('its log', () => {
      const lines = deadpool.log().filter(({ level }) => level === 'error')
      return lines.length > 1 ? lines : undefined
    })
    assert.match(errors[0]?.message ?? '', fault)
    assert.equal(errors[1]?.message, 'no other process has taken over; everything goes on as before')
    assert.equal(notesOf(deadpool).pid, deadpool.pid)
    await waitFor('nothing to be left of it', () => childrenOf(deadpool.pid).length === 1)
    const heard = await asking.stop()
    // What a process was just answering is lost with it; nothing else is.
    const isLoss = (text: string) => name.includes('answer') && ['ECONNRESET', 'socket hang up'].includes(text)
    assert.deepEqual(
      heard.filter((text) => !isLoss(text)),
      ['OK\nTEST SERVER\n'],
    )
    // What stands at its path has nothing to do with the process that runs.
    process.kill(deadpool.watcherPid(), 'SIGKILL')
    component.status(500)
    await deadpool.becomes(503)
  })
}

test('an upgrade without a file descriptor left: the old one stays and says why', async (context) => {
  const component = await startComponent(context)
  const deadpool = await start(context, { probes: urlProbe('web', component.url) })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  limitDescriptors(deadpool.pid, openDescriptors(deadpool.pid))
  const refused = await upgrade(deadpool)
  assert.equal(refused.code, 1)
  assert.match(
    refused.stderr,
    /deadpool cannot be started: this process has no file descriptors left \(EMFILE\)\ndeadpool: not upgraded: /,
  )
  assert.equal((await deadpool.ask()).status, 200)
  limitDescriptors(deadpool.pid, 1024)
  assert.equal((await upgrade(deadpool)).code, 0)
  assert.equal((await deadpool.ask()).status, 200)
})

test('a new process that finds a mistake, or dies before it is ready: the old one stays, with its checks', async (context) => {
  const component = await startComponent(context)
  const probes = urlProbe('web', component.url, { more: 'period: 0.2', query: 'timeout: 5' })
  const deadpool = await start(context, { probes })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const file = join(deadpool.folder, 'deadpool.yml')
  writeFileSync(file, writeConfig({ probes }).replace('period: 0.2', 'period: often'))
  const refused = await upgrade(deadpool)
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /^\S+deadpool\.yml:\d+:\d+ probes\.web\.period: "often" is not a duration/)
  process.kill(deadpool.pid, 'SIGUSR2')
  await waitFor('its word', () => notesOf(deadpool).upgrade !== undefined)
  assert.match(notesOf(deadpool).upgrade.faults.join('\n'), /deadpool\.yml:\d+:\d+ probes\.web\.period: "often"/)

  // Its first round takes as long as the component does.
  writeFileSync(file, writeConfig({ probes }))
  component.hold()
  process.kill(deadpool.pid, 'SIGUSR2')
  await waitFor('its WatchMan', () => said(deadpool, 'watching 1 probe').length === 2)
  const heir = await waitFor('the new process', () => childrenOf(deadpool.pid)[0])
  const others = childrenOf(heir)
  process.kill(heir, 'SIGKILL')
  component.release()
  const fault = `the new process (${heir}) ended at once, by SIGKILL`
  await waitFor('the old one to say why', () => said(deadpool, fault).length === 1)
  await waitFor('its WatchMan to go', () => others.every((pid) => !isRunning(pid)))
  await waitFor('the checks to go on', () => childrenOf(deadpool.pid).length === 1)
  assert.equal((await deadpool.ask()).status, 200)
  component.status(500)
  await deadpool.becomes(503)
  assert.equal((await upgrade(deadpool)).code, 0)
  assert.equal((await deadpool.ask()).status, 503)
})

test('a second DeadPool on the same status folder is refused, and what a crash left behind is no obstacle', async (context) => {
  const component = await startComponent(context)
  const options = { probes: urlProbe('web', component.url), folder: makeFolder(context) }
  const first = await start(context, options)
  const file = join(first.folder, 'deadpool.yml')
  const second = await runBinary(['--config', file])
  const { version, url } = notesOf(first)
  assert.deepEqual(
    [second.stderr, second.code],
    [
      `deadpool: another DeadPool (process ${first.pid}, ${version}, ${url}, by ${file}) works with ${join(first.folder, 'probe')}; stop it, let it be replaced by "deadpool upgrade", or set another WatchMan.probe_status_folder\n`,
      1,
    ],
  )
  assert.equal((await first.ask()).status, 200)
  await first.stop('SIGKILL')
  const third = await start(context, options)
  assert.notEqual(third.pid, first.pid)
  assert.equal((await upgrade(third)).code, 0)
})
