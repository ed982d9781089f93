import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { checkArchive } from '../../build/node.ts'
import { fill, scripts, stage } from '../../build/release/stage.ts'
import { loadConfig } from '../../src/config/load.ts'
import { makeFolder, skip } from '../e2e/binary.ts'

const home = join(import.meta.dirname, '../..')
const unit = readFileSync(join(home, 'packaging/systemd/deadpool.service'), 'utf8')

// What `npm run release` makes of all this is looked at by `npm run test:hosts`.

test('release.ts says which tools are missing and how to get them', (context) => {
  const env = { PATH: makeFolder(context) }
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ['build/release.ts', ...args], {
      cwd: home,
      encoding: 'utf8',
      env: { ...env, SOURCE_DATE_EPOCH: '1' },
    })
  assert.match(
    run().stderr,
    /^A release is made from a commit; run it in a clone of the repository, with git installed\n$/,
  )
  assert.match(run('--level', '12').stderr, /^"--level 12" is none of xz; write 0 to 9\n$/)
  assert.match(run('--arch', 'arm').stderr, /^There is no processor "arm"; write x64 or arm64\n$/)
  assert.match(run('--arch', 'x64', '--arch', 'arm').stderr, /^There is no processor "arm"; write x64 or arm64\n$/)
  assert.match(run('--level').stderr, /^Option '--level <value>' argument missing\n$/)
  for (const tool of ['git']) {
    const { stdout } = spawnSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' })
    writeFileSync(join(env.PATH, tool), `#!/bin/sh\nexec ${stdout.trim()} "$@"\n`)
    chmodSync(join(env.PATH, tool), 0o755)
  }
  const { status, stderr } = run()
  assert.equal(stderr, 'A release needs dpkg-deb, rpmbuild, tar, xz; install: apt-get install dpkg rpm tar xz-utils\n')
  assert.equal(status, 1)
})

test('release.ts throws nothing away that it did not make', (context) => {
  const out = makeFolder(context)
  writeFileSync(join(out, 'SHA256SUMS'), '')
  writeFileSync(join(out, 'thesis.txt'), '')
  const { status, stderr } = spawnSync(process.execPath, ['build/release.ts', '--out', out], {
    cwd: home,
    encoding: 'utf8',
  })
  assert.equal(stderr, `${out} holds "thesis.txt", which is of no release; name an empty folder after --out\n`)
  assert.equal(status, 1)
  assert.ok(existsSync(join(out, 'thesis.txt')))
})

test('stage() gives modes and times that depend neither on the umask nor on the moment', (context) => {
  const root = join(makeFolder(context), 'root')
  const former = process.umask(0o077)
  stage(
    root,
    [{ path: 'a/b/run', text: '#!/bin/sh\n', isExecutable: true }, { path: 'a/text', text: 'x' }, { path: 'c' }],
    1_700_000_000,
  )
  process.umask(former)
  const modes = { a: 0o755, 'a/b': 0o755, 'a/b/run': 0o755, 'a/text': 0o644, c: 0o755 }
  for (const [path, mode] of Object.entries(modes)) {
    const found = statSync(join(root, path))
    assert.deepEqual([found.mode & 0o7777, found.mtimeMs], [mode, 1_700_000_000_000], path)
  }
})

test('fill() names what a template asks for in vain', () => {
  assert.throws(
    () => fill('deb/control', { version: '1' }),
    /^Error: packaging\/deb\/control asks for @arch@; there are version$/,
  )
})

test('the maintainer scripts are scripts that a shell can read, with nothing left to fill in', () => {
  for (const name of ['preinst', 'postinst', 'prerm', 'postrm']) {
    const script = fill(`deb/${name}`, scripts())
    assert.doesNotMatch(script, /@[a-z-]+@/)
    const { status, stderr } = spawnSync('sh', ['-n'], { input: script, encoding: 'utf8' })
    assert.equal(status, 0, stderr)
  }
})

test('the configuration of the packages is right, but for the token that the installation makes', (context) => {
  const folder = makeFolder(context)
  const text = readFileSync(join(home, 'packaging/deadpool.yml'), 'utf8')
  writeFileSync(join(folder, 'token'), '0123456789abcdef')
  mkdirSync(join(folder, 'mod'))
  const loaded = loadConfig(join(folder, 'deadpool.yml'), { text, env: {} })
  assert.deepEqual(loaded.format(loaded.problems), [])
})

test('the unit starts what the packages install, and is hardened', (context) => {
  assert.match(unit, /^ExecStart=\/usr\/bin\/deadpool run --config \/etc\/deadpool\/deadpool\.yml$/m)
  const path = join(home, 'packaging/systemd/deadpool.service')
  const { error, stdout, stderr } = spawnSync('systemd-analyze', ['security', '--offline=yes', '--no-pager', path], {
    encoding: 'utf8',
  })
  if (error) return skip(context, 'systemd-analyze is missing; install it: apt-get install systemd')
  const exposure = Number(/exposure level for deadpool\.service: ([0-9.]+)/.exec(stdout)?.[1])
  assert.ok(exposure <= 1.5, `${exposure} ${stderr}`)
})

test('the binary asks for no newer glibc than 2.28, and for no library that a minimal host lacks', () => {
  const binary = join(home, 'dist/deadpool')
  const { stdout } = spawnSync('objdump', ['-p', binary], { encoding: 'utf8' })
  const minors = [...stdout.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor))
  assert.equal(Math.max(...minors), 28)
  const needed = [...stdout.matchAll(/NEEDED +(\S+)/g)].map(([, name]) => name)
  assert.deepEqual(needed.sort(), [
    'ld-linux-x86-64.so.2',
    'libc.so.6',
    'libdl.so.2',
    'libgcc_s.so.1',
    'libm.so.6',
    'libpthread.so.0',
    'libstdc++.so.6',
  ])
})

test('checkArchive() throws away an archive that is not the one that the lock file pins', (context: TestContext) => {
  const archive = join(makeFolder(context), 'node.tgz')
  writeFileSync(archive, 'x')
  const right = `sha512-${'pKvV6CSUfbAwtnbtjtYbpAHkyqKTTUhgdTnx2gsG1ys1lMO8ZHTwvVSyfPxlRt5UTrTLFE0TqLqTVhSzRCW9bQ'}==`
  assert.throws(
    () => checkArchive(archive, right),
    /^Error: \S+node\.tgz is sha512-\S+; package-lock\.json pins \S+; it was thrown away, try again$/,
  )
  assert.throws(() => statSync(archive), /ENOENT/)
})
