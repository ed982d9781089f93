import assert from 'node:assert/strict'
import { test } from 'node:test'
import { passOn, takeSurroundings } from '../../src/systemd/surroundings.ts'

const nothing = { sockets: [], notifySocket: undefined, watchdogMs: undefined, remarks: [] }
const scenarios = [
  { name: 'nothing', env: {}, found: nothing },
  {
    name: 'named sockets for this process',
    env: { LISTEN_FDS: '2', LISTEN_PID: '7', LISTEN_FDNAMES: 'a.socket:b' },
    found: {
      ...nothing,
      sockets: [
        { fd: 3, name: 'a.socket' },
        { fd: 4, name: 'b' },
      ],
    },
  },
  {
    name: 'a socket without a name',
    env: { LISTEN_FDS: '1', LISTEN_PID: '7' },
    found: { ...nothing, sockets: [{ fd: 3, name: 'unknown' }] },
  },
  {
    name: 'sockets for another process',
    env: { LISTEN_FDS: '1', LISTEN_PID: '8' },
    found: {
      ...nothing,
      remarks: [
        'LISTEN_FDS=1 is for process 8, not for this one (7): no passed socket is used; a script in between has to "exec" deadpool',
      ],
    },
  },
  ...['x', '1.5', '-1', '1000000000'].map((count) => ({
    name: `the count ${count}, which is none,`,
    env: { LISTEN_FDS: count, LISTEN_PID: '7' },
    found: { ...nothing, remarks: [`LISTEN_FDS=${count} is no number of sockets: no passed socket is used`] },
  })),
  {
    name: 'a notify socket and a watchdog',
    env: { NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '30000000', WATCHDOG_PID: '7' },
    found: { ...nothing, notifySocket: '/run/n', watchdogMs: 30_000 },
  },
  { name: 'the watchdog of another process', env: { WATCHDOG_USEC: '30000000', WATCHDOG_PID: '8' }, found: nothing },
  { name: 'a watchdog that is off', env: { NOTIFY_SOCKET: '', WATCHDOG_USEC: '0' }, found: nothing },
]

for (const { name, env, found } of scenarios) {
  test(`takeSurroundings() finds ${name}, and leaves nothing of it in the environment`, () => {
    const around: NodeJS.ProcessEnv = { ...env, PATH: '/bin' }
    assert.deepEqual(takeSurroundings(around, 7), found)
    assert.deepEqual(around, { PATH: '/bin' })
  })
}

test('passOn() gives a process that takes over what it needs, under whatever number', () => {
  const env = { NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '1500000', WATCHDOG_PID: '7', LISTEN_FDS: '1', LISTEN_PID: '7' }
  const passed = passOn(takeSurroundings(env, 7))
  assert.deepEqual(passed, { NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '1500000' })
  assert.equal(takeSurroundings(passed, 9).watchdogMs, 1500)
})
