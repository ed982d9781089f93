import { createHash, randomBytes } from 'node:crypto'
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
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname } from 'node:path'
import * as z from 'zod'
import type { Account } from './account.ts'
import { makeFolders, type Site, StepError } from './site.ts'

/** What `install` put where, by the hash of what it put: so that it can tell later what somebody has edited. */
export type InstallRecord = Map<string, string>

/** A file to be: its text, or the file that it is a copy of. */
export interface Item {
  path: string
  content: string | { copyOf: string }
  mode: number
}

/**
 * Puts a file into its place. One that was edited, or was never ours, stays: the new one is put beside it, as `.new`. A
 * file appears whole or not at all, so that a binary can be replaced while it runs.
 *
 * @returns whether something changed there
 */
export function placeFile(site: Site, { path, content, mode }: Item, record: InstallRecord): boolean {
  const target = site.at(path)
  const wanted = typeof content === 'string' ? hashOf(content) : hashFile(content.copyOf)
  const found = lstatSync(target, { throwIfNoEntry: false }) && existsSync(target) ? hashFile(target) : undefined
  const isEdited = found !== undefined && found !== wanted && record.get(path) !== found
  if (isEdited) {
    putAside(site, path, content, mode)
    return false
  }
  record.set(path, wanted)
  if (!site.isDry) rmSync(`${target}.new`, { force: true })
  if (found === wanted) {
    if (!site.isDry && (statSync(target).mode & 0o7777) !== mode) chmodSync(target, mode)
    site.say(path, 'is as it should be')
    return false
  }
  if (!site.isDry) write(target, content, mode)
  site.did(path, found === undefined ? 'written' : 'renewed')
  return true
}

function putAside(site: Site, path: string, content: Item['content'], mode: number): void {
  const target = site.at(path)
  if (!site.isDry) write(`${target}.new`, content, mode)
  const differs = typeof content === 'string' ? ` (${countDiffering(readFileSync(target, 'utf8'), content)})` : ''
  const compare = `compare: diff ${target} ${target}.new`
  const where = `the new one ${site.isDry ? 'would be' : 'is'} ${basename(path)}.new beside it; ${compare}`
  site.say(path, `was edited, and stays${differs}; ${where}`)
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
  const temporary = `${target}.${randomBytes(4).toString('hex')}`
  try {
    if (typeof content === 'string') writeFileSync(temporary, content, { flag: 'wx', mode: 0o600 })
    else copyFileSync(content.copyOf, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
    chmodSync(temporary, mode)
    sync(temporary)
    renameSync(temporary, target)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
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
    if (owner) chownSync(target, owner.uid, owner.gid)
  }
  site.did(path, 'made')
}

/** Removes a file that `install` put there; one that was edited stays, unless everything has to go. */
export function removeFile(site: Site, path: string, hash: string, { isPurge }: { isPurge: boolean }): boolean {
  const target = site.at(path)
  if (!site.isDry) rmSync(`${target}.new`, { force: true })
  if (!existsSync(target)) return true
  if (hashFile(target) !== hash && !isPurge) {
    site.say(path, 'was edited, and stays; --purge removes it')
    return false
  }
  if (!site.isDry) rmSync(target)
  site.did(path, 'removed')
  return true
}

/** Removes a folder with all that is in it. */
export function removeFolder(site: Site, path: string): void {
  const target = site.at(path)
  if (!existsSync(target)) return
  if (!site.isDry) rmSync(target, { recursive: true })
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
  if (record.size === 0) rmSync(dirname(path), { recursive: true, force: true })
  else write(path, `${JSON.stringify(Object.fromEntries(record), undefined, 2)}\n`, 0o644)
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
