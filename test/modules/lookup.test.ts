import assert from 'node:assert/strict'
import * as dns from 'node:dns'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LookupWatch } from '../../src/modules/lookup.ts'

// So that a look-up that is not answered does not keep the next one waiting.
process.env.UV_THREADPOOL_SIZE = '8'
const { lookup, watchLookups } = await import('../../src/modules/lookup.ts')

/** A resolver that answers for localhost, and for anything else when the test says so. */
function mockResolver(t: TestContext): { answer(): void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  t.mock.method(dns.promises, 'lookup', async (name: string) => {
    if (name !== 'localhost') await promise
    return [{ address: '127.0.0.1', family: 4 }]
  })
  return { answer: resolve }
}

const ask = (name: string, signal?: AbortSignal) =>
  new Promise((resolve) => lookup(name, { signal }, (_error, address) => resolve(address)))

test('lookup() shows the name that a check still waits for, when it has another already', async (t) => {
  const resolver = mockResolver(t)
  const watch: LookupWatch = { resolving: undefined }
  const { silent, other } = watchLookups(watch, () => ({ silent: ask('silent.invalid'), other: ask('localhost') }))
  await other
  assert.equal(watch.resolving, 'silent.invalid')
  resolver.answer()
  await silent
  assert.equal(watch.resolving, undefined)
})

test('lookup() shows no name that nobody waits for any more', async (t) => {
  const resolver = mockResolver(t)
  const watch: LookupWatch = { resolving: undefined }
  const controller = new AbortController()
  const { given } = watchLookups(watch, () => ({ given: ask('silent.invalid', controller.signal) }))
  assert.equal(watch.resolving, 'silent.invalid')
  controller.abort()
  assert.equal(watch.resolving, undefined)
  const { again } = watchLookups(watch, () => ({ again: ask('silent.invalid') }))
  await sleep(0)
  assert.equal(watch.resolving, 'silent.invalid')
  resolver.answer()
  await Promise.all([given, again])
  assert.equal(watch.resolving, undefined)
})
