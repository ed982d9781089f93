import { createHash } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import * as z from 'zod'
import type { Account } from './account.ts'
import { makeFolders, type Site, StepError } from './site.ts'

/** What `install` put where, by the hash of what it put: so that it can tell later what somebody has edited. */
export type InstallRecord = Map<string, string>

/** A file to be: its text, or the program that it is a copy of. */
export interface Item {
  path: string
  content: string | { copyOf: string }
  mode: number
}

/**
 * Puts a file into its place. One that was edited, or was never ours, stays: the new one is put beside it, as `.new`. A
 * program is not edited: one that was copied there by hand is renewed, and a link becomes a file. A file appears whole or
 * not at all, so that a binary can be replaced while it runs.
 *
 * @returns whether something changed there
 */
export function placeFile(site: Site, item: Item, record: InstallRecord): boolean {
  const { path, content, mode } = item
  const target = site.at(path)
  const wanted = typeof content === 'string' ? hashOf(content) : hashFile(content.copyOf)
  const isLink = isLinkAt(target)
  const found = existsSync(target) ? hashFile(target) : undefined
  const isProgram = typeof content !== 'string' && (found === undefined || isExecutable(target))
  if (isLink && found === undefined && !isProgram) {
    site.say(path, 'is a link to a place that is not there, and stays; remove it, and try again')
    return false
  }
  if (found !== undefined && found !== wanted && record.get(path) !== found && !isProgram) {
    putAside(site, item, wanted, record)
    return false
  }
  record.set(path, wanted)
  const isThere = found === wanted && !(isLink && isProgram)
  if (isThere) setRight(site, path, mode)
  else {
    if (!site.isDry) write(target, content, mode)
    site.did(path, found === undefined ? 'written' : isLink ? 'written in the place of a link' : 'renewed')
  }
  // Last, as it may be what is copied.
  takeBack(site, `${path}.new`, record)
  return !isThere
}

export function isLinkAt(target: string): boolean {
  return lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink() === true
}

/** Whether it is a program of a compiler (ELF), and not a script that somebody wrote. */
function isExecutable(target: string): boolean {
  const magic = Buffer.alloc(4)
  const descriptor = openSync(target, 'r')
  try {
    readSync(descriptor, magic)
  } finally {
    closeSync(descriptor)
  }
  return magic.toString('latin1') === '\x7fELF'
}

/** A file of the right content, as a copy made by hand, may be anybody's, to write to or to keep from the service. */
function setRight(site: Site, path: string, mode: number): void {
  const target = site.at(path)
  const found = statSync(target)
  const isOurs = process.getuid?.() !== 0 || (found.uid === 0 && found.gid === 0)
  if (isOurs && (found.mode & 0o7777) === mode) {
    site.say(path, 'is as it should be')
    return
  }
  if (!site.isDry) {
    if (!isOurs) chownSync(target, 0, 0)
    chmodSync(target, mode)
  }
  site.did(path, `${isOurs ? '' : 'given to root, and '}set to mode 0${mode.toString(8)}`)
}

function putAside(site: Site, { path, content, mode }: Item, wanted: string, record: InstallRecord): void {
  const target = site.at(path)
  const aside = site.at(`${path}.new`)
  const differs = typeof content === 'string' ? ` (${countDiffering(readFileSync(target, 'utf8'), content)})` : ''
  const former = existsSync(aside) ? hashFile(aside) : undefined
  if (former !== undefined && former !== wanted && record.get(`${path}.new`) !== former) {
    site.say(path, `was edited, and stays${differs}; ${basename(aside)} beside it is somebody's own, and stays too`)
    return
  }
  if (!site.isDry) write(aside, content, mode)
  record.set(`${path}.new`, wanted)
  const compare = `compare: diff ${target} ${aside}`
  const where = `the new one ${site.isDry ? 'would be' : 'is'} ${basename(aside)} beside it; ${compare}`
  site.say(path, `was edited, and stays${differs}; ${where}`)
}

/** Removes what was put aside, unless somebody has edited it since, or put it there. */
function takeBack(site: Site, path: string, record: InstallRecord): void {
  const hash = record.get(path)
  if (hash === undefined) return
  const target = site.at(path)
  if (!site.isDry && existsSync(target) && hashFile(target) === hash) unlinkSync(target)
  record.delete(path)
}

/** How many lines of one text are not in the other, both ways. */
function countDiffering(former: string, text: string): string {
  const [before, after] = [former, text].map((each) => each.trimEnd().split('\n')) as [string[], string[]]
  const differing =
    before.filter((line) => !after.includes(line)).length + after.filter((line) => !before.includes(line)).length
  return differing === 1 ? '1 line differs' : `${differing} lines differ`
}

function write(target: string, content: Item['content'], mode: number): void {
  makeFolders(dirname(target))
  removeLeftovers(target)
  const temporary = `${target}.${process.pid}.part`
  try {
    if (typeof content === 'string') writeFileSync(temporary, content, { flag: 'wx', mode: 0o600 })
    else copyFileSync(content.copyOf, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
    chmodSync(temporary, mode)
    sync(temporary)
    renameSync(temporary, target)
  } catch (error) {
    rmSync(temporary, { force: true })
    // It is the file that is told about, not its first name.
    throw Object.assign(error as Error, { dest: target })
  }
}

/** Removes what a process that was killed has left of this file; that of one at work stays. */
function removeLeftovers(target: string): void {
  const ours = `${basename(target)}.`
  for (const name of readdirSync(dirname(target))) {
    const pid = name.startsWith(ours) ? /^(\d+)\.part$/.exec(name.slice(ours.length))?.[1] : undefined
    const isAtWork = pid !== undefined && pid !== String(process.pid) && existsSync(`/proc/${pid}`)
    if (pid !== undefined && !isAtWork) rmSync(join(dirname(target), name))
  }
}

/** A host that loses its power now must not find half a binary. */
function sync(path: string): void {
  const descriptor = openSync(path, 'r')
  fsyncSync(descriptor)
  closeSync(descriptor)
}

/** Makes a folder, if it is not there. */
export function placeFolder(site: Site, path: string, mode: number, owner?: Account): void {
  const target = site.at(path)
  if (existsSync(target)) {
    site.say(path, 'is there')
    return
  }
  if (!site.isDry) {
    makeFolders(target)
    chmodSync(target, mode)
    if (owner) giveTo(target, owner)
  }
  site.did(path, 'made')
}

/** Gives a file to its owner, as far as this is for us to do. */
export function giveTo(target: string, { uid, gid }: Account): void {
  if (process.getuid?.() === 0) chownSync(target, uid, gid)
}

/** Removes a file that `install` put there; one that was edited stays, unless everything has to go. */
export function removeFile(site: Site, path: string, hash: string, { isPurge }: { isPurge: boolean }): boolean {
  const target = site.at(path)
  if (!site.isDry && existsSync(dirname(target))) removeLeftovers(target)
  if (!existsSync(target)) return true
  if (hashFile(target) !== hash && !isPurge) {
    site.say(path, 'was edited, and stays; --purge removes it')
    return false
  }
  if (!site.isDry) unlinkSync(target)
  site.did(path, 'removed')
  return true
}

/** Removes a folder with all that is in it; one that a disk is mounted at is left empty. */
export function removeFolder(site: Site, path: string): void {
  const target = site.at(path)
  if (!existsSync(target)) return
  try {
    if (!site.isDry) rmSync(target, { recursive: true })
  } catch (error) {
    if (readdirSync(target).length > 0) throw error
    site.did(path, 'emptied, and stays, as a disk is mounted there')
    return
  }
  site.did(path, 'removed, with all that was in it')
}

const RECORD = '/usr/local/share/deadpool/installed.json'

/** @throws StepError when it is damaged: without it nobody knows what was edited */
export function readRecord(site: Site): InstallRecord {
  const path = site.at(RECORD)
  if (!existsSync(path)) return new Map()
  try {
    return new Map(Object.entries(recordSchema.parse(JSON.parse(readFileSync(path, 'utf8')))))
  } catch (error) {
    const hint = 'remove it, and every file that is not as this binary would write it is taken for one that was edited'
    throw new StepError(`${path}, which tells what was installed, cannot be read; ${hint}`, { cause: error })
  }
}

const recordSchema = z.record(z.string(), z.hash('sha256'))

export function writeRecord(site: Site, record: InstallRecord): void {
  if (site.isDry) return
  const path = site.at(RECORD)
  const text = `${JSON.stringify(Object.fromEntries(record), undefined, 2)}\n`
  if (record.size === 0) rmSync(dirname(path), { recursive: true, force: true })
  else if (!existsSync(path) || readFileSync(path, 'utf8') !== text) write(path, text, 0o644)
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function hashFile(path: string): string {
  const hash = createHash('sha256')
  const buffer = Buffer.alloc(1024 * 1024)
  const descriptor = openSync(path, 'r')
  try {
    for (let size = readSync(descriptor, buffer); size > 0; size = readSync(descriptor, buffer)) {
      hash.update(buffer.subarray(0, size))
    }
    return hash.digest('hex')
  } finally {
    closeSync(descriptor)
  }
}
