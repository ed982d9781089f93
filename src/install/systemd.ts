import { existsSync, readlinkSync } from 'node:fs'
import { runTool, type Site, StepError } from './site.ts'

/** What there is of systemd: nothing, its files, or systemd at work as the first process of this host. */
export type Systemd = 'none' | 'asleep' | 'running'

export const SERVICE = 'deadpool.service'
export const SOCKET = 'deadpool.socket'

export function findSystemd(site: Site): Systemd {
  if (site.isHost && existsSync('/run/systemd/system')) return 'running'
  const programs = ['/usr/lib/systemd/systemd', '/lib/systemd/systemd']
  return programs.some((program) => existsSync(site.at(program))) ? 'asleep' : 'none'
}

/** Lets systemd read its units anew. */
export function reloadUnits(site: Site): void {
  if (!site.isDry) runTool('systemctl', 'daemon-reload')
  site.did('systemd', 'told of the units')
}

/** What of the service is new: nothing, the program alone, or how it is started as well. */
export type News = 'nothing' | 'program' | 'unit'

/**
 * Starts the service now and at every start of the host. One that runs hands over to a new program by `upgrade`, so that no
 * request fails; for a new unit it is started anew.
 *
 * @throws StepError when the new program does not take over; the former one goes on then
 */
export function startService(site: Site, { news, upgrade }: { news: News; upgrade: readonly string[] }): void {
  const wasActive = isActive()
  if (!site.isDry) runTool('systemctl', 'enable', SERVICE)
  if (!wasActive || news === 'unit') {
    if (!site.isDry) runTool('systemctl', 'restart', SERVICE)
    site.did(SERVICE, `enabled, and ${wasActive ? 'started anew' : 'started'}`)
  } else if (news === 'program' || runsFormerProgram()) {
    if (!site.isDry) handOver(upgrade)
    site.did(SERVICE, 'handed over to the new program, as by "deadpool upgrade"')
  } else site.say(SERVICE, 'is running, and nothing of it is new')
}

/** Whether the program was replaced since the service was started, as by an installation that started nothing. */
function runsFormerProgram(): boolean {
  const pid = runTool('systemctl', 'show', '--property=MainPID', '--value', SERVICE)?.trim()
  try {
    return readlinkSync(`/proc/${pid}/exe`).endsWith(' (deleted)')
  } catch {
    return false // it has just ended, and systemd starts what is there now
  }
}

function handOver([program = '', ...args]: readonly string[]): void {
  try {
    runTool(program, ...args)
  } catch (error) {
    const { message } = error as Error
    throw new StepError(`${message}\nthe former program goes on; once that is mended: ${[program, ...args].join(' ')}`)
  }
}

export function stopService(site: Site): void {
  const units = [SOCKET, SERVICE].filter((unit) => existsSync(`/etc/systemd/system/${wants(unit)}`) || isActive(unit))
  if (units.length === 0) return
  if (!site.isDry) runTool('systemctl', 'disable', '--now', ...units)
  site.did(units.join(' and '), 'stopped and disabled')
}

function wants(unit: string): string {
  return unit === SOCKET ? `sockets.target.wants/${unit}` : `multi-user.target.wants/${unit}`
}

function isActive(unit = SERVICE): boolean {
  try {
    return runTool('systemctl', 'is-active', unit)?.trim() === 'active'
  } catch {
    return false // that is how systemctl says no
  }
}
