import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { pattern } from '../../src/modules/pattern.ts'
import { listQueryKeys } from '../../src/modules/query-keys.ts'

test('pattern() takes what re_search takes, and tells what its groups hold', () => {
  const banner = pattern().parse('^(?P<code>[0-9]+) (?P<host>[^ ]+)')
  assert.equal(banner.source, '^(?P<code>[0-9]+) (?P<host>[^ ]+)')
  assert.deepEqual(banner.names, ['code', 'host'])
  assert.deepEqual(banner.find('220 mail ESMTP'), { end: 8, groups: { code: '220', host: 'mail' } })
  assert.equal(banner.find('mail 220'), undefined)
})

test('pattern() says what is wrong, as a phrase that follows the pattern', () => {
  for (const [source, message] of [
    ['(', 'is not a pattern: missing closing )'],
    ['', 'is found in every text; write what is to be found'],
    ['(?=a)', 'has a look-ahead "(?=", which RE2 does not know, since it cannot be matched in linear time'],
  ]) {
    assert.deepEqual(
      pattern()
        .safeParse(source)
        .error?.issues.map((issue) => issue.message),
      [message],
    )
  }
})

test('pattern() is a regular expression in the reference', () => {
  const keys = listQueryKeys(z.strictObject({ expect: pattern().describe('what is to come') }))
  assert.deepEqual(
    keys.map(({ takes, about }) => ({ takes, about })),
    [{ takes: 'regular expression', about: 'what is to come' }],
  )
})
