import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { bundleTypes } from '../../build/types.ts'

const home = join(import.meta.dirname, '../..')

// Each line that must be an error says so; tsc complains of one that is none.
const MODULE = `
import { get } from 'node:http'
import { connect, type LookupFunction } from 'node:net'
import { Dead, defineProbe, lookup, type Probe as AnyProbe, seconds, Unknown, z } from 'deadpool'

// What lookup is for must take it.
export const asNode: LookupFunction = lookup
get({ host: 'localhost', lookup })
connect({ host: 'localhost', port: 1, lookup })

export const Probe: AnyProbe = defineProbe({
  summary: 'asks a door whether it is open',
  query: z.strictObject({ url: z.url(), timeout: seconds().default(5), knocks: z.int().positive().optional() }),
  facts: { open: 'whether it is open', time_ms: 'whole check, ms' },
  criteria: { open: { type: 're_search', query: 'true' }, time_ms: [{ type: 're_search', query: '^[0-9]+$' }] },
  async probe(query, { signal, log }) {
    const url: string = query.url
    const timeout: number = query.timeout
    const knocks: number | undefined = query.knocks
    // @ts-expect-error a text is no number
    const wrong: number = query.url
    // @ts-expect-error the schema has no such key
    query.uri
    // @ts-expect-error a log takes texts
    log.warn(1)
    log.debug(\`\${url} \${timeout} \${knocks} \${wrong}\`)
    if (signal.aborted) throw new Dead('closed', { cause: signal.reason })
    if (typeof lookup !== 'function') throw new Unknown('no resolver')
    return { open: true, time_ms: 3 }
  },
})

const query = z.strictObject({ url: z.url() })
const facts = { open: 'whether it is open' }

// @ts-expect-error criteria may name only facts of the module
defineProbe({ summary: 's', query, facts, criteria: { opened: { type: 're_search', query: '' } }, probe: () => ({}) })
// @ts-expect-error so may what a check returns
defineProbe({ summary: 's', query, facts, probe: () => ({ opened: true }) })
// @ts-expect-error a check that takes its time as well
defineProbe({ summary: 's', query, facts, probe: async () => ({ opened: true }) })
// @ts-expect-error a query is a schema
defineProbe({ summary: 's', query: { url: 'text' }, facts, probe: () => ({}) })

export const schema: z.ZodType<{ a: string; b: 'x' | 'y'; c: number[] }> = z.object({
  a: z.string().trim().min(1),
  b: z.enum(['x', 'y']),
  c: z.array(z.coerce.number()),
})
export type Read = z.infer<typeof query>
export const read: Read = { url: '' }
`

const folder = mkdtempSync(join(tmpdir(), 'deadpool-types-test-'))
let types = ''

before(async () => {
  types = await bundleTypes()
  writeFileSync(join(folder, 'deadpool.d.ts'), types)
})

after(() => rmSync(folder, { recursive: true }))

test('bundleTypes() is all that a module needs beside the types of Node', () => {
  writeFileSync(join(folder, 'module.ts'), MODULE)
  const args = ['--lib', 'es2024', '--typeRoots', join(home, 'node_modules/@types'), '--types', 'node']
  const rules = ['--noEmit', '--strict', '--skipLibCheck', 'false', '--target', 'es2024', '--module', 'nodenext']
  const tsc = join(home, 'node_modules/typescript/bin/tsc')
  const options = { cwd: folder, encoding: 'utf8' } as const
  const { status, stdout } = spawnSync(
    process.execPath,
    [tsc, ...rules, ...args, 'module.ts', 'deadpool.d.ts'],
    options,
  )
  assert.equal(stdout, '')
  assert.equal(status, 0)
})

test('bundleTypes() keeps the words of the contract and the licence of Zod', () => {
  assert.match(types, /^declare module 'deadpool' \{$/m)
  assert.match(types, /Makes one check and returns what it observed, without judging it/)
  assert.ok(types.includes(readFileSync(join(home, 'node_modules/zod/LICENSE'), 'utf8').trim()))
})

test('bundleTypes() leads to nothing outside of itself', () => {
  const declared = new Set([...types.matchAll(/^declare module '([^']+)'/gm)].map(([, name]) => name))
  const named = [...types.matchAll(/^ {2}(?:import|export)\b[^;'"]*? from ['"]([^'"]+)/gm)].map(([, name]) => name)
  assert.ok(named.length > 100)
  for (const name of named) assert.ok(declared.has(name) || name?.startsWith('node:'), name)
  assert.ok(!types.includes(home) && !types.includes(tmpdir()))
})

test('bundleTypes() gives the same bytes each time', async () => {
  assert.equal(await bundleTypes(), types)
})
