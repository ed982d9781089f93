import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { fill, type Item, installed, type Release, scripts, stage } from './stage.ts'

const ARCHES = { x64: 'amd64', arm64: 'arm64' } as const

const COPYRIGHT = `Copyright 2026 the authors of DeadPool. No licence has been chosen yet (UNLICENSED).

The binary holds the work of others. Their names and licences, in full, are in
/usr/share/doc/deadpool/licenses.txt, and printed by: deadpool licenses
`

/** Makes the package for Debian and its kin, with dpkg-deb. */
export async function makeDeb(release: Release): Promise<string> {
  const { version, epoch, out, work, level } = release
  const arch = ARCHES[release.arch]
  const root = join(work, 'deb')
  const items = [...installed(release, 'vendor-completions'), ...papers(release)]
  stage(root, items, epoch)
  const sizes = items.map(({ path }) => Math.ceil(statSync(join(root, path)).size / 1024))
  const kilobytes = sizes.reduce((sum, size) => sum + size)
  stage(join(root, 'DEBIAN'), control(root, items, { version, arch, kilobytes }), epoch)
  const file = join(out, `deadpool_${version}_${arch}.deb`)
  // One thread, as the bytes of several depend on their number.
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(epoch), DPKG_DEB_THREADS_MAX: '1' }
  const how = ['--root-owner-group', '-Zxz', `-z${level}`]
  await promisify(execFile)('dpkg-deb', [...how, '--build', root, file], { env })
  return file
}

/** What Debian wants beside the program. */
function papers({ version, epoch }: Release): Item[] {
  const date = new Date(epoch * 1000).toUTCString().replace('GMT', '+0000')
  const entry = ['  * See CHANGELOG.md.', '', ` -- DeadPool <deadpool@deadpool.invalid>  ${date}`]
  const changes = `deadpool (${version}) unstable; urgency=medium\n\n${entry.join('\n')}\n`
  return [
    {
      path: 'usr/share/doc/deadpool/copyright',
      text: COPYRIGHT,
    },
    { path: 'usr/share/doc/deadpool/changelog.gz', text: gzipSync(changes, { level: 9 }) },
    { path: 'usr/share/lintian/overrides/deadpool', text: fill('deb/lintian-overrides', {}) },
  ]
}

function control(root: string, items: readonly Item[], values: Record<string, string | number>): Item[] {
  const md5 = (path: string) =>
    createHash('md5')
      .update(readFileSync(join(root, path)))
      .digest('hex')
  const sums = items.filter(({ path }) => statSync(join(root, path)).isFile() && !path.startsWith('etc/'))
  const fills = scripts()
  return [
    { path: 'control', text: fill('deb/control', values) },
    { path: 'conffiles', text: '/etc/deadpool/deadpool.yml\n' },
    {
      path: 'md5sums',
      text: sums
        .map(({ path }) => `${md5(path)}  ${path}\n`)
        .sort()
        .join(''),
    },
    ...['preinst', 'postinst', 'prerm', 'postrm'].map((script) => {
      return { path: script, text: fill(`deb/${script}`, fills), isExecutable: true }
    }),
  ]
}
