import { existsSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Carried } from '../carried/carried.ts'
import { createCatalog } from '../modules/catalog.ts'
import { suggest } from '../suggest.ts'
import { describeOrigin } from './check-config.ts'
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
 * Writes the source of a stock module into the working directory, as a starting point for one's own.
 *
 * @returns the path of the new file
 * @throws UsageError when there is no such stock module, or the file exists
 */
export function ejectModule(name: string, carried: Carried, folder: string): string {
  const stock = carried.stock(name)
  if (!stock) {
    const meant = suggest(name, carried.stockNames())
    const hint = meant ? `did you mean "${meant}"?` : `there are ${carried.stockNames().join(', ')}`
    throw new UsageError(`"${name}" is not a stock module; ${hint}`)
  }
  const path = resolve(folder, `${name}.ts`)
  if (existsSync(path)) throw new UsageError(`${path} exists already; move it away first, or change the folder`)
  writeFileSync(path, stock.source, { flag: 'wx' })
  return path
}
