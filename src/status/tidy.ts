import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Flag } from '../verdict/standing.ts'
import { isDraftFile, probeOfFile } from './flag.ts'
import { readFlag } from './listing.ts'

/**
 * Brings the status folder in order before the first check: makes it, takes away drafts of killed watchers and the
 * flags of probes that are disabled or no longer configured, and reads the flags of the enabled ones. Files that are
 * not DeadPool's are left alone.
 *
 * @returns the flags that stand
 */
export async function tidyFolder(
  folder: string,
  probes: { enabled: ReadonlySet<string>; disabled: ReadonlySet<string>; clear: boolean },
): Promise<Map<string, Flag>> {
  await mkdir(folder, { recursive: true })
  const standing = new Map<string, Flag>()
  for (const file of await readdir(folder)) {
    const probe = probeOfFile(file)
    if (isDraftFile(file)) await removeQuietly(join(folder, file))
    if (probe === undefined) continue
    const flag = await readFlag(folder, probe)
    if (!flag) continue
    const isGone = probes.disabled.has(probe) || (!probes.enabled.has(probe) && flag.isOurs)
    if (isGone || (probes.clear && probes.enabled.has(probe))) await removeQuietly(join(folder, file))
    else if (probes.enabled.has(probe)) standing.set(probe, { reason: flag.reason, sinceMs: flag.sinceMs })
  }
  return standing
}

/** One file that cannot be removed must not keep the others from being read; it shows in every later listing. */
async function removeQuietly(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => undefined)
}
