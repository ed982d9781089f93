import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { askDisk, DiskHangs } from '../../src/modules/disk.ts'
import { Unknown } from '../../src/modules/errors.ts'

const soon = () => ({ signal: AbortSignal.timeout(5000), patienceMs: 1000 })

/** Disks that answer when the test says so. */
function createDisks() {
  const open = new Map<string, PromiseWithResolvers<string>>()
  const asked: string[] = []
  const ask = (path: string) => {
    asked.push(path)
    const answer = Promise.withResolvers<string>()
    open.set(path, answer)
    return answer.promise
  }
  return { ask, asked, answer: (path: string) => open.get(path)?.resolve(`of ${path}`), open }
}

test('askDisk() asks once for all who want the same meanwhile, and again afterwards', async () => {
  const { ask, asked, answer } = createDisks()
  const both = Promise.all([askDisk(ask, '/a', soon()), askDisk(ask, '/a', soon())])
  answer('/a')
  assert.deepEqual(await both, ['of /a', 'of /a'])
  const next = askDisk(ask, '/a', soon())
  answer('/a')
  await next
  assert.deepEqual(asked, ['/a', '/a'])
})

test('askDisk() rejects as the question does', async () => {
  const fail = async () => {
    throw Object.assign(new Error('no'), { code: 'EIO' })
  }
  await assert.rejects(askDisk(fail, '/a', soon()), { code: 'EIO' })
})

test('askDisk() says how long a disk has not answered, and asks it no further time', async () => {
  const { ask, asked, answer } = createDisks()
  const impatient = () => ({ ...soon(), patienceMs: 400 })
  await assert.rejects(askDisk(ask, '/a', impatient()), (error) => {
    assert.ok(error instanceof DiskHangs && error instanceof Unknown)
    return /^\/a has not answered for \d+ ms$/.test(error.message)
  })
  const startedAt = performance.now()
  await assert.rejects(askDisk(ask, '/a', impatient()), DiskHangs)
  assert.ok(performance.now() - startedAt < 250, 'it waited for a disk that was known to hang')
  assert.deepEqual(asked, ['/a'])
  answer('/a')
  await sleep(1)
  const again = askDisk(ask, '/a', soon())
  answer('/a')
  assert.equal(await again, 'of /a')
})

test('askDisk() leaves a thread to others however many disks hang', async () => {
  const { ask, asked, answer } = createDisks()
  const hanging = ['/a', '/b'].map((path) => askDisk(ask, path, { ...soon(), patienceMs: 20 }))
  for (const { status } of await Promise.allSettled(hanging)) assert.equal(status, 'rejected')
  await assert.rejects(askDisk(ask, '/c', { ...soon(), patienceMs: 20 }), (error) => {
    assert.ok(error instanceof Unknown && !(error instanceof DiskHangs))
    assert.equal(error.message, '/c cannot be asked while other disks hang: /a, /b')
    return true
  })
  assert.deepEqual(asked, ['/a', '/b'])
  const waiting = askDisk(ask, '/c', soon())
  answer('/b')
  await sleep(1)
  answer('/c')
  assert.equal(await waiting, 'of /c')
  answer('/a')
})

test('askDisk() stops waiting when the check is over', async () => {
  const { ask, answer } = createDisks()
  const controller = new AbortController()
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  const waiting = askDisk(ask, '/a', { signal: controller.signal, patienceMs: 1000 })
  controller.abort(new Error('over'))
  await assert.rejects(waiting, /^Error: over$/)
  assert.equal(timers(), before)
  answer('/a')
})
