import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRedactor } from '../../src/config/secrets.ts'
import { readAuthorization } from '../../src/modules/authorization.ts'
import { Unknown } from '../../src/modules/errors.ts'
import { secret } from '../../src/modules/secret.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')

const scenarios = [
  { name: 'nothing', credentials: {}, header: undefined },
  {
    name: 'user and password',
    credentials: { user: 'u', password: secret().parse('pé:ss') },
    header: `Basic ${base64('u:pé:ss')}`,
  },
  { name: 'a user alone', credentials: { user: 'u' }, header: `Basic ${base64('u:')}` },
  { name: 'a password alone', credentials: { password: secret().parse('pass') }, header: `Basic ${base64(':pass')}` },
  { name: 'a bearer token', credentials: { bearer: secret().parse('a.b-c') }, header: 'Bearer a.b-c' },
]
for (const { name, credentials, header } of scenarios) {
  test(`readAuthorization() makes the header of ${name}`, async () =>
    assert.equal(await readAuthorization(credentials), header))
}

test('readAuthorization() teaches the redactors what it encoded', async () => {
  const header = await readAuthorization({ user: 'ann', password: secret().parse('open sesame') })
  assert.equal(createRedactor([])(`echo: ${header}`), 'echo: Basic ***')
})

for (const token of ['two words', 'two\nlines', 'ключ']) {
  test(`readAuthorization() is unknown when the bearer token is ${JSON.stringify(token)}`, () =>
    assert.rejects(
      readAuthorization({ bearer: secret().parse(token) }),
      new Unknown('bearer has a blank, a line break or another character that no header can hold'),
    ))
}
