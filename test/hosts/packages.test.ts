import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeFolder, skip } from '../e2e/binary.ts'
import { runUnderSystemd } from '../e2e/systemd-host.ts'
import { makeMachine, released, runIn, SUITES } from './machine.ts'

const ROOT = 0
const home = join(import.meta.dirname, '../..')

/** What the package leaves to a user `deadpool`: mode, and whether its owner and group are that user's. */
function ownership(root: string, path: string): string {
  const id = (kind: string) => Number(readFileSync(join(root, `etc/${kind}`), 'utf8').match(/^deadpool:x:(\d+)/m)?.[1])
  const { mode, uid, gid } = statSync(join(root, path))
  const name = (found: number, own: number) => (found === own ? 'deadpool' : found === 0 ? 'root' : String(found))
  return `${(mode & 0o7777).toString(8)} ${name(uid, id('passwd'))}:${name(gid, id('group'))}`
}

function checkInstalled(root: string): void {
  assert.equal(ownership(root, 'var/lib/deadpool'), '750 deadpool:deadpool')
  assert.equal(ownership(root, 'etc/deadpool/token'), '640 root:deadpool')
  assert.equal(ownership(root, 'etc/deadpool/deadpool.yml'), '640 root:deadpool')
  assert.match(readFileSync(join(root, 'etc/deadpool/token'), 'utf8'), /^[0-9a-f]{64}$/)
  const uid = Number(/^deadpool:x:(\d+):/m.exec(readFileSync(join(root, 'etc/passwd'), 'utf8'))?.[1])
  assert.ok(uid > 0 && uid < 1000, `${uid}`)
  const check = runIn(root, ['/usr/bin/deadpool', 'check-config'], { uid })
  assert.equal(check.stdout.split('\n')[0], '/etc/deadpool/deadpool.yml: OK', check.stderr)
  assert.match(check.stdout, /^flags in \/var\/lib\/deadpool\/probe$/m)
  assert.equal(check.status, 0)
}

// Whether the machine would survive a loss of power is nothing that is asked here.
const DPKG = ['/usr/bin/dpkg', '--force-unsafe-io']
const NONINTERACTIVE = { uid: ROOT, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DEBIAN_FRONTEND: 'noninteractive' } }

for (const suite of SUITES) {
  test(`the .deb is installed, upgraded and purged on ${suite} with nothing added`, async (context) => {
    const root = makeMachine(context, suite)
    if (!root) return
    const run = (...command: string[]) => {
      const done = runIn(root, command, NONINTERACTIVE)
      assert.equal(done.status, 0, `${command.join(' ')}: ${done.stdout}${done.stderr}`)
      return done
    }
    copyFileSync(released(/_amd64\.deb$/), join(root, 'deadpool.deb'))
    const first = run(...DPKG, '--install', '/deadpool.deb')
    assert.match(
      first.stdout,
      /DeadPool is installed, not started\. Edit \/etc\/deadpool\/deadpool\.yml, then: systemctl enable --now deadpool/,
    )
    checkInstalled(root)
    assert.equal(run('/usr/bin/dpkg', '--verify', 'deadpool').stdout, '')

    appendFileSync(join(root, 'etc/deadpool/deadpool.yml'), '# edited\n')
    const token = readFileSync(join(root, 'etc/deadpool/token'), 'utf8')
    copyFileSync(makeNewer(makeFolder(context), released(/_amd64\.deb$/)), join(root, 'newer.deb'))
    run(...DPKG, '--force-confdef', '--force-confold', '--install', '/newer.deb')
    const kept = readFileSync(join(root, 'etc/deadpool/deadpool.yml'), 'utf8')
    assert.ok(kept.endsWith('# edited\n') && !kept.includes('# newer'))
    assert.equal(readFileSync(join(root, 'etc/deadpool/token'), 'utf8'), token)
    checkInstalled(root)

    mkdirSync(join(root, 'var/lib/deadpool/probe'))
    run('/usr/bin/dpkg', '--remove', 'deadpool')
    assert.equal(existsSync(join(root, 'usr/bin/deadpool')), false)
    for (const left of ['etc/deadpool/deadpool.yml', 'etc/deadpool/token', 'var/lib/deadpool/probe']) {
      assert.ok(existsSync(join(root, left)), left)
    }
    run('/usr/bin/dpkg', '--purge', 'deadpool')
    for (const gone of ['etc/deadpool', 'var/lib/deadpool', 'usr/share/doc/deadpool']) {
      assert.equal(existsSync(join(root, gone)), false, gone)
    }
    assert.notEqual(runIn(root, ['/usr/bin/dpkg', '--status', 'deadpool'], NONINTERACTIVE).status, 0)
  })
}

test('the .deb copes with hosts that are not as they should be', async (context) => {
  const root = makeMachine(context, 'bookworm')
  if (!root) return
  const at = (path: string) => join(root, path)
  // The scripts are what is tried, so the binary may be a small one.
  const deb = makeNewer(makeFolder(context), released(/_amd64\.deb$/), (tree) =>
    copyFileSync('/bin/true', join(tree, 'usr/bin/deadpool')),
  )
  copyFileSync(deb, at('deadpool.deb'))
  const run = (command: string[], before = '') => runIn(root, command, { ...NONINTERACTIVE, before })
  const install = [...DPKG, '--install', '/deadpool.deb']
  const purge = ['/usr/bin/dpkg', '--purge', 'deadpool']
  const succeeds = (...args: Parameters<typeof run>) => {
    const { status, stdout, stderr } = run(...args)
    assert.equal(status, 0, `${args[0].join(' ')}: ${stdout}${stderr}`)
  }

  await context.test('beside an installation by "deadpool install" it is refused, and leaves nothing', () => {
    mkdirSync(at('usr/local/share/deadpool'), { recursive: true })
    writeFileSync(at('usr/local/share/deadpool/installed.json'), '{}')
    const { status, stderr } = run(install)
    assert.match(stderr, /^DeadPool is there by "deadpool install" \(\/usr\/local\/share\/deadpool\/installed\.json\)/m)
    assert.match(stderr, /^Run first: sudo \/usr\/local\/bin\/deadpool uninstall\. /m)
    assert.notEqual(status, 0)
    for (const path of ['usr/bin/deadpool', 'etc/deadpool']) assert.equal(existsSync(at(path)), false, path)
    rmSync(at('usr/local/share/deadpool'), { recursive: true })
  })

  await context.test('without /dev/urandom there is no token, and no empty one', () => {
    succeeds(['/usr/sbin/groupadd', '--system', 'deadpool'])
    rmSync(at('dev/urandom'))
    const { status, stderr } = run(install)
    assert.match(stderr, /^No token can be written to \/etc\/deadpool\/token; /m)
    assert.notEqual(status, 0)
    assert.equal(existsSync(at('etc/deadpool/token')), false)
  })

  await context.test(
    'what was interrupted is finished, in the group that is there, without the file that is gone',
    () => {
      succeeds(['/usr/bin/mknod', '-m', '666', '/dev/urandom', 'c', '1', '9'])
      rmSync(at('etc/deadpool/deadpool.yml'))
      writeFileSync(at('etc/deadpool/token'), '')
      succeeds(['/usr/bin/dpkg', '--configure', '--pending'])
      assert.equal(ownership(root, 'etc/deadpool/token'), '640 root:deadpool')
      assert.equal(statSync(at('etc/deadpool/token')).size, 64)
    },
  )

  await context.test('it is purged where the state and the configuration are mounted', () => {
    const mount = (folder: string) => `mount -t tmpfs tmpfs "$0/${folder}"\n: >"$0/${folder}/x"`
    succeeds(purge, ['etc/deadpool', 'var/lib/deadpool'].map(mount).join('\n'))
    assert.notEqual(run(['/usr/bin/dpkg', '--status', 'deadpool']).status, 0)
  })

  await context.test('a user without a group of its own gets one', () => {
    rmSync(at('var/lib/deadpool'), { recursive: true })
    succeeds(['/usr/sbin/userdel', 'deadpool'])
    succeeds(['/usr/sbin/useradd', '--gid', '100', 'deadpool'])
    succeeds(install)
    assert.equal(ownership(root, 'var/lib/deadpool'), '750 deadpool:deadpool')
    assert.equal(ownership(root, 'etc/deadpool/deadpool.yml'), '640 root:deadpool')
    assert.match(readFileSync(at('etc/passwd'), 'utf8'), /^deadpool:x:\d+:100:/m)
  })
})

/** The commands of docs/install.md. */
const [APT, DNF, START] = readPage('A package')

/** What the blocks of one section say, each as it is written. */
function readPage(name: string): string[] {
  const page = readFileSync(join(home, 'docs/install.md'), 'utf8')
  const section = page.split(/^## /m).find((each) => each.startsWith(`${name}\n`)) ?? ''
  return [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block)
}

const UPGRADE = `#!/bin/bash
sudo() { "$@"; }
# Debian has no packages that those of Fedora would be found in.
dnf() { shift; rpm --nodeps --install "$@"; }
part() { echo "== $1"; }
ask() { curl -sS -w '[%{http_code}]\\n' -H "Authorization: Bearer $(cat /etc/deadpool/token)" http://127.0.0.1:9001/; }
main() { systemctl show -p MainPID --value deadpool; }
export DEBIAN_FRONTEND=noninteractive
rm -f /usr/sbin/policy-rc.d
cd; cp /srv/project/dist/hosts/*.deb /srv/project/dist/hosts/*.rpm .
dpkg-deb -R *_amd64.deb tree; printf '\\n' >>tree/usr/bin/deadpool
newer() { sed -i "s/^Version: .*/&.later/" tree/DEBIAN/control; dpkg-deb --root-owner-group -Znone -b tree $1 >/dev/null; }
newer second.deb; newer third.deb; newer fourth.deb
part page
(set -e
${APT}
${START}
) </dev/null || echo FAILED
sleep 2; ask; systemctl is-enabled deadpool
part upgrade
before=$(main); dpkg --force-unsafe-io -i second.deb; echo "exit $?"; ask
[ $before != $(main) ] && echo other; systemctl show -p NRestarts deadpool
part forbidden
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d
before=$(main); dpkg --force-unsafe-io -i third.deb; echo "exit $?"; ask; [ $before = $(main) ] && echo same
rm /usr/sbin/policy-rc.d
part mistake
echo mistake: 1 >>/etc/deadpool/deadpool.yml
before=$(main); dpkg --force-unsafe-io --force-confold -i fourth.deb; echo "exit $?"; ask; [ $before = $(main) ] && echo same
part purge
dpkg --purge deadpool; echo "exit $?"; systemctl is-active deadpool; ls -d /etc/deadpool /var/lib/deadpool
part own
install -d -o deadpool -g deadpool /opt/deadpool; cp deadpool /opt/deadpool/; (cd /opt/deadpool; ./deadpool init; chown deadpool deadpool.yml) >/dev/null
printf '[Service]\\nExecStart=/opt/deadpool/deadpool\\nUser=deadpool\\n[Install]\\nWantedBy=multi-user.target\\n' >/etc/systemd/system/deadpool.service
systemctl daemon-reload; systemctl enable --now deadpool; before=$(main)
dpkg --force-unsafe-io -i second.deb; dpkg --force-unsafe-io -i third.deb; dpkg --purge deadpool; echo "exit $?"
[ $before = $(main) ] && echo same; systemctl is-active deadpool; systemctl is-enabled deadpool
systemctl disable --now deadpool; rm /etc/systemd/system/deadpool.service; systemctl daemon-reload
part rpm
rpm --initdb
(set -e
${DNF}
${START}
) || echo FAILED
sleep 2; ask
before=$(main); rpm --nodeps -U --force /srv/project/dist/hosts/*.x86_64.rpm; echo "exit $?"; ask
[ $before != $(main) ] && echo other; systemctl show -p NRestarts deadpool
rpm --nodeps -e deadpool; echo "exit $?"; systemctl is-active deadpool
`

test('the packages are installed as docs/install.md says, and an upgrade lets a running DeadPool hand over, but not where that is forbidden or fails', async (context) => {
  const printed = await runUnderSystemd(context, UPGRADE)
  if (printed === undefined) return
  const part = (name: string) => new RegExp(`^== ${name}\n([^]*?)(?=^== |^THE END)`, 'm').exec(printed)?.[1] ?? ''
  assert.match(part('page'), /^OK\n.*\n\[200\]\nenabled$/m)
  assert.doesNotMatch(printed, /^FAILED/m)
  assert.match(part('upgrade'), /^upgraded: process \d+ .* answers at .* in the place of process \d+/m)
  assert.match(part('upgrade'), /^exit 0\nOK\n.*\n\[200\]\nother\nNRestarts=0$/m)
  assert.match(part('forbidden'), /^exit 0\nOK\n.*\n\[200\]\nsame$/m)
  assert.match(part('mistake'), /^\/etc\/deadpool\/deadpool\.yml:\d+:1 mistake: /m)
  assert.match(part('mistake'), /^The former DeadPool goes on\. Once that is mended, run: deadpool upgrade$/m)
  assert.match(part('mistake'), /^exit 0\nOK\n.*\n\[200\]\nsame$/m)
  assert.match(part('purge'), /^exit 0\ninactive$/m)
  assert.doesNotMatch(part('purge'), /^\/etc\/deadpool$|^\/var\/lib\/deadpool$/m)
  assert.doesNotMatch(part('own'), /upgrade/)
  assert.match(part('own'), /^exit 0\nsame\nactive\nenabled$/m)
  assert.match(part('rpm'), /^OK\n.*\n\[200\]\n/m)
  assert.match(part('rpm'), /^upgraded: process \d+ .*\nexit 0\nOK\n.*\n\[200\]\nother\nNRestarts=0$/m)
  assert.match(part('rpm'), /^exit 0\ninactive$/m)
})

/** The same package with a higher version and another configuration, as a later release has. */
function makeNewer(folder: string, deb: string, change: (tree: string) => void = () => {}): string {
  const tree = join(folder, 'tree')
  execFileSync('dpkg-deb', ['--raw-extract', deb, tree])
  appendFileSync(join(tree, 'etc/deadpool/deadpool.yml'), '# newer\n')
  change(tree)
  execFileSync('sed', ['-i', 's/^Version: .*/&.later/', join(tree, 'DEBIAN/control')])
  const newer = join(folder, 'newer.deb')
  execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '--build', tree, newer])
  return newer
}

test('the .rpm is installed and removed by rpm --root', async (context) => {
  if (spawnSync('rpm', ['--version']).error) return skip(context, 'rpm is missing; install it: apt-get install rpm')
  const root = makeMachine(context, 'bookworm')
  if (!root) return
  // Its database knows no package of Debian.
  const rpm = (...args: string[]) => {
    const { status, stderr, stdout } = spawnSync('rpm', ['--root', root, ...args], { encoding: 'utf8' })
    assert.equal(status, 0, stderr)
    return stdout
  }
  const file = join(root, 'deadpool.rpm')
  copyFileSync(released(/\.x86_64\.rpm$/), file)
  rpm('--initdb')
  // What an uninstalled DeadPool has left there.
  mkdirSync(join(root, 'etc/deadpool'))
  writeFileSync(join(root, 'etc/deadpool/deadpool.yml'), readFileSync(join(home, 'packaging/deadpool.yml')))
  rpm('--nodeps', '--install', file)
  checkInstalled(root)
  // An upgrade gives every file the rights that the package names.
  assert.equal(rpm('--verify', '--nodeps', 'deadpool'), '')
  appendFileSync(join(root, 'etc/deadpool/deadpool.yml'), '# edited\n')
  rpm('--erase', 'deadpool')
  assert.equal(existsSync(join(root, 'usr/bin/deadpool')), false)
  assert.ok(readFileSync(join(root, 'etc/deadpool/deadpool.yml.rpmsave'), 'utf8').endsWith('# edited\n'))
  assert.ok(existsSync(join(root, 'var/lib/deadpool')), 'rpm knows no purge')
})

test('lintian finds no error in the .deb', (context) => {
  if (spawnSync('lintian', ['--version']).error) {
    return skip(context, 'lintian is missing; install it: apt-get install lintian')
  }
  const args = ['--allow-root', '--fail-on', 'error', released(/_amd64\.deb$/)]
  const { status, stdout } = spawnSync('lintian', args, { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
})

test('the packages list the same files, with the same modes, for every processor', () => {
  const deb = (pattern: RegExp) =>
    execFileSync('dpkg-deb', ['--contents', released(pattern)], { encoding: 'utf8' })
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/\s+/))
      .map(([mode, owner, , , , path = '']) => `${mode} ${owner} ${path.slice(1)}`)
  const amd64 = deb(/_amd64\.deb$/)
  assert.deepEqual(deb(/_arm64\.deb$/), amd64)
  for (const line of amd64) {
    const mode = line.includes(' /usr/bin/deadpool') ? '-rwxr-xr-x' : line.endsWith('/') ? 'drwxr-xr-x' : '-rw-r--r--'
    assert.ok(line.startsWith(`${mode} root/root `), line)
  }
  for (const path of [
    '/etc/deadpool/deadpool.yml',
    '/etc/deadpool/mod/',
    '/usr/lib/systemd/system/deadpool.service',
    '/usr/share/bash-completion/completions/deadpool',
    '/usr/share/doc/deadpool/licenses.txt',
    '/usr/share/man/man1/deadpool.1.gz',
    '/usr/share/man/man5/deadpool.yml.5.gz',
    '/usr/share/doc/deadpool/docs/operations.md',
  ]) {
    assert.ok(
      amd64.includes(
        `${path.endsWith('/') ? 'd' : '-'}rw${path.endsWith('/') ? 'xr-xr-x' : '-r--r--'} root/root ${path}`,
      ),
      path,
    )
  }
  const rpm = (pattern: RegExp) =>
    execFileSync('rpm', ['-qp', '--qf', '[%{FILEMODES:perms} %{FILENAMES}\n]', released(pattern)], { encoding: 'utf8' })
  const x64 = rpm(/\.x86_64\.rpm$/)
  assert.equal(rpm(/\.aarch64\.rpm$/), x64)
  assert.match(x64, /^-rw-r----- \/etc\/deadpool\/deadpool\.yml$/m)
  assert.match(x64, /^\S+ \/usr\/share\/zsh\/site-functions\/_deadpool$/m)
  assert.match(x64, /^-rwxr-xr-x \/usr\/bin\/deadpool$/m)
  const tar = execFileSync('tar', ['-tvJf', released(/linux-x64\.tar\.xz$/)], { encoding: 'utf8' })
  for (const end of [
    'deadpool',
    'mod/url_probe.ts',
    'deadpool.example.yml',
    'README.md',
    'docs/operations.md',
    'systemd/deadpool.service',
    'man/deadpool.1',
    'completions/deadpool.bash',
    'licenses.txt',
    'deadpool.cdx.json',
  ]) {
    assert.match(
      tar,
      new RegExp(`^-rw[x-]r-[x-]r-[x-] 0/0 .* deadpool-[^/]+-linux-x64/${end.replaceAll('.', '\\.')}$`, 'm'),
    )
  }
})

test('the sizes are within their limits, and SHA256SUMS is right', () => {
  for (const pattern of [/linux-x64$/, /linux-arm64$/]) assert.ok(statSync(released(pattern)).size <= 120_000_000)
  for (const pattern of [/_amd64\.deb$/, /_arm64\.deb$/]) assert.ok(statSync(released(pattern)).size <= 35_000_000)
  const folder = join(released(/^SHA256SUMS$/), '..')
  const { status, stdout } = spawnSync('sha256sum', ['--check', 'SHA256SUMS'], { cwd: folder, encoding: 'utf8' })
  assert.equal(status, 0, stdout)
  assert.equal(stdout.trimEnd().split('\n').length, 11)
})

test('a second release gives the same bytes, with another umask, time zone and locale', (context) => {
  const out = join(makeFolder(context), 'again')
  const env = { ...process.env, TZ: 'Pacific/Apia', LC_ALL: 'C', XZ_OPT: '-9' }
  const release = [process.execPath, 'build/release.ts', '--arch', 'x64', '--level', '1', '--out', out]
  const args = ['-c', 'umask 077; exec "$@"', 'sh', ...release]
  const { status, stderr } = spawnSync('sh', args, { cwd: home, encoding: 'utf8', env })
  assert.equal(status, 0, stderr)
  const sums = readFileSync(released(/^SHA256SUMS$/), 'utf8').split('\n')
  const again = readFileSync(join(out, 'SHA256SUMS'), 'utf8').trimEnd().split('\n')
  assert.equal(again.length, 6)
  for (const line of again) assert.ok(sums.includes(line), `${line} differs`)
})

test('a second build of the arm64 binary gives the same bytes', (context) => {
  const out = join(makeFolder(context), 'arm64')
  const args = ['build/build.ts', '--arch', 'arm64', '--out', out]
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: home, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  assert.ok(readFileSync(join(out, 'deadpool')).equals(readFileSync(released(/linux-arm64$/))), 'the binaries differ')
})
