import type { Carried } from '../carried/carried.ts'
import type { Config } from '../config/load.ts'
import type { Problem } from '../config/problem.ts'
import { createCatalog, moduleFolderOf } from '../modules/catalog.ts'
import { prepareProbe } from '../watchman/prepare.ts'

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

/**
 * Loads the modules of all probes, and lets them validate their queries and criteria. A disabled probe is validated
 * too, so that switching it on is no surprise, but what is wrong with it is only a warning.
 */
export async function validateProbes(
  config: Config,
  carried: Carried,
): Promise<{ problems: Problem[]; timeouts: Map<string, number> }> {
  const catalog = createCatalog({ folder: moduleFolderOf(config, carried), carried, log: SILENT })
  const timeouts = new Map<string, number>()
  try {
    const prepared = await Promise.all(
      config.probes.map(async (probe) => {
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
