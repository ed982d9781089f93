import { join } from 'node:path'
import type { Carried } from '../carried/carried.ts'
import type { Config } from '../config/load.ts'
import type { Log } from '../log/log.ts'
import { findModule, fingerprintOf, listModules } from './find.ts'
import { describeProbe, prepareQuery } from './local.ts'
import { type Module, ModuleError, type Origin } from './module.ts'
import { createModuleThread, type ModuleThread } from './thread.ts'

/** The modules that this DeadPool can use, loaded when they are first asked for. */
export interface Catalog {
  /** Where the module comes from, or undefined when there is none of that name. */
  find(name: string): Origin | undefined
  /** Whether there is a module of that name; cheap for one that was opened. */
  has(name: string): boolean
  names(): string[]
  /** @throws ModuleError when the module does not load; it is tried again a minute later at the earliest */
  open(name: string): Promise<Module>
  /** Tells one version of a module from another, as far as its file shows. */
  fingerprint(name: string): string
  /**
   * Forgets modules that are not `used` any more, and those whose file changed or came and went: they are loaded anew when
   * they are next asked for.
   */
  refresh(used: ReadonlySet<string>): void
  close(): Promise<void>
}

export interface CatalogOptions {
  /** The configured `module_folder`. */
  folder: string
  carried: Carried
  log: Log
}

/** The folder where modules are looked for first: the configured one, or `mod` beside the binary. */
export function moduleFolderOf(config: Pick<Config, 'watchman'>, carried: Carried): string {
  return config.watchman.moduleFolder ?? join(carried.home, 'mod')
}

/** A module that does not load may be one that loops: each attempt costs a core for seconds. */
const RETRY_MS = 60_000

/** Creates the catalog of modules: stock ones run on this thread, every other one in a thread of its own. */
export function createCatalog({ folder, carried, log }: CatalogOptions): Catalog {
  const opened = new Map<string, Promise<Module>>()
  const threads = new Map<string, Promise<ModuleThread>>()
  const fingerprints = new Map<string, string>()

  const fingerprint = (name: string) => fingerprintOf(findModule(name, folder, carried))

  async function open(name: string): Promise<Module> {
    const origin = findModule(name, folder, carried)
    if (!origin) throw new ModuleError('there is no such module')
    if (origin.kind === 'stock' || origin.isStock) return openStock(name, origin)
    const starting = createModuleThread({ name, file: origin.path, carried, log })
    threads.set(name, starting)
    const thread = await starting
    return { name, origin, description: thread.description, prepare: thread.prepare }
  }

  async function openStock(name: string, origin: Origin): Promise<Module> {
    const stock = carried.stock(name)
    if (!stock) throw new ModuleError('there is no such stock module')
    const { Probe: probe } = await stock.load()
    return { name, origin, description: describeProbe(probe), prepare: (query) => prepareQuery(probe, query) }
  }

  /** One that is still loading is closed when it has loaded; one that does not load has ended by itself. */
  async function closeThread(name: string): Promise<void> {
    const thread = await threads.get(name)?.catch(() => undefined)
    await thread?.close()
  }

  return {
    find: (name) => findModule(name, folder, carried),
    has: (name) => opened.has(name) || findModule(name, folder, carried) !== undefined,
    names: () => listModules(folder, carried),
    open(name) {
      const known = opened.get(name)
      if (known) return known
      const opening = open(name)
      opened.set(name, opening)
      fingerprints.set(name, fingerprint(name))
      opening.catch(() => setTimeout(() => opened.get(name) === opening && opened.delete(name), RETRY_MS).unref())
      return opening
    },
    fingerprint,
    refresh(used) {
      for (const name of [...opened.keys()]) {
        if (used.has(name) && fingerprints.get(name) === fingerprint(name)) continue
        opened.delete(name)
        void closeThread(name)
        threads.delete(name)
      }
    },
    async close() {
      await Promise.all([...threads.keys()].map(closeThread))
    },
  }
}
