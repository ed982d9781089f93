import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { carried } from '#carried'
import type { Probe } from '../src/modules/define-probe.ts'
import { describeProbe } from '../src/modules/local.ts'
import type { Description } from '../src/modules/module.ts'
import { listQueryKeys } from '../src/modules/query-keys.ts'
import { listCriteria, listFacts, listQuery, readHeadComment, type Section } from '../src/modules/reference.ts'
import { tlsMapping } from '../src/modules/tls.ts'

/**
 * Writes what the documents say of the stock modules, from the modules themselves: `npm run reference`. It stands between
 * `<!-- begin: NAME -->` and `<!-- end: NAME -->`; all else in the documents is written by hand.
 */
const home = join(import.meta.dirname, '..')

/** The documents with parts that are written here. */
export const DOCUMENTS = ['docs/modules.md', 'mod/README.md']

/** A document as it should be. */
export async function renew(document: string): Promise<string> {
  const modules = await loadModules()
  const parts: Record<string, string> = {
    overview: writeOverview(modules, document.startsWith('mod/') ? '' : '../mod/README.md'),
    tls: writeTable(listQuery({ query: listQueryKeys(tlsMapping()) } as Description)),
    reference: modules.map(writeModule).join('\n\n'),
  }
  const text = readFileSync(join(home, document), 'utf8')
  return text.replace(/(<!-- begin: (\w+) -->\n).*?(<!-- end: \2 -->)/gs, (_, begin, name, end) => {
    const part = parts[name]
    if (part === undefined) throw new Error(`${document}: nothing is called "${name}"`)
    return `${begin}\n${part}\n\n${end}`
  })
}

interface StockModule {
  name: string
  description: Description
  intro: string
  example: string
}

async function loadModules(): Promise<StockModule[]> {
  return Promise.all(
    carried.stockNames().map(async (name) => {
      const stock = carried.stock(name)
      if (!stock) throw new Error(`there is no ${name}`)
      const { Probe }: { Probe: Probe } = await stock.load()
      const { intro, example } = readHeadComment(stock.source)
      if (example === undefined) throw new Error(`mod/${name}.ts: its opening comment has no example`)
      return { name, description: describeProbe(Probe), intro, example }
    }),
  )
}

function writeOverview(modules: StockModule[], page: string): string {
  const rows = modules.map(({ name, description }) => [
    `[\`${name}\`](${page}#${name})`,
    description.summary,
    listCriteria(description).map(code).join(', ') || 'never by itself: needs criteria',
  ])
  return writeRows(['module', 'asks', 'alive when'], rows)
}

function writeModule({ name, description, intro, example }: StockModule): string {
  const criteria = listCriteria(description).map((each) => `- ${code(each)}`)
  const alive = criteria.length > 0 ? `Alive, when nothing else is said:\n\n${criteria.join('\n')}` : NEVER
  return [
    `## ${name}`,
    intro,
    `\`\`\`yaml\nprobes:\n${example.replace(/^(?=.)/gm, '  ')}\n\`\`\``,
    writeTable(listQuery(description)),
    writeTable(listFacts(description)),
    alive,
  ].join('\n\n')
}

const NEVER = 'Never alive by itself: a probe needs `success_criteria`.'

/** The first column is a name, and so is a default. */
function writeTable({ heads, rows }: Section): string {
  const defaults = heads.indexOf('default')
  return writeRows(
    heads,
    rows.map((row) =>
      row.map((cell, column) => (column === 0 || (column === defaults && cell !== 'required') ? code(cell) : cell)),
    ),
  )
}

function writeRows(heads: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n')
}

function code(text: string): string {
  return text === '' ? '' : `\`${text}\``
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const document of DOCUMENTS) writeFileSync(join(home, document), await renew(document))
}
