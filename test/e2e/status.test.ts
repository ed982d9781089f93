import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { finallyDo, makeFolder, runBinary, skip, startDeadPool, waitFor } from './binary.ts'

const probe = (url: string, more = '') =>
  `{ module: url_probe, period: 0.2, query: { url: "${url}", timeout: 1 }${more} }`
const DEAD = 'http://127.0.0.1:1/'

async function startComponent(context: TestContext): Promise<string> {
  const server = createServer((_, response) => response.end('fine'))
  finallyDo(context, () => server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

test('deadpool status says what the answer says, without a token', async (context) => {
  const url = await startComponent(context)
  const probes = `elastic: ${probe(DEAD)}\nsite: ${probe(url)}\nnew: ${probe(DEAD, ', severity: shadow')}`
  const { folder, becomes } = await startDeadPool(context, { probes })
  const answer = await becomes(503)
  const told = await waitFor('the notes', async () => {
    const run = await runBinary(['status'], { cwd: folder, env: { DEADPOOL_CONFIG: '' } })
    return /^site +alive/m.test(run.stdout) && run.stdout.includes('shadow new') ? run : undefined
  })
  assert.match(
    told.stdout,
    /^DEAD: the answer is 503 for elastic\nTEST SERVER at http:\/\/127\.0\.0\.1:\d+\/, 3 probes; figures of /,
  )
  assert.match(told.stdout, /^elastic {2}dead +critical .* connection refused by 127\.0\.0\.1:1$/m)
  assert.match(told.stdout, /^new +dead +shadow /m)
  assert.match(told.stdout, /^shadow new would have answered 503 1 time, for .* in all, and would now for /m)
  assert.deepEqual([told.stderr, told.code], ['', 1])
  const since = /since (\S+)\)/.exec(answer)?.[1]
  const json = await runBinary(['status', '--json', '--folder', join(folder, 'probe')], { cwd: '/' })
  const { dead, items, is_old } = JSON.parse(json.stdout)
  assert.deepEqual(dead, [{ probe: 'elastic', reason: 'connection refused by 127.0.0.1:1', since }])
  assert.deepEqual([items.length, is_old, json.code], [3, false, 1])
})

test('deadpool status without a DeadPool says what to do, and exits 2', async (context) => {
  const url = await startComponent(context)
  const deadpool = await startDeadPool(context, { probes: `site: ${probe(url)}` })
  await deadpool.becomes(200)
  await deadpool.stop()
  rmSync(join(deadpool.folder, 'probe/state'), { recursive: true })
  const { code, stdout, stderr } = await runBinary(['status'], { cwd: deadpool.folder })
  assert.match(stderr, /^deadpool: there are no notes of WatchMan in .*probe; start DeadPool /)
  assert.deepEqual([code, stdout], [2, ''])
})

test('deadpool drain, mute and their ends change the next answer', async (context) => {
  const url = await startComponent(context)
  const { folder, ask, becomes } = await startDeadPool(context, {
    probes: `elastic: ${probe(DEAD)}\nsite: ${probe(url)}`,
  })
  await becomes(503)
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await runBinary(args, { cwd: folder, env: { SUDO_USER: 'carol' } })
    assert.deepEqual([code, stderr], [0, ''], args.join(' '))
    return stdout
  }
  await waitFor('the notes', async () => (await runBinary(['status'], { cwd: folder })).code === 1)
  assert.match(
    await run('mute', 'elastic', '--for', '1h', '--reason', 'known'),
    /^elastic is muted until .*: its death does not count; /,
  )
  const muted = await ask()
  assert.equal(muted.status, 200)
  assert.match(muted.text, /^OK\nTEST SERVER\nwarning: elastic is muted until .*, by carol: known; it is dead: /)
  assert.match(
    await run('drain', '--for', '30m', '--reason', 'racks'),
    /^drained until .*: the answer is 503; end it with "deadpool resume"\n$/,
  )
  const drained = await ask()
  assert.equal(drained.status, 503)
  assert.match(drained.text, /^DEAD drain\nTEST SERVER\ndrain: racks \(by carol\) \(since .*, until .*\)\n/)
  assert.match(
    (await runBinary(['status'], { cwd: folder })).stdout,
    /^DEAD: the answer is 503 for drain\ndrained until .*, by carol: racks\n/,
  )
  await run('resume')
  assert.equal((await ask()).status, 200)
  await run('unmute', 'elastic')
  assert.equal((await ask()).status, 503)
})

test('deadpool reload lets the running one load its configuration again, unless there is a mistake', async (context) => {
  const url = await startComponent(context)
  const { folder, becomes, pid } = await startDeadPool(context, {
    probes: `elastic: ${probe(DEAD)}\nsite: ${probe(url)}`,
  })
  await becomes(503)
  const file = join(folder, 'deadpool.yml')
  const text = readFileSync(file, 'utf8')
  const reload = () => runBinary(['reload'], { cwd: folder })

  writeFileSync(file, text.replace(`elastic: ${probe(DEAD)}`, `elastic: ${probe(DEAD, ', severity: warning')}`))
  const former = join(folder, 'former.yml')
  writeFileSync(former, text)
  const check = await runBinary(['--check-config', '--against', 'former.yml'], { cwd: folder })
  assert.match(
    check.stdout,
    /^ {2}.*former\.yml: 503 for elastic\n {2}.*deadpool\.yml: 200\nwhat changes:\n {2}elastic: severity critical → warning\n$/m,
  )
  assert.equal(check.code, 0)

  const done = await reload()
  assert.deepEqual([done.stdout, done.stderr, done.code], [`reloaded: DeadPool works by ${file} as it is now\n`, '', 0])
  await becomes(200)

  writeFileSync(file, text.replace('severity', 'severty').replace('probes:', 'prbes:'))
  const refused = await reload()
  assert.match(refused.stderr, /prbes: is not a known key; did you mean "probes"\?/)
  assert.deepEqual([refused.stdout, refused.code], ['', 2])

  // Only DeadPool itself knows that its port is taken.
  writeFileSync(file, text.replace('port: 0', `port: ${new URL(url).port}`))
  const failed = await reload()
  assert.match(
    failed.stderr,
    /cannot listen on .*another program listens there.*\ndeadpool: not reloaded: everything goes on as before\n$/s,
  )
  assert.deepEqual([failed.stdout, failed.code], ['', 1])
  await becomes(200)
  process.kill(pid, 0)
})

test('deadpool status, drain, mute and reload do not wait for a disk that hangs', async (context) => {
  const folder = makeFolder(context)
  mkdirSync(join(folder, 'state'))
  // Reading it waits for a writer, as for a disk that does not answer.
  for (const file of ['watchman.json', 'spiderman.json']) execFileSync('mkfifo', [join(folder, 'state', file)])
  const runs = [['status'], ['drain'], ['mute', 'elastic', '--for', '1h'], ['reload']]
  const ended = await Promise.all(runs.map((args) => runBinary([...args, '--folder', folder])))
  for (const { stderr, stdout } of ended) {
    assert.match(stderr, /^deadpool: (?:the status cannot be told|not \w+): .*: its disk does not answer\n$/)
    assert.equal(stdout, '')
  }
  assert.deepEqual(readdirSync(folder), ['state'])
})

test('deadpool status works for whoever may read the folder; reload for whoever may signal', async (context) => {
  if (process.getuid?.() !== 0) return skip(context, 'root, to be another user')
  const { folder, becomes, pid } = await startDeadPool(context, { probes: `elastic: ${probe(DEAD)}` })
  await becomes(503)
  chmodSync(folder, 0o755)
  const args = ['--folder', join(folder, 'probe')]
  const anybody = { uid: 65_534, cwd: '/' }
  await waitFor('the notes', async () => (await runBinary(['status', ...args], anybody)).code === 1)
  const reload = await runBinary(['reload', ...args], anybody)
  assert.equal(reload.stderr, `deadpool: process ${pid} belongs to another user; do it as that user or as root\n`)
  const drain = await runBinary(['drain', ...args], anybody)
  assert.equal(drain.stderr, `deadpool: not drained: ${folder}/probe: permission denied\n`)
  chmodSync(join(folder, 'probe/state'), 0o700)
  const status = await runBinary(['status', ...args], anybody)
  assert.equal(status.stderr, `deadpool: the status cannot be told: ${folder}/probe/state: permission denied\n`)
  assert.deepEqual([reload.code, drain.code, status.code], [1, 1, 2])
})

test('deadpool simulate tells an answer, and its exit code', async (context) => {
  const url = await startComponent(context)
  const { folder } = await startDeadPool(context, {
    probes: `elastic: ${probe(url)}\nsite: ${probe(url, ', severity: warning')}`,
  })
  const dead = await runBinary(['simulate', '--dead', 'elastic'], { cwd: folder })
  assert.match(dead.stdout, /^503\nDEAD elastic\nTEST SERVER\nelastic: simulated \(since \S+\)\n$/)
  assert.equal(dead.code, 1)
  assert.equal((await runBinary(['simulate', '--dead', 'site'], { cwd: folder })).code, 0)
  const wrong = await runBinary(['simulate', '--dead', 'elastik'], { cwd: folder })
  assert.deepEqual(
    [wrong.code, wrong.stderr],
    [2, 'deadpool: "elastik" is not the name of a probe; did you mean "elastic"?\n'],
  )
})
