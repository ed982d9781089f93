import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileCriterion } from '../../src/criteria/criterion.ts'
import { judgeFacts } from '../../src/criteria/judge.ts'

const body = { fact: 'body', judge: compileCriterion({ type: 're_search', query: 'elasticsearch+ green+' }) }
const status = { fact: 'status', judge: compileCriterion({ type: 'status_in', query: [200] }) }

test('judgeFacts() is undefined when every criterion holds', () => {
  assert.equal(judgeFacts({ status: 200, body: 'elasticsearch green', time_ms: 3 }, [body, status]), undefined)
})

test('judgeFacts() names the fact that fails', () => {
  assert.equal(
    judgeFacts({ status: 503, body: 'elasticsearch green' }, [body, status]),
    'status: 503 is not one of 200',
  )
})

test('judgeFacts() gives all reasons in the order of the criteria', () => {
  assert.equal(
    judgeFacts({ status: 503, body: '1448 elasticsearch red 1 1' }, [body, status]),
    'body: no match for "elasticsearch+ green+" in "1448 elasticsearch red 1 1"; status: 503 is not one of 200',
  )
})

test('judgeFacts() fails a criterion whose fact was not reported', () => {
  assert.equal(judgeFacts({ status: 200 }, [body, status]), 'body: the check reported no body')
  assert.equal(judgeFacts({ status: 200, body: undefined }, [body]), 'body: the check reported no body')
})

test('judgeFacts() does not take what every object inherits for a fact', () => {
  const judge = () => undefined
  assert.equal(judgeFacts({}, [{ fact: 'toString', judge }]), 'toString: the check reported no toString')
})

test('judgeFacts() says the same reason once', () => {
  assert.equal(judgeFacts({}, [body, body]), 'body: the check reported no body')
})

test('judgeFacts() counts the reasons that would make the whole too long', () => {
  const criteria = Array.from({ length: 100 }, (_, index) => ({ fact: `fact_${index}`, judge: () => undefined }))
  const reason = judgeFacts({}, criteria) ?? ''
  assert.ok(reason.length < 1100)
  assert.match(reason, /^fact_0: the check reported no fact_0; fact_1: .*; and \d+ more$/)
  const told = reason.split('; ').length - 1
  assert.ok(reason.endsWith(`and ${100 - told} more`))
})

test('judgeFacts() reads a fact once for all its criteria', () => {
  let reads = 0
  const facts = {
    get body() {
      reads++
      return 'green'
    },
  }
  const judge = () => 'no'
  judgeFacts(facts, [body, body, { fact: 'body', judge }])
  assert.equal(reads, 1)
})

const ofAll = (fact: string) => ({ fact, of: 'all' as const })

test('judgeFacts() quotes after the reasons what the target said itself', () => {
  const facts = { status: 503, message: ' no shard\nis left ', hint: '', code: 7 }
  const explaining = ['message', 'hint', 'code', 'toString', 'missing'].map(ofAll)
  assert.equal(judgeFacts(facts, [status], explaining), 'status: 503 is not one of 200 (message: "no shard⏎is left")')
  assert.equal(judgeFacts({ ...facts, status: 200 }, [status], explaining), undefined)
})

test('judgeFacts() does not quote twice what a reason quotes', () => {
  const facts = { body: 'red', hint: 'ask the other one' }
  assert.equal(
    judgeFacts(facts, [body], ['body', 'hint'].map(ofAll)),
    'body: no match for "elasticsearch+ green+" in "red" (hint: "ask the other one")',
  )
})

test('judgeFacts() bounds what the target said', () => {
  const reason = judgeFacts({ status: 503, message: 'x'.repeat(100_000) }, [status], [ofAll('message')]) ?? ''
  assert.ok(reason.length < 260, `${reason.length} characters`)
  assert.ok(reason.endsWith('x…")'))
})

test('judgeFacts() quotes what explains a fact only when that fact fails', () => {
  const facts = { disk: 3, load: 9, lowest: '/var' }
  const fail = (fact: string) => ({ fact, judge: () => 'is bad' })
  const explaining = [{ fact: 'lowest', of: ['disk', 'inodes'] }]
  assert.equal(judgeFacts(facts, [fail('load')], explaining), 'load: is bad')
  assert.equal(
    judgeFacts(facts, [fail('load'), fail('disk')], explaining),
    'load: is bad; disk: is bad (lowest: "/var")',
  )
})

test('judgeFacts() throws what reading a fact throws, unless another criterion fails', () => {
  const facts = {
    status: 503,
    get clock(): number {
      throw new Error('not known')
    },
  }
  const clock = { fact: 'clock', judge: () => undefined }
  assert.throws(() => judgeFacts(facts, [clock]), /^Error: not known$/)
  assert.equal(judgeFacts(facts, [clock, status], [ofAll('clock')]), 'status: 503 is not one of 200')
})
