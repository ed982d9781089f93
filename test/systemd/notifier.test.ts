import assert from 'node:assert/strict'
import { chmodSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createNotifier } from '../../src/systemd/notifier.ts'
import { makeFolder } from '../e2e/binary.ts'

/** A notifier whose `systemd-notify` is a script; what it is called with is written down by `note`. */
function setUp(context: TestContext, script: string, timeoutMs?: number) {
  const folder = makeFolder(context)
  const program = join(folder, 'systemd-notify')
  writeFileSync(program, `#!/bin/sh\nnote() { echo "$NOTIFY_SOCKET: $*" >> ${folder}/calls; }\n${script}\n`)
  chmodSync(program, 0o755)
  const lines: string[] = []
  const note = (message: string) => void lines.push(message)
  const log = { debug: note, info: note, warn: note, error: note }
  const notifier = createNotifier({ notifySocket: '/run/n', log, path: folder, ...(timeoutMs ? { timeoutMs } : {}) })
  return { program, notifier, lines, calls: () => readFileSync(join(folder, 'calls'), 'utf8').split('\n').slice(0, -1) }
}

test('createNotifier() says one thing after the other, and of several statuses the last', async (context) => {
  const { notifier, lines, calls } = setUp(context, 'case $1 in READY*) /bin/sleep 0.3;; esac; note "$@"')
  void notifier.say('READY=1')
  notifier.status('one')
  notifier.status('two')
  await notifier.say('RELOADING=1', 'MONOTONIC_USEC=5')
  notifier.status('two')
  await notifier.say('STOPPING=1')
  assert.deepEqual(calls(), [
    '/run/n: READY=1',
    '/run/n: STATUS=two',
    '/run/n: RELOADING=1 MONOTONIC_USEC=5',
    '/run/n: STOPPING=1',
  ])
  assert.deepEqual(lines, [])
})

test('createNotifier() tells a failure once, and goes on', async (context) => {
  const { notifier, lines, calls } = setUp(
    context,
    'note "$@"; case $1 in STATUS=bad) echo "no way" >&2; exit 1;; esac',
  )
  for (const text of ['bad', 'good', 'bad']) {
    await notifier.say(`STATUS=${text}`)
    await notifier.say(`STATUS=${text}`)
  }
  assert.equal(calls().length, 6)
  const said = 'the service manager cannot be told how DeadPool is: no way'
  assert.deepEqual(lines, [said, said])
})

test('createNotifier() goes on after what could not even be started', async (context) => {
  const { program, notifier, lines, calls } = setUp(context, 'note "$@"')
  // Longer than Linux allows.
  await notifier.say(`STATUS=${'x'.repeat(200_000)}`)
  await notifier.say('READY=1')
  renameSync(program, `${program}-away`)
  await notifier.say('WATCHDOG=1')
  renameSync(`${program}-away`, program)
  await notifier.say('WATCHDOG=1')
  assert.deepEqual(calls(), ['/run/n: READY=1', '/run/n: WATCHDOG=1'])
  const said = 'the service manager cannot be told how DeadPool is:'
  assert.deepEqual(lines, [`${said} spawn E2BIG`, `${said} "systemd-notify" is not installed`])
})

test('createNotifier() does not wait for one that hangs, nor for what holds its pipes', async (context) => {
  const { notifier, lines, calls } = setUp(context, 'note "$@"; case $1 in READY*) /bin/sleep 3 & wait;; esac', 200)
  const beganMs = performance.now()
  await notifier.say('READY=1')
  await notifier.say('WATCHDOG=1')
  assert.ok(performance.now() - beganMs < 2000)
  assert.deepEqual(calls(), ['/run/n: READY=1', '/run/n: WATCHDOG=1'])
  assert.deepEqual(lines, [
    'the service manager cannot be told how DeadPool is: systemd-notify did not end within 0.2 s',
  ])
})

test('createNotifier() without a manager starts nothing', async () => {
  const note = (message: string) => assert.fail(message)
  const log = { debug: note, info: note, warn: note, error: note }
  const notifier = createNotifier({ notifySocket: undefined, log, path: '/nowhere' })
  assert.equal(notifier.isWanted, false)
  notifier.status('x')
  await notifier.say('READY=1')
})
