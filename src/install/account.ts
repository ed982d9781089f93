import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { giveTo } from './placing.ts'
import { runTool, type Site, StepError } from './site.ts'

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
  if (found) return joinGroup(site, found)
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

/** The unit names the group as well, and a user that somebody else made may be of another. */
function joinGroup(site: Site, found: Account): Account {
  const gid = findGid(site)
  if (gid !== undefined) {
    site.say(`user ${NAME}`, `is there (${found.uid}:${gid})`)
    return { ...found, gid }
  }
  site.say(`user ${NAME}`, `is there (${found.uid}:${found.gid}), without a group of its name`)
  if (site.isDry) {
    site.did(`group ${NAME}`, 'made')
    return found
  }
  if (site.isHost && hasTool('groupadd')) runTool('groupadd', '--system', NAME)
  else writeGroup(site, findFree(listTaken(site)))
  const made = findGid(site)
  site.did(`group ${NAME}`, `made (${made})`)
  return made === undefined ? found : { ...found, gid: made }
}

/**
 * Makes sure that nobody works as the user that is to be removed.
 *
 * @throws StepError that names the process
 */
export function refuseIfAtWork(site: Site): void {
  const account = site.isHost ? findAccount(site) : undefined
  if (account === undefined) return
  const pid = readdirSync('/proc').find((name) => /^\d+$/.test(name) && ownerOf(`/proc/${name}`) === account.uid)
  if (pid === undefined) return
  throw new StepError(`process ${pid} runs as the user ${NAME}; stop it first, and try again`)
}

function ownerOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.uid
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
  const line = site.isHost ? askGetent('passwd') : undefined
  const [, , uid, gid] = line?.split(':') ?? readEntries(site, '/etc/passwd').find(([name]) => name === NAME) ?? []
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) }
}

function askGetent(database: 'passwd' | 'group'): string | undefined {
  try {
    return runTool('getent', database, NAME)?.trim()
  } catch {
    return undefined // it knows no such name
  }
}

function findGid(site: Site): number | undefined {
  const line = site.isHost ? askGetent('group') : undefined
  const gid = (line?.split(':') ?? readEntries(site, '/etc/group').find(([name]) => name === NAME))?.[2]
  return gid === undefined ? undefined : Number(gid)
}

function findShell(site: Site): string {
  const shells = ['/usr/sbin/nologin', '/sbin/nologin']
  return shells.find((shell) => existsSync(site.at(shell))) ?? '/bin/false'
}

/**
 * Writes what useradd would: a system account, of the highest id below 1000 that is free, that nobody can log in to. The
 * line that makes it a user is the last: with half of the others, it is made anew.
 */
function writeAccount(site: Site): Account {
  const taken = listTaken(site)
  const gid = findGid(site) ?? findFree(taken)
  const uid = taken.has(String(gid)) ? findFree(taken) : gid
  if (findGid(site) === undefined) writeGroup(site, gid)
  append(site, '/etc/shadow', `${NAME}:!:::::::`)
  append(site, '/etc/passwd', `${NAME}:x:${uid}:${gid}:DeadPool:${HOME}:${findShell(site)}`)
  return { uid, gid }
}

function writeGroup(site: Site, gid: number): void {
  append(site, '/etc/gshadow', `${NAME}:!::`)
  append(site, '/etc/group', `${NAME}:x:${gid}:`)
}

function listTaken(site: Site): Set<string | undefined> {
  return new Set(['/etc/passwd', '/etc/group'].flatMap((file) => readEntries(site, file).map(([, , id]) => id)))
}

function findFree(taken: ReadonlySet<string | undefined>): number {
  let id = 999
  while (taken.has(String(id))) id--
  return id
}

/** Puts a line at the end of a file that is there, and has none of this name. */
function append(site: Site, file: string, line: string): void {
  const path = site.at(file)
  if (!existsSync(path) || readEntries(site, file).some(([name]) => name === NAME)) return
  const text = readFileSync(path, 'utf8')
  rewrite(path, `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`)
}

function removeEntry(site: Site, file: string): void {
  const path = site.at(file)
  if (!existsSync(path)) return
  const text = readFileSync(path, 'utf8')
  const rest = text.replace(new RegExp(`^${NAME}:.*\\n?`, 'm'), '')
  if (rest !== text) rewrite(path, rest)
}

/** Puts a text in the place of one that no host can do without, whole or not at all; its mode and its owner stay. */
function rewrite(path: string, text: string): void {
  const target = realpathSync(path)
  const { mode, uid, gid } = statSync(target)
  const temporary = `${target}.${NAME}`
  rmSync(temporary, { force: true })
  const descriptor = openSync(temporary, 'wx', 0o600)
  try {
    writeFileSync(descriptor, text)
    fsyncSync(descriptor)
    giveTo(temporary, { uid, gid })
    chmodSync(temporary, mode & 0o7777)
    renameSync(temporary, target)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  } finally {
    closeSync(descriptor)
  }
}

function readEntries(site: Site, file: string): string[][] {
  const path = site.at(file)
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
}
