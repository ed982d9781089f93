import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { findExposure, findUnreadableBy, quoteForShell } from '../../src/config/exposure.ts'
import { loadConfig } from '../../src/config/load.ts'

const folder = mkdtempSync(join(tmpdir(), 'deadpool-exposure-'))
chmodSync(folder, 0o755)
after(() => rmSync(folder, { recursive: true }))
writeFileSync(join(folder, 'token'), 'abcdefgh', { mode: 0o600 })

const PROBES = 'probes:\n  a: { module: url_probe, query: { url: "http://h/" } }\n'
const clear = `WEB:\n  access_token: abcdefgh\n${PROBES}`
const cases = [
  { name: 'a token in clear', text: clear, place: '2:17 WEB.access_token' },
  {
    name: 'a token in a list',
    text: `WEB:\n  access_token: [{ file: token }, x1]\n${PROBES}`,
    place: '2:35 WEB.access_token[1]',
  },
  {
    name: 'a password of a probe',
    text: `WEB: { access_token: { file: token } }\nprobes:\n  a: { module: url_probe, query: { url: "http://h/", password: xyz } }\n`,
    place: '3:6 probes.a',
  },
  {
    name: 'a password in a URL',
    text: `WEB: { access_token: { file: token } }\nprobes:\n  a: { module: url_probe, query: { url: "http://u:p@h/" } }\n`,
    place: '3:6 probes.a',
  },
]
for (const { name, text, place } of cases) {
  test(`findExposure() warns of ${name} in a file that others can read, with the command that mends it`, () => {
    const lines = explain(text, 0o644)
    assert.equal(lines.length, 1)
    assert.ok(lines[0]?.includes(`deadpool.yml:${place}: a secret stands here in clear`), lines[0])
    assert.ok(lines[0]?.endsWith(`mend it: chmod o-rwx ${join(folder, 'deadpool.yml')}`), lines[0])
    assert.doesNotMatch(lines[0] ?? '', /abcdefgh|xyz|u:p/)
  })
}

test('findExposure() is silent when others cannot read the file', () => {
  assert.deepEqual(explain(clear, 0o640), [])
  assert.deepEqual(explain(clear, 0o600), [])
})

test('findExposure() is silent when a folder above the file is closed to others', () => {
  const closed = join(folder, 'closed')
  mkdirSync(join(closed, 'in'), { recursive: true, mode: 0o755 })
  assert.equal(explain(clear, 0o644, join(closed, 'in')).length, 1)
  chmodSync(closed, 0o750)
  assert.deepEqual(explain(clear, 0o644, join(closed, 'in')), [])
})

test('findExposure() is silent when every secret stands elsewhere', () => {
  process.env.DEADPOOL_TEST_TOKEN = 'abcdefgh'
  const text = `WEB: { access_token: [{ file: token }, { env: DEADPOOL_TEST_TOKEN }, { credential: x }] }\n${PROBES}`
  assert.deepEqual(explain(text, 0o644), [])
})

test('findExposure() warns once of each file with a secret that others can read', () => {
  const token = join(folder, 'token')
  chmodSync(token, 0o644)
  const query = 'url: "http://h/", header: { X-Key: { file: token } }, password: { file: other }'
  const text = `WEB: { access_token: [{ file: token }] }\nprobes:\n  a: { module: url_probe, query: { ${query} } }\n`
  const lines = explain(text, 0o600)
  chmodSync(token, 0o600)
  assert.equal(lines.length, 1, lines.join())
  const message = `1:23 WEB.access_token[0]: every user of this host can read the secret in ${token}; mend it: chmod o-rwx ${token}`
  assert.ok(lines[0]?.endsWith(message), lines[0])
})

test('findExposure() gives a command that leaves the file to its reader', { skip: process.getuid?.() !== 0 }, () => {
  const file = join(folder, 'deadpool.yml')
  const STRANGER = 54_321
  for (const [gid, mode, command] of [
    [0, 0o644, `chgrp ${STRANGER} ${file}; chmod g+r,o-rwx ${file}`],
    [STRANGER, 0o644, `chmod o-rwx ${file}`],
    [STRANGER, 0o604, `chmod g+r,o-rwx ${file}`],
  ] as const) {
    explain(clear, mode)
    chownSync(file, 0, gid)
    const loaded = loadConfig(file)
    const groups = process.getgroups?.() ?? []
    process.setgroups?.([])
    process.setegid?.(STRANGER)
    process.seteuid?.(STRANGER)
    try {
      assert.ok(loaded.format(findExposure(loaded))[0]?.endsWith(`mend it: ${command}`))
    } finally {
      process.seteuid?.(0)
      process.setegid?.(0)
      process.setgroups?.(groups)
    }
  }
  rmSync(file)
})

test('findUnreadableBy() tells what the user of the service cannot read, with the command that mends it', () => {
  const user = { uid: 54_321, gids: [54_322] }
  const told = () => {
    const loaded = loadConfig(join(folder, 'deadpool.yml'))
    return loaded.format(findUnreadableBy(user, loaded)).map((line) => line.split('mend it: ')[1])
  }
  explain(`WEB: { access_token: { file: token } }\n${PROBES}`, 0o604)
  const token = join(folder, 'token')
  assert.deepEqual(told(), [`chgrp 54322 ${token}; chmod g+r ${token}`])
  chmodSync(token, 0o604)
  assert.deepEqual(told(), [])
  chmodSync(token, 0o600)
  explain(clear, 0o600)
  assert.equal(told().length, 1)
})

test('quoteForShell() writes a path as a shell takes it', () => {
  assert.equal(quoteForShell('/etc/deadpool/deadpool.yml'), '/etc/deadpool/deadpool.yml')
  assert.equal(quoteForShell("/srv/it's here"), "'/srv/it'\\''s here'")
})

function explain(text: string, mode: number, where = folder): string[] {
  const file = join(where, 'deadpool.yml')
  writeFileSync(file, text)
  chmodSync(file, mode)
  const loaded = loadConfig(file)
  return loaded.format(findExposure(loaded))
}
