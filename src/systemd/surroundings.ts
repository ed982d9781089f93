/** What a service manager such as systemd hands to a service by its environment. */
export interface ServiceSurroundings {
  /** Sockets that are listened on already: sd_listen_fds(3). */
  sockets: PassedSocket[]
  /** Where the manager wants to hear how things are: sd_notify(3). */
  notifySocket: string | undefined
  /** How long the manager waits for a sign of life, in milliseconds: sd_watchdog_enabled(3). */
  watchdogMs: number | undefined
  /** What is to be said of it in the log. */
  remarks: string[]
}

/** A socket that came with the start of this process. */
export interface PassedSocket {
  fd: number
  /** As its unit names it; `unknown` where nobody says. */
  name: string
}

const FIRST_FD = 3
const MOST_SOCKETS = 1000

const VARIABLES = [
  'LISTEN_FDS',
  'LISTEN_PID',
  'LISTEN_FDNAMES',
  'LISTEN_PIDFDID',
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
]

/**
 * Reads what the manager says, and takes it out of the environment: it is meant for this process alone, not for the ones
 * that it starts.
 */
export function takeSurroundings(env: NodeJS.ProcessEnv, pid = process.pid): ServiceSurroundings {
  const { LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES = '', NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = env
  for (const name of VARIABLES) delete env[name]
  const remarks: string[] = []
  const count = LISTEN_FDS === undefined ? 0 : Number(LISTEN_FDS)
  const isCount = Number.isInteger(count) && count >= 0 && count <= MOST_SOCKETS
  const isForUs = isCount && Number(LISTEN_PID) === pid
  if (!isCount) remarks.push(`LISTEN_FDS=${LISTEN_FDS} is no number of sockets: no passed socket is used`)
  else if (count > 0 && !isForUs) {
    remarks.push(
      `LISTEN_FDS=${count} is for process ${LISTEN_PID ?? 'nobody'}, not for this one (${pid}): no passed socket is used; a script in between has to "exec" deadpool`,
    )
  }
  const names = LISTEN_FDNAMES.split(':')
  const sockets = Array.from({ length: isForUs ? count : 0 }, (_, index) => {
    return { fd: FIRST_FD + index, name: names[index] || 'unknown' }
  })
  const watchdogMs = Number(WATCHDOG_USEC) / 1000
  const isWatched = watchdogMs > 0 && (WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === pid)
  return { sockets, notifySocket: NOTIFY_SOCKET || undefined, watchdogMs: isWatched ? watchdogMs : undefined, remarks }
}

/** The part of the environment that a process needs which takes this one's place. */
export function passOn({ notifySocket, watchdogMs }: ServiceSurroundings): NodeJS.ProcessEnv {
  return {
    ...(notifySocket === undefined ? {} : { NOTIFY_SOCKET: notifySocket }),
    ...(watchdogMs === undefined ? {} : { WATCHDOG_USEC: String(Math.round(watchdogMs * 1000)) }),
  }
}
