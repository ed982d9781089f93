import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { simulate } from '../../src/cli/simulate.ts'
import { loadConfig } from '../../src/config/load.ts'
import { makeFolder } from './notes.ts'

const CONFIG = `WEB: { access_token: { env: DEADPOOL_TEST_NOT_SET }, name: dc1 }
WatchMan: { stale_after: 60 }
probes:
  db: { module: url_probe }
  site: { module: url_probe, depends_on: db }
  dns: { module: url_probe, severity: warning }
  kafka-1: { module: url_probe }
  kafka-2: { module: url_probe }
  off: { module: url_probe, isEnabled: False }
groups:
  kafka: { members: [kafka-1, kafka-2] }
`

function load(context: TestContext, text = CONFIG) {
  const file = join(makeFolder(context), 'deadpool.yml')
  writeFileSync(file, text)
  return loadConfig(file, { env: {} })
}

const answers = [
  { name: 'a probe', dead: ['db'], out: '503\nDEAD db\ndc1\ndb: simulated (since T)\n', code: 1 },
  {
    name: 'a consequence',
    dead: ['site', 'db'],
    out: '503\nDEAD db, site\ndc1\ndb: simulated (since T)\nsite: simulated (because of db) (since T)\n',
    code: 1,
  },
  {
    name: 'a probe that only warns',
    dead: ['dns'],
    out: '200\nOK\ndc1\nwarning: dns is dead: simulated (since T)\n',
    code: 0,
  },
  { name: 'one member of a group', dead: ['kafka-1'], out: '200\nOK\ndc1\n', code: 0 },
  {
    name: 'all members of a group',
    dead: ['kafka-1', 'kafka-2'],
    out: '503\nDEAD kafka\ndc1\nkafka: 0 of 2 alive, 1 needed (kafka-1: simulated; kafka-2: simulated) (since T)\n',
    code: 1,
  },
  {
    name: 'a probe that cannot be checked',
    unknown: ['db'],
    out: `200
OK
dc1
warning: db cannot be checked since T: simulated; its last state counts

after 1 min (stale_after) without a check:
503
DEAD db
dc1
db: cannot check: simulated (since T)
`,
    code: 0,
  },
]
for (const { name, dead = [], unknown = [], out, code } of answers) {
  test(`simulate() tells the answer for ${name}`, (context) => {
    const told = simulate(load(context), { dead, unknown }, { json: false })
    assert.deepEqual({ ...told, out: told.out.replace(/\d{4}-[\d-]+T[\d:.]+Z/g, 'T') }, { out, code })
  })
}

test('simulate() as JSON tells both answers', (context) => {
  const { out, code } = simulate(load(context), { dead: ['dns'], unknown: ['db'] }, { json: true })
  const { now, after_stale: later } = JSON.parse(out)
  assert.deepEqual([now.code, now.status, later.code, later.dead[0].probe, code], [200, 'OK', 503, 'db', 0])
  assert.equal(JSON.parse(simulate(load(context), { dead: ['db'], unknown: [] }, { json: true }).out).after_stale, null)
})

const refused = [
  { dead: ['kafak-1'], message: '"kafak-1" is not the name of a probe; did you mean "kafka-1"?' },
  { dead: ['zz'], message: '"zz" is not the name of a probe; there are db, site, dns, kafka-1, kafka-2, off' },
  { dead: ['kafka'], message: '"kafka" is a group; name its members instead: kafka-1, kafka-2' },
  { unknown: ['off'], message: '"off" is disabled: its state does not count' },
  { dead: ['db'], unknown: ['db'], message: '"db" is given as dead and as unknown; choose one' },
]
for (const { dead = [], unknown = [], message } of refused) {
  test(`simulate() refuses: ${message}`, (context) => {
    assert.throws(() => simulate(load(context), { dead, unknown }, { json: false }), { name: 'UsageError', message })
  })
}

test('simulate() refuses a configuration whose rules have a mistake', (context) => {
  const loaded = load(context, CONFIG.replace('severity: warning', 'severity: waring'))
  assert.throws(() => simulate(loaded, { dead: ['db'], unknown: [] }, { json: false }), {
    name: 'ConfigError',
    message: /probes\.dns\.severity: .*did you mean "warning"\?/,
  })
})
