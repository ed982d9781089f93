import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { carried } from '#carried'
import { DOCUMENTS, renew } from '../../build/reference.ts'
import { loadConfig, refuseMistakes } from '../../src/config/load.ts'
import { createCatalog } from '../../src/modules/catalog.ts'
import { readHeadComment } from '../../src/modules/reference.ts'
import { prepareProbe } from '../../src/watchman/prepare.ts'

const home = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'deadpool-reference-'))
const silent = { debug() {}, info() {}, warn() {}, error() {} }
const catalog = createCatalog({ folder: join(folder, 'mod'), carried, log: silent })
after(async () => {
  await catalog.close()
  rmSync(folder, { recursive: true })
})

for (const document of DOCUMENTS) {
  test(`${document} says what the modules say; if not: npm run reference`, async () => {
    assert.equal(readFileSync(join(home, document), 'utf8'), await renew(document))
  })
}

for (const name of carried.stockNames()) {
  test(`the example of ${name} is a probe as it stands`, async () => {
    const { example = '' } = readHeadComment(carried.stock(name)?.source ?? '')
    const text = `WEB: { access_token: abcdefgh, name: dc1 }\nprobes:\n${example.replace(/^(?=.)/gm, '  ')}\n`
    const loaded = loadConfig(join(folder, 'deadpool.yml'), { text, env: {} })
    refuseMistakes(loaded, loaded.problems)
    const { probes } = loaded.config
    assert.deepEqual([...new Set(probes.map(({ module }) => module))], [name])
    const prepared = await Promise.all(probes.map((probe) => prepareProbe(probe, catalog)))
    assert.deepEqual(loaded.format([...loaded.problems, ...prepared.flatMap(({ problems }) => problems)]), [])
  })

  test(`${name} says what each key of its query and each of its facts means`, async () => {
    const { description } = await catalog.open(name)
    assert.ok(description.query.length > 0)
    assert.deepEqual(
      description.query.filter(({ about }) => about === '').map(({ key }) => key),
      [],
    )
    const vague = Object.entries(description.facts).filter(([, { about, type }]) => about === '' || type === undefined)
    assert.deepEqual(
      // What a JSON text holds may be of any type.
      vague.map(([fact]) => fact).filter((fact) => fact !== 'json'),
      [],
    )
  })
}
