import type { Carried } from '../carried/carried.ts'
import type { Config } from '../config/load.ts'
import type { Problem } from '../config/problem.ts'
import { createCatalog, moduleFolderOf } from '../modules/catalog.ts'
import { prepareProbe } from '../watchman/prepare.ts'

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

/** Which probes to validate: for a start the enabled ones are enough, and the modules of the others need not be loaded. */
export interface ValidateOptions {
  probes: 'all' | 'enabled'
}

/**
 * Loads the modules of probes, and lets them validate their queries and criteria. What is wrong with a disabled one is
 * only a warning.
 */
export async function validateProbes(
  config: Config,
  carried: Carried,
  { probes }: ValidateOptions,
): Promise<{ problems: Problem[]; timeouts: Map<string, number> }> {
  const catalog = createCatalog({ folder: moduleFolderOf(config, carried), carried, log: SILENT })
  const timeouts = new Map<string, number>()
  try {
    const prepared = await Promise.all(
      config.probes
        .filter(({ isEnabled }) => isEnabled || probes === 'all')
        .map(async (probe) => {
          const { problems, probe: ready } = await prepareProbe(probe, catalog)
          if (ready) timeouts.set(probe.name, ready.timeoutMs)
          return probe.isEnabled ? problems : problems.map((problem): Problem => ({ ...problem, kind: 'warning' }))
        }),
    )
    return { problems: prepared.flat(), timeouts }
  } finally {
    await catalog.close()
  }
}
