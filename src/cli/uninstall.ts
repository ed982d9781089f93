import { existsSync } from 'node:fs'
import type { Carried } from '../carried/carried.ts'
import { refuseIfAtWork, removeAccount } from '../install/account.ts'
import { readRecord, removeFile, removeFolder, writeRecord } from '../install/placing.ts'
import type { Site } from '../install/site.ts'
import { findSystemd, reloadUnits, SERVICE, SOCKET, stopService } from '../install/systemd.ts'
import type { Command } from './command-line.ts'
import { findUnitBefore, isPackaged, PACKAGED, refusePackage, takeSteps } from './install.ts'
import type { Printout } from './place.ts'
import { UsageError } from './usage.ts'

const KEPT = ['/etc/deadpool', '/var/lib/deadpool']
const DROP_INS = [SERVICE, SOCKET].map((unit) => `/etc/systemd/system/${unit}.d`)

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
    refuseOthers(site, { isRecorded: record.size > 0, isPurge })
    const isRunning = findSystemd(site) === 'running'
    // A unit that is not from here is not for this command to stop.
    if (isRunning && findUnitBefore(site) === undefined && !isPackaged(site)) stopService(site)
    if (isPurge && !site.isDry) refuseIfAtWork(site)
    if (record.size === 0) site.say(site.root, 'nothing is recorded as installed here by "deadpool install"')
    for (const [path, hash] of record) if (removeFile(site, path, hash, { isPurge })) record.delete(path)
    writeRecord(site, record)
    if (isRunning) reloadUnits(site)
    if (isPackaged(site)) {
      site.say(
        PACKAGED,
        'stays, with all of the package; to run it: systemctl reenable deadpool; systemctl restart deadpool',
      )
      return 0
    }
    if (isPurge) {
      for (const folder of KEPT) removeFolder(site, folder)
      removeAccount(site)
    }
    const kept = isPurge ? [] : KEPT.filter((folder) => existsSync(site.at(folder)))
    if (kept.length > 0) site.say(kept.join(' and '), 'stay, with the user deadpool; --purge removes them')
    for (const dropIns of DROP_INS.filter((folder) => existsSync(site.at(folder))))
      site.say(dropIns, 'stays: it was made by "systemctl edit", and would count again for a unit of that name')
    return 0
  })
}

/** What is of a package, or of somebody's own unit, is not removed as if it were of `install`. */
function refuseOthers(site: Site, { isRecorded, isPurge }: { isRecorded: boolean; isPurge: boolean }): void {
  if (!isRecorded) refusePackage(site)
  if (isPackaged(site) && isPurge)
    throw new UsageError(
      `${PACKAGED} is there: the configuration, the state and the user are those of the package now; leave out "--purge"`,
    )
  const other = isRecorded ? undefined : findUnitBefore(site)
  if (other !== undefined)
    throw new UsageError(
      `nothing is recorded as installed here by "deadpool install", and ${other} is a unit of your own; to undo that: systemctl disable --now deadpool; rm ${other}`,
    )
}
