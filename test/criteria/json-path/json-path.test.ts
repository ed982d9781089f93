import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compilePath } from '../../../src/criteria/json-path/json-path.ts'

const STORE = { a: [1, { b: 'x' }, [2, 3]], b: { c: 'y', 'd e': null } }

const SELECTED: { path: string; values: unknown[] }[] = [
  { path: '$.a[-1][0:2]', values: [2, 3] },
  { path: '$..b', values: [{ c: 'y', 'd e': null }, 'x'] },
  { path: "$.b['c', 'd e', 'f']", values: ['y', null] },
  { path: "$.a[?@.b == 'x']", values: [{ b: 'x' }] },
  { path: '$.a[?@.b && !@.c]', values: [{ b: 'x' }] },
  { path: '$.a[?count(@[*]) == 2 || @ < 2]', values: [1, [2, 3]] },
  { path: '$.a[?length(@) == 2]', values: [[2, 3]] },
  { path: '$.a[?value(@..b) == $.a[1].b]', values: [{ b: 'x' }] },
  { path: "$.b[?match(@, '[xy]')]", values: ['y'] },
  { path: '$.toString', values: [] },
  { path: '$.__proto__', values: [] },
]

for (const { path, values } of SELECTED) {
  test(`compilePath() selects by ${path}`, () => {
    assert.deepEqual(
      [...compilePath(path)(STORE)].map(({ value }) => value),
      values,
    )
  })
}

const MISTAKES: { path: string; message: string }[] = [
  { path: '', message: 'is not a JSONPath; write one such as $.status' },
  { path: 'a.b', message: 'at character 1: expected "$", found "a"' },
  { path: '$ ', message: 'at character 3: unexpected white space' },
  { path: '$.a..', message: 'at character 6: nothing follows ".."' },
  { path: '$[1 2]', message: 'at character 5: expected token ",", found INDEX' },
  { path: '$["a', message: 'at character 5: unclosed string' },
  { path: '$[?@.a == ]', message: 'at character 11: unexpected end of expression' },
  { path: '$[?@.* == 1]', message: 'at character 4: a path that can select several values cannot be compared' },
  { path: '$[?foo(@)]', message: 'at character 4: no such function "foo"' },
  { path: '$[?count(1) > 2]', message: 'at character 10: count() takes a path' },
  { path: '$[?length(@.*) < 3]', message: 'at character 11: length() takes a value, or a path to just one' },
  { path: '$[?length(@)]', message: 'at character 4: result of length() must be compared' },
  { path: "$[?match(@.a, 'a') == true]", message: 'at character 4: result of match() is not comparable' },
  { path: "$[?match(@.a, 'a', 'b')]", message: 'at character 4: match() takes 2 arguments, 3 given' },
  { path: '$[?search(@.a, $.b)]', message: 'at character 4: search() needs its pattern as a text in quotes' },
  {
    path: "$[?search(@.a, '[')]",
    message: 'at character 17: the pattern "[" is not an I-Regexp (RFC 9485): "[" is not allowed there',
  },
  {
    path: "$[?@.x && !(@.y || count(@[?match(@, '(?i)x')]) == 1)]",
    message: 'at character 39: the pattern "(?i)x" is not an I-Regexp (RFC 9485): "?" is not allowed there',
  },
]

for (const { path, message } of MISTAKES) {
  test(`compilePath() refuses ${JSON.stringify(path)}`, () => {
    const whole = path === '' ? message : `is not a JSONPath (RFC 9535), ${message}`
    assert.throws(() => compilePath(path), { name: 'PathError', message: whole })
  })
}

test('compilePath() refuses a path that is nested too deeply', () => {
  const path = `$[?${'('.repeat(50_000)}@${')'.repeat(50_000)}]`
  assert.throws(() => compilePath(path), { name: 'PathError', message: 'is nested too deeply' })
})
