import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileIRegexp } from '../../../src/criteria/json-path/i-regexp.ts'

const FOUND: { pattern: string; text: string; isWhole?: boolean; isFound: boolean }[] = [
  { pattern: 'b', text: 'abc', isFound: true },
  { pattern: 'b', text: 'abc', isWhole: true, isFound: false },
  { pattern: 'a|abc', text: 'abc', isWhole: true, isFound: true },
  { pattern: '(ab)+c{2,3}', text: 'ababcc', isWhole: true, isFound: true },
  { pattern: 'a.c', text: 'a\u{2028}c', isFound: true },
  { pattern: 'a.c', text: 'a\u{1f600}c', isFound: true },
  { pattern: 'a.c', text: 'a\nc', isFound: false },
  { pattern: 'a.c', text: 'a\rc', isFound: false },
  { pattern: '[^a-c.\\]]+', text: '.]', isFound: false },
  { pattern: '\\p{Lu}\\P{Lu}', text: 'Äb', isWhole: true, isFound: true },
  { pattern: '[\\p{Nd}_]+', text: '1_2', isWhole: true, isFound: true },
  { pattern: '^a', text: 'ba', isFound: false },
  { pattern: 'a$', text: 'a\n', isFound: false },
  { pattern: 'a\\$\\.', text: 'a$.', isFound: true },
  { pattern: '', text: '', isWhole: true, isFound: true },
]

for (const { pattern, text, isWhole = false, isFound } of FOUND) {
  const name = `${JSON.stringify(pattern)} ${isFound ? 'in' : 'not in'} ${isWhole ? 'the whole of ' : ''}${JSON.stringify(text)}`
  test(`compileIRegexp() finds ${name}`, () => assert.equal(compileIRegexp(pattern, isWhole)(text), isFound))
}

const MISTAKES: { pattern: string; message: string }[] = [
  { pattern: '\\d', message: 'is not an I-Regexp (RFC 9485): "\\d" is not allowed there' },
  { pattern: '(?i)a', message: 'is not an I-Regexp (RFC 9485): "?" is not allowed there' },
  { pattern: 'a*?', message: 'is not an I-Regexp (RFC 9485): "?" is not allowed there' },
  { pattern: '*a', message: 'is not an I-Regexp (RFC 9485): "*" is not allowed there' },
  { pattern: 'a)', message: 'is not an I-Regexp (RFC 9485): ")" is not allowed there' },
  { pattern: '[a', message: 'is not an I-Regexp (RFC 9485): "[a" is not allowed there' },
  { pattern: 'a{x}', message: 'is not an I-Regexp (RFC 9485): "{x" is not allowed there' },
  { pattern: '(a', message: 'is not an I-Regexp (RFC 9485): missing closing )' },
  { pattern: '[b-a]', message: 'is not a pattern that RE2 takes: invalid character class range' },
  { pattern: 'a{1001}', message: 'is not a pattern that RE2 takes: invalid repeat count' },
]

for (const { pattern, message } of MISTAKES) {
  test(`compileIRegexp() refuses ${JSON.stringify(pattern)}`, () => {
    assert.throws(() => compileIRegexp(pattern, false), { name: 'PatternError', message })
  })
}

test('compileIRegexp() takes time linear to the text for a pattern that JavaScript never ends on', () => {
  assert.equal(compileIRegexp('((a+)+)+b', true)('a'.repeat(100_000)), false)
})
