import assert from 'node:assert/strict'
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { BINARY, makeFolder, runBinary } from './binary.ts'

const home = join(import.meta.dirname, '../..')
const fixtures = join(home, 'test/fixtures')

test('deadpool --version tells version, commit and Node', async () => {
  for (const args of [['--version'], ['-V'], ['-v'], ['version']]) {
    const { code, stdout } = await runBinary(args)
    assert.match(stdout, /^deadpool \d+\.\d+\.\d+ \((?:[0-9a-f]{12}\+?|from sources), Node 24\.\d+\.\d+\)\n$/)
    assert.equal(code, 0)
  }
})

test('deadpool does not heed NODE_OPTIONS, which a host may set for its own programs', async () => {
  const { code, stderr } = await runBinary(['--version'], { env: { NODE_OPTIONS: '--require /none.js --bogus' } })
  assert.deepEqual([code, stderr], [0, ''])
})

test('deadpool --help tells every command and option', async () => {
  for (const args of [['--help'], ['-h'], ['help'], ['help', 'version']]) {
    const { code, stdout } = await runBinary(args)
    for (const word of [
      'check-config',
      '--against',
      'modules',
      'status',
      'drain',
      'resume',
      'mute',
      'unmute',
      'simulate',
      'reload',
      'init',
      'install',
      'uninstall',
      'completion',
      '--folder',
      '--eject',
      '--types',
      '--config',
      '--version',
      'Exit codes',
    ])
      assert.ok(stdout.includes(word), word)
    assert.equal(code, 0)
  }
})

test('deadpool COMMAND --help tells that command, its options and its exit codes', async () => {
  for (const args of [
    ['status', '--help'],
    ['--help', 'status'],
    ['help', 'status'],
  ]) {
    const { code, stdout } = await runBinary(args)
    assert.equal(
      stdout,
      `Usage:
  deadpool status [--json] [--watch]  how things are; with --watch every second

It reads the status folder alone, and works for everybody who may read that.

Options:
  -c, --config FILE  the configuration; without it $DEADPOOL_CONFIG, then deadpool.yml here, beside the binary, and in
                     /etc/deadpool
  -f, --folder DIR   the status folder, for status, drain, resume, mute, unmute, reload and upgrade; without it the one
                     of the configuration
  -h, --help         print this; after a command, all about that one
      --json         print JSON, for programs
      --watch        show it again every second, until Ctrl-C

Exit codes: 0 the answer is 200; 1 it is 503; 2 there is none, or it cannot be told.
`,
    )
    assert.equal(code, 0)
  }
})

const misuses = [
  { args: ['help', 'chek'], message: 'there is no command "chek"; did you mean "check"?' },
  { args: ['chek-config'], message: 'there is no command "chek-config"; did you mean "check-config"?' },
  { args: ['frobnicate'], message: 'there is no command "frobnicate"; see "deadpool --help"' },
  { args: ['--confg', 'x'], message: 'there is no option "--confg"; did you mean "--config"?' },
  { args: ['-x'], message: 'there is no option "-x"; see "deadpool --help"' },
  { args: ['--config'], message: '"--config" needs a value, as in "--config deadpool.yml"' },
  { args: ['-c', ''], message: '"-c" needs a value, as in "-c deadpool.yml"' },
  { args: ['--version=3'], message: '"--version" takes no value' },
  {
    args: ['run', 'deadpool.yml'],
    message:
      '"deadpool.yml" is too much; "deadpool run" takes options only; a configuration is given with "--config deadpool.yml"',
  },
  {
    args: ['check-config', '--eject', 'x'],
    message: '"deadpool check-config" has no option "--eject"; see "deadpool check-config --help"',
  },
  { args: ['modules', '--eject', 'url_prob'], message: '"url_prob" is not a stock module; did you mean "url_probe"?' },
]
for (const { args, message } of misuses) {
  test(`deadpool ${args.join(' ')} exits 2 and says what is allowed`, async () => {
    assert.deepEqual(await runBinary(args), { code: 2, signal: null, stdout: '', stderr: `deadpool: ${message}\n` })
  })
}

test('deadpool --check-config says what it found', async (context) => {
  const folder = makeFolder(context)
  writeFileSync(
    join(folder, 'deadpool.yml'),
    `WEB: { access_token: abcdefgh, port: 9002, base_url: /health/, name: dc1 }
WatchMan: { module_folder: ${fixtures}/modules }
probes:
  a: { module: url_probe, query: { url: "http://127.0.0.1/" } }
  b: { module: good, query: { mood: fine } }
  c: { module: url_probe, isEnabled: False, query: { url: "http://127.0.0.1/" } }
`,
  )
  const expected = `${folder}/deadpool.yml: OK
answers at http://0.0.0.0:9002/health as "dc1"
flags in ${folder}/probe
2 probes enabled: a, b
1 probe disabled: c
module url_probe: stock, inside the binary
module good: ${fixtures}/modules/good.ts
`
  for (const args of [
    ['--check-config', '-c', `${folder}/deadpool.yml`],
    ['check-config', `--config=${folder}/deadpool.yml`],
  ]) {
    assert.deepEqual(await runBinary(args), { code: 0, signal: null, stdout: expected, stderr: '' })
  }
  assert.deepEqual(await runBinary(['check-config'], { cwd: folder }), {
    code: 0,
    signal: null,
    stdout: expected,
    stderr: '',
  })
  const env = { DEADPOOL_CONFIG: `${folder}/deadpool.yml` }
  assert.deepEqual(await runBinary(['check-config'], { cwd: '/', env }), {
    code: 0,
    signal: null,
    stdout: expected,
    stderr: '',
  })
})

test('deadpool --check-config names every mistake of schema, queries, criteria and modules in one go', async (context) => {
  const folder = makeFolder(context)
  writeFileSync(join(folder, 'a-file'), '')
  writeFileSync(
    join(folder, 'deadpool.yml'),
    `WEB: { port: 70000 }
WatchMan: { module_folder: ${fixtures}/modules, probe_status_folder: a-file }
probes:
  a: { module: url_prob, query: { url: "http://127.0.0.1/" } }
  b: { module: url_probe, query: { url: "ftp://user:hunter2@host/", timeout: -1, head: {} } }
  c: { module: url_probe, query: { url: "http://h/" }, success_criteria: { stauts: { type: status_in, query: [200] } } }
  d: { module: url_probe, query: { url: "http://h/" }, success_criteria: { status: { type: statusin, query: [200] } } }
  e: { module: url_probe, query: { url: "http://h/" }, success_criteria: { body: { type: re_search, query: "(?!red)green" } } }
  f: { module: no-probe }
  g: { module: ../../etc/passwd }
  h: { module: good, query: { mood: angry } }
  i: { module: throws }
  j: { module: url_probe, query: { url: "h" }, period: 0 }
  k: { module: url_probe, query: { url: "http://h/" }, success_criteria: { status: { typ: x, query: [200] }, body: { type: re_search, query: "(" } } }
`,
  )
  const { code, stdout, stderr } = await runBinary(['--check-config', '-c', join(folder, 'deadpool.yml')])
  const lines = stderr
    .trimEnd()
    .split('\n')
    .map((line) => line.slice(line.indexOf('deadpool.yml')))
  const paths = lines.map((line) => /^deadpool\.yml:\d+:\d+ (\S+): /.exec(line)?.[1])
  assert.deepEqual(paths, [
    'WEB.access_token',
    'WEB.port',
    'WatchMan.probe_status_folder',
    'probes.a.module',
    'probes.b.query.url',
    'probes.b.query.timeout',
    'probes.b.query.head',
    'probes.c.success_criteria.stauts',
    'probes.d.success_criteria.status.type',
    'probes.e.success_criteria.body.query',
    'probes.f.module',
    'probes.g.module',
    'probes.h.query.mood',
    'probes.i.module',
    'probes.j.query.url',
    'probes.j.period',
    'probes.k.success_criteria.status.type',
    'probes.k.success_criteria.status.typ',
    'probes.k.success_criteria.body.query',
  ])
  const hints = [
    'did you mean "url_probe"',
    'did you mean "header"',
    'did you mean "status"',
    'did you mean "status_in"',
    'look-ahead',
    'exports no "Probe"',
    'no licence found',
    `${folder}/a-file is not a folder`,
  ]
  for (const hint of hints) assert.ok(stderr.includes(hint), `${hint} in\n${stderr}`)
  assert.equal(stderr.includes('hunter2'), false)
  assert.equal(stdout, '')
  assert.equal(code, 2)
})

test('deadpool --check-config passes the block of the original text, and warns of its remark', async (context) => {
  const file = join(makeFolder(context), 'seed-original.yml')
  copyFileSync(join(fixtures, 'config/seed-original.yml'), file)
  const { code, stdout, stderr } = await runBinary(['--check-config', '-c', file])
  assert.match(stdout, /^.*seed-original\.yml: OK\n/)
  assert.match(
    stderr,
    /^warning: .*seed-original\.yml:3:13 Generic\.log\.type: "gelf" is taken; the remark "\(покатолько gelf\)" belongs behind a #\n$/,
  )
  assert.equal(code, 0)
})

test('deadpool --check-config passes the example', async (context) => {
  const file = join(makeFolder(context), 'deadpool.yml')
  copyFileSync(join(home, 'deadpool.example.yml'), file)
  const { code, stdout, stderr } = await runBinary(['--check-config', '-c', file])
  assert.deepEqual([code, stderr], [0, ''])
  assert.match(stdout, /1 probe enabled: deadpool\n14 probes disabled: elastic, search, /)
})

test('deadpool without a configuration names the places it looked at', async (context) => {
  const folder = makeFolder(context)
  const { code, stderr } = await runBinary([], { cwd: folder, env: { DEADPOOL_CONFIG: '' } })
  assert.match(
    stderr,
    /^there is no configuration; give one with --config FILE, or put it at .*\/deadpool\.yml or .* or \/etc\/deadpool\/deadpool\.yml; "deadpool init" writes one\n$/,
  )
  assert.equal(code, 2)
})

test('deadpool modules lists each with its facts and where it comes from', async (context) => {
  const folder = makeFolder(context)
  writeFileSync(
    join(folder, 'deadpool.yml'),
    `WEB: { access_token: abcdefgh }\nWatchMan: { module_folder: ${fixtures}/modules }\nprobes: { a: { module: url_probe } }\n`,
  )
  const byEnvironment = await runBinary(['modules'], {
    cwd: '/',
    env: { DEADPOOL_CONFIG: join(folder, 'deadpool.yml') },
  })
  assert.match(byEnvironment.stdout, /^good\n/m)
  const own = await runBinary(['modules'], { cwd: '/' })
  assert.match(
    own.stdout,
    /^url_probe\n {2}.+\n {2}facts: status, body, .*\n {2}from: .*dist\/mod\/url_probe\.ts \(same as stock\)\n$/m,
  )
  const names = own.stdout.match(/^\w+$/gm)
  const stock = readdirSync(join(home, 'mod')).filter((file) => file.endsWith('.ts'))
  assert.deepEqual(
    names?.map((name) => `${name}.ts`),
    stock.sort(),
  )
  assert.doesNotMatch(own.stdout, /cannot be used/)
  const { stdout, code } = await runBinary(['modules', '-c', join(folder, 'deadpool.yml')])
  assert.match(stdout, /^good\n {2}Answers as its query says\n {2}facts: mood, thread\n {2}from: .*good\.ts\n/m)
  assert.match(stdout, /^throws\n {2}cannot be used: no licence found\n/m)
  assert.match(stdout, /^url_probe\n.*\n.*\n {2}from: stock, inside the binary\n/m)
  assert.equal(code, 0)
})

test('deadpool modules --eject writes the source of a stock module, and not over a file', async (context) => {
  const folder = makeFolder(context)
  const first = await runBinary(['modules', '--eject', 'url_probe'], { cwd: folder })
  assert.deepEqual([first.code, first.stdout], [0, `${folder}/url_probe.ts\n`])
  assert.equal(readFileSync(join(folder, 'url_probe.ts'), 'utf8'), readFileSync(join(home, 'mod/url_probe.ts'), 'utf8'))
  const second = await runBinary(['modules', '--eject', 'url_probe'], { cwd: folder })
  assert.deepEqual(
    [second.code, second.stderr],
    [2, `deadpool: ${folder}/url_probe.ts exists already; move it away first, or change the folder\n`],
  )
})

test('deadpool modules --types prints the types of the module "deadpool"', async () => {
  const { code, stdout } = await runBinary(['modules', '--types'])
  assert.match(stdout, /declare module 'deadpool' \{/)
  assert.match(stdout, /defineProbe/)
  assert.equal(code, 0)
})

test('deadpool ends quietly when nobody reads its output to the end', async () => {
  const { spawnSync } = await import('node:child_process')
  const { stdout, stderr } = spawnSync('sh', ['-c', `"${BINARY}" modules --types | head -1`], { encoding: 'utf8' })
  assert.match(stdout, /^\S/)
  assert.equal(stderr, '')
})
