import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Probe } from '../../mod/exec_probe.ts'
import { skip, waitFor } from '../e2e/binary.ts'
import { mountHangingDisk } from '../e2e/hanging-disk.ts'
import { assertNothingLeft, check, checkPrepared, findProblems, observe, prepare } from './checking.ts'

const folder = mkdtempSync(join(tmpdir(), 'deadpool-exec-'))
chmodSync(folder, 0o755)
after(() => rmSync(folder, { recursive: true }))

const HOME = join(import.meta.dirname, '../..')
const PLUGINS = '/usr/lib/nagios/plugins'
const missingPlugins =
  existsSync(`${PLUGINS}/check_disk`) || process.env.DEADPOOL_TEST_NO_SKIP
    ? false
    : 'plugins are missing: apt-get install monitoring-plugins-basic'

const sh = (script: string, ...args: string[]) => ({ command: ['sh', '-c', script, 'sh', ...args] })

let made = 0
/** Makes a program of the test's own. */
function createProgram(text: string, mode = 0o755): string {
  const path = join(folder, `program-${made++}`)
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

/** Whether a process lives; one that ended and was not waited for does not. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** The processes that a script noted, one pid a line, once there are `count` of them. */
async function notedPids(file: string, count: number): Promise<number[]> {
  return waitFor(`${count} processes`, () => {
    const pids = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').map(Number) : []
    return pids.length === count ? pids : undefined
  })
}

const waitUntilGone = (pids: number[]) => waitFor('the end of the processes', () => !pids.some(isAlive) || undefined)

describe('Probe of a program', () => {
  test('Probe reports how it ended and what it wrote', async () => {
    const { time_ms, ...facts } = await observe(Probe, sh('echo out; echo "  " >&2; echo err >&2; exit 0'))
    assert.deepEqual(facts, {
      exit_code: 0,
      signal: undefined,
      stdout: 'out\n',
      stderr: '  \nerr\n',
      output_truncated: false,
      message: 'err',
    })
    assert.ok(typeof time_ms === 'number' && time_ms > 0 && time_ms < 5000, `${time_ms}`)
    assert.deepEqual(await check(Probe, sh('exit 0')), { kind: 'alive' })
  })

  const dead = [
    {
      name: 'an exit code, with what it says on stderr',
      script: 'echo listing; echo "psql: FATAL: no" >&2; exit 2',
      reason: 'exit_code: 2 is not 0 (message: "psql: FATAL: no")',
    },
    {
      name: 'an exit code, with what it says on stdout',
      script: 'echo "localhost:5432 - no response"; exit 2',
      reason: 'exit_code: 2 is not 0 (message: "localhost:5432 - no response")',
    },
    {
      name: 'an exit code alone',
      script: 'exit 127',
      reason: 'exit_code: 127 is not 0',
    },
    {
      name: 'a signal',
      script: 'kill -SEGV $$',
      reason: 'exit_code: the check reported no exit_code (signal: "SIGSEGV")',
    },
  ]
  for (const { name, script, reason } of dead) {
    test(`Probe gives as reason ${name}`, async () => {
      assert.deepEqual(await check(Probe, sh(script)), { kind: 'dead', reason })
    })
  }

  test('Probe reports no exit code of a program that was killed', async () => {
    const { exit_code, signal } = await observe(Probe, sh('kill -TERM $$'))
    assert.deepEqual([exit_code, signal], [undefined, 'SIGTERM'])
  })

  test('Probe quotes the program after the reason of any criterion', async () => {
    const criteria = { stdout: { type: 'contains', query: 'yes' } }
    const outcome = await check(Probe, sh('echo no; echo "no space" >&2; exit 4'), criteria)
    assert.equal(outcome.kind, 'dead')
    assert.match(outcome.reason, /^stdout: .*"yes".* \(message: "no space"\)$/)
  })

  test('Probe hands on each argument as it is, without a shell', async () => {
    const args = ['$(id)', '*', 'two words', '', "it's", '; exit 1']
    const { stdout } = await observe(Probe, { command: ['printf', '<%s>', ...args, 7] })
    assert.equal(stdout, `${args.map((arg) => `<${arg}>`).join('')}<7>`)
  })

  test('Probe takes a single word for a program without arguments', async () => {
    assert.deepEqual(await check(Probe, { command: 'true' }), { kind: 'alive' })
  })

  test('Probe gives the program a clean environment, and what env adds', async (t) => {
    const file = join(folder, 'secret')
    writeFileSync(file, 'from a file\n')
    const ours = { DEADPOOL_ROLE: 'watchman', EXEC_TOKEN: 'of-this-host', LANG: 'ru_RU.UTF-8', TZ: 'Asia/Tokyo' }
    Object.assign(process.env, ours)
    t.after(() => Object.keys(ours).map((name) => delete process.env[name]))
    const env = { GREETING: 'hello', PORT: 5432, PGPASSWORD: { env: 'EXEC_TOKEN' }, KEY: { file } }
    const prepared = await prepare(Probe, { command: ['env'], env })
    const read = async () => {
      const { stdout } = await prepared.observe(AbortSignal.timeout(5000), console)
      return Object.fromEntries(
        String(stdout)
          .trim()
          .split('\n')
          .map((line) => line.split(/=(.*)/s).slice(0, 2)),
      )
    }
    const { PATH, HOME: home, USER, LOGNAME, TMPDIR, ...rest } = await read()
    assert.deepEqual(
      [PATH, home, USER, LOGNAME, TMPDIR],
      [process.env.PATH, process.env.HOME, process.env.USER, process.env.LOGNAME, process.env.TMPDIR],
    )
    const fixed = { LC_ALL: 'C.UTF-8', LANG: 'C.UTF-8', TZ: 'Asia/Tokyo' }
    assert.deepEqual(rest, {
      ...fixed,
      GREETING: 'hello',
      PORT: '5432',
      PGPASSWORD: 'of-this-host',
      KEY: 'from a file',
    })
    writeFileSync(file, 'changed')
    assert.equal((await read()).KEY, 'changed')
    rmSync(file)
    const { kind, reason } = (await checkPrepared(Probe, prepared)) as { kind: string; reason: string }
    assert.deepEqual([kind, reason], ['unknown', `${file} cannot be read: there is no such file`])
  })

  test('Probe runs DeadPool itself as a command and not as a watcher', async (t) => {
    process.env.DEADPOOL_ROLE = 'watchman'
    t.after(() => delete process.env.DEADPOOL_ROLE)
    const { exit_code, stdout } = await observe(Probe, {
      command: [process.execPath, join(HOME, 'src/main.ts'), '--version'],
    })
    assert.equal(exit_code, 0)
    assert.match(String(stdout), /^deadpool \d/)
  })

  test('Probe sends stdin, and nothing without it', async () => {
    const long = 'ü'.repeat(200_000)
    assert.equal((await observe(Probe, { command: ['wc', '-c'], stdin: long })).stdout, '400000\n')
    assert.equal((await observe(Probe, { command: ['wc', '-c'] })).stdout, '0\n')
    assert.deepEqual(await check(Probe, { command: ['true'], stdin: long }), { kind: 'alive' })
  })

  test('Probe runs it in cwd, and finds a relative path from the folder of the configuration', async (t) => {
    const program = createProgram('#!/bin/sh\npwd')
    const here = process.cwd()
    process.chdir(folder)
    t.after(() => process.chdir(here))
    mkdirSync(join(folder, 'elsewhere'))
    const command = [`./${program.slice(folder.length + 1)}`]
    assert.equal((await observe(Probe, { command, cwd: 'elsewhere' })).stdout, `${folder}/elsewhere\n`)
    assert.equal((await observe(Probe, { command })).stdout, `${folder}\n`)
  })

  test('Probe keeps the beginning of a long output', async () => {
    const script = 'head -c 3000000 /dev/zero | tr "\\0" x; echo short >&2'
    const facts = await observe(Probe, { ...sh(script), max_output: '2KiB' })
    assert.equal(facts.stdout, 'x'.repeat(2048))
    assert.equal(facts.stderr, 'short\n')
    assert.equal(facts.output_truncated, true)
    const exact = await observe(Probe, { ...sh('head -c 2048 /dev/zero'), max_output: 2048 })
    assert.equal(exact.output_truncated, false)
  })

  test('Probe stops reading a program that writes without end', async () => {
    assert.deepEqual(await check(Probe, { command: ['yes'] }), { kind: 'dead', reason: 'wrote more than 64 MiB' })
  })

  test('Probe gathers what is written byte by byte, and replaces what is not UTF-8', async () => {
    const { stdout } = await observe(Probe, sh('for i in 1 2 3 4 5 6 7 8 9; do printf "$i"; done; printf "\\377"'))
    assert.equal(stdout, '123456789\u{fffd}')
  })
})

describe('Probe that cannot run the program', () => {
  const long = 'x'.repeat(200_000)
  const cases = [
    {
      name: 'is nowhere in PATH',
      query: { command: ['check_nothing'], env: { PATH: '/bin:/usr/bin' } },
      reason: '"check_nothing" cannot be run: there is no such program in /bin:/usr/bin',
    },
    {
      name: 'is not there',
      query: { command: ['/nowhere/check'] },
      reason: '"/nowhere/check" cannot be run: there is no such program on this host',
    },
    {
      name: 'is a folder',
      query: { command: ['/etc'] },
      reason: '"/etc" cannot be run: there is no such program on this host',
    },
    {
      name: 'is not executable',
      query: () => ({ command: [createProgram('#!/bin/sh\n', 0o644)] }),
      reason: /^".*" cannot be run: DeadPool is not allowed to execute it$/,
    },
    {
      name: 'has no interpreter',
      query: () => ({ command: [createProgram('#!/nowhere/python\n')] }),
      reason: /^".*" cannot be run: the interpreter that its first line names is missing$/,
    },
    {
      name: 'has too long an argument',
      query: { command: ['true', long] },
      reason: '"true" cannot be run: its arguments and environment are too long',
    },
    {
      name: 'is to run in a folder that is not there',
      query: { command: ['true'], cwd: '/nowhere' },
      reason: 'cwd "/nowhere" is not a folder of this host',
    },
    {
      name: 'is to run in a file',
      query: { command: ['true'], cwd: '/etc/passwd' },
      reason: 'cwd "/etc/passwd" is not a folder of this host',
    },
  ]
  for (const { name, query, reason } of cases) {
    test(`Probe calls it unknown when the program ${name}`, async () => {
      const outcome = await check(Probe, typeof query === 'function' ? query() : query)
      assert.equal(outcome.kind, 'unknown', JSON.stringify(outcome))
      if (typeof reason === 'string') assert.equal(outcome.reason, reason)
      else assert.match(outcome.reason, reason)
    })
  }

  test('Probe runs a program that may be executed and not be read', async (t) => {
    if (process.getuid?.() !== 0) return skip(t, 'needs root, to run as another user')
    const program = join(folder, 'unreadable')
    execFileSync('cp', ['/bin/true', program])
    chmodSync(program, 0o711)
    assert.deepEqual(await checkAs('nobody', { command: [program] }), { kind: 'alive' })
  })

  test('Probe calls it unknown when this host allows no further process', async (t) => {
    if (process.getuid?.() !== 0) return skip(t, 'needs root, to run as another user')
    assert.deepEqual(await checkAs('nobody', { command: ['true'] }, 'prlimit'), {
      kind: 'unknown',
      reason: '"true" cannot be run: this host allows no further process',
    })
  })

  test('Probe waits for a program on a disk that hangs without stopping anything else', async (t) => {
    const disk = await mountHangingDisk(t, mkdtempSync(join(folder, 'disk-')))
    if (!disk) return
    execFileSync('cp', ['/bin/true', `${disk.below}/check`])
    const query = { command: [`${disk.folder}/check`], timeout: 1 }
    assert.deepEqual(await check(Probe, query), { kind: 'alive' })
    disk.hang()
    let longest = 0
    let last = performance.now()
    const ticking = setInterval(() => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }, 5)
    t.after(() => clearInterval(ticking))
    const outcome = await check(Probe, query)
    assert.equal(outcome.kind, 'unknown', JSON.stringify(outcome))
    assert.match(outcome.reason, /^\/.*\/check has not answered for \d+ ms$/)
    assert.ok(longest < 800, `nothing else ran for ${longest} ms`)
    assert.deepEqual(await check(Probe, { command: ['true'] }), { kind: 'alive' })
    disk.resume()
    await waitFor('the disk', async () => (await check(Probe, query)).kind === 'alive' || undefined)
  })
})

/** Makes one check in a process of its own, as another user. */
async function checkAs(user: string, query: unknown, limit = ''): Promise<unknown> {
  const script = `
    import { execFileSync } from 'node:child_process'
    import { check } from '${HOME}/test/mod/checking.ts'
    import { Probe } from '${HOME}/mod/exec_probe.ts'
    await check(Probe, { command: ['true'] }) // its threads count, so they have to be there already
    if (${JSON.stringify(limit)}) execFileSync('prlimit', ['--pid', process.pid, '--nproc=1:1'])
    console.log(JSON.stringify(await check(Probe, ${JSON.stringify(query)})))`
  const path = createProgram(script)
  execFileSync('mv', [path, `${path}.mts`])
  const through = ['--reuid', user, '--clear-groups', process.execPath, `${path}.mts`]
  const { stdout, stderr } = spawnSync('setpriv', through, { encoding: 'utf8', cwd: '/' })
  assert.notEqual(stdout, '', stderr)
  return JSON.parse(stdout)
}

describe('Probe at the end of a check', () => {
  test('Probe kills all that the program started when the time is over', async () => {
    const pids = join(folder, 'tree')
    const script = `trap "" TERM; echo $$ > ${pids}
      sh -c 'trap "" TERM HUP; echo $$ >> ${pids}; sleep 100 & echo $! >> ${pids}; wait' &
      sleep 100 & echo $! >> ${pids}; wait`
    const outcome = await check(Probe, { ...sh(script), timeout: 0.5 })
    assert.deepEqual(outcome, { kind: 'dead', reason: 'timed out after 500 ms', cause: 'timeout' })
    await waitUntilGone(await notedPids(pids, 4))
  })

  test('Probe kills a program that was stopped', async () => {
    const pids = join(folder, 'stopped')
    const outcome = await check(Probe, { ...sh(`echo $$ > ${pids}; kill -STOP $$`), timeout: 0.3 })
    assert.equal(outcome.kind, 'dead')
    await waitUntilGone(await notedPids(pids, 1))
  })

  test('Probe does not wait for what the program leaves behind, and kills it', async () => {
    const pids = join(folder, 'left')
    const script = `sleep 100 & echo $! > ${pids}; sleep 100 > /dev/null 2>&1 & echo $! >> ${pids}; echo done`
    const { stdout, time_ms } = await observe(Probe, sh(script))
    assert.equal(stdout, 'done\n')
    assert.ok(Number(time_ms) < 2000, `${time_ms} ms`)
    await waitUntilGone(await notedPids(pids, 2))
  })

  test('Probe does not wait for a daemon that holds the pipes, which lives on in a session of its own', async (t) => {
    const pids = join(folder, 'daemon')
    const script = `setsid sh -c 'echo $$ > ${pids}; exec sleep 100' & while [ ! -s ${pids} ]; do :; done; echo done`
    const { stdout, time_ms } = await observe(Probe, sh(script))
    assert.equal(stdout, 'done\n')
    assert.ok(Number(time_ms) < 2000, `${time_ms} ms`)
    const [daemon = 0] = await notedPids(pids, 1)
    t.after(() => process.kill(daemon, 'SIGKILL'))
    assert.equal(isAlive(daemon), true)
  })

  test('Probe reads what a helper of the program still writes after its end', async () => {
    const { stdout } = await observe(Probe, sh('(sleep 0.05; echo late) & echo early'))
    assert.equal(stdout, 'early\nlate\n')
  })

  test('Probe leaves nothing behind when it is aborted at any moment', async () => {
    for (const ms of [0, 1, 2, 5, 10, 20, 40]) {
      const marker = `1000.${process.pid}${ms}`
      const controller = new AbortController()
      const observing = observe(Probe, { ...sh(`sleep ${marker} & wait`), stdin: 'x' }, controller.signal)
      const rejected = assert.rejects(observing, /^Error: over$/)
      await sleep(ms)
      controller.abort(new Error('over'))
      await rejected
      const isThere = () => spawnSync('pgrep', ['-f', `sleep ${marker}`]).status === 0
      await waitFor('the end of the program', () => !isThere() || undefined)
    }
  })

  test('Probe kills a program under way when its process ends in good order', async () => {
    const pids = join(folder, 'orphan')
    const script = createProgram(`
      import { observe } from '${HOME}/test/mod/checking.ts'
      import { Probe } from '${HOME}/mod/exec_probe.ts'
      import { existsSync } from 'node:fs'
      void observe(Probe, ${JSON.stringify(sh(`echo $$ > ${pids}.new; mv ${pids}.new ${pids}; sleep 100`))})
      setInterval(() => existsSync('${pids}') && process.exit(0), 5)`)
    execFileSync('mv', [script, `${script}.mts`])
    const child = spawn(process.execPath, [`${script}.mts`], { stdio: 'inherit' })
    const [pid = 0] = await notedPids(pids, 1)
    await waitFor('the end of the parent', () => (child.exitCode === null ? undefined : true))
    await waitUntilGone([pid])
  })

  test('Probe leaves nothing behind in 300 checks', () => assertNothingLeft(Probe, { command: ['true'] }))

  test('Probe leaves nothing behind in 300 checks that fail', () =>
    assertNothingLeft(Probe, { command: ['/nowhere/check'] }, { kind: 'unknown' }))

  test('Probe leaves nothing behind in checks that run out of time', async () => {
    const open = () => process.getActiveResourcesInfo().filter((name) => /Pipe|Process|Timeout/.test(name)).length
    const before = open()
    const marker = `1001.${process.pid}`
    const checks = Array.from({ length: 30 }, () => check(Probe, { command: ['sleep', marker], timeout: 0.5 }))
    for (const { kind } of await Promise.all(checks)) assert.equal(kind, 'dead')
    await waitFor('the end of the pipes', () => open() <= before || undefined)
    assert.equal(spawnSync('pgrep', ['-f', `sleep ${marker}`]).status, 1)
  })
})

describe('Probe of a plugin', () => {
  const plugin = (output: string, code = 0) => ({ ...sh(`cat; exit ${code}`), stdin: output, nagios: true })

  test('Probe takes its output apart', async () => {
    const output = [
      'DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968',
      '/ 15272 MB (77%);',
      "/boot 68 MB (69%); | /boot=68MB;88;93;0;98 'C: drive'=12.5%;@10:20;~:5",
      '/home=69357MB;253404;253409;0;253414',
    ].join('\n')
    const { time_ms, stdout, ...facts } = await observe(Probe, plugin(output))
    assert.equal(stdout, output)
    assert.deepEqual(facts, {
      exit_code: 0,
      signal: undefined,
      stderr: '',
      output_truncated: false,
      nagios: 'OK',
      message: 'DISK OK - free space: / 3326 MB (56%);',
      perfdata: {
        '/': { value: 2643, unit: 'MB', warn: '5948', crit: '5958', min: 0, max: 5968 },
        '/boot': { value: 68, unit: 'MB', warn: '88', crit: '93', min: 0, max: 98 },
        'C: drive': { value: 12.5, unit: '%', warn: '@10:20', crit: '~:5' },
        '/home': { value: 69357, unit: 'MB', warn: '253404', crit: '253409', min: 0, max: 253414 },
      },
    })
  })

  const perfdata = [
    { name: 'no data', text: '', found: {} },
    { name: 'trailing semicolons left out', text: 'a=1', found: { a: { value: 1, unit: '' } } },
    { name: 'empty fields', text: 'a=1s;;;;', found: { a: { value: 1, unit: 's' } } },
    { name: 'a value that is not known', text: 'a=U;1;2', found: { a: { unit: '', warn: '1', crit: '2' } } },
    { name: 'a doubled quote', text: "'it''s'=3c", found: { "it's": { value: 3, unit: 'c' } } },
    { name: 'a quoted "=" and "|"', text: "'a=b|c'=1", found: { 'a=b|c': { value: 1, unit: '' } } },
    {
      name: 'signs, fractions and exponents',
      text: 'a=-1.5 b=+.5 c=1e3KB d=2.',
      found: {
        a: { value: -1.5, unit: '' },
        b: { value: 0.5, unit: '' },
        c: { value: 1000, unit: 'KB' },
        d: { value: 2, unit: '' },
      },
    },
    {
      name: 'rubbish between good data',
      text: 'a=1 , b=x c=1,5 =3 d d=4',
      found: { a: { value: 1, unit: '' }, d: { value: 4, unit: '' } },
    },
    { name: 'a quote that is not closed', text: "a=1 'b c=2", found: { a: { value: 1, unit: '' } } },
    { name: 'a quoted text that is no label', text: "'a' b=2", found: { b: { value: 2, unit: '' } } },
    {
      name: 'a label that every object has',
      text: '__proto__=1',
      found: JSON.parse('{"__proto__":{"value":1,"unit":""}}'),
    },
  ]
  for (const { name, text, found } of perfdata) {
    test(`Probe reads performance data with ${name}`, async () => {
      assert.deepEqual((await observe(Probe, plugin(`OK|${text}\n`))).perfdata, found)
    })
  }

  test('Probe reads performance data in a time that grows no faster than they do', async () => {
    for (const hostile of ["'", "''' ", "'a ''b ", 'a ', 'a=', "'a' "]) {
      const query = plugin(`OK|${hostile.repeat(1_000_000 / hostile.length)}`)
      const { time_ms } = await observe(Probe, { ...query, max_output: '1MiB' })
      assert.ok(Number(time_ms) < 1500, `${hostile} took ${time_ms} ms`)
    }
  })

  test('Probe lets a criterion judge performance data', async () => {
    const criteria = { perfdata: { type: 'json', query: { path: '$.load1.value', any: { type: 'lt', query: 4 } } } }
    assert.deepEqual(await check(Probe, plugin('OK | load1=3.5;5;6', 2), criteria), { kind: 'alive' })
    assert.equal((await check(Probe, plugin('OK | load1=4.5;5;6'), criteria)).kind, 'dead')
  })

  const verdicts = [
    { name: 'OK', code: 0, kind: 'alive' },
    { name: 'WARNING, which is not the end of a data centre', code: 1, kind: 'alive' },
    {
      name: 'CRITICAL',
      code: 2,
      kind: 'dead',
      reason: 'exit_code: 2 is none of 0, 1 (message: "DISK - / 96 MB")',
    },
    { name: 'UNKNOWN', code: 3, kind: 'unknown', reason: 'the plugin says UNKNOWN: "DISK - / 96 MB"' },
    {
      name: 'not found',
      code: 127,
      kind: 'unknown',
      reason: 'the plugin gave no verdict (exit 127): "DISK - / 96 MB"',
    },
  ]
  for (const { name, code, ...outcome } of verdicts) {
    test(`Probe takes exit ${code} for ${name}`, async () => {
      assert.deepEqual(await check(Probe, plugin('DISK - / 96 MB | a=1', code)), outcome)
    })
  }

  test('Probe calls it unknown when a plugin was killed', async () => {
    assert.deepEqual(await check(Probe, { ...sh('echo oops >&2; kill -KILL $$'), nagios: true }), {
      kind: 'unknown',
      reason: 'the plugin gave no verdict (killed by SIGKILL): "oops"',
    })
    const silent = await check(Probe, { ...sh('exit 3'), nagios: true })
    assert.deepEqual(silent, { kind: 'unknown', reason: 'the plugin says UNKNOWN' })
  })
})

describe('Probe of the Monitoring Plugins', { skip: missingPlugins }, () => {
  async function startWeb(t: TestContext): Promise<number> {
    const server = createServer((_, response) => response.end('hello'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => server.close())
    return (server.address() as AddressInfo).port
  }

  test('Probe reads check_disk, found without a path', async () => {
    const disk = (...args: string[]) => ({ command: ['check_disk', ...args, '-p', '/'], nagios: true })
    const { nagios, message, perfdata } = await observe(Probe, disk('-w', '0', '-c', '0'))
    assert.equal(nagios, 'OK')
    assert.match(String(message), /^DISK OK - free space: \//)
    const { '/': root } = perfdata as Record<string, { value: number; unit: string; min: number; max: number }>
    assert.ok(root && root.value > 0 && root.value <= root.max && root.min === 0, JSON.stringify(perfdata))
    assert.deepEqual(await check(Probe, disk('-w', '100%', '-c', '0')), { kind: 'alive' })
    const full = await check(Probe, disk('-w', '100%', '-c', '100%'))
    assert.equal(full.kind, 'dead')
    assert.match(full.reason, /^exit_code: 2 is none of 0, 1 \(message: "DISK CRITICAL - free space: \/ .*"\)$/)
  })

  test('Probe reads check_load', async () => {
    const { perfdata } = await observe(Probe, {
      command: [`${PLUGINS}/check_load`, '-w', 999, '-c', 999],
      nagios: true,
    })
    assert.deepEqual(Object.keys(perfdata as object), ['load1', 'load5', 'load15'])
  })

  test('Probe reads check_tcp and check_http', async (t) => {
    const port = await startWeb(t)
    const ask = (name: string, at: number) => ({ command: [name, '-H', '127.0.0.1', '-p', at], nagios: true })
    for (const name of ['check_tcp', 'check_http']) {
      const { nagios, perfdata } = await observe(Probe, ask(name, port))
      assert.equal(nagios, 'OK')
      assert.equal((perfdata as Record<string, { unit: string }>).time?.unit, 's')
      const { kind, reason } = (await check(Probe, ask(name, 1))) as { kind: string; reason: string }
      assert.equal(kind, 'dead')
      assert.match(reason, /^exit_code: 2 is none of 0, 1 \(message: ".*[Cc]onnect.*"\)$/)
    }
  })

  test('Probe calls it unknown when a plugin is called wrongly', async () => {
    const outcome = await check(Probe, { command: ['check_tcp', '--nonsense'], nagios: true })
    assert.equal(outcome.kind, 'unknown')
    assert.match(outcome.reason, /^the plugin says UNKNOWN: ".+"$/)
  })
})

const mistakes = [
  {
    name: 'a command line',
    query: { command: 'check_disk -w 20%' },
    problems: [
      'command: "check_disk -w 20%" is one text, which no shell takes apart; write a list: [check_disk, -w, 20%]',
    ],
  },
  { name: 'no command', query: {}, problems: ['command: is missing; it is required'] },
  {
    name: 'an empty list',
    query: { command: [] },
    problems: ['command: an empty list names no program; write a list such as [check_disk, -w, 10%]'],
  },
  {
    name: 'an argument that is no text',
    query: { command: ['a', true] },
    problems: ['command.1: true is not a text; write it in quotes'],
  },
  {
    name: 'a mapping for a command',
    query: { command: {} },
    problems: ['command: an empty mapping is not a list of the program and its arguments'],
  },
  {
    name: 'a NUL in an argument',
    query: { command: ['a', 'b\0'] },
    problems: ['command.1: "b\u{fffd}" has a NUL character'],
  },
  {
    name: 'the role of DeadPool',
    query: { command: 'a', env: { DEADPOOL_ROLE: 'watchman' } },
    problems: ['env.DEADPOOL_ROLE: "watchman" is not for others; DEADPOOL_ROLE is for DeadPool\'s own use'],
  },
  {
    name: 'a bad name of a variable',
    query: { command: 'a', env: { 'a-b': 'c' } },
    problems: ['env.a-b: "c" is not for a variable; a name is of letters, digits and "_"'],
  },
  {
    name: 'values that are no text',
    query: { command: 'a', env: { A: true, B: { env: 'NOT_SET_ANYWHERE' } } },
    problems: [
      'env.A: true is not a text, {env: NAME}, {file: PATH} or {credential: NAME}; write it in quotes',
      'env.B: {env: "NOT_SET_ANYWHERE"} cannot be used: the environment variable NOT_SET_ANYWHERE is not set',
    ],
  },
  {
    name: 'a size that is none',
    query: { command: 'a', max_output: 'much' },
    problems: ['max_output: "much" is not a size; write 65536, "64KiB" or "1MiB"'],
  },
  {
    name: 'a size out of range',
    query: { command: 'a', max_output: '1GiB' },
    problems: ['max_output: "1GiB" is not a size; write 65536, "64KiB" or "1MiB"'],
  },
  {
    name: 'a size too large',
    query: { command: 'a', max_output: '5MiB' },
    problems: ['max_output: "5MiB" is out of range; 1KiB to 4MiB is allowed'],
  },
  {
    name: 'an unknown key',
    query: { command: 'a', evn: {} },
    problems: ['evn: is not a known key; did you mean "env"?'],
  },
]
for (const { name, query, problems } of mistakes) {
  test(`Probe refuses ${name}`, async () => assert.deepEqual(await findProblems(Probe, query), problems))
}
