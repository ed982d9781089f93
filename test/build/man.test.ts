import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { carried } from '#carried'
import { writeCommandPage, writeConfigPage } from '../../build/man.ts'
import { COMMANDS, OPTIONS } from '../../src/cli/usage.ts'
import {
  genericSchema,
  groupSchema,
  probeSchema,
  topSchema,
  watchmanSchema,
  webSchema,
} from '../../src/config/schema.ts'
import { listCriterionTypes } from '../../src/criteria/criterion.ts'
import { logTarget } from '../../src/log/target.ts'
import { listQueryKeys } from '../../src/modules/query-keys.ts'
import { tlsMapping } from '../../src/modules/tls.ts'
import { skip } from '../e2e/binary.ts'

const folder = mkdtempSync(join(tmpdir(), 'deadpool-man-'))
after(() => rmSync(folder, { recursive: true }))
const edition = { version: '1.2.3', date: '2026-11-25' }
const pages = [
  { name: 'deadpool.1', text: writeCommandPage(edition) },
  { name: 'deadpool.yml.5', text: await writeConfigPage(edition) },
]
for (const { name, text } of pages) {
  const file = join(folder, name)
  writeFileSync(file, text)

  test(`${name} has no fault that mandoc finds`, (context) => {
    const found = lint(context, 'mandoc', ['-T', 'lint', '-W', 'style', file])
    if (found !== undefined) assert.equal(found, '')
  })

  test(`${name} has no fault that groff finds`, (context) => {
    const found = lint(context, 'groff', ['-man', '-ww', '-z', '-K', 'utf8', '-T', 'utf8', file])
    if (found !== undefined) assert.equal(found, '')
  })
}

test('deadpool(1) has every command and every option', (context) => {
  const page = render(context, 'deadpool.1')
  if (page === undefined) return
  for (const { forms } of Object.values(COMMANDS)) {
    for (const [form, does] of forms) {
      assert.ok(page.includes(squeeze(`deadpool ${form}`)), form)
      assert.ok(page.includes(squeeze(does)), does)
    }
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2']) assert.ok(page.includes(signal), signal)
  for (const name of Object.keys(OPTIONS)) assert.ok(page.includes(`--${name}`), name)
})

test('deadpool.yml(5) has every key of the configuration, and every stock module with its facts', async (context) => {
  const page = render(context, 'deadpool.yml.5')
  if (page === undefined) return
  const schemas = [topSchema, genericSchema, webSchema, watchmanSchema, probeSchema, groupSchema, ...logTarget.options]
  const keys = schemas.flatMap(listQueryKeys)
  assert.deepEqual(
    keys.filter(({ about }) => about === '').map(({ key }) => key),
    [],
  )
  for (const { key, takes } of keys) assert.ok(page.includes(squeeze(`${key} (${takes}`)), `${key} (${takes}`)
  for (const { key } of listQueryKeys(tlsMapping())) assert.ok(page.includes(`${key} (`), key)
  for (const { name, summary } of listCriterionTypes()) assert.ok(page.includes(`${name} ${summary}`), name)
  for (const name of carried.stockNames()) {
    const { Probe } = (await carried.stock(name)?.load()) ?? {}
    assert.ok(Probe, name)
    for (const fact of Object.keys(Probe.facts)) assert.ok(page.includes(`${fact} (`), `${name}: ${fact}`)
  }
})

test('durations are told in seconds, as they are written', (context) => {
  const page = render(context, 'deadpool.yml.5')
  if (page === undefined) return
  assert.ok(page.includes('period (duration, default 3)'))
  assert.ok(page.includes('stale_after (duration, default 30)'))
  assert.ok(page.includes('min_alive (number or percentage, default 1)'))
})

/** What a tool says of a page; undefined where it is missing. */
function lint(context: TestContext, tool: string, args: string[]): string | undefined {
  const { error, stdout, stderr } = spawnSync(tool, args, { encoding: 'utf8' })
  if (!error) return stdout + stderr
  skip(context, `${tool} is missing; apt-get install ${tool}`)
  return undefined
}

/** A page as it is read, without line breaks. */
function render(context: TestContext, name: string): string | undefined {
  const { error, stdout } = spawnSync('mandoc', ['-T', 'utf8', '-O', 'width=1000', join(folder, name)], {
    encoding: 'utf8',
    maxBuffer: 100_000_000,
  })
  // Bold is a letter over itself.
  if (!error) return squeeze(stdout.replaceAll(/.\u0008/g, ''))
  skip(context, 'mandoc is missing; apt-get install mandoc')
  return undefined
}

function squeeze(text: string): string {
  return text.replaceAll(/\s+/g, ' ')
}
