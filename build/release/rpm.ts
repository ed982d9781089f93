import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fill, type Item, installed, type Release, scripts, stage } from './stage.ts'

const ARCHES = { x64: 'x86_64', arm64: 'aarch64' } as const

/** Makes the package for Fedora, RHEL, SUSE and their kin, with rpmbuild. */
export async function makeRpm(release: Release): Promise<string> {
  const { version, epoch, out, work, level } = release
  const arch = ARCHES[release.arch]
  const root = join(work, 'rpm')
  const items = installed(release, 'site-functions')
  stage(root, items, epoch)
  // The scripts of rpmbuild take a path with a space in it for two.
  const place = mkdtempSync(join(tmpdir(), 'deadpool-rpm-'))
  const spec = join(place, 'deadpool.spec')
  writeFileSync(
    spec,
    fill('rpm/deadpool.spec', {
      version,
      files: list(root, items),
      ...scripts(),
    }),
  )
  const macros: Record<string, string> = {
    _topdir: place,
    _tmppath: place,
    _dbpath: join(place, 'rpmdb'),
    _binary_payload: `w${level}.xzdio`,
    // Nothing of this host, and no time but the commit's.
    _buildhost: 'deadpool',
    use_source_date_epoch_as_buildtime: '1',
    clamp_mtime_to_source_date_epoch: '1',
    source_date_epoch_from_changelog: '0',
    // The binary is finished: it is not stripped, and there are no sources of it.
    __os_install_post: '%{nil}',
    debug_package: '%{nil}',
    _build_id_links: 'none',
  }
  const defines = Object.entries(macros).flatMap(([name, value]) => ['--define', `${name} ${value}`])
  // A path may hold what is a macro in a spec.
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(epoch), STAGED: root }
  const name = `deadpool-${version}-1.${arch}.rpm`
  try {
    await promisify(execFile)('rpmbuild', ['-bb', '--nodeps', '--target', `${arch}-linux`, ...defines, spec], { env })
    copyFileSync(join(place, 'RPMS', arch, name), join(out, name))
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
  return join(out, name)
}

/** The lines of `%files`. Folders are named where they are this package's own. */
function list(root: string, items: readonly Item[]): string {
  const own = ['etc/deadpool', 'usr/share/doc/deadpool', 'usr/share/doc/deadpool/docs', 'usr/share/doc/deadpool/mod']
  const folders = own.map((path) => `%dir %attr(0755, root, root) /${path}`)
  const files = items.map(({ path, isExecutable }) => {
    if (statSync(join(root, path)).isDirectory()) return `%dir %attr(0755, root, root) /${path}`
    // It may come to hold passwords, and an upgrade gives it these rights again.
    if (path.startsWith('etc/')) return `%config(noreplace) %attr(0640, root, deadpool) /${path}`
    return `${kindOf(path)}%attr(${isExecutable ? '0755' : '0644'}, root, root) /${path}`
  })
  return [...folders, ...files].join('\n')
}

/** Documentation may be left out of an installation (`tsflags=nodocs`), licences may not. */
function kindOf(path: string): string {
  if (path === 'usr/share/doc/deadpool/licenses.txt') return '%license '
  return path.startsWith('usr/share/doc/') ? '%doc ' : ''
}
