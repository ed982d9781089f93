import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type LoadedConfig, loadConfig, refuseMistakes, rulesOf } from '../../src/config/load.ts'
import type { ProbeConfig } from '../../src/config/probes.ts'
import { ConfigError } from '../../src/config/problem.ts'
import type { MinAlive } from '../../src/verdict/rules.ts'

const fixtures = join(import.meta.dirname, '../fixtures/config')
const folder = mkdtempSync(join(tmpdir(), 'deadpool-config-'))
after(() => rmSync(folder, { recursive: true }))

const MINIMAL = 'WEB: { access_token: abcdefgh }\nprobes: { a: { module: url_probe } }\n'

for (const file of readdirSync(fixtures).filter((name) => name.startsWith('bad-'))) {
  test(`loadConfig() refuses ${file} with the message in its leading comment`, () => {
    const path = join(fixtures, file)
    const expected = [...readFileSync(path, 'utf8').matchAll(/^# (.*)$/gm)].map(([, line]) => line)
    assert.ok(expected.length > 0)
    const lines = mistakesOf(path).map((line) => line.slice(line.indexOf(file)))
    assert.deepEqual(lines, expected)
  })
}

test('loadConfig() reads the block of the original text as it stands, and warns of its remark', () => {
  const { config, problems, format } = loadConfig(join(fixtures, 'seed-original.yml'))
  assert.deepEqual(
    format(problems).map((line) => line.slice(line.indexOf('seed-'))),
    ['seed-original.yml:3:13 Generic.log.type: "gelf" is taken; the remark "(покатолько gelf)" belongs behind a #'],
  )
  assert.deepEqual(config.log, [
    { type: 'gelf', server: 'localhost', port: 12201, level: 'debug', protocol: 'udp', compress: true },
  ])
  assert.equal(config.web.port, 9001)
  assert.equal(config.web.baseUrl, '/')
  assert.equal(config.web.name, 'TEST SERVER')
  assert.equal(config.web.tokens.length, 1)
  assert.equal(config.watchman.statusFolder, join(fixtures, 'probe'))
  assert.deepEqual(config.probes, [
    {
      name: 'elastic',
      path: ['probes', 'elastic'],
      module: 'url_probe',
      isEnabled: true,
      periodMs: 3000,
      fastPeriodMs: 3000,
      fall: 1,
      rise: 1,
      holdMs: 0,
      severity: 'critical',
      dependsOn: [],
      query: { url: 'http://localhost:9200/_cat/health', header: {}, query_type: 'get', timeout: 2 },
      criteria: {
        body: { type: 're_search', query: 'elasticsearch+ green+' },
        status: { type: 'status_in', query: [200] },
      },
    },
  ])
})

test('loadConfig() fills in the defaults', () => {
  const { config, problems } = load(MINIMAL)
  assert.deepEqual(problems, [])
  assert.deepEqual(config.log, [{ type: 'syslog', level: 'info', port: 514, protocol: 'udp', facility: 'daemon' }])
  assert.deepEqual(
    { ...config.web, name: '' },
    { port: 9001, host: '0.0.0.0', baseUrl: '/', tokens: ['abcdefgh'], name: '' },
  )
  assert.deepEqual(config.watchman, {
    statusFolder: join(folder, 'probe'),
    moduleFolder: undefined,
    staleAfterMs: 30_000,
    onStale: 'dead',
    clearOnStart: false,
  })
  assert.deepEqual(config.groups, [])
})

test('loadConfig() reads when outcomes change a state, and what a state counts', () => {
  const { config, problems } = load(`WEB: { access_token: abcdefgh }
WatchMan: { on_stale: last_known }
probes:
  network: { module: m, severity: shadow }
  a: { module: m, period: 10, fast_period: 500ms, fall: 3, rise: 2, hold: 1m, severity: warning, depends_on: network }
`)
  assert.deepEqual(problems, [])
  assert.equal(config.watchman.onStale, 'last_known')
  const {
    path: _,
    module: __,
    isEnabled: ___,
    query: ____,
    criteria: _____,
    ...rules
  } = config.probes[1] as ProbeConfig
  assert.deepEqual(rules, {
    name: 'a',
    periodMs: 10_000,
    fastPeriodMs: 500,
    fall: 3,
    rise: 2,
    holdMs: 60_000,
    severity: 'warning',
    dependsOn: ['network'],
  })
})

const shares: [text: string, expected: MinAlive][] = [
  ['2', { count: 2 }],
  ['50%', { percent: 50 }],
  ['"50%"', { percent: 50 }],
  ['33.3 %', { percent: 33.3 }],
  ['100%', { percent: 100 }],
  ['1%', { percent: 1 }],
]
for (const [text, expected] of shares) {
  test(`loadConfig() reads min_alive: ${text} as ${JSON.stringify(expected)}`, () => {
    const { config, problems } = load(
      `WEB: { access_token: abcdefgh }\nprobes: { a: { module: m }, b: { module: m } }\ngroups: { g: { members: [a, b], min_alive: ${text} } }\n`,
    )
    assert.deepEqual(problems, [])
    assert.deepEqual(config.groups[0]?.minAlive, expected)
  })
}

const doubtful = [
  {
    name: 'of a group without an enabled member',
    groups: 'g: { members: off }',
    expected: ['groups.g: has no enabled member; the group does not count'],
  },
  {
    name: 'of a group that needs more members than are enabled',
    groups: 'g: { members: [a, off], min_alive: 2 }',
    expected: ['groups.g.min_alive: only 1 of the members are enabled; all of them have to be alive'],
  },
  {
    name: 'of a severity that a group overrules',
    groups: 'g: { members: [a, w] }',
    expected: ['probes.w.severity: has no effect; "w" counts only through the group "g"'],
  },
]
for (const { name, groups, expected } of doubtful) {
  test(`loadConfig() warns ${name}`, () => {
    const { problems } = load(`WEB: { access_token: abcdefgh }
probes: { a: { module: m }, off: { module: m, isEnabled: False }, w: { module: m, severity: warning } }
groups: { ${groups} }
`)
    assert.deepEqual(
      problems.map(({ kind, path, message }) => `${kind} ${path.join('.')}: ${message}`),
      expected.map((line) => `warning ${line}`),
    )
  })
}

test('rulesOf() leaves out what is disabled, and groups without an enabled member', () => {
  const { config } = load(`WEB: { access_token: abcdefgh }
WatchMan: { on_stale: last_known }
probes:
  z: { module: m, depends_on: [off, g] }
  off: { module: m, isEnabled: False }
  a: { module: m, severity: warning }
groups:
  g: { members: [a, off], min_alive: 50% }
  gone: { members: off }
`)
  assert.deepEqual(rulesOf(config), {
    probes: [
      { name: 'z', severity: 'critical', dependsOn: ['off', 'g'] },
      { name: 'a', severity: 'warning', dependsOn: [] },
    ],
    groups: [{ name: 'g', severity: 'critical', minAlive: { percent: 50 }, members: ['a'] }],
    onStale: 'last_known',
  })
})

test('loadConfig() takes the probes of WatchMan as well as those at the top', () => {
  const { config, problems } = load('WEB: { access_token: abcdefgh }\nWatchMan: { probes: { a: { module: m } } }\n')
  assert.deepEqual(problems, [])
  assert.deepEqual(config.probes[0]?.path, ['WatchMan', 'probes', 'a'])
})

test('loadConfig() keeps the order of the file, for names that look like numbers too', () => {
  const names = ['zeta', '10', 'alpha', '2', 'constructor', 'toString']
  const { config } = load(
    `WEB: { access_token: abcdefgh }\nprobes:\n${names.map((name) => `  ${name}: { module: m }\n`).join('')}`,
  )
  assert.deepEqual(
    config.probes.map((probe) => probe.name),
    names,
  )
})

test('loadConfig() follows anchors, and merges with <<', () => {
  const { config } = load(`WEB: { access_token: abcdefgh }
probes:
  a: &base { module: url_probe, period: 7 }
  b: { <<: *base, isEnabled: False }
`)
  assert.deepEqual(
    config.probes.map(({ name, periodMs, isEnabled }) => [name, periodMs, isEnabled]),
    [
      ['a', 7000, true],
      ['b', 7000, false],
    ],
  )
})

test('loadConfig() lets thousands of probes share one anchor', () => {
  const probes = Array.from({ length: 3000 }, (_, index) => `  p${index}: { <<: *base }\n`).join('')
  const { config } = load(`WEB: { access_token: abcdefgh }\nprobes:\n  a: &base { module: url_probe }\n${probes}`)
  assert.equal(config.probes.length, 3001)
})

test('loadConfig() reads tokens from texts, the environment and files', () => {
  writeFileSync(join(folder, 'token'), 'from-file\n')
  const { config } = load(
    'WEB: { access_token: [in-clear, { env: DEADPOOL_TEST_TOKEN }, { file: token }] }\nprobes: { a: { module: m } }\n',
    {
      DEADPOOL_TEST_TOKEN: 'from-env',
    },
  )
  assert.deepEqual(config.web.tokens, ['in-clear', 'from-env', 'from-file'])
})

const baseUrls = { '/': '/', '/health': '/health', '/health/': '/health', health: '/health' }
for (const [given, expected] of Object.entries(baseUrls)) {
  test(`loadConfig() takes base_url "${given}" as ${expected}`, () => {
    assert.equal(
      load(`WEB: { access_token: abcdefgh, base_url: "${given}" }\nprobes: { a: { module: m } }\n`).config.web.baseUrl,
      expected,
    )
  })
}

test('loadConfig() warns when there are no probes', () => {
  const { problems } = load('WEB: { access_token: abcdefgh }\nprobes: {}\n')
  assert.deepEqual(
    problems.map(({ kind }) => kind),
    ['warning'],
  )
})

test('loadConfig() keeps of a probe with a mistake what its module can look at', () => {
  const { config, problems } = loadConfig(join(folder, 'x.yml'), {
    text: 'WEB: { access_token: abcdefgh }\nprobes: { a: { module: m, period: 0, query: { x: 1 } } }\n',
  })
  assert.equal(problems.length, 1)
  assert.deepEqual([config.probes[0]?.module, config.probes[0]?.query], ['m', { x: 1 }])
})

test('loadConfig() warns when no probe is enabled', () => {
  const { problems } = load('WEB: { access_token: abcdefgh }\nprobes: { a: { module: m, isEnabled: False } }\n')
  assert.deepEqual(
    problems.map(({ kind, message }) => `${kind}: ${message}`),
    ['warning: no probe is enabled: the answer will always be OK'],
  )
})

test('loadConfig() refuses a file of 50 MB unread', () => {
  const path = join(folder, 'large.yml')
  writeFileSync(path, MINIMAL)
  truncateSync(path, 50 * 1024 * 1024)
  assert.deepEqual(mistakesOf(path), [`${path}: the file has 50.0 MiB; a configuration of up to 16 MiB is read`])
})

const unreadable = [
  {
    name: 'latin-1',
    bytes: Buffer.from('WEB:\n  name: "caf\xe9"\n', 'latin1'),
    message: 'PATH:2: the file is not UTF-8; save it as UTF-8',
  },
  {
    name: 'UTF-16',
    bytes: Buffer.from(`\ufeff${MINIMAL}`, 'utf16le'),
    message: 'PATH:1: the file is UTF-16; save it as UTF-8',
  },
]
for (const { name, bytes, message } of unreadable) {
  test(`loadConfig() refuses a file in ${name}`, () => {
    const path = join(folder, 'bytes.yml')
    writeFileSync(path, bytes)
    assert.deepEqual(mistakesOf(path), [message.replace('PATH', path)])
  })
}

test('loadConfig() says why a file cannot be read', () => {
  assert.deepEqual(mistakesOf(join(folder, 'none.yml')), [`${folder}/none.yml: cannot be read: there is no such file`])
  assert.deepEqual(mistakesOf(folder), [`${folder}: cannot be read: it is a folder`])
})

test('loadConfig() accepts a byte order mark, CRLF and comments', () => {
  const { config } = load(`\ufeff# comment\r\n${MINIMAL.replaceAll('\n', '\r\n')}`)
  assert.equal(config.probes.length, 1)
})

test('loadConfig() quotes no secret in any mistake', () => {
  const secret = 'hunter2hunter2'
  const lines = [
    ...mistakesOfText(
      `WEB: { access_token: [${secret}, { tokn: ${secret} }], port: "http://u:${secret}@h/" }\nprobes: { a: { module: m, password: ${secret} } }\n`,
    ),
    ...mistakesOfText(`WEB: { access_token: "${secret} x" }\nprobes: 3\n`),
    ...mistakesOfText(`WEB: { access_token: *${secret} }\n`),
    ...mistakesOfText(`WEB: { access_token: "${secret}\n`),
    ...mistakesOfText(`WEB: { access_token: !${secret} x }\n`),
    ...mistakesOfText(`WEB: { access_token: @${secret} }\n`),
  ]
  assert.ok(lines.length >= 6, lines.join('\n'))
  assert.deepEqual(
    lines.filter((line) => line.includes(secret)),
    [],
  )
})

function load(text: string, env?: NodeJS.ProcessEnv): LoadedConfig {
  const path = join(folder, 'deadpool.yml')
  const loaded = loadConfig(path, { text: text.replace(/^\ufeff/, ''), ...(env ? { env } : {}) })
  refuseMistakes(loaded, loaded.problems)
  return loaded
}

function mistakesOf(path: string, text?: string): readonly string[] {
  try {
    const loaded = loadConfig(path, text === undefined ? {} : { text })
    refuseMistakes(loaded, loaded.problems)
  } catch (error) {
    if (error instanceof ConfigError) return error.lines
    throw error
  }
  return []
}

function mistakesOfText(text: string): readonly string[] {
  return mistakesOf(join(folder, 'text.yml'), text)
}

test('loadConfig() follows a chain of dependencies longer than the stack is deep', () => {
  const count = 10_000
  const probe = (index: number, last: string) =>
    `  p${index}: { module: url_probe, depends_on: ${index < count - 1 ? `p${index + 1}` : last} }`
  const write = (last: string) => {
    const lines = Array.from({ length: count }, (_, index) => probe(index, last))
    return `WEB: { access_token: abcdefgh }\nprobes:\n${lines.join('\n')}\n`
  }
  assert.deepEqual(loadConfig('/deadpool.yml', { text: write('[]') }).problems, [])
  const [circle] = loadConfig('/deadpool.yml', { text: write('p9997') }).problems
  assert.equal(circle?.message, 'goes in a circle: p9997 → p9998 → p9999 → p9997; leave one of them out')
})
