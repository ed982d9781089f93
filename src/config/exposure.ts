import { readFileSync, realpathSync, type Stats, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { LoadedConfig } from './load.ts'
import type { Path, Problem } from './problem.ts'
import { may, type Reader } from './rights.ts'
import { collectSecrets, isSecretKey } from './secrets.ts'
import { parseSource } from './source.ts'

const GROUP_READS = 0o040
const OTHERS_READ = 0o004
const OTHERS_ENTER = 0o001

/** Warns of secrets that every user of this host can read: in clear in the configuration, or in the files it names. */
export function findExposure({ config, text }: LoadedConfig): Problem[] {
  const { value } = parseSource(config.file, text)
  const warn = (path: Path, what: string, file: string): Problem[] => {
    const found = findReadableByOthers(file)
    return found ? [{ kind: 'warning', path, message: `${what}; mend it: ${mend(file, found)}` }] : []
  }
  const inClear = findSecretInClear(value)
  const what = 'a secret stands here in clear, and every user of this host can read the file'
  const files = findSecretFiles(value, dirname(config.file))
  const firsts = files.filter(({ file }, index) => files.findIndex((each) => each.file === file) === index)
  return [
    ...(inClear === undefined ? [] : warn(inClear, what, config.file)),
    ...firsts.flatMap(({ path, file }) => warn(path, `every user of this host can read the secret in ${file}`, file)),
  ]
}

const SERVICE_CONFIG = '/etc/deadpool/deadpool.yml'

/**
 * Warns root, who can read everything, of files of the installed configuration that its service cannot read.
 */
export function findUnreadable(loaded: LoadedConfig): Problem[] {
  if (process.geteuid?.() !== 0 || loaded.config.file !== SERVICE_CONFIG) return []
  const user = findServiceUser(0)
  return user ? findUnreadableBy(user, loaded) : []
}

/** Warns of a configuration and of files with secrets that a user cannot read. */
export function findUnreadableBy(user: Reader, { config, text }: LoadedConfig): Problem[] {
  const files = findSecretFiles(parseSource(config.file, text).value, dirname(config.file))
  return [{ path: ['WEB'], file: config.file }, ...files].flatMap(({ path, file }) => {
    if (isReadableBy(user, file)) return []
    const shown = quoteForShell(file)
    const command = `chgrp ${nameGroup(user.gids[0])} ${shown}; chmod g+r ${shown}`
    const message = `root can read ${file}, but the user deadpool, whose the service is, cannot; mend it: ${command}`
    return [{ kind: 'warning', path, message }]
  })
}

function isReadableBy(user: Reader, file: string): boolean {
  try {
    return may(user, file, 4)
  } catch {
    return true // that it cannot be read is told elsewhere
  }
}

/** The files that secrets are read from, and where each is named first. */
function findSecretFiles(value: unknown, folder: string, path: Path = [], isSecret = false): SecretFile[] {
  if (typeof value !== 'object' || value === null) return []
  const entries: [string | number, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value)
  const [[key, file] = []] = entries
  if (isSecret && entries.length === 1 && key === 'file' && typeof file === 'string')
    return [{ path, file: resolve(folder, file) }]
  return entries.flatMap(([each, part]) =>
    findSecretFiles(part, folder, [...path, each], isSecret || isSecretKey(each) || each === 'header'),
  )
}

interface SecretFile {
  path: Path
  file: string
}

/**
 * The command that closes a file to others, and leaves it to its reader: DeadPool, who may be none but one of the others
 * so far. For root, who looks after the file of somebody else, that is the user of the service.
 */
function mend(file: string, { uid, gid, mode }: Stats): string {
  const shown = quoteForShell(file)
  const reader = process.geteuid?.() === 0 ? findServiceUser(uid) : { uid: process.geteuid?.(), gids: ownGroups() }
  if (reader === undefined || reader.uid === uid) return `chmod o-rwx ${shown}`
  if (!reader.gids.includes(gid)) return `chgrp ${nameGroup(reader.gids[0])} ${shown}; chmod g+r,o-rwx ${shown}`
  return `chmod ${(mode & GROUP_READS) === 0 ? 'g+r,' : ''}o-rwx ${shown}`
}

function ownGroups(): number[] {
  return [process.getegid?.() ?? 0, ...(process.getgroups?.() ?? [])]
}

/** Who reads a file of root: the user that an installation makes, if it was made. */
function findServiceUser(ownerOfFile: number): Reader | undefined {
  const line = ownerOfFile === 0 ? readLines('/etc/passwd').find((each) => each.startsWith('deadpool:')) : undefined
  const [, , uid, gid] = line?.split(':') ?? []
  return gid === undefined ? undefined : { uid: Number(uid), gids: [Number(gid)] }
}

function nameGroup(gid: number | undefined): string {
  const line = readLines('/etc/group').find((each) => each.split(':')[2] === String(gid))
  return line?.split(':')[0] ?? String(gid)
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch {
    return [] // a root without users has none to name
  }
}

/** Where the first secret stands: the token, or a part of the configuration that holds one somewhere. */
function findSecretInClear(value: unknown): Path | undefined {
  const sections = value as Record<string, Record<string, unknown> | null>
  const { access_token: token } = sections.WEB ?? {}
  const [inList] = Array.isArray(token) ? [token.findIndex((each) => typeof each === 'string')] : []
  if (typeof token === 'string') return ['WEB', 'access_token']
  if (inList !== undefined && inList >= 0) return ['WEB', 'access_token', inList]
  for (const [key, section] of Object.entries(sections)) {
    for (const [name, part] of Object.entries(section ?? {})) {
      if (collectSecrets({ [name]: part }).size > 0) return [key, name]
    }
  }
  return undefined
}

/** What is known of a file that others can read: it is closed by its own mode, or by that of a folder above it. */
function findReadableByOthers(file: string): Stats | undefined {
  try {
    const path = realpathSync(file)
    const found = statSync(path)
    if (!found.isFile() || (found.mode & OTHERS_READ) === 0) return undefined
    for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
      if ((statSync(folder).mode & OTHERS_ENTER) === 0) return undefined
    }
    return found
  } catch {
    return undefined // gone, or out of this user's own sight: then there is nothing to be sure of
  }
}

/** Writes a path as a shell takes it. */
export function quoteForShell(path: string): string {
  return /^[\w./:@%+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}
