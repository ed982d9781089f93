import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { feedWatchdog } from '../../src/systemd/watchdog.ts'

test('feedWatchdog() feeds after each examination that found nothing, and tells when it does not', async (context: TestContext) => {
  context.mock.timers.enable({ apis: ['setInterval'] })
  const lines: string[] = []
  const note = (message: string) => void lines.push(message)
  let fault: string | undefined
  let pending: (() => void) | undefined
  let isSlow = false
  const end = feedWatchdog({
    watchdogMs: 1000,
    feed: () => note('fed'),
    examine: () => (isSlow ? new Promise((resolve) => (pending = () => resolve(undefined))) : Promise.resolve(fault)),
    log: { debug: note, info: note, warn: note, error: note },
  })
  const pass = async (ms: number) => {
    context.mock.timers.tick(ms)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await pass(0)
  await pass(499)
  assert.deepEqual(lines.splice(0), ['fed'])
  await pass(1)
  assert.deepEqual(lines.splice(0), ['fed'])
  fault = 'WatchMan is silent'
  await pass(500)
  await pass(500)
  const refusal = 'the watchdog of the service manager is not fed: WatchMan is silent; it will restart DeadPool'
  assert.deepEqual(lines.splice(0), [refusal])
  fault = undefined
  isSlow = true
  await pass(500)
  await pass(500)
  await pass(500)
  assert.deepEqual(lines.splice(0), [])
  pending?.()
  await pass(0)
  assert.deepEqual(lines.splice(0), ['the watchdog of the service manager is fed again', 'fed'])
  end()
  isSlow = false
  await pass(2000)
  assert.deepEqual(lines, [])
})
