import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { Carried } from './carried.ts'

const home = join(import.meta.dirname, '../..')
const folder = join(home, 'mod')

/** What a checkout carries: its own files, as they are. */
export const carried: Carried = {
  version: JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')).version,
  commit: '',
  home,
  binary: undefined,
  stockNames: () =>
    readdirSync(folder)
      .filter((file) => file.endsWith('.ts'))
      .map((file) => file.slice(0, -'.ts'.length))
      .sort(),
  stock(name) {
    if (!this.stockNames().includes(name)) return undefined
    const file = join(folder, `${name}.ts`)
    return { source: readFileSync(file, 'utf8'), load: () => import(pathToFileURL(file).href) }
  },
  libraryNames: () => Object.keys(JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')).dependencies),
  library: createRequire(import.meta.url),
  startModuleThread: (workerData) => new Worker(new URL('../modules/thread-main.ts', import.meta.url), { workerData }),
  types: async () => (await import('../../build/types.ts')).bundleTypes(),
  async licences() {
    const { writeLicences } = await import('../../build/licences.ts')
    const { packagesOfLock } = await import('../../build/inventory.ts')
    return writeLicences(packagesOfLock())
  },
  paper: async (name) => (await import('../../build/papers.ts')).writePaper(name),
}
