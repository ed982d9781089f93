import { chmodSync, chownSync, existsSync, realpathSync, statSync } from 'node:fs'
import type { Carried } from '../carried/carried.ts'
import { readOutline } from '../config/outline.ts'
import { type Account, makeAccount } from '../install/account.ts'
import { type InstallRecord, type Item, placeFile, placeFolder, readRecord, writeRecord } from '../install/placing.ts'
import { openSite, type Site, StepError } from '../install/site.ts'
import { findSystemd, type News, reloadUnits, SERVICE, SOCKET, type Systemd, startService } from '../install/systemd.ts'
import type { Command } from './command-line.ts'
import { writeCompletion } from './completion.ts'
import { nextSteps, writeStarter } from './init.ts'
import { fail, type Printout } from './place.ts'
import { UsageError } from './usage.ts'

const BINARY = '/usr/local/bin/deadpool'
const PACKAGED = '/usr/bin/deadpool'
const CONFIG = '/etc/deadpool/deadpool.yml'
const MODULES = '/etc/deadpool/mod'
const STATE = '/var/lib/deadpool'
const UNITS = '/usr/local/lib/systemd/system'
const SHARE = '/usr/local/share'

/**
 * Makes a service of the one file that was copied here. Each step is told; what is as it should be stays, and so does what
 * somebody edited. Nothing is started unless that is asked for.
 *
 * @throws UsageError when it is not for this command to do
 */
export async function install(
  { root, isDry, isNow }: Extract<Command, { name: 'install' }>,
  carried: Carried,
): Promise<Printout> {
  return takeSteps({ root, isDry }, async (site) => {
    if (isNow && !site.isHost) throw new UsageError('"--now" starts a service of this host; leave it out with "--root"')
    const binary = needBinary(carried)
    const record = readRecord(site)
    const systemd = findSystemd(site)
    const account = makeAccount(site)
    const items = await listItems(binary, carried, systemd)
    const news = placeAll(site, items, record)
    const isStarter = placeConfig(site, account)
    placeFolder(site, MODULES, 0o755)
    placeFolder(site, STATE, 0o750, account)
    writeRecord(site, record)
    const code = settle(site, systemd, { isNow, news })
    if (isStarter) site.lines.push(...nextSteps(CONFIG).slice(0, -1))
    if (!isNow) site.lines.push(...sayHowToStart(systemd, isStarter))
    return code
  })
}

/** Opens the root, refuses what is not for these commands, and tells every step, up to one that cannot be done. */
export async function takeSteps(
  where: { root: string; isDry: boolean },
  take: (site: Site) => Promise<0 | 1>,
): Promise<Printout> {
  const lines: string[] = []
  const told = () => lines.map((line) => `${line}\n`).join('')
  try {
    const site = openSite(where, lines)
    refusePackage(site)
    if (site.isHost && !site.isDry && process.getuid?.() !== 0)
      throw new UsageError('this changes the host itself and needs root: run it by sudo, or see it with "--dry-run"')
    const code = await take(site)
    return { out: told(), code }
  } catch (error) {
    const isStep = error instanceof StepError || (error instanceof Error && 'syscall' in error)
    if (!isStep) throw error
    return { ...fail((error as Error).message), out: told() }
  }
}

/** Two DeadPools with one configuration and one user would be in each other's way. */
function refusePackage(site: Site): void {
  if (!existsSync(site.at(PACKAGED))) return
  throw new UsageError(
    `${PACKAGED} is there: DeadPool was installed by a package, which brings all of this; edit ${CONFIG}, then "systemctl enable --now deadpool". To remove it, remove the package, as by "apt remove deadpool" or "dnf remove deadpool"`,
  )
}

function needBinary({ binary }: Carried): string {
  if (binary !== undefined) return realpathSync(binary)
  throw new UsageError(
    'this runs from sources; build the binary with "npm run build", then "sudo dist/deadpool install"',
  )
}

async function listItems(binary: string, carried: Carried, systemd: Systemd): Promise<Item[]> {
  const modules = carried.stockNames()
  const text = (path: string, content: string): Item => ({ path, content, mode: 0o644 })
  const units = systemd === 'none' ? [] : ([SERVICE, SOCKET] as const)
  return [
    { path: BINARY, content: { copyOf: binary }, mode: 0o755 },
    ...(await Promise.all(
      units.map(async (unit) =>
        text(`${UNITS}/${unit}`, (await carried.paper(`systemd/${unit}`)).replaceAll(PACKAGED, BINARY)),
      ),
    )),
    text(`${SHARE}/bash-completion/completions/deadpool`, writeCompletion('bash', modules)),
    text(`${SHARE}/zsh/site-functions/_deadpool`, writeCompletion('zsh', modules)),
    text(`${SHARE}/fish/vendor_completions.d/deadpool.fish`, writeCompletion('fish', modules)),
    text(`${SHARE}/man/man1/deadpool.1`, await carried.paper('man/deadpool.1')),
    text(`${SHARE}/man/man5/deadpool.yml.5`, await carried.paper('man/deadpool.yml.5')),
  ]
}

function placeAll(site: Site, items: readonly Item[], record: InstallRecord): News {
  const changed: string[] = []
  for (const item of items) {
    if (!placeFile(site, item, record)) continue
    changed.push(item.path)
    // At once, as what comes next may fail: a file that nobody knows is taken for one that was edited.
    writeRecord(site, record)
  }
  if (changed.some((path) => path.endsWith(SERVICE))) return 'unit'
  return changed.includes(BINARY) ? 'program' : 'nothing'
}

/** Writes a configuration to start from, which the service can read but not change; tells whether it did. */
function placeConfig(site: Site, account: Account | undefined): boolean {
  const target = site.at(CONFIG)
  if (existsSync(target)) {
    site.say(CONFIG, 'is there, and stays as it is')
    warnOfConfig(site, account)
    return false
  }
  const content = writeStarter({ statusFolder: `${STATE}/probe`, moduleFolder: 'mod' })
  placeFile(site, { path: CONFIG, content, mode: 0o600 }, new Map())
  if (site.isDry) return true
  if (account) {
    chownSync(target, 0, account.gid)
    chmodSync(target, 0o640)
  } else site.say(CONFIG, `is for its owner alone; on the host itself: chgrp deadpool ${CONFIG}; chmod 0640 ${CONFIG}`)
  return true
}

/** What would keep the service from running with a configuration that it did not get from here. */
function warnOfConfig(site: Site, account: Account | undefined): void {
  const target = site.at(CONFIG)
  const { uid, gid, mode } = statSync(target)
  const bits = uid === account?.uid ? mode >> 6 : gid === account?.gid ? mode >> 3 : mode
  if (account && (bits & 4) === 0)
    site.say(CONFIG, `cannot be read by the user deadpool; mend it: chgrp deadpool ${target}; chmod g+r ${target}`)
  const { statusFolder } = readOutline(target)
  if (!statusFolder.startsWith(`${STATE}/`))
    site.say(
      CONFIG,
      `keeps flags in ${statusFolder}, where the unit lets nobody write; set WatchMan.probe_status_folder: ${STATE}/probe`,
    )
}

function settle(site: Site, systemd: Systemd, { isNow, news }: { isNow: boolean; news: News }): 0 | 1 {
  if (systemd === 'running') {
    reloadUnits(site)
    if (isNow) startService(site, { news, upgrade: [BINARY, 'upgrade', '--config', CONFIG] })
    return 0
  }
  if (systemd === 'none')
    site.say(
      'systemd',
      `is not there, so there are no units: have your own supervisor run, as the user deadpool: ${BINARY} --config ${CONFIG}`,
    )
  else if (site.isHost) site.say('systemd', 'does not run here: the units are in their place, and count once it does')
  if (!isNow) return 0
  site.say(SERVICE, 'cannot be started: systemd does not run here')
  return 1
}

function sayHowToStart(systemd: Systemd, isStarter: boolean): string[] {
  if (systemd === 'none') return []
  return [`${isStarter ? '3. start it' : 'start it'}: systemctl enable --now deadpool`]
}
