import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { quote } from '../../src/criteria/quote.ts'

const WRITTEN: { name: string; value: unknown; max?: number; quoted: string }[] = [
  { name: 'a text in double quotes', value: 'red', quoted: '"red"' },
  { name: 'a number plain', value: 503, quoted: '503' },
  { name: 'a boolean plain', value: false, quoted: 'false' },
  { name: 'null', value: null, quoted: 'null' },
  { name: 'undefined', value: undefined, quoted: 'undefined' },
  { name: 'a big integer', value: 12n, quoted: '12' },
  { name: 'an object as compact JSON', value: { a: [1, 'x'] }, quoted: '{"a":[1,"x"]}' },
  { name: 'what JSON cannot hold', value: { a: 1n }, quoted: '[object Object]' },
  { name: 'newlines visibly', value: 'a\nb\r\nc\n', quoted: '"a⏎b⏎c⏎"' },
  { name: 'tabs as spaces', value: 'a\tb', quoted: '"a b"' },
  {
    name: 'control characters replaced',
    value: '\x1b[31m\0\x85\u{2028}',
    quoted: '"\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}"',
  },
  { name: 'what turns the direction of text replaced', value: 'a\u{202e}b', quoted: '"a\u{fffd}b"' },
  { name: 'lone surrogates replaced', value: 'a\ud83d', quoted: '"a\u{fffd}"' },
  { name: 'as many characters as fit', value: 'abcd', max: 4, quoted: '"abcd"' },
  { name: 'one character too many shortened', value: 'abcde', max: 4, quoted: '"abc…"' },
  { name: 'an object shortened', value: { name: 'node' }, max: 6, quoted: '{"nam…' },
  { name: 'pairs of surrogates as one character', value: '😀😀😀', max: 3, quoted: '"😀😀😀"' },
  { name: 'pairs of surrogates uncut', value: 'a😀😀😀', max: 3, quoted: '"a😀…"' },
]

for (const { name, value, max, quoted } of WRITTEN) {
  test(`quote() writes ${name}`, () => assert.equal(quote(value, max), quoted))
}

test('quote() is one well-formed line of bounded length for any value', () => {
  const text = fc.string({ unit: 'binary', maxLength: 300 })
  fc.assert(
    fc.property(fc.oneof(text, fc.anything()), (value) => {
      const quoted = quote(value, 40)
      assert.ok([...quoted].length <= 42)
      assert.ok(quoted.isWellFormed())
      assert.doesNotMatch(quoted, /[\p{Cc}\u2028\u2029]/u)
    }),
    { numRuns: 1000 },
  )
})
