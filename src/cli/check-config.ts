import { access, constants, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Carried } from '../carried/carried.ts'
import { findExposure, findUnreadable } from '../config/exposure.ts'
import { type Config, type LoadedConfig, refuseMistakes } from '../config/load.ts'
import type { Problem } from '../config/problem.ts'
import { createCatalog, moduleFolderOf } from '../modules/catalog.ts'
import type { Origin } from '../modules/module.ts'
import { answerWithin, FOLDER_TIMEOUT_MS } from '../status/answer-within.ts'
import { describeFault } from '../status/reader.ts'
import { validateProbes } from './validate.ts'

/**
 * Validates everything without listening, and returns the lines that say what was found.
 *
 * @throws ConfigError with every mistake, and with every module that does not load
 */
export async function checkConfig(
  loaded: LoadedConfig,
  carried: Carried,
): Promise<{ lines: string[]; warnings: string[] }> {
  const { config } = loaded
  const problems = [
    ...loaded.problems,
    ...(await validateProbes(config, carried, { probes: 'all' })).problems,
    ...(await checkFolder(config)),
    ...findExposure(loaded),
    ...findUnreadable(loaded),
  ]
  refuseMistakes(loaded, problems, ['mistake', 'broken'])
  return { lines: describe(config, carried), warnings: loaded.format(problems) }
}

function describe(config: Config, carried: Carried): string[] {
  const catalog = createCatalog({ folder: moduleFolderOf(config, carried), carried, log: console })
  const enabled = config.probes.filter((probe) => probe.isEnabled)
  const disabled = config.probes.filter((probe) => !probe.isEnabled)
  const modules = [...new Set(config.probes.map((probe) => probe.module))]
  return [
    `${config.file}: OK`,
    `answers at http://${config.web.host.includes(':') ? `[${config.web.host}]` : config.web.host}:${config.web.port}${config.web.baseUrl} as "${config.web.name}"`,
    `flags in ${config.watchman.statusFolder}`,
    `${count(enabled.length, 'probe')} enabled${list(enabled)}`,
    `${count(disabled.length, 'probe')} disabled${list(disabled)}`,
    ...modules.map((name) => `module ${name}: ${describeOrigin(catalog.find(name))}`),
  ]
}

/** Where a module came from, in words. */
export function describeOrigin(origin: Origin | undefined): string {
  if (!origin) return 'not found'
  if (origin.kind === 'stock') return 'stock, inside the binary'
  return origin.isStock ? `${origin.path} (same as stock)` : origin.path
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? '' : 's'}`
}

function list(probes: { name: string }[]): string {
  const names = probes.map((probe) => probe.name)
  if (names.length === 0) return ''
  return names.length > 20
    ? `: ${names.slice(0, 20).join(', ')} and ${names.length - 20} more`
    : `: ${names.join(', ')}`
}

/** Checks that flags could be kept, without making anything. */
async function checkFolder({ watchman }: Config): Promise<Problem[]> {
  const folder = watchman.statusFolder
  try {
    await answerWithin(FOLDER_TIMEOUT_MS, tryFolder(folder))
    return []
  } catch (error) {
    const message = `flags cannot be kept there: ${describeFault(folder, error as NodeJS.ErrnoException)}`
    return [{ kind: 'mistake', path: ['WatchMan', 'probe_status_folder'], message }]
  }
}

/** A folder that is not there yet will be made: then the one above it counts. */
async function tryFolder(folder: string): Promise<void> {
  try {
    if (!(await stat(folder)).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' })
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT' && dirname(folder) !== folder
    if (!isMissing) throw error
    await tryFolder(dirname(folder))
  }
}
