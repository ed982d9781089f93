import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { carried } from '#carried'
import { createRedactor } from '../../src/config/secrets.ts'
import { type Catalog, createCatalog } from '../../src/modules/catalog.ts'
import { Dead, Unknown } from '../../src/modules/errors.ts'
import { ModuleError } from '../../src/modules/module.ts'
import { runCheck } from '../../src/watchman/check.ts'

const folder = join(import.meta.dirname, '../fixtures/modules')
const silent = { debug() {}, info() {}, warn() {}, error() {} }
const QUIET = { log: silent, stalls: { between: () => 0 } }
const never = new AbortController().signal

async function withCatalog<T>(use: (catalog: Catalog) => Promise<T>, at = folder): Promise<T> {
  const catalog = createCatalog({ folder: at, carried, log: silent })
  try {
    return await use(catalog)
  } finally {
    await catalog.close()
  }
}

const broken = [
  { name: 'no-probe', reason: 'it exports no "Probe"; write: export const Probe = defineProbe({ … })' },
  { name: 'not-defined', reason: 'its "Probe" was not made by defineProbe({ … })' },
  {
    name: 'incomplete',
    reason: 'TypeError: defineProbe(): "query" is missing; give a schema such as z.strictObject({ … })',
  },
  { name: 'throws', reason: 'no licence found' },
  { name: 'missing-import', reason: "Cannot find package 'no-such-library'" },
  { name: 'loops-at-load', reason: 'it did not finish loading within 5 s' },
]
for (const { name, reason } of broken) {
  test(`createCatalog() says why module ${name} does not load`, () =>
    withCatalog((catalog) => assert.rejects(catalog.open(name), new ModuleError(reason))))
}

test('createCatalog() says that a module has a syntax error', () =>
  withCatalog((catalog) => assert.rejects(catalog.open('syntax'), /^ModuleError: SyntaxError: /)))

const loadable = [
  { name: 'good', query: { mood: 'fine' }, facts: { mood: 'fine', thread: true } },
  { name: 'plain', query: {}, facts: { ky: 'function', word: 'shared' } },
  { name: 'typed', query: {}, facts: { word: 'mts' } },
  { name: 'common', query: {}, facts: { word: 'js' } },
]
for (const { name, query, facts } of loadable) {
  test(`createCatalog() runs module ${name} in a thread`, () =>
    withCatalog(async (catalog) => {
      const prepared = await (await catalog.open(name)).prepare(query)
      assert.deepEqual(prepared.problems, [])
      assert.deepEqual(await prepared.observe(never, silent), facts)
    }))
}

test('createCatalog() ends the thread of a module that never finishes validating a query', (context) => {
  const own = mkdtempSync(join(tmpdir(), 'deadpool-catalog-'))
  context.after(() => rmSync(own, { recursive: true }))
  const source = `import { defineProbe, z } from 'deadpool'
export const Probe = defineProbe({ summary: 's', query: z.any().transform(() => { for (;;); }), facts: { a: 'a' }, async probe() {} })`
  writeFileSync(join(own, 'spins.mjs'), source)
  return withCatalog(async (catalog) => {
    const module = await catalog.open('spins')
    await assert.rejects(module.prepare({}), {
      message: 'module "spins" stopped: it did not validate a query within 10 s',
    })
  }, own)
})

test('createCatalog() does not let a module that fails at one query lose the others', (context) => {
  const own = mkdtempSync(join(tmpdir(), 'deadpool-catalog-'))
  context.after(() => rmSync(own, { recursive: true }))
  const source = `import { defineProbe, z } from 'deadpool'
export const Probe = defineProbe({
  summary: 's',
  query: z.strictObject({ names: z.any() }),
  facts: { a: 'a' },
  factsOf: ({ names }) => Object.fromEntries(names.map((name) => [name, 'named'])),
  async probe() { return { a: 1 } },
})`
  writeFileSync(join(own, 'names.mjs'), source)
  return withCatalog(async (catalog) => {
    const module = await catalog.open('names')
    const { observe } = await module.prepare({ names: [] })
    const reason = 'it failed at the query: TypeError: names.map is not a function'
    await assert.rejects(module.prepare({ names: 'one' }), new ModuleError(reason))
    assert.deepEqual(await observe(never, silent), { a: 1 })
  }, own)
})

test('createCatalog() loads two modules at a time: many at once would be too slow for their time limit', (context) => {
  const own = mkdtempSync(join(tmpdir(), 'deadpool-catalog-'))
  context.after(() => rmSync(own, { recursive: true }))
  const source = `import { appendFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { defineProbe, z } from 'deadpool'
const note = (text) => appendFileSync('${own}/notes', text)
note('(')
await setTimeout(100)
note(')')
export const Probe = defineProbe({ summary: 's', query: z.any(), facts: { a: 'a' }, async probe() {} })`
  const names = ['a', 'b', 'c', 'd', 'e']
  for (const name of names) writeFileSync(join(own, `${name}.mjs`), source)
  return withCatalog(async (catalog) => {
    await Promise.all(names.map((name) => catalog.open(name)))
    const notes = readFileSync(join(own, 'notes'), 'utf8')
    assert.equal(notes.length, 2 * names.length)
    assert.doesNotMatch(notes, /\(\(\(/)
  }, own)
})

test('createCatalog() ends the threads of modules that are no longer used', () =>
  withCatalog(async (catalog) => {
    const [used, left] = [await catalog.open('good'), await catalog.open('plain')]
    catalog.refresh(new Set(['good']))
    // Its thread could still answer until it is told to end.
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(await catalog.open('good'), used)
    await assert.rejects(left.prepare({}), Unknown)
    assert.notEqual(await catalog.open('plain'), left)
  }))

test('createCatalog() lets a module in a thread describe itself and refuse a query', () =>
  withCatalog(async (catalog) => {
    const module = await catalog.open('good')
    assert.equal(module.description.summary, 'Answers as its query says')
    assert.deepEqual(Object.keys(module.description.facts), ['mood', 'thread'])
    const { problems } = await module.prepare({ mod: 'fine', mood: 'fin', timeout: 0 })
    assert.deepEqual(problems.map(({ path, message }) => `${path.join('.')}: ${message}`).sort(), [
      'mod: is not a known key; did you mean "mood"?',
      'mood: "fin" is not one of fine, dead, unknown, bug, slow; did you mean "fine"?',
      'timeout: 0 is out of range; 1 ms to 10 min is allowed',
    ])
    assert.equal((await module.prepare({ mood: 'fine', timeout: '250ms' })).timeoutMs, 250)
  }))

test('createCatalog() keeps the kinds of errors across threads', () =>
  withCatalog(async (catalog) => {
    const module = await catalog.open('good')
    const observe = async (mood: string) => (await module.prepare({ mood })).observe(never, silent)
    await assert.rejects(observe('dead'), new Dead('it said so'))
    await assert.rejects(observe('unknown'), new Unknown('cannot ask'))
    await assert.rejects(observe('bug'), { name: 'TypeError' })
  }))

test('createCatalog() lets a fact that could not be asked for leave the others to be judged, across threads', () =>
  withCatalog(async (catalog) => {
    const { observe, timeoutMs } = await (await catalog.open('half')).prepare({})
    const judge = (value: unknown) => (value === 'fine' ? undefined : 'is bad')
    const outcomeOf = async (...names: string[]) => {
      const criteria = names.map((fact) => ({ fact, judge }))
      return (await runCheck({ observe, timeoutMs, criteria }, QUIET)).outcome
    }
    assert.deepEqual(await outcomeOf('word'), { kind: 'alive' })
    assert.deepEqual(await outcomeOf('word', 'clock'), { kind: 'unknown', reason: 'no time server answers' })
  }))

test('createCatalog() passes on what a module in a thread logs', () =>
  withCatalog(async (catalog) => {
    const lines: string[] = []
    const { observe } = await (await catalog.open('good')).prepare({ mood: 'fine' })
    await observe(never, { ...silent, info: (line) => lines.push(line) })
    assert.deepEqual(lines, ['the mood is fine'])
  }))

test('createCatalog() aborts a slow check in a thread', () =>
  withCatalog(async (catalog) => {
    const { observe, timeoutMs } = await (await catalog.open('good')).prepare({ mood: 'slow', timeout: 0.05 })
    const { outcome, settled } = await runCheck({ observe, timeoutMs, criteria: [] }, QUIET)
    assert.deepEqual(outcome, { kind: 'dead', reason: 'timed out after 50 ms', cause: 'timeout' })
    await settled
  }))

test('createCatalog() ends and restarts the thread of a module that loops for ever', () =>
  withCatalog(async (catalog) => {
    const module = await catalog.open('blocks')
    const [looping, well] = [await module.prepare({ loop: true }), await module.prepare({ loop: false })]
    const { outcome, settled } = await runCheck({ ...looping, criteria: [] }, QUIET)
    assert.deepEqual(outcome, { kind: 'dead', reason: 'timed out after 300 ms', cause: 'timeout' })
    await settled
    // It is not started again at once, and then works as if nothing had been.
    await assert.rejects(well.observe(never, silent), Unknown)
    await new Promise((resolve) => setTimeout(resolve, 1100))
    assert.deepEqual(await well.observe(never, silent), { done: true })
  }))

for (const name of ['crashes', 'deaf']) {
  test(`createCatalog() gets over a module that ${name === 'deaf' ? 'ignores its signal' : 'crashes its thread'}`, () =>
    withCatalog(async (catalog) => {
      const query = await (await catalog.open(name)).prepare({})
      const { outcome, settled } = await runCheck({ ...query, criteria: [] }, QUIET)
      const expected =
        name === 'deaf'
          ? { kind: 'dead', reason: 'timed out after 100 ms', cause: 'timeout' }
          : { kind: 'unknown', reason: 'module "crashes" stopped: it crashed: thrown from a timer' }
      assert.deepEqual(outcome, expected)
      await settled
    }))
}

/** A module that ends its thread, or is slow to load, while a file is there. */
const FRAIL = `import { existsSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { defineProbe, secret, z } from 'deadpool'
if (existsSync('FOLDER/slow')) await setTimeout(1000)
export const Probe = defineProbe({
  summary: 's',
  query: z.strictObject({ password: secret() }),
  facts: { done: 'd' },
  async probe() {
    if (existsSync('FOLDER/crash')) process.exit(1)
    return { done: true }
  },
})`

/** A prepared query of it whose thread has just ended, and may be started again. */
async function crash(context: TestContext, catalog: Catalog, own: string) {
  context.after(() => rmSync(own, { recursive: true }))
  writeFileSync(join(own, 'frail.mjs'), FRAIL.replaceAll('FOLDER', own))
  writeFileSync(join(own, 'password'), 'open sesame')
  const query = await (await catalog.open('frail')).prepare({ password: { file: join(own, 'password') } })
  writeFileSync(join(own, 'crash'), '')
  await assert.rejects(query.observe(never, silent), Unknown)
  rmSync(join(own, 'crash'))
  await new Promise((resolve) => setTimeout(resolve, 1100))
  return query
}

test('createCatalog() tells what a module that was started again has against its query, and tries again', (context) => {
  const own = mkdtempSync(join(tmpdir(), 'deadpool-catalog-'))
  return withCatalog(async (catalog) => {
    const { observe } = await crash(context, catalog, own)
    const password = join(own, 'password')
    rmSync(password)
    const reason = `module "frail" does not take its query any more: password: {file: "${password}"} cannot be used: ${password} cannot be read: there is no such file`
    await assert.rejects(observe(never, silent), new Unknown(reason))
    writeFileSync(password, 'open sesame')
    assert.deepEqual(await observe(never, silent), { done: true })
  }, own)
})

test('createCatalog() does not blame the target while the thread of a module is started again', (context) => {
  const own = mkdtempSync(join(tmpdir(), 'deadpool-catalog-'))
  return withCatalog(async (catalog) => {
    const { observe } = await crash(context, catalog, own)
    writeFileSync(join(own, 'slow'), '')
    const checkOnce = () => runCheck({ observe, timeoutMs: 300, criteria: [] }, QUIET)
    const { outcome, settled } = await checkOnce()
    assert.deepEqual(outcome, { kind: 'unknown', reason: 'module "frail" was still being started after 300 ms' })
    await settled
    assert.deepEqual((await checkOnce()).outcome, { kind: 'alive' })
  }, own)
})

test('createCatalog() does not let a blocked module hold up another', () =>
  withCatalog(async (catalog) => {
    const blocked = await (await catalog.open('blocks')).prepare({ loop: true })
    const good = await (await catalog.open('good')).prepare({ mood: 'fine' })
    const running = runCheck({ ...blocked, criteria: [] }, QUIET)
    assert.deepEqual((await runCheck({ ...good, criteria: [] }, QUIET)).outcome, { kind: 'alive' })
    await (await running).settled
  }))

const copies = mkdtempSync(join(tmpdir(), 'deadpool-mod-'))
after(() => rmSync(copies, { recursive: true }))

test('createCatalog() takes an unchanged copy of a stock module for the stock module, and a changed one for its own', () =>
  withCatalog(async (catalog) => {
    assert.deepEqual(catalog.find('url_probe'), { kind: 'stock' })
    cpSync(join(carried.home, 'mod/url_probe.ts'), join(copies, 'url_probe.ts'))
    assert.deepEqual(catalog.find('url_probe'), { kind: 'file', path: join(copies, 'url_probe.ts'), isStock: true })
    writeFileSync(join(copies, 'url_probe.ts'), `${carried.stock('url_probe')?.source}\n// changed\n`)
    assert.deepEqual(catalog.find('url_probe'), { kind: 'file', path: join(copies, 'url_probe.ts'), isStock: false })
    const { observe } = await (await catalog.open('url_probe')).prepare({ url: 'http://127.0.0.1:1/' })
    await assert.rejects(observe(never, silent), Dead)
  }, copies))

test('createCatalog() loads every stock module that was changed, with the libraries that it imports', (context) => {
  const own = mkdtempSync(join(tmpdir(), 'deadpool-catalog-'))
  context.after(() => rmSync(own, { recursive: true }))
  const names = carried.stockNames()
  for (const name of names) writeFileSync(join(own, `${name}.ts`), `${carried.stock(name)?.source}\n// changed\n`)
  return withCatalog(async (catalog) => {
    const opened = await Promise.allSettled(names.map((name) => catalog.open(name)))
    const faults = opened.map((each, index) => each.status === 'rejected' && `${names[index]}: ${each.reason.message}`)
    assert.deepEqual(faults.filter(Boolean), [])
  }, own)
})

test('createCatalog() lists modules without types and tests, and looks for .ts before .js', () =>
  withCatalog(async (catalog) => {
    for (const file of ['two.js', 'two.ts', 'deadpool.d.ts', 'two.test.ts', 'README.md'])
      writeFileSync(join(copies, file), '')
    assert.deepEqual(catalog.names(), [...new Set(['two', ...carried.stockNames()])].sort())
    assert.deepEqual(catalog.find('two'), { kind: 'file', path: join(copies, 'two.ts'), isStock: false })
    assert.equal(catalog.find('none'), undefined)
  }, copies))

for (const type of ['commonjs', 'module', undefined]) {
  test(`createCatalog() takes .ts and .js for modules, with "type": ${type} in a package.json beside them`, () =>
    withCatalog(async (catalog) => {
      writeFileSync(join(copies, 'package.json'), JSON.stringify({ type }))
      for (const name of ['good.ts', 'common.js']) cpSync(join(folder, name), join(copies, name))
      for (const name of ['good', 'common']) await catalog.open(name)
      rmSync(join(copies, 'package.json'))
    }, copies))
}

test('createCatalog() tells the facts of a query, keeps what a check leaves and closes it in the end, in a thread too', () =>
  withCatalog(async (catalog) => {
    const module = await catalog.open('counts')
    assert.deepEqual(module.description.query[0], {
      key: 'count',
      takes: 'text',
      isRequired: true,
      default: undefined,
      about: 'the name of the count',
    })
    assert.equal(module.description.factsVary, true)
    const file = join(copies, 'closed')
    const [one, other] = [
      await module.prepare({ count: 'ones', file }),
      await module.prepare({ count: 'others', file }),
    ]
    assert.deepEqual(one.facts, { ones: { about: 'checks so far', type: 'number' } })
    await one.observe(never, silent)
    assert.deepEqual(await one.observe(never, silent), { ones: 2, password: undefined })
    assert.deepEqual(await other.observe(never, silent), { others: 1, password: undefined })
    one.close()
    assert.deepEqual(await other.observe(never, silent), { others: 2, password: undefined })
    assert.equal(readFileSync(file, 'utf8'), 'closed after 2\n')
  }))

test('a secret that a module in a thread reads is hidden from then on', () =>
  withCatalog(async (catalog) => {
    const password = join(copies, 'password')
    const redact = createRedactor([])
    writeFileSync(password, 'thread-secret')
    const { observe } = await (await catalog.open('counts')).prepare({
      count: 'a',
      file: '',
      password: { file: password },
    })
    assert.equal(redact('thread-secret'), '***')
    writeFileSync(password, 'renewed-secret')
    assert.deepEqual(await observe(never, silent), { a: 1, password: 'renewed-secret' })
    assert.equal(redact('not renewed-secret'), 'not ***')
  }))
