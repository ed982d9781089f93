import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import * as http from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { carried } from '#carried'
import { check } from '../../src/cli/check.ts'
import { loadConfig } from '../../src/config/load.ts'
import { makeFolder } from './notes.ts'

const MODULE = `import { defineProbe, Unknown, z } from 'deadpool'
export const Probe = defineProbe({
  summary: 's',
  query: z.strictObject({ password: z.string() }),
  facts: { mood: 'm' },
  async probe({ password }, { log }) {
    log.info(\`it is \${password}\`)
    throw new Unknown('nobody knows')
  },
})`

/** A component that answers with its path, and a configuration of four probes. */
async function setUp(context: TestContext) {
  const server = http.createServer((request, response) => response.end(request.url)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const folder = makeFolder(context)
  mkdirSync(join(folder, 'mod'))
  writeFileSync(join(folder, 'mod/doubt.mjs'), MODULE)
  const file = join(folder, 'deadpool.yml')
  writeFileSync(
    file,
    `WEB: { access_token: { env: DEADPOOL_TEST_NOT_SET }, name: dc1 }
WatchMan: { module_folder: mod }
probes:
  well: { module: url_probe, query: { url: '${url}/fine' } }
  ill: { module: url_probe, query: { url: '${url}/poor' }, success_criteria: { body: { type: re_search, query: fine } } }
  doubt: { module: doubt, isEnabled: False, query: { password: sesame }, success_criteria: { mood: { type: equals, query: 1 } } }
  wrong: { module: url_probe, isEnabled: False, query: { url: 5 } }
`,
  )
  const lines: string[] = []
  const run = (names: string[], json = false) =>
    check(loadConfig(file, { env: {} }), names, { carried, json, onLog: (line) => lines.push(line) })
  return { run, lines, url, folder }
}

const clean = (text: string) => text.replace(/\d+ ms( {2,})?/g, (_, gap) => (gap ? 'N ms  ' : 'N ms'))

test('check() makes one check of each enabled probe', async (context) => {
  const { run } = await setUp(context)
  const { out, code } = await run([])
  assert.equal(clean(out), 'well  alive  N ms\nill   dead   N ms  body: no match for "fine" in "/poor"\n')
  assert.equal(code, 1)
})

test('check() shows the facts of a probe that is named', async (context) => {
  const { run } = await setUp(context)
  const { out, code } = await run(['well'])
  assert.match(out, /^well is alive\n {2}checked by url_probe in \d+ ms\n/)
  assert.match(out, /^ {2}status +200$/m)
  assert.match(out, /^ {2}body +"\/fine"$/m)
  assert.equal(code, 0)
})

test('check() takes a disabled probe that is named, and tells what cannot be told; no secret shows', async (context) => {
  const { run, lines } = await setUp(context)
  const { out, code } = await run(['doubt'])
  assert.match(out, /^doubt is unknown: nobody knows\n/)
  assert.equal(code, 2)
  assert.deepEqual(lines, ['info doubt: it is ***'])
})

test('check() shows no secret of a module that crashes', async (context) => {
  const { run, lines, folder } = await setUp(context)
  const thrown = "setTimeout(() => { throw new Error('lost ' + password) }, 100); await new Promise(() => {})"
  writeFileSync(join(folder, 'mod/doubt.mjs'), MODULE.replace("throw new Unknown('nobody knows')", thrown))
  const { out } = await run(['doubt'])
  assert.match(out, /^doubt is unknown: module "doubt" stopped: it crashed: lost \*{3}\n/)
  assert.deepEqual(lines, ['info doubt: it is ***', 'error module "doubt" stopped: it crashed: lost ***'])
})

test('check() gives the same as JSON', async (context) => {
  const { run } = await setUp(context)
  const { out } = await run(['ill', 'well'], true)
  const [ill, well] = JSON.parse(out)
  const { took_ms, facts, ...rest } = ill
  assert.deepEqual(rest, {
    probe: 'ill',
    module: 'url_probe',
    outcome: 'dead',
    reason: 'body: no match for "fine" in "/poor"',
  })
  assert.equal(facts.body, '/poor')
  assert.equal(typeof took_ms, 'number')
  assert.equal(well.outcome, 'alive')
})

/** A module with facts that JSON cannot hold, and one that has a secret in it. */
const ODD = `import { defineProbe, z } from 'deadpool'
export const Probe = defineProbe({
  summary: 's',
  query: z.strictObject({ password: z.string() }),
  facts: { circle: 'c', large: 'l', said: 's', mood: 'm' },
  criteria: { said: { type: 'equals', query: 'nothing' } },
  async probe({ password }) {
    const circle = {}
    circle.itself = circle
    return { circle, large: 10n, said: JSON.stringify({ password }), mood: 'fine' }
  },
})`

test('check() writes odd facts as JSON, without a secret that is escaped in it', async (context) => {
  const folder = makeFolder(context)
  mkdirSync(join(folder, 'mod'))
  writeFileSync(join(folder, 'mod/odd.mjs'), ODD)
  const file = join(folder, 'deadpool.yml')
  writeFileSync(
    file,
    `WEB: { access_token: abcdefgh, name: dc1 }
WatchMan: { module_folder: mod }
probes: { odd: { module: odd, query: { password: 'ses"a\\me' } } }
`,
  )
  const { out } = await check(loadConfig(file, { env: {} }), [], { carried, json: true, onLog: () => {} })
  const [{ reason, facts }] = JSON.parse(out)
  assert.equal(reason, `said: "{"password":"***"}" is not "nothing"`)
  assert.deepEqual(facts, { circle: '[object Object]', large: '10', said: '{"password":"***"}', mood: 'fine' })
})

test('check() refuses a name that no probe has, and mistakes of the probes it is to check', async (context) => {
  const { run } = await setUp(context)
  await assert.rejects(run(['wel']), {
    name: 'UsageError',
    message: '"wel" is not the name of a probe; did you mean "well"?',
  })
  await assert.rejects(run(['wrong']), (error: { lines: string[] }) =>
    /probes\.wrong\.query\.url: 5 is not a text$/.test(error.lines.join()),
  )
})

test('check() leaves out a fact that could not be asked for', async (context) => {
  const folder = makeFolder(context)
  const file = join(folder, 'deadpool.yml')
  const query = "{ ntp_server: '127.0.0.1', ntp_port: 1 }"
  const criteria = '{ clock_offset_ms: { type: lt, query: 5 } }'
  writeFileSync(
    file,
    `WEB: { access_token: abcdefgh, name: dc1 }
probes: { clock: { module: host_probe, query: ${query}, success_criteria: ${criteria} } }
`,
  )
  const run = (json: boolean) => check(loadConfig(file, { env: {} }), ['clock'], { carried, json, onLog: () => {} })
  const { out, code } = await run(false)
  assert.match(out, /^clock is unknown: the time server 127\.0\.0\.1:1 cannot be asked \(ECONNREFUSED\)\n/)
  assert.match(out, /\n {2}uptime_s +\d+\n/)
  assert.doesNotMatch(out, /clock_offset_ms/)
  assert.equal(code, 2)
  const [{ facts }] = JSON.parse((await run(true)).out)
  assert.equal(typeof facts.uptime_s, 'number')
})
