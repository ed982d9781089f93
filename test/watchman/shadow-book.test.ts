import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Rules } from '../../src/verdict/rules.ts'
import type { Standing } from '../../src/verdict/standing.ts'
import { createShadowBook } from '../../src/watchman/shadow-book.ts'

const RULES: Rules = {
  probes: [
    { name: 'trial', severity: 'shadow', dependsOn: [] },
    { name: 'real', severity: 'critical', dependsOn: [] },
    { name: 'member', severity: 'shadow', dependsOn: [] },
  ],
  groups: [{ name: 'pair', severity: 'shadow', members: ['member'], minAlive: { count: 1 } }],
  onStale: 'dead',
}

const dead: Standing = { life: 'dead', reason: 'refused', sinceMs: 0 }
const standingsOf =
  (...names: string[]) =>
  () =>
    new Map<string, Standing>(names.map((name) => [name, dead]))
const at = (ms: number) => ({ wallMs: 5_000_000 - ms, monotonicMs: ms }) // a wall clock that runs backwards harms nothing

function createBook(remembered = {}) {
  const lines: string[] = []
  const note = (message: string) => void lines.push(message)
  const book = createShadowBook(RULES, { debug: note, info: note, warn: note, error: note }, remembered)
  return { book, lines }
}

test('createShadowBook() counts how often and how long a shadow would have answered 503', () => {
  const { book, lines } = createBook()
  book.update(standingsOf('trial', 'real'), at(0))
  book.update(standingsOf('trial'), at(1000))
  book.update(standingsOf(), at(5000))
  book.update(standingsOf('trial'), at(6000))
  book.update(standingsOf('real'), at(7000))
  assert.deepEqual(book.records(), { trial: { count: 2, totalMs: 6000 } })
  assert.deepEqual(lines, [
    'trial would have answered 503 (shadow): refused',
    'trial would answer 200 again (shadow), after 5 s',
    'trial would have answered 503 (shadow): refused',
    'trial would answer 200 again (shadow), after 1 s',
  ])
})

test('createShadowBook() counts a shadow group, and not its members', () => {
  const { book, lines } = createBook()
  book.update(standingsOf('member'), at(0))
  assert.deepEqual(Object.keys(book.records()), ['pair'])
  assert.deepEqual(lines, ['pair would have answered 503 (shadow): 0 of 1 alive, 1 needed (member: refused)'])
})

test('createShadowBook() goes on from what was remembered, and forgets what is no shadow any more', () => {
  const { book, lines } = createBook({
    trial: { count: 3, totalMs: 100, since: at(0) },
    gone: { count: 1, totalMs: 1 },
  })
  book.update(standingsOf('trial'), at(1000))
  assert.deepEqual(lines, [], 'it is dead as before')
  book.update(standingsOf(), at(2000))
  assert.deepEqual(book.records(), { trial: { count: 3, totalMs: 2100 } })
  book.follow({ ...RULES, probes: [{ name: 'trial', severity: 'critical', dependsOn: [] }], groups: [] })
  assert.deepEqual(book.records(), {})
  const read = () => assert.fail('nobody needs the states')
  book.update(read, at(3000))
})
