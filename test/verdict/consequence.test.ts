import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { orderConsequences } from '../../src/verdict/consequence.ts'

const scenarios: { name: string; given: string[]; expected: string }[] = [
  { name: 'leaves what depends on nothing', given: ['c', 'a', 'b'], expected: 'c a b' },
  { name: 'puts a consequence right behind its cause', given: ['web<net', 'mail', 'net'], expected: 'mail net web' },
  { name: 'follows a chain', given: ['a<b', 'b<c', 'c'], expected: 'c b a' },
  {
    name: 'keeps the order among the consequences of one cause',
    given: ['x<net', 'net', 'y<net'],
    expected: 'net x y',
  },
  { name: 'leaves what is because of something not listed', given: ['a<gone', 'b'], expected: 'a b' },
]

for (const { name, given, expected } of scenarios) {
  test(`orderConsequences() ${name}`, () => {
    const entries = given.map((text) => ({ name: text.split('<')[0] as string, becauseOf: text.split('<')[1] }))
    assert.equal(
      orderConsequences(entries)
        .map((entry) => entry.name)
        .join(' '),
      expected,
    )
  })
}

test('orderConsequences() loses nothing and doubles nothing, whatever points where, circles included', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const entries = fc
    .tuple(fc.shuffledSubarray(names), fc.infiniteStream(fc.option(fc.constantFrom(...names, 'z'), { nil: undefined })))
    .map(([listed, causes]) => listed.map((name) => ({ name, becauseOf: causes.next().value as string | undefined })))
  fc.assert(
    fc.property(entries, (given) => {
      const ordered = orderConsequences(given)
      assert.deepEqual(new Set(ordered), new Set(given))
      assert.equal(ordered.length, given.length)
    }),
  )
})

test('orderConsequences() is through with 20,000 deaths in a moment, in one chain or of one cause', () => {
  const names = Array.from({ length: 20_000 }, (_, index) => `p${index}`)
  const chain = names.map((name, index) => ({ name, becauseOf: names[index + 1] }))
  const star = names.map((name, index) => ({ name, becauseOf: index > 0 ? names[0] : undefined }))
  const startedMs = performance.now()
  assert.equal(orderConsequences(chain)[0]?.name, 'p19999')
  assert.equal(orderConsequences(star).length, 20_000)
  assert.ok(performance.now() - startedMs < 300)
})
