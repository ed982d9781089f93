import { existsSync } from 'node:fs'
import type { Carried } from '../carried/carried.ts'
import { removeAccount } from '../install/account.ts'
import { readRecord, removeFile, removeFolder, writeRecord } from '../install/placing.ts'
import { findSystemd, reloadUnits, stopService } from '../install/systemd.ts'
import type { Command } from './command-line.ts'
import { takeSteps } from './install.ts'
import type { Printout } from './place.ts'

const KEPT = ['/etc/deadpool', '/var/lib/deadpool']

/**
 * Undoes what `install` did: stops the service and removes what was put in place. Configuration, modules, state and user
 * stay unless everything has to go.
 */
export async function uninstall(
  { root, isDry, isPurge }: Extract<Command, { name: 'uninstall' }>,
  _carried: Carried,
): Promise<Printout> {
  return takeSteps({ root, isDry }, async (site) => {
    const record = readRecord(site)
    const isRunning = findSystemd(site) === 'running'
    if (isRunning) stopService(site)
    if (record.size === 0) site.say(site.root, 'nothing is recorded as installed here by "deadpool install"')
    for (const [path, hash] of record) if (removeFile(site, path, hash, { isPurge })) record.delete(path)
    writeRecord(site, record)
    if (isRunning) reloadUnits(site)
    if (isPurge) {
      for (const folder of KEPT) removeFolder(site, folder)
      removeAccount(site)
      return 0
    }
    const kept = KEPT.filter((folder) => existsSync(site.at(folder)))
    if (kept.length > 0) site.say(kept.join(' and '), 'stay, with the user deadpool; --purge removes them')
    return 0
  })
}
