import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { runTool, type Site } from './site.ts'

const NAME = 'deadpool'
const HOME = '/var/lib/deadpool'

/** The ids of a user and its group. */
export interface Account {
  uid: number
  gid: number
}

/**
 * Makes the user and the group of the service, and gives their ids; undefined where that cannot be, which is told. On
 * this host it is done by useradd; in another root, or where there is no useradd, by a line in its passwd and group.
 */
export function makeAccount(site: Site): Account | undefined {
  const found = findAccount(site)
  if (found) {
    site.say(`user ${NAME}`, `is there (${found.uid}:${found.gid})`)
    return found
  }
  if (!existsSync(site.at('/etc/passwd')) || !existsSync(site.at('/etc/group'))) {
    const command = `useradd --system --user-group --no-create-home --home-dir ${HOME} --shell /usr/sbin/nologin ${NAME}`
    site.say(`user ${NAME}`, `cannot be made: there is no /etc/passwd in ${site.root}; on the host itself: ${command}`)
    return undefined
  }
  if (site.isDry) {
    site.did(`user ${NAME}`, 'made')
    return undefined
  }
  if (site.isHost && hasTool('useradd')) {
    const group = findGid(site) === undefined ? ['--user-group'] : ['--gid', NAME]
    const home = ['--no-create-home', '--home-dir', HOME, '--shell', findShell(site)]
    runTool('useradd', '--system', ...group, ...home, '--comment', 'DeadPool', NAME)
    const made = findAccount(site)
    site.did(`user ${NAME}`, `made by useradd (${made?.uid}:${made?.gid})`)
    return made
  }
  const made = writeAccount(site)
  const why = site.isHost ? 'as there is no useradd' : 'as this is another root'
  site.did(`user ${NAME}`, `written into /etc/passwd and /etc/group (${made.uid}:${made.gid}), ${why}`)
  return made
}

/** Removes the user and the group, if they are what `makeAccount` makes. */
export function removeAccount(site: Site): void {
  const entry = readEntries(site, '/etc/passwd').find(([name]) => name === NAME)
  if (!entry) return
  if (entry[5] !== HOME) {
    site.say(`user ${NAME}`, `stays: its home is ${entry[5]}, so it was made for something else`)
    return
  }
  if (!site.isDry) {
    if (site.isHost && hasTool('userdel')) runTool('userdel', NAME)
    // Where userdel leaves the group, or is not there.
    for (const file of FILES) removeEntry(site, file)
  }
  site.did(`user ${NAME}`, 'removed')
}

const FILES = ['/etc/passwd', '/etc/group', '/etc/shadow', '/etc/gshadow']

function hasTool(program: string): boolean {
  return runTool(program, '--help') !== undefined
}

function findAccount(site: Site): Account | undefined {
  // Users may come from elsewhere than the file, such as LDAP.
  const line = site.isHost ? askGetent() : undefined
  const [, , uid, gid] = line?.split(':') ?? readEntries(site, '/etc/passwd').find(([name]) => name === NAME) ?? []
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) }
}

function askGetent(): string | undefined {
  try {
    return runTool('getent', 'passwd', NAME)?.trim()
  } catch {
    return undefined // it knows no such user
  }
}

function findGid(site: Site): number | undefined {
  const gid = readEntries(site, '/etc/group').find(([name]) => name === NAME)?.[2]
  return gid === undefined ? undefined : Number(gid)
}

function findShell(site: Site): string {
  const shells = ['/usr/sbin/nologin', '/sbin/nologin']
  return shells.find((shell) => existsSync(site.at(shell))) ?? '/bin/false'
}

/** Writes what useradd would: a system account, of the highest id below 1000 that is free, that nobody can log in to. */
function writeAccount(site: Site): Account {
  const taken = new Set(['/etc/passwd', '/etc/group'].flatMap((file) => readEntries(site, file).map(([, , id]) => id)))
  const gid = findGid(site) ?? findFree(taken)
  const uid = taken.has(String(gid)) ? findFree(taken) : gid
  append(site, '/etc/passwd', `${NAME}:x:${uid}:${gid}:DeadPool:${HOME}:${findShell(site)}`)
  append(site, '/etc/shadow', `${NAME}:!:::::::`)
  if (findGid(site) === undefined) {
    append(site, '/etc/group', `${NAME}:x:${gid}:`)
    append(site, '/etc/gshadow', `${NAME}:!::`)
  }
  return { uid, gid }
}

function findFree(taken: ReadonlySet<string | undefined>): number {
  let id = 999
  while (taken.has(String(id))) id--
  return id
}

/** Puts a line at the end of a file that is there; its mode and its owner stay. */
function append(site: Site, file: string, line: string): void {
  const path = site.at(file)
  if (!existsSync(path)) return
  const text = readFileSync(path, 'utf8')
  appendFileSync(path, `${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`)
}

function removeEntry(site: Site, file: string): void {
  const path = site.at(file)
  if (!existsSync(path)) return
  const text = readFileSync(path, 'utf8')
  const rest = text.replace(new RegExp(`^${NAME}:.*\\n?`, 'm'), '')
  if (rest !== text) writeFileSync(path, rest)
}

function readEntries(site: Site, file: string): string[][] {
  const path = site.at(file)
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
}
