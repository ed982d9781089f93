import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Metafile } from 'esbuild'

const home = join(import.meta.dirname, '..')

/** An npm package of which code is inside the binary. */
export interface Package {
  name: string
  version: string
  /** As its package.json names it, in SPDX: `MIT`. */
  licence: string
  /** The whole text of its licence, and of its NOTICE if it has one. */
  licenceText: string
  /** Of the archive it came in, as the lock file pins it: `sha512-…` in base64. */
  integrity: string
  /** The names of packages that it depends on. */
  dependencies: string[]
}

interface Locked {
  version: string
  integrity: string
  license?: string
  dev?: boolean
  optional?: boolean
  dependencies?: Record<string, string>
}

/** The packages that bundles hold a part of, sorted by name: what the bundler threw out again is not among them. */
export function packagesOf(metafiles: readonly Metafile[]): Package[] {
  const inputs = metafiles.flatMap(({ outputs }) =>
    Object.values(outputs).flatMap((output) => Object.entries(output.inputs)),
  )
  const used = inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).flatMap(([path]) => folderOf(path) ?? [])
  return describe(new Set(used))
}

/** All packages that the lock file has for the program itself, none of its tools. */
export function packagesOfLock(): Package[] {
  const entries = Object.entries(readLock())
  return describe(
    new Set(entries.flatMap(([path, { dev, optional }]) => (path === '' || dev || optional ? [] : [path]))),
  )
}

/** The entry of the lock file for a package at the top of `node_modules`. */
export function findLocked(name: string): Locked {
  const entry = readLock()[`node_modules/${name}`]
  if (!entry) throw new Error(`package-lock.json has no ${name}; add it: npm install --save-exact ${name}`)
  return entry
}

function readLock(): Record<string, Locked> {
  return JSON.parse(readFileSync(join(home, 'package-lock.json'), 'utf8')).packages
}

/** `node_modules/a/node_modules/@b/c` of `node_modules/a/node_modules/@b/c/lib/d.js`. */
function folderOf(path: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]
}

function describe(folders: Set<string>): Package[] {
  const lock = readLock()
  const packages = [...folders].map((folder) => {
    const locked = lock[folder]
    if (!locked) throw new Error(`${folder} is not in package-lock.json; run: npm ci`)
    const { name, license } = JSON.parse(readFileSync(join(home, folder, 'package.json'), 'utf8'))
    const { version, integrity } = locked
    const dependencies = Object.keys(locked.dependencies ?? {}).sort()
    return { name, version, integrity, dependencies, licence: license, licenceText: findLicence(name, folder) }
  })
  const keyOf = ({ name, version }: Package) => `${name} ${version}`
  return packages.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
}

/** The licence beside the code; else what its README says of it; else `build/licences/<name>.txt`. */
function findLicence(name: string, folder: string): string {
  const files = readdirSync(join(home, folder)).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
  if (files.length > 0)
    return files
      .sort()
      .map((file) => read(join(folder, file)))
      .join('\n\n')
  const readme = readdirSync(join(home, folder)).find((file) => /^readme/i.test(file))
  const section = readme && /^#+ *licen[cs]e\b[\s\S]*/im.exec(read(join(folder, readme)))?.[0]
  if (section?.includes('Copyright')) return section.trim()
  const file = `build/licences/${name.replace('/', '+')}.txt`
  if (existsSync(join(home, file))) return read(file)
  throw new Error(`${folder} is in the binary and has no licence text; put the one of its project into ${file}`)
}

function read(file: string): string {
  return readFileSync(join(home, file), 'utf8').replaceAll('\r\n', '\n').trim()
}
