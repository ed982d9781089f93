import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
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

const { values: options } = parseArgs({
  options: {
    arch: { type: 'string', multiple: true },
    out: { type: 'string', default: join(home, 'dist/release') },
    level: { type: 'string', default: '6' },
  },
})

try {
  await makeRelease()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exit(1)
}

async function makeRelease(): Promise<void> {
  const arches = ARCHES.filter((arch) => !options.arch || options.arch.includes(arch))
  if (arches.length === 0) throw new Error(`There is no processor "${options.arch}"; write ${ARCHES.join(' or ')}`)
  if (!/^[0-9]$/.test(options.level)) throw new Error(`"--level ${options.level}" is none of xz; write 0 to 9`)
  const revision = readRevision(['.'])
  const version = toPackageVersion(revision)
  needPackagers()
  for (const arch of arches) needTools(arch)

  const out = resolve(options.out)
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out, { recursive: true })
  const releases = arches.map((arch): Release => {
    const built = build(arch)
    const work = join(out, '.work', arch)
    mkdirSync(work, { recursive: true })
    return { arch, version, epoch: revision.epoch ?? 0, built, out, work, level: Number(options.level) }
  })
  await Promise.all(releases.map(makeAll))
  rmSync(join(out, '.work'), { recursive: true })
  writeSums(out)
  for (const name of readdirSync(out).sort()) {
    const { size } = statSync(join(out, name))
    process.stdout.write(`${(size / 1e6).toFixed(1).padStart(6)} MB  ${join(out, name)}\n`)
  }
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
