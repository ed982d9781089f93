import { chmodSync, existsSync, readlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import { quoteForShell } from '../config/exposure.ts'
import { readOutline } from '../config/outline.ts'
import { ConfigError } from '../config/problem.ts'
import { may } from '../config/rights.ts'
import type { Account } from '../install/account.ts'
import { giveTo, isLinkAt, placeFile } from '../install/placing.ts'
import type { Site } from '../install/site.ts'
import { writeStarter } from './init.ts'

export const CONFIG = '/etc/deadpool/deadpool.yml'
export const STATE = '/var/lib/deadpool'

/** Writes a configuration to start from, which the service can read but not change; tells whether it did. */
export function placeConfig(site: Site, account: Account | undefined): boolean {
  const target = site.at(CONFIG)
  if (isLinkAt(target) && !existsSync(target)) {
    site.say(
      CONFIG,
      `is a link to ${readlinkSync(target)}, which is not there, and stays; the service cannot start yet`,
    )
    return false
  }
  if (existsSync(target)) {
    site.say(CONFIG, 'is there, and stays as it is')
    for (const warning of doubtConfig(site, account)) site.say(CONFIG, warning)
    return false
  }
  const folder = dirname(target)
  if (account && existsSync(folder) && !isAllowed(account, folder, 1)) site.say(CONFIG, describeClosed(folder))
  const content = writeStarter({ statusFolder: `${STATE}/probe`, moduleFolder: 'mod' })
  placeFile(site, { path: CONFIG, content, mode: 0o600 }, new Map())
  if (site.isDry) return true
  if (account && process.getuid?.() === 0) {
    giveTo(target, { uid: 0, gid: account.gid })
    chmodSync(target, 0o640)
  } else site.say(CONFIG, `is for its owner alone; on the host itself: chgrp deadpool ${CONFIG}; chmod 0640 ${CONFIG}`)
  return true
}

/** What would keep the service from running with a configuration that it did not get from here. */
function doubtConfig(site: Site, account: Account | undefined): string[] {
  const target = site.at(CONFIG)
  const shown = quoteForShell(target)
  const folder = dirname(target)
  const doubts: string[] = []
  if (account && !isAllowed(account, folder, 1)) doubts.push(describeClosed(folder))
  if (account && !isAllowed(account, target, 4))
    doubts.push(`cannot be read by the user deadpool; mend it: chgrp deadpool ${shown}; chmod g+r ${shown}`)
  try {
    const { statusFolder } = readOutline(target)
    if (!`${statusFolder}/`.startsWith(`${STATE}/`))
      doubts.push(
        `keeps flags in ${statusFolder}, where the unit lets nobody write; set WatchMan.probe_status_folder: ${STATE}/probe`,
      )
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const faults = error.lines.map((line) => line.replace(`${target}:`, '').trimStart())
    doubts.push(`was not understood: ${faults.join('; ')}`)
  }
  return doubts
}

function describeClosed(folder: string): string {
  return `cannot be reached by the user deadpool; mend it: chmod o+x ${quoteForShell(folder)}`
}

function isAllowed({ uid, gid }: Account, path: string, right: 4 | 1): boolean {
  return may({ uid, gids: [gid] }, path, right)
}
