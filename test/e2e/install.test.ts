import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { BINARY, type Finished, makeFolder, runBinary, startDeadPool, TOKEN } from './binary.ts'
import { runUnderSystemd } from './systemd-host.ts'

const home = join(import.meta.dirname, '../..')
const UNIT = 'usr/local/lib/systemd/system/deadpool.service'
const RECORD = 'usr/local/share/deadpool/installed.json'
const isRoot = process.getuid?.() === 0

test('deadpool init writes a whole configuration with a token of its own, for its owner alone, and never over a file', async (context) => {
  const folder = makeFolder(context)
  const first = await runBinary(['init'], { cwd: folder })
  const file = join(folder, 'deadpool.yml')
  assert.equal(first.code, 0, first.stderr)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  const token = tokenOf(file)
  assert.match(token, /^[0-9a-f]{64}$/)
  assert.ok(
    first.stdout.includes(
      `1. name your components under "probes" in it, and have it checked: ${BINARY} check-config -c ${file}`,
    ),
  )
  assert.match(first.stdout, /^2\. make a monitor at Cloudflare: .*port 9001.*\n.*Authorization: Bearer TOKEN/m)
  assert.equal(first.stdout.includes(token), false)

  const checked = await runBinary(['check-config'], { cwd: folder })
  assert.deepEqual({ code: checked.code, stderr: checked.stderr }, { code: 0, stderr: '' })

  const text = readFileSync(file, 'utf8')
  const again = await runBinary(['init', 'deadpool.yml'], { cwd: folder })
  assert.equal(again.code, 2)
  assert.equal(again.stderr, `deadpool: ${file} is there already and stays as it is; name another file\n`)
  assert.equal(readFileSync(file, 'utf8'), text)

  execFileSync('sh', ['-c', 'umask 0777; exec "$0" init strict.yml', BINARY], { cwd: folder })
  assert.equal(statSync(join(folder, 'strict.yml')).mode & 0o777, 0o600)
  const gone = 'mkdir gone; cd gone; rmdir ../gone; exec "$0" init'
  const nowhere = spawnSync('sh', ['-c', gone, BINARY], { cwd: folder, encoding: 'utf8' })
  assert.equal(nowhere.stderr, 'deadpool: the working directory is gone; go to another one\n')

  const other = await runBinary(['init', 'other.yml'], { cwd: folder })
  assert.equal(other.code, 0)
  assert.notEqual(tokenOf(join(folder, 'other.yml')), token)
  symlinkSync('nowhere', join(folder, 'link.yml'))
  for (const [name, message] of [
    ['none/deadpool.yml', `there is no folder ${join(folder, 'none')}; make it first`],
    ['link.yml', `${join(folder, 'link.yml')} is there already and stays as it is; name another file`],
    ['-', 'a token is not written to the screen; name a file, as in "deadpool init deadpool.yml"'],
    ['/dev/full/x.yml', 'there is no folder /dev/full; make it first'],
  ] as const) {
    const refused = await runBinary(['init', name], { cwd: folder })
    assert.deepEqual([refused.code, refused.stdout, refused.stderr], [2, '', `deadpool: ${message}\n`])
  }
})

test('a secret in clear that others can read is warned about by check-config and at the start', async (context) => {
  const folder = makeFolder(context)
  chmodSync(folder, 0o755)
  await runBinary(['init'], { cwd: folder })
  const file = join(folder, 'deadpool.yml')
  chmodSync(file, 0o644)
  const warning = `WEB.access_token: a secret stands here in clear, and every user of this host can read the file; mend it: chmod o-rwx ${file}`
  const checked = await runBinary(['check-config'], { cwd: folder })
  assert.equal(checked.code, 0)
  assert.ok(checked.stderr.includes(warning), checked.stderr)
  assert.equal(checked.stderr.includes(tokenOf(file)), false)
  execFileSync('sh', ['-c', warning.slice(warning.indexOf('chmod'))])
  assert.equal((await runBinary(['check-config'], { cwd: folder })).stderr, '')

  const probes = 'a: { module: url_probe, isEnabled: False, query: { url: "http://127.0.0.1/" } }'
  rmSync(file)
  const deadpool = await startDeadPool(context, { folder, probes })
  const line = deadpool.log().find(({ message }) => message.includes(warning))
  assert.equal(line?.level, 'warn')
  assert.equal(deadpool.output().includes(TOKEN), false)
})

test('deadpool install --root makes a whole installation, is repeatable, and is undone by uninstall', async (context) => {
  const root = makeRoot(context)
  const dry = await runBinary(['install', '--root', root, '--dry-run'])
  assert.equal(dry.code, 0, dry.stderr)
  assert.match(dry.stdout, /^\/usr\/local\/bin\/deadpool: would be written$/m)
  assert.equal(existsSync(join(root, 'usr/local')), false)

  const first = await runBinary(['install', '--root', root])
  assert.equal(first.code, 0, first.stderr)
  assert.deepEqual(readFileSync(join(root, 'usr/local/bin/deadpool')), readFileSync(BINARY))
  const files: [path: string, mode: number][] = [
    ['usr/local/bin/deadpool', 0o755],
    [UNIT, 0o644],
    ['usr/local/lib/systemd/system/deadpool.socket', 0o644],
    ['usr/local/share/bash-completion/completions/deadpool', 0o644],
    ['usr/local/share/zsh/site-functions/_deadpool', 0o644],
    ['usr/local/share/fish/vendor_completions.d/deadpool.fish', 0o644],
    ['usr/local/share/man/man1/deadpool.1', 0o644],
    ['usr/local/share/man/man5/deadpool.yml.5', 0o644],
    ['etc/deadpool/mod', 0o755],
    ['var/lib/deadpool', 0o750],
    ['etc/deadpool/deadpool.yml', isRoot ? 0o640 : 0o600],
  ]
  for (const [path, mode] of files) assert.equal(statSync(join(root, path)).mode & 0o777, mode, path)
  assert.match(readFileSync(join(root, UNIT), 'utf8'), /^ExecStart=\/usr\/local\/bin\/deadpool run --config \/etc/m)
  assert.doesNotMatch(readFileSync(join(root, UNIT), 'utf8'), /\/usr\/bin\//)
  assert.match(
    readFileSync(join(root, 'etc/passwd'), 'utf8'),
    /^deadpool:x:998:998:DeadPool:\/var\/lib\/deadpool:\/bin\/false$/m,
  )
  assert.match(readFileSync(join(root, 'etc/group'), 'utf8'), /^deadpool:x:998:$/m)
  if (isRoot) {
    assert.equal(statSync(join(root, 'etc/deadpool/deadpool.yml')).gid, 998)
    assert.equal(statSync(join(root, 'var/lib/deadpool')).uid, 998)
  }

  // A file system that is read-only by now is fine with what is there already.
  const before = snapshot(root)
  const again = await runBinary(['install', '--root', root])
  assert.equal(again.code, 0, again.stderr)
  assert.doesNotMatch(again.stdout, /: (written|renewed|made)/)
  assert.deepEqual(snapshot(root), before)

  const removed = await runBinary(['uninstall', '--root', root])
  assert.equal(removed.code, 0, removed.stderr)
  for (const [path] of files.slice(0, 8)) assert.equal(existsSync(join(root, path)), false, path)
  assert.ok(existsSync(join(root, 'etc/deadpool/deadpool.yml')))
  assert.match(
    removed.stdout,
    /^\/etc\/deadpool and \/var\/lib\/deadpool: stay, with the user deadpool; --purge removes them$/m,
  )

  const purged = await runBinary(['uninstall', '--purge', '--root', root])
  assert.equal(purged.code, 0, purged.stderr)
  for (const path of ['etc/deadpool', 'var/lib/deadpool', RECORD])
    assert.equal(existsSync(join(root, path)), false, path)
  for (const file of ['etc/passwd', 'etc/group'])
    assert.doesNotMatch(readFileSync(join(root, file), 'utf8'), /deadpool/)
  assert.match(readFileSync(join(root, 'etc/passwd'), 'utf8'), /^root:x:0:0/)
})

test('deadpool install leaves edited files alone, puts the new one beside, and renews what nobody edited', async (context) => {
  const root = makeRoot(context)
  await install(root)
  const unit = join(root, UNIT)
  const text = readFileSync(unit, 'utf8')
  writeFileSync(unit, text.replace('RestartSec=1', 'RestartSec=5'))
  const config = join(root, 'etc/deadpool/deadpool.yml')
  appendFileSync(config, '# mine\n')
  // A page of an older version, that nobody edited.
  const page = 'usr/local/share/man/man1/deadpool.1'
  writeFileSync(join(root, page), 'older')
  const record = JSON.parse(readFileSync(join(root, RECORD), 'utf8'))
  record[`/${page}`] = createHash('sha256').update('older').digest('hex')
  writeFileSync(join(root, RECORD), JSON.stringify(record))

  const { stdout } = await install(root)
  assert.match(
    stdout,
    /deadpool\.service: was edited, and stays \(2 lines differ\); the new one is deadpool\.service\.new beside it; compare: diff /,
  )
  assert.match(readFileSync(unit, 'utf8'), /^RestartSec=5$/m)
  assert.equal(readFileSync(`${unit}.new`, 'utf8'), text)
  assert.match(stdout, /deadpool\.yml: is there, and stays as it is/)
  assert.match(readFileSync(config, 'utf8'), /# mine\n$/)
  assert.match(stdout, /man1\/deadpool\.1: renewed/)
  assert.match(readFileSync(join(root, page), 'utf8'), /^\.TH DEADPOOL 1/m)

  const removed = await runBinary(['uninstall', '--root', root])
  assert.match(removed.stdout, /deadpool\.service: was edited, and stays; --purge removes it/)
  assert.ok(existsSync(unit))
  await runBinary(['uninstall', '--purge', '--root', root])
  assert.equal(existsSync(unit), false)
})

test('deadpool install renews a program that was copied there by hand, and leaves what is beside it', async (context) => {
  const root = makeRoot(context)
  await install(root)
  const folder = join(root, 'usr/local/bin')
  const [binary, beside, part] = ['deadpool', 'deadpool.new', 'deadpool.1.part'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  // As an upgrade by hand, or an older way to install, leaves it: ELF, and not known to the record.
  writeFileSync(binary, '\x7fELF, older', { mode: 0o700 })
  writeFileSync(part, '')
  writeFileSync(join(folder, 'deadpool.4194305.part'), 'of a copy that was killed')
  copyFileSync(BINARY, beside)
  const { stdout } = await runBinary(['install', '--root', root], { binary: beside })
  assert.match(stdout, /^\/usr\/local\/bin\/deadpool: renewed$/m)
  assert.deepEqual(readFileSync(binary), readFileSync(BINARY))
  assert.deepEqual(readdirSync(folder).sort(), ['deadpool', 'deadpool.1.part', 'deadpool.new'])

  rmSync(binary)
  symlinkSync(beside, binary)
  assert.match((await install(root)).stdout, /^\/usr\/local\/bin\/deadpool: written in the place of a link$/m)
  assert.ok(lstatSync(binary).isFile())

  chmodSync(binary, 0o4777)
  if (isRoot) chownSync(binary, 65_534, 65_534)
  const given = isRoot ? 'given to root, and ' : ''
  assert.ok((await install(root)).stdout.includes(`/usr/local/bin/deadpool: ${given}set to mode 0755\n`))
  const { mode, uid } = statSync(binary)
  assert.deepEqual([mode & 0o7777, uid], [0o755, process.getuid?.()])

  // A script is somebody's work.
  writeFileSync(binary, '#!/bin/sh\nexec /opt/deadpool "$@"\n')
  rmSync(beside)
  assert.match(
    (await install(root)).stdout,
    /bin\/deadpool: was edited, and stays; the new one is deadpool\.new beside it/,
  )
  writeFileSync(beside, 'mine')
  assert.match(
    (await install(root)).stdout,
    /bin\/deadpool: was edited, and stays; deadpool\.new beside it is somebody's own, and stays too$/m,
  )
  assert.equal(readFileSync(beside, 'utf8'), 'mine')
})

test('deadpool install and uninstall leave alone what is not of install: a unit, a link, a package', async (context) => {
  const root = makeRoot(context)
  const own = join(root, 'etc/systemd/system/deadpool.service')
  mkdirSync(join(own, '..'), { recursive: true })
  mkdirSync(join(root, 'etc/deadpool'))
  writeFileSync(own, '[Service]\nExecStart=/opt/deadpool/deadpool\n')
  const none = await runBinary(['uninstall', '--purge', '--root', root])
  assert.equal(none.code, 2)
  assert.match(
    none.stderr,
    /^deadpool: nothing is recorded .* and \/etc\/systemd\/system\/deadpool\.service is a unit of your/,
  )
  assert.ok(existsSync(join(root, 'etc/deadpool')))

  const config = join(root, 'etc/deadpool/deadpool.yml')
  symlinkSync('/mnt/secrets/deadpool.yml', config)
  const { stdout } = await install(root)
  assert.match(
    stdout,
    /^\/etc\/systemd\/system\/deadpool\.service: counts instead of .*: systemctl disable --now deadpool; rm \/etc/m,
  )
  assert.match(stdout, /deadpool\.yml: is a link to \/mnt\/secrets\/deadpool\.yml, which is not there, and stays;/)
  assert.ok(lstatSync(config).isSymbolicLink())
  rmSync(config)
  writeFileSync(config, 'WEB: [\n')
  const broken = await install(root)
  assert.match(broken.stdout, /^\/etc\/deadpool\/deadpool\.yml: was not understood: 2:1: /m)

  // A package that came later.
  mkdirSync(join(root, 'usr/bin'))
  writeFileSync(join(root, 'usr/bin/deadpool'), '')
  const purge = await runBinary(['uninstall', '--purge', '--root', root])
  assert.equal(purge.code, 2)
  assert.match(purge.stderr, /the configuration, the state and the user are those of the package now/)
  const drop = join(root, 'etc/systemd/system/deadpool.service.d')
  mkdirSync(drop)
  const removed = await runBinary(['uninstall', '--root', root])
  assert.equal(removed.code, 0, removed.stderr)
  assert.match(
    removed.stdout,
    /^\/usr\/bin\/deadpool: stays, with all of the package; to run it: systemctl reenable deadpool; systemctl restart deadpool$/m,
  )
  assert.equal(existsSync(join(root, UNIT)), false)
  assert.ok(existsSync(config) && existsSync(own))
})

test('deadpool install --root without the rights of root makes what it can', { skip: !isRoot }, async (context) => {
  const root = makeRoot(context)
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' })
  for (const path of ['.', ...paths]) chownSync(join(root, path), 65_534, 65_534)
  for (const command of ['install', 'install', 'uninstall']) {
    const done = await runBinary([command, '--root', root], { uid: 65_534 })
    assert.deepEqual([done.code, done.stderr], [0, ''])
    if (command === 'install') assert.equal(statSync(join(root, 'etc/deadpool/deadpool.yml')).mode & 0o777, 0o600)
  }
})

test('deadpool install makes up for half an account, and never leaves half a passwd', async (context) => {
  const root = makeRoot(context)
  // A process that was killed before the last line; and a user whom somebody made with another group.
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\ndeadpool:x:990:')
  chmodSync(join(root, 'etc/passwd'), 0o604)
  await install(root)
  const [passwd, group] = ['passwd', 'group'].map((name) => join(root, 'etc', name)) as [string, string]
  assert.match(readFileSync(passwd, 'utf8'), /^deadpool:x:998:990:/m)
  assert.equal(readFileSync(group, 'utf8'), 'root:x:0:\ndeadpool:x:990:')
  assert.equal(statSync(passwd).mode & 0o777, 0o604)

  writeFileSync(passwd, readFileSync(passwd, 'utf8').replace('998:990', '998:0'))
  writeFileSync(group, 'root:x:0:\n')
  const { stdout } = await install(root)
  assert.match(
    stdout,
    /^user deadpool: is there \(998:0\), without a group of its name\ngroup deadpool: made \(997\)$/m,
  )
  assert.match(readFileSync(group, 'utf8'), /^deadpool:x:997:$/m)

  // What cannot be replaced stays whole.
  mkdirSync(`${passwd}.deadpool`)
  const before = readFileSync(passwd, 'utf8')
  const failed = await runBinary(['uninstall', '--purge', '--root', root])
  assert.equal(failed.code, 1)
  assert.equal(readFileSync(passwd, 'utf8'), before)
})

test('deadpool install goes on after one that failed, and refuses a damaged record of what was installed', async (context) => {
  const root = makeRoot(context)
  await install(root)
  const binary = join(root, 'usr/local/bin/deadpool')
  // An older binary, that nobody edited, and a place where a page cannot be put.
  writeFileSync(binary, 'older')
  const record = JSON.parse(readFileSync(join(root, RECORD), 'utf8'))
  record['/usr/local/bin/deadpool'] = createHash('sha256').update('older').digest('hex')
  writeFileSync(join(root, RECORD), JSON.stringify(record))
  const pages = join(root, 'usr/local/share/man/man1')
  rmSync(pages, { recursive: true })
  writeFileSync(pages, '')
  const failed = await runBinary(['install', '--root', root])
  assert.equal(failed.code, 1)
  assert.match(failed.stdout, /^\/usr\/local\/bin\/deadpool: renewed$/m)
  assert.equal(
    failed.stderr,
    `deadpool: ${pages}/deadpool.1: a part of its path is not a folder; what is told above is done, so mend that and try again\n`,
  )
  // The next version finds the binary of this one, which nobody edited.
  const known = JSON.parse(readFileSync(join(root, RECORD), 'utf8'))
  assert.equal(known['/usr/local/bin/deadpool'], createHash('sha256').update(readFileSync(BINARY)).digest('hex'))

  writeFileSync(join(root, RECORD), '{"a":')
  for (const command of ['install', 'uninstall']) {
    const refused = await runBinary([command, '--root', root])
    assert.equal(refused.code, 1)
    assert.match(
      refused.stderr,
      /^deadpool: .*installed\.json, which tells what was installed, cannot be read; remove it, and/,
    )
    assert.equal(refused.stderr.split('\n').length, 2)
  }
})

test('deadpool install says what it cannot do: no systemd, no passwd, a package, a link that leads out', async (context) => {
  const empty = makeFolder(context)
  const bare = await runBinary(['install', '--root', empty])
  assert.equal(bare.code, 0, bare.stderr)
  assert.match(bare.stdout, /^user deadpool: cannot be made: there is no \/etc\/passwd in .*: useradd --system /m)
  assert.match(
    bare.stdout,
    /^systemd: is not there, so there are no units: .* \/usr\/local\/bin\/deadpool --config \/etc\/deadpool\/deadpool\.yml$/m,
  )
  assert.equal(existsSync(join(empty, UNIT)), false)
  assert.equal(statSync(join(empty, 'etc/deadpool/deadpool.yml')).mode & 0o777, 0o600)

  const packaged = makeRoot(context)
  mkdirSync(join(packaged, 'usr/bin'), { recursive: true })
  writeFileSync(join(packaged, 'usr/bin/deadpool'), '')
  for (const command of ['install', 'uninstall']) {
    const refused = await runBinary([command, '--root', packaged])
    assert.equal(refused.code, 2)
    assert.match(refused.stderr, /^deadpool: \/usr\/bin\/deadpool is there: DeadPool was installed by a package/)
  }

  const tricky = makeRoot(context)
  const elsewhere = makeFolder(context)
  rmSync(join(tricky, 'usr'), { recursive: true })
  symlinkSync(elsewhere, join(tricky, 'usr'))
  const led = await runBinary(['install', '--root', tricky])
  assert.equal(led.code, 1)
  assert.match(led.stderr, / leads out of /)
  assert.deepEqual(readdirSync(elsewhere), [])

  // As of an image whose links are meant for its own root.
  const linked = makeRoot(context)
  const passwd = join(elsewhere, 'passwd')
  writeFileSync(passwd, 'root:x:0:0:root:/root:/bin/bash\n')
  rmSync(join(linked, 'etc/passwd'))
  symlinkSync(passwd, join(linked, 'etc/passwd'))
  const misled = await runBinary(['install', '--root', linked])
  assert.equal(misled.code, 1)
  assert.match(misled.stderr, /^deadpool: \/etc\/passwd leads out of /)
  assert.doesNotMatch(readFileSync(passwd, 'utf8'), /deadpool/)

  const none = await runBinary(['install', '--root', join(empty, 'none')])
  assert.equal(none.code, 1)
  assert.match(none.stderr, /none is not a folder; --root takes the root of another system/)
  const now = await runBinary(['install', '--root', empty, '--now'])
  assert.equal(now.code, 2)
  assert.match(now.stderr, /"--now" starts a service of this host/)
})

test('deadpool install makes folders that the service can enter, whatever the umask', (context) => {
  const root = makeRoot(context)
  execFileSync('sh', ['-c', 'umask 077; exec "$0" install --root "$1"', BINARY, root])
  for (const folder of ['etc/deadpool', 'etc/deadpool/mod', 'usr/local/bin', 'usr/local/share/man/man1'])
    assert.equal(statSync(join(root, folder)).mode & 0o777, 0o755, folder)
  assert.equal(statSync(join(root, 'var/lib/deadpool')).mode & 0o777, 0o750)
})

test('deadpool install tells of a configuration that the service could not work by', async (context) => {
  const root = makeRoot(context)
  await install(root)
  const config = join(root, 'etc/deadpool/deadpool.yml')
  const closed = /deadpool\.yml: cannot be reached by the user deadpool; mend it: chmod o\+x /
  chmodSync(join(root, 'etc/deadpool'), 0o700)
  assert.match((await install(root)).stdout, closed)
  rmSync(config)
  assert.match((await install(root)).stdout, closed)
  chmodSync(join(root, 'etc/deadpool'), 0o755)
  writeFileSync(config, readFileSync(config, 'utf8').replace('/var/lib/deadpool/probe', 'probe'))
  chmodSync(config, 0o600)
  const { stdout } = await install(root)
  assert.match(stdout, /deadpool\.yml: cannot be read by the user deadpool; mend it: chgrp deadpool .*; chmod g\+r /)
  assert.match(
    stdout,
    /keeps flags in .*\/probe, where the unit lets nobody write; set WatchMan\.probe_status_folder: \/var\/lib\/deadpool\/probe/,
  )
})

test('deadpool install on the host itself needs root, and says so', { skip: !isRoot }, async () => {
  const { code, stderr } = await runBinary(['install'], { uid: 65_534, binary: BINARY })
  assert.equal(code, 2)
  assert.match(stderr, /this changes the host itself and needs root: run it by sudo, or see it with "--dry-run"/)
})

test('the commands of docs/install.md do what it says, as they are written there', async (context) => {
  const printed = await runUnderSystemd(context, writeScript())
  if (printed === undefined) return
  const after = (name: string) => printed.split(/^== /m).find((part) => part.startsWith(`${name}\n`)) ?? ''
  for (const way of ['One file', 'deadpool install', 'Your own unit']) {
    assert.doesNotMatch(after(way), /^FAILED/m, after(way))
    assert.match(after(way), /^OK\n.*\n\[200\]$/m, after(way))
  }
  const { checked, asked } = readReadme()
  assert.doesNotMatch(after('README'), /^FAILED/m, after('README'))
  assert.ok(after('README').includes(checked), after('README'))
  assert.equal(asked.length, 3)
  assert.match(after('README'), /^Auth ERR\[511\]\n(DEAD elastic\ndc1\nelastic: connection refused .*\n\[503\]\n){2}/m)
})

/** What README.md says to do, what it says that comes of it, and how to ask. */
function readReadme() {
  const text = readFileSync(join(home, 'README.md'), 'utf8')
  const blocks = [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = '', block = '']) => ({
    language,
    block,
  }))
  const find = (language: string, part: string) =>
    blocks.find((each) => each.language === language && each.block.includes(part))?.block ?? ''
  const asked = [...text.matchAll(/^\$ (curl .*)$/gm)].map(([, command = '']) => command)
  const checked = find('console', '$ ./deadpool').replaceAll(/^\$ .*\n/gm, '')
  return { place: find('sh', '/opt/deadpool'), config: find('yaml', 'elastic:'), checked, asked }
}

/** As `npm run build` leaves the binary, and up to where somebody asks. */
function writeReadmeScript(): string {
  const { place, config, asked } = readReadme()
  return `echo '== README'
mkdir -p /root/clone/dist; cp /root/deadpool /root/clone/dist
(set -e; cd /root/clone
${place}
cat >deadpool.yml <<'YAML'
${config}YAML
./deadpool --check-config
./deadpool >/dev/null & sleep 2
${asked.join('\n')}
kill $!; wait $!
) || echo FAILED
rm -r /opt/deadpool`
}

/** Every block of each section, in its order; a block that stays in the foreground is stopped after DeadPool was asked. */
function writeScript(): string {
  const sections = readFileSync(join(home, 'docs/install.md'), 'utf8').split(/^## /m)
  const ways: [name: string, folder: string, config: string, leave: string][] = [
    ['One file', '/root/one', 'deadpool.yml', ''],
    ['deadpool install', '/root/two', '/etc/deadpool/deadpool.yml', 'deadpool uninstall --purge'],
    ['Your own unit', '/root/three', '/opt/deadpool/deadpool.yml', 'systemctl disable --now deadpool'],
  ]
  const parts = ways.map(([name, folder, config, leave]) => {
    const section = sections.find((each) => each.startsWith(`${name}\n`)) ?? ''
    const blocks = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block)
    assert.ok(blocks.length > 0, name)
    const isForeground = (block: string) => block === './deadpool\n'
    const isLast = (block: string) => block.includes('uninstall')
    const run = blocks.map((block) => {
      if (isForeground(block)) return `./deadpool & sleep 2; ask ${config}; kill $!; wait $! || echo FAILED: $?`
      const ask = name !== 'One file' && !isLast(block) ? `sleep 2; ask ${config}` : ''
      return `${isLast(block) ? '' : 'set -e\n'}${block}\nset +e\n${ask}`
    })
    return `echo '== ${name}'\nmkdir ${folder}; cp /root/deadpool ${folder}; chmod -x ${folder}/deadpool; cd ${folder}\n(chmod +x deadpool\n${run.join('\n')}\n) || echo FAILED\n${leave}`
  })
  return `#!/bin/bash
sudo() { if [ "$1" = -u ]; then runuser -u "$2" -- "\${@:3}"; else "$@"; fi; }
ask() { curl -sS -w '[%{http_code}]\\n' -H "Authorization: Bearer $(sed -n "s/.*access_token: '\\(.*\\)'/\\1/p" $1)" http://127.0.0.1:9001/; }
${[writeReadmeScript(), ...parts].join('\n')}
`
}

/** A root as minimal as a test needs: systemd's program, and files of users in which 999 is taken. */
function makeRoot(context: TestContext): string {
  const root = makeFolder(context)
  for (const folder of ['etc', 'usr/lib/systemd', 'var/lib']) mkdirSync(join(root, folder), { recursive: true })
  writeFileSync(join(root, 'usr/lib/systemd/systemd'), '')
  writeFileSync(
    join(root, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/bash\n_apt:x:999:65534::/nonexistent:/bin/false\n',
  )
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\n')
  return root
}

async function install(root: string): Promise<Finished> {
  const finished = await runBinary(['install', '--root', root])
  assert.equal(finished.code, 0, finished.stderr)
  return finished
}

function tokenOf(file: string): string {
  return /access_token: '(.*)'/.exec(readFileSync(file, 'utf8'))?.[1] ?? ''
}

/** Every file below a folder, with its mode and the moment of its last change. */
function snapshot(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => {
      const found = lstatSync(join(folder, path))
      return `${path} ${found.mode} ${found.isDirectory() ? '' : found.mtimeMs}`
    })
    .sort()
}
