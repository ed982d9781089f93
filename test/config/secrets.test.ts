import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { collectSecrets, createRedactor, maskUrls, readSecret, secretSpec } from '../../src/config/secrets.ts'

test('collectSecrets() finds what stands under secret keys and in URLs, at any depth', () => {
  const found = collectSecrets({
    WEB: { access_token: ['token-1', { env: 'NAME' }] },
    probes: {
      a: {
        query: {
          url: 'http://user:p%40ss@host/',
          header: { Authorization: 'Bearer token-2', 'X-Api-Key': 'key-1', Accept: 'text/plain' },
        },
      },
    },
  })
  for (const secret of [
    'token-1',
    'token-2',
    'key-1',
    'user:p%40ss',
    'p%40ss',
    'p@ss',
    Buffer.from('user:p@ss').toString('base64'),
  ]) {
    assert.ok(found.has(secret), secret)
  }
  assert.equal(found.has('text/plain'), false)
})

const urls = [
  { text: 'http://u:p@h/x and https://t@h', masked: 'http://***@h/x and https://***@h' },
  { text: 'http://u:p@ss@h/', masked: 'http://***@h/' },
  { text: 'mail to a@b, see http://h/@x', masked: 'mail to a@b, see http://h/@x' },
]
for (const { text, masked } of urls)
  test(`maskUrls() makes of "${text}" "${masked}"`, () => assert.equal(maskUrls(text), masked))

test('createRedactor() takes out all secrets, the longest first, and leaves short ones alone', () => {
  const redact = createRedactor(['abcd', 'abcdef', 'no'])
  assert.equal(redact('abcdef abcd no'), '*** *** no')
})

const cut = [
  { name: 'by a shortened text', text: 'body: "Bearer sesame-op…"', clean: 'body: "Bearer ***…"' },
  { name: 'twice', text: '"sesame-o…" "se sesame…"', clean: '"***…" "se ***…"' },
  { name: 'after its first three characters', text: '"ses…"', clean: '"ses…"' },
  { name: 'never, although a text was', text: 'sesame is a seed…', clean: 'sesame is a seed…' },
]
for (const { name, text, clean } of cut) {
  test(`createRedactor() hides what is left of a secret that was cut ${name}`, () =>
    assert.equal(createRedactor(['sesame-open', 'open sesame'])(text), clean))
}

test('createRedactor() finds a secret in JSON, where its quotes and backslashes are escaped', () => {
  const secret = 'pa"ss\\word'
  assert.equal(createRedactor([secret])(JSON.stringify({ header: `x ${secret}` })), '{"header":"x ***"}')
})

test('collectSecrets() takes no name of a probe or group for the name of a secret', () => {
  const query = { password: 's3cret-word', url: 'harmless' }
  const probes = { cookies: { module: 'url_probe', query } }
  for (const config of [
    { probes },
    { WatchMan: { probes } },
    { probes, groups: { tokens: { members: ['cookies'] } } },
  ]) {
    assert.deepEqual([...collectSecrets(config)], ['s3cret-word'])
  }
})

test('collectSecrets() takes neither the path of a file nor the name of a variable for a secret', () => {
  assert.deepEqual(
    [...collectSecrets({ access_token: [{ file: 'token' }, { env: 'TOKEN' }, { credential: 'token' }, 'abcdefgh'] })],
    ['abcdefgh'],
  )
})

test('readSecret() reads files alone, and small ones', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-secret-'))
  context.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'large'), 'x'.repeat(65_537))
  execFileSync('mkfifo', [join(folder, 'pipe')])
  for (const [file, fault] of [
    ['/dev/zero', '/dev/zero cannot be read: it is a device, and no file'],
    ['pipe', `${folder}/pipe cannot be read: it is a pipe, and no file`],
    ['large', `${folder}/large is larger than 64 KiB, and no secret`],
    ['.', `${folder} cannot be read: it is a folder`],
  ] as const)
    assert.deepEqual(readSecret({ file }, folder, {}), { fault })
})

test('readSecret() reads a credential of systemd from $CREDENTIALS_DIRECTORY', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-credentials-'))
  context.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'token'), 'abcdefgh\n')
  const read = (credential: string, env: NodeJS.ProcessEnv) => readSecret({ credential }, '/elsewhere', env)
  assert.deepEqual(read('token', { CREDENTIALS_DIRECTORY: folder }), { secret: 'abcdefgh' })
  const missing = { fault: `${join(folder, 'other')} cannot be read: there is no such file` }
  assert.deepEqual(read('other', { CREDENTIALS_DIRECTORY: folder }), missing)
  const hint = 'systemd sets it for a service with "LoadCredential=token:PATH"'
  const unset = { fault: `the credential "token" cannot be read: CREDENTIALS_DIRECTORY is not set; ${hint}` }
  assert.deepEqual(read('token', {}), unset)
})

for (const credential of ['../shadow', 'a/b', '..', '.', '']) {
  test(`secretSpec refuses the credential "${credential}"`, () => {
    assert.equal(secretSpec.safeParse({ credential }).success, false)
  })
}
