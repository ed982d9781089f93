import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createRedactor } from '../../src/config/secrets.ts'
import { Unknown } from '../../src/modules/errors.ts'
import { secret } from '../../src/modules/secret.ts'

const folder = mkdtempSync(join(tmpdir(), 'deadpool-secret-'))
after(() => rmSync(folder, { recursive: true }))
const file = join(folder, 'password')

test('secret() takes a text, a variable and a file without its last newline', async () => {
  writeFileSync(file, 'from the file\n')
  process.env.DEADPOOL_TEST_SECRET = 'from the variable'
  for (const [spec, expected] of [
    ['a text', 'a text'],
    [{ env: 'DEADPOOL_TEST_SECRET' }, 'from the variable'],
    [{ file }, 'from the file'],
  ] as const) {
    assert.equal(await secret().parse(spec).read(), expected)
  }
})

test('secret() hides what stands behind the scheme of a header too, but not the second of any two words', () => {
  const redact = createRedactor([])
  secret().parse('Bearer abcdefgh1')
  secret().parse('two wordsofmine')
  assert.equal(redact('abcdefgh1, two wordsofmine, wordsofmine'), '***, ***, wordsofmine')
})

test('read() sees a file that was changed', async () => {
  writeFileSync(file, 'old one')
  const read = secret().parse({ file })
  writeFileSync(file, 'new one')
  assert.equal(await read.read(), 'new one')
})

test('read() is unknown when the file is gone: this host cannot ask', async () => {
  writeFileSync(file, 'here')
  const gone = secret().parse({ file })
  rmSync(file)
  await assert.rejects(gone.read(), new Unknown(`${file} cannot be read: there is no such file`))
})

test('read() is unknown while the file is empty, as it is for a moment when it is written anew', async () => {
  writeFileSync(file, 'here')
  const emptied = secret().parse({ file })
  writeFileSync(file, '')
  await assert.rejects(emptied.read(), new Unknown(`${file} is empty`))
})

test('read() gives up when the check is over', async () => {
  writeFileSync(file, 'here')
  const over = new Error('over')
  await assert.rejects(secret().parse({ file }).read(AbortSignal.abort(over)), over)
})

test('a secret does not show itself', () => {
  const hidden = secret().parse('open sesame')
  assert.equal(String(hidden), '***')
  assert.equal(JSON.stringify({ hidden }), '{"hidden":"***"}')
})

test('a redactor that was made before hides what a module reads later', async () => {
  writeFileSync(file, 'first-secret')
  const redact = createRedactor([])
  const read = secret().parse({ file })
  assert.equal(redact('it is first-secret'), 'it is ***')
  writeFileSync(file, 'second-secret')
  await read.read()
  assert.equal(redact('it was first-secret and is second-secret'), 'it was *** and is ***')
})

test('a credential of systemd is read again for each check', async () => {
  process.env.CREDENTIALS_DIRECTORY = folder
  writeFileSync(join(folder, 'password'), 'first-credential\n')
  const read = secret().parse({ credential: 'password' })
  assert.equal(await read.read(), 'first-credential')
  writeFileSync(join(folder, 'password'), 'second-credential\n')
  assert.equal(await read.read(), 'second-credential')
  delete process.env.CREDENTIALS_DIRECTORY
  const { error } = secret().safeParse({ credential: 'password' })
  assert.match(error?.issues[0]?.message ?? '', /^cannot be used: .*CREDENTIALS_DIRECTORY is not set/)
})

const refused = [
  {
    name: 'a missing file',
    spec: { file: join(folder, 'none') },
    message: /^cannot be used: .*there is no such file$/,
  },
  { name: 'a folder', spec: { file: folder }, message: /^cannot be used: .*it is a folder$/ },
  { name: 'a variable that is not set', spec: { env: 'NOT_SET_ANYWHERE' }, message: /NOT_SET_ANYWHERE is not set$/ },
  { name: 'an empty text', spec: '', message: /^cannot be used: the secret is empty$/ },
  { name: 'a number', spec: 5, message: /^is not a text, \{env: NAME\}, \{file: PATH\} or \{credential: NAME\}/ },
]
for (const { name, spec, message } of refused) {
  test(`secret() refuses ${name}`, () => {
    const { error } = secret().safeParse(spec)
    assert.match(error?.issues[0]?.message ?? '', message)
  })
}
