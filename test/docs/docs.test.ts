import assert from 'node:assert/strict'
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { after, test } from 'node:test'
import type * as z from 'zod'
import { carried } from '#carried'
import { Probe as urlProbe } from '../../mod/url_probe.ts'
import { loadConfig, refuseMistakes } from '../../src/config/load.ts'
import {
  genericSchema,
  groupSchema,
  probeSchema,
  topSchema,
  watchmanSchema,
  webSchema,
} from '../../src/config/schema.ts'
import { criterionNames } from '../../src/criteria/criterion.ts'
import { logTarget } from '../../src/log/target.ts'
import { createCatalog } from '../../src/modules/catalog.ts'
import * as face from '../../src/modules/face.ts'
import { prepareProbe } from '../../src/watchman/prepare.ts'

const home = join(import.meta.dirname, '../..')
const documents = ['README.md', 'README.ru.md', 'CHANGELOG.md', ...globSync('docs/*.md', { cwd: home }).sort()]

// What the examples stand on: tokens in files, and the modules that writing-a-module.md tells to write.
const folder = mkdtempSync(join(tmpdir(), 'deadpool-docs-'))
mkdirSync(join(folder, 'mod'))
for (const { text } of blocksOf('docs/writing-a-module.md')) {
  const name = /^\/\/ mod\/(\S+)\n/.exec(text)?.[1]
  if (name) writeFileSync(join(folder, 'mod', name), text)
}
for (const file of ['token', 'token.old']) writeFileSync(join(folder, file), 'abcdefgh\n')
// As DeadPool does with the folder of its configuration.
process.chdir(folder)
process.env.REDIS_PASSWORD = 'abcdefgh'
const silent = { debug() {}, info() {}, warn() {}, error() {} }
const catalog = createCatalog({ folder: join(folder, 'mod'), carried, log: silent })
after(async () => {
  await catalog.close()
  rmSync(folder, { recursive: true })
})

for (const document of documents) {
  for (const { language, text, line } of blocksOf(document)) {
    if (language !== 'yaml') continue
    test(`the YAML at ${document}:${line} has no mistakes, and its modules take its probes`, async () => {
      const env = { DEADPOOL_OLD_TOKEN: 'abcdefgh', CREDENTIALS_DIRECTORY: folder }
      const loaded = loadConfig(join(folder, 'deadpool.yml'), { text: complete(text), env })
      refuseMistakes(loaded, loaded.problems)
      const prepared = await Promise.all(loaded.config.probes.map((probe) => prepareProbe(probe, catalog)))
      const problems = [...loaded.problems, ...prepared.flatMap((each) => each.problems)]
      assert.deepEqual(loaded.format(problems), [])
    })
  }

  test(`the links of ${document} lead somewhere`, () => {
    for (const [link, path = '', anchor] of read(document).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
      const target = path === '' ? document : relative(home, resolve(home, dirname(document), path))
      assert.ok(existsSync(join(home, target)), `${link}: there is no ${target}`)
      if (anchor) assert.ok(headingsOf(target).map(toAnchor).includes(anchor), `${link}: no such heading in ${target}`)
    }
  })
}

const shapeOf = (schema: unknown) => Object.keys((schema as z.ZodObject)._zod.def.shape)
const reference = [
  { section: 'The file', keys: shapeOf(topSchema) },
  { section: 'Generic', keys: [...shapeOf(genericSchema), ...logTarget.options.flatMap(shapeOf)] },
  { section: 'WEB', keys: shapeOf(webSchema) },
  { section: 'WatchMan', keys: shapeOf(watchmanSchema) },
  { section: 'probes', keys: shapeOf(probeSchema) },
  { section: 'groups', keys: shapeOf(groupSchema) },
  { section: 'success_criteria', keys: criterionNames() },
  { section: 'url_probe', keys: [...shapeOf(urlProbe.query), ...Object.keys(urlProbe.facts)] },
]
for (const { section, keys } of reference) {
  test(`configuration.md has every key of ${section}`, () => {
    const text =
      read('docs/configuration.md')
        .split(/^## /m)
        .find((each) => each.startsWith(`${section}\n`)) ?? ''
    const documented = [...text.matchAll(/^(?:\| |### )`?([\w]+)`?(?: \||$)/gm)].map(([, key]) => key)
    assert.ok(keys.length > 0)
    assert.deepEqual(
      [...new Set(keys)].filter((key) => !documented.includes(key)),
      [],
    )
  })
}

test('the mistakes that configuration.md shows are those that the fixtures expect', () => {
  const shown = [...read('docs/configuration.md').matchAll(/^(bad-[\w-]+\.yml):.*$/gm)]
  assert.ok(shown.length > 0)
  for (const [line, file] of shown) assert.ok(read(`test/fixtures/config/${file}`).includes(`# ${line}\n`), line)
})

test('writing-a-module.md tells of all that a module can import', () => {
  const text = read('docs/writing-a-module.md')
  for (const name of Object.keys(face)) assert.match(text, new RegExp(`\`${name}[\`(]`), name)
  const imported = globSync('mod/*.ts', { cwd: home }).flatMap((file) =>
    [...read(file).matchAll(/(?:^import (?!type)[^']* from |import\()'([^':]+)'/gm)].map(([, library = '']) => library),
  )
  const libraries = [...new Set([...imported, 'ky'])].filter((name) => name !== 'deadpool').sort()
  const told = /^- the libraries that the binary carries [^:]*: (.*?)\n- /ms.exec(text)?.[1] ?? ''
  assert.deepEqual(
    [...told.matchAll(/`(.*?)`/g)].map(([, name]) => name),
    libraries,
  )
})

test('both READMEs have the same headings and the same code', () => {
  assert.equal(headingsOf('README.ru.md').length, headingsOf('README.md').length)
  const code = (document: string) => blocksOf(document).map(({ language, text }) => ({ language, text }))
  assert.deepEqual(code('README.ru.md'), code('README.md'))
})

function read(document: string): string {
  return readFileSync(join(home, document), 'utf8')
}

function blocksOf(document: string): { language: string; text: string; line: number }[] {
  const whole = read(document)
  return [...whole.matchAll(/^( *)```(\w+)\n(.*?)^\1```$/gms)].map(
    ({ index, 1: indent, 2: language = '', 3: text = '' }) => {
      return {
        language,
        text: text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
        line: whole.slice(0, index).split('\n').length,
      }
    },
  )
}

function headingsOf(document: string): string[] {
  const prose = read(document).replaceAll(/^( *)```.*?^\1```$/gms, '')
  return [...prose.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading)
}

/** The anchor that GitHub gives a heading. */
function toAnchor(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}

/** A fragment of a configuration, with the least that it needs to be a whole one. */
function complete(text: string): string {
  const web = /^WEB:/m.test(text) ? '' : 'WEB: { access_token: abcdefgh }\n'
  const probes = /^(?: {2})?probes:/m.test(text)
    ? ''
    : 'probes: { a: { module: url_probe, query: { url: "http://h/" } } }\n'
  return `${text}${web}${probes}`
}
