import { existsSync } from 'node:fs'
import { runTool, type Site } from './site.ts'

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

/** Starts the service now and at every start of the host; one that runs is started anew only for something new. */
export function startService(site: Site, { isNew }: { isNew: boolean }): void {
  const wasActive = isActive()
  if (!site.isDry) {
    runTool('systemctl', 'enable', SERVICE)
    if (!wasActive || isNew) runTool('systemctl', 'restart', SERVICE)
  }
  if (wasActive && !isNew) site.say(SERVICE, 'is running, and nothing of it is new')
  else site.did(SERVICE, `enabled, and ${wasActive ? 'started anew' : 'started'}`)
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
