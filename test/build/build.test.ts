import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'

const home = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'deadpool-build-'))
after(() => rmSync(folder, { recursive: true }))

test('a second build gives the same bytes, wherever it is made', () => {
  const out = join(folder, 'dist')
  const { status, stderr } = spawnSync(process.execPath, ['build/build.ts', '--out', out], {
    cwd: home,
    encoding: 'utf8',
  })
  assert.equal(status, 0, stderr)
  assert.ok(
    readFileSync(join(home, 'dist/deadpool')).equals(readFileSync(join(out, 'deadpool'))),
    'the binaries differ',
  )
  assert.deepEqual(readdirSync(join(out, 'mod')), readdirSync(join(home, 'mod')))
})

test('the binary is one executable of at most 120 MB, stripped, without paths of the machine that built it', () => {
  const binary = join(home, 'dist/deadpool')
  const { size, mode } = statSync(binary)
  assert.ok(size <= 120_000_000, `${size} bytes`)
  assert.equal(mode & 0o111, 0o111)
  assert.equal(readFileSync(binary).includes(Buffer.from(home)), false)
  const symbols = spawnSync('nm', [binary], { encoding: 'utf8', maxBuffer: 1e9 })
  assert.match(symbols.stderr, /no symbols/)
})

test('dist/mod holds the stock modules as they are', () => {
  for (const file of readdirSync(join(home, 'mod'))) {
    assert.equal(readFileSync(join(home, 'dist/mod', file), 'utf8'), readFileSync(join(home, 'mod', file), 'utf8'))
  }
})

test('ready.mjs says what is missing on this host', () => {
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  const run = () =>
    spawnSync(process.execPath, ['build/ready.mjs'], { cwd: home, encoding: 'utf8', env: { PATH: bin } })
  const { status, stderr } = run()
  assert.equal(status, 1)
  assert.equal(
    stderr,
    'strip is missing; install binutils (apt-get install binutils)\nnpm is missing; install it beside Node\n',
  )
})

test('the lock file pins everything and names no registry', () => {
  const lock = JSON.parse(readFileSync(join(home, 'package-lock.json'), 'utf8'))
  for (const [path, entry] of Object.entries<{ resolved?: string; integrity?: string }>(lock.packages)) {
    assert.equal(entry.resolved, undefined, path)
    if (path !== '') assert.ok(entry.integrity, path)
  }
})
