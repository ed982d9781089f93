import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ARCHES, type Arch, needTools } from './node.ts'
import { makeArchive } from './release/archive.ts'
import { makeDeb } from './release/deb.ts'
import { makeRpm } from './release/rpm.ts'
import type { Release } from './release/stage.ts'
import { readRevision, toPackageVersion } from './revision.ts'

/**
 * Makes everything that is given to operators, in `dist/release/`: for each processor the bare binary, an archive, a
 * package for Debian and one for Fedora and RHEL, and the SBOM; the licences, and the checksums of all. The same commit
 * gives the same bytes.
 *
 *     node build/release.ts [--arch x64|arm64] [--out FOLDER] [--level 0-9]
 *
 * `--level` is how hard xz tries, 6 by default: about a minute for each of three files and each processor.
 */
const home = join(import.meta.dirname, '..')
const MAX_DEB_BYTES = 35_000_000

/** What a release is made of; whatever else is in a folder was not made here, and is not thrown away. */
const MADE = /^(deadpool[-_].*|licenses\.txt|SHA256SUMS|\.work)$/

try {
  await makeRelease(readOptions())
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exit(1)
}

interface Options {
  arches: readonly Arch[]
  out: string
  level: number
}

function readOptions(): Options {
  const { arch, out, level } = parseArgs({
    options: {
      arch: { type: 'string', multiple: true, default: [...ARCHES] },
      out: { type: 'string', default: join(home, 'dist/release') },
      level: { type: 'string', default: '6' },
    },
  }).values
  const unknown = arch.find((each) => !(ARCHES as readonly string[]).includes(each))
  if (unknown !== undefined) throw new Error(`There is no processor "${unknown}"; write ${ARCHES.join(' or ')}`)
  if (!/^[0-9]$/.test(level)) throw new Error(`"--level ${level}" is none of xz; write 0 to 9`)
  if (out === '') throw new Error('"--out" is empty; name a folder')
  return { arches: ARCHES.filter((each) => arch.includes(each)), out: resolve(out), level: Number(level) }
}

async function makeRelease({ arches, out, level }: Options): Promise<void> {
  refuseOthers(out)
  const revision = readRevision(['.'])
  const version = toPackageVersion(revision)
  needPackagers()
  for (const arch of arches) needTools(arch)

  const releases = arches.map((arch): Release => {
    const built = build(arch)
    return { arch, version, epoch: revision.epoch ?? 0, built, out, work: join(out, '.work', arch), level }
  })
  clear(out)
  try {
    for (const { work } of releases) mkdirSync(work, { recursive: true })
    await Promise.all(releases.map(makeAll))
  } finally {
    rmSync(join(out, '.work'), { recursive: true, force: true })
  }
  writeSums(out) // the last file: what has none is no whole release
  for (const name of readdirSync(out).sort()) {
    const { size } = statSync(join(out, name))
    process.stdout.write(`${(size / 1e6).toFixed(1).padStart(6)} MB  ${join(out, name)}\n`)
  }
}

/** @throws Error when the folder of the former release holds anything else */
function refuseOthers(out: string): void {
  const other = existsSync(out) && readdirSync(out).find((name) => !MADE.test(name))
  if (other) throw new Error(`${out} holds "${other}", which is of no release; name an empty folder after --out`)
}

function clear(out: string): void {
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out, { recursive: true })
}

/** Builds for one processor, and gives the folder. */
function build(arch: Arch): string {
  const folder = arch === 'x64' ? join(home, 'dist') : join(home, 'dist', arch)
  const args = [join(home, 'build/build.ts'), '--if-stale', '--arch', arch, '--out', folder]
  execFileSync(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  return folder
}

async function makeAll(release: Release): Promise<void> {
  const { built, out, version, arch } = release
  const name = `deadpool-${version}-linux-${arch}`
  copyFileSync(join(built, 'deadpool'), join(out, name))
  copyFileSync(join(built, 'deadpool.cdx.json'), join(out, `${name}.cdx.json`))
  copyFileSync(join(built, 'licenses.txt'), join(out, 'licenses.txt')) // the same for every processor
  const deb = await makeDeb(release)
  const { size } = statSync(deb)
  if (size > MAX_DEB_BYTES) throw new Error(`${deb} has ${size} bytes; at most ${MAX_DEB_BYTES} are allowed`)
  await makeArchive(release)
  await makeRpm(release)
}

/** Writes what `sha256sum --check SHA256SUMS` reads. */
function writeSums(out: string): void {
  const sums = readdirSync(out)
    .sort()
    .map(
      (name) =>
        `${createHash('sha256')
          .update(readFileSync(join(out, name)))
          .digest('hex')}  ${name}\n`,
    )
  writeFileSync(join(out, 'SHA256SUMS'), sums.join(''))
}

function needPackagers(): void {
  const packages: Record<string, string> = { 'dpkg-deb': 'dpkg', rpmbuild: 'rpm', tar: 'tar', xz: 'xz-utils' }
  const missing = Object.keys(packages).filter((tool) => spawnSync(tool, ['--version']).error)
  if (missing.length === 0) return
  const install = missing.map((tool) => packages[tool]).join(' ')
  throw new Error(`A release needs ${missing.join(', ')}; install: apt-get install ${install}`)
}
