import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Carried } from '../carried/carried.ts'
import { createCatalog } from '../modules/catalog.ts'
import type { Description } from '../modules/module.ts'
import { listCriteria, listFacts, listQuery, readHeadComment, type Section } from '../modules/reference.ts'
import { suggest } from '../suggest.ts'
import { describeOrigin } from './check-config.ts'
import { writeTable } from './table.ts'
import { UsageError } from './usage.ts'

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

/** Lists the modules: name, where each was taken from, and its one sentence. */
export async function listModules(folder: string, carried: Carried): Promise<string> {
  const catalog = createCatalog({ folder, carried, log: SILENT })
  try {
    const blocks = await Promise.all(
      catalog.names().map(async (name) => {
        const origin = describeOrigin(catalog.find(name))
        const [summary, facts] = await catalog.open(name).then(
          ({ description }) => [description.summary, `facts: ${Object.keys(description.facts).join(', ')}`] as const,
          (error: Error) => [`cannot be used: ${error.message}`, undefined] as const,
        )
        return [name, `  ${summary}`, ...(facts ? [`  ${facts}`] : []), `  from: ${origin}`].join('\n')
      }),
    )
    return `${blocks.join('\n')}\n`
  } finally {
    await catalog.close()
  }
}

/**
 * Tells all about one module: what it asks, an example, the query, the facts and the criteria.
 *
 * @throws UsageError when there is no such module, or it does not load
 */
export async function showModule(name: string, folder: string, carried: Carried): Promise<string> {
  const catalog = createCatalog({ folder, carried, log: SILENT })
  try {
    const origin = catalog.find(name)
    if (!origin) throw new UsageError(`"${name}" is not a module; ${suggestModule(name, catalog.names())}`)
    const { description } = await catalog.open(name).catch((error: Error) => {
      throw new UsageError(`module "${name}" cannot be used: ${error.message}`)
    })
    const source = origin.kind === 'file' ? readFileSync(origin.path, 'utf8') : (carried.stock(name)?.source ?? '')
    const { example } = readHeadComment(source)
    const parts = [
      [name, `  ${description.summary}`, `  from: ${describeOrigin(origin)}`].join('\n'),
      example === undefined ? '' : `probes:\n${indent(example)}`,
      writeSection(listQuery(description)),
      writeSection(listFacts(description)),
      `alive when\n${indent(describeDefault(description))}`,
    ]
    return `${parts.filter((part) => part !== '').join('\n\n')}\n`
  } finally {
    await catalog.close()
  }
}

function describeDefault(description: Description): string {
  const criteria = listCriteria(description)
  return criteria.length > 0 ? criteria.join('\n') : 'never by itself: a probe needs its own success_criteria'
}

/** Nothing is cut off: this is a text to read. */
function writeSection({ heads, rows }: Section): string {
  const cells = [heads, ...rows].map((row) => row.map((text) => ({ text })))
  return writeTable(cells, { width: undefined, color: false }).join('\n')
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '  ')
}

function suggestModule(name: string, names: string[]): string {
  const meant = suggest(name, names)
  return meant ? `did you mean "${meant}"?` : `there are ${names.join(', ')}`
}

/**
 * Writes the source of a stock module into the working directory, as a starting point for one's own.
 *
 * @returns the path of the new file
 * @throws UsageError when there is no such stock module, or the file exists
 */
export function ejectModule(name: string, carried: Carried, folder: string): string {
  const stock = carried.stock(name)
  if (!stock) {
    throw new UsageError(`"${name}" is not a stock module; ${suggestModule(name, carried.stockNames())}`)
  }
  const path = resolve(folder, `${name}.ts`)
  if (existsSync(path)) throw new UsageError(`${path} exists already; move it away first, or change the folder`)
  writeFileSync(path, stock.source, { flag: 'wx' })
  return path
}
