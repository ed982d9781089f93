import { existsSync, realpathSync } from 'node:fs'
import type { Carried } from '../carried/carried.ts'
import { describeFileError } from '../config/source.ts'
import { makeAccount } from '../install/account.ts'
import { type InstallRecord, type Item, placeFile, placeFolder, readRecord, writeRecord } from '../install/placing.ts'
import { openSite, type Site, StepError } from '../install/site.ts'
import { findSystemd, type News, reloadUnits, SERVICE, SOCKET, type Systemd, startService } from '../install/systemd.ts'
import type { Command } from './command-line.ts'
import { writeCompletion } from './completion.ts'
import { nextSteps } from './init.ts'
import { fail, type Printout } from './place.ts'
import { CONFIG, placeConfig, STATE } from './place-config.ts'
import { UsageError } from './usage.ts'

const BINARY = '/usr/local/bin/deadpool'
export const PACKAGED = '/usr/bin/deadpool'
const MODULES = '/etc/deadpool/mod'
const UNITS = '/usr/local/lib/systemd/system'
/** Where systemd looks for units first. */
const UNITS_BEFORE = ['/etc/systemd/system', '/run/systemd/system']
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
    refusePackage(site)
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
    // Where sudo does not look into /usr/local/bin, the name alone is not found.
    if (isStarter) site.lines.push(...nextSteps(CONFIG, BINARY).slice(0, -1))
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
    if (site.isHost && !site.isDry && process.getuid?.() !== 0)
      throw new UsageError('this changes the host itself and needs root: run it by sudo, or see it with "--dry-run"')
    const code = await take(site)
    return { out: told(), code }
  } catch (error) {
    const reason = explainStep(error)
    if (reason === undefined) throw error
    return { ...fail(reason), out: told() }
  }
}

/** Why a step could not be done; undefined for what has nothing to do with the host. */
function explainStep(error: unknown): string | undefined {
  if (error instanceof StepError) return error.message
  if (!(error instanceof Error && 'syscall' in error)) return undefined
  const fault = error as NodeJS.ErrnoException & { dest?: string }
  const { path, dest = path, message } = fault
  const why = describeFileError(fault)
  return dest === undefined ? message : `${dest}: ${why}; what is told above is done, so mend that and try again`
}

/** Whether a package brought a DeadPool of its own. */
export function isPackaged(site: Site): boolean {
  return existsSync(site.at(PACKAGED))
}

/** Two DeadPools with one configuration and one user would be in each other's way. */
export function refusePackage(site: Site): void {
  if (!isPackaged(site)) return
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

function settle(site: Site, systemd: Systemd, { isNow, news }: { isNow: boolean; news: News }): 0 | 1 {
  const before = systemd === 'none' ? undefined : findUnitBefore(site)
  if (before !== undefined)
    site.say(
      before,
      `counts instead of ${UNITS}/${SERVICE}; to have the service of here: systemctl disable --now deadpool; rm ${before}`,
    )
  if (systemd === 'running') {
    reloadUnits(site)
    if (isNow && before !== undefined) {
      site.say(SERVICE, 'is not started, since it is another unit that would be')
      return 1
    }
    if (isNow) startService(site, { news, upgrade: [BINARY, 'upgrade', '--config', CONFIG] })
    return 0
  }
  if (systemd === 'none')
    site.say(
      'systemd',
      `is not there, so there are no units: have your own supervisor run, as the user deadpool: ${BINARY} --config ${CONFIG}`,
    )
  else if (site.isHost)
    site.say(
      'systemd',
      `does not run here: the units ${site.isDry ? 'would be' : 'are'} in their place, and count once it does`,
    )
  if (!isNow) return 0
  site.say(SERVICE, 'cannot be started: systemd does not run here')
  return 1
}

/** The unit of somebody's own, if there is one, which systemd takes instead of the one from here. */
export function findUnitBefore(site: Site): string | undefined {
  return UNITS_BEFORE.map((folder) => `${folder}/${SERVICE}`).find((path) => existsSync(site.at(path)))
}

function sayHowToStart(systemd: Systemd, isStarter: boolean): string[] {
  if (systemd === 'none') return []
  return [`${isStarter ? '3. start it' : 'start it'}: systemctl enable --now deadpool`]
}
