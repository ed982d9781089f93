import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Probe } from '../../mod/icmp_probe.ts'
import type { Facts } from '../../src/modules/define-probe.ts'
import type { Outcome } from '../../src/verdict/state.ts'
import { findMissing } from '../servers/process.ts'
import { assertNothingLeft, check, findProblems, observe } from './checking.ts'
import type { Task } from './icmp-checks.ts'

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'deadpool-icmp-'))
after(() => rmSync(folder, { recursive: true }))

const CHECKS = [process.execPath, join(import.meta.dirname, 'icmp-checks.ts')]

/** A network of its own: 10.4.4.9 is there and silent, 10.4.4.2 is not there, and no way leads to the others. */
const NETWORK = `set -e
ip link set lo up
ip link add v0 type veth peer name v1
ip address add 10.4.4.1/24 dev v0
ip link set v0 up
ip link set v1 up
ip neighbour add 10.4.4.9 lladdr 02:00:00:00:00:09 dev v0
ip route add unreachable 10.8.0.0/16
ip route add blackhole 10.7.0.0/16
exec "$@"`

interface Became {
  facts: Facts
  outcome: Outcome & { reason?: string }
}

async function checkBy(command: string[], tasks: Task[], env: NodeJS.ProcessEnv = process.env): Promise<Became[]> {
  const [program = '', ...args] = [...command, ...CHECKS, ...tasks.map((task) => JSON.stringify(task))]
  const { stdout } = await run(program, args, { env, timeout: 30_000 })
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Became)
}

const isMissing = findMissing('ping', 'iputils-ping')

describe('on this host', { skip: isMissing }, () => {
  test('Probe is alive when its own host answers, and reports all that ping counted', async () => {
    const facts = await observe(Probe, { host: '127.0.0.1', count: 4, interval: 0.01 })
    const { rtt_ms, rtt_min_ms, rtt_max_ms, jitter_ms, time_ms, ...rest } = facts
    assert.deepEqual(rest, {
      received: 4,
      sent: 4,
      loss_percent: 0,
      icmp_error: undefined,
      remote_ip: '127.0.0.1',
    })
    assert.ok(Number(rtt_min_ms) > 0 && Number(rtt_min_ms) <= Number(rtt_ms) && Number(rtt_ms) <= Number(rtt_max_ms))
    assert.ok(Number(jitter_ms) >= 0 && Number(time_ms) >= 30)
    assert.deepEqual(await check(Probe, { host: '127.0.0.1', count: 1 }), { kind: 'alive' })
  })

  for (const { name, query, remote_ip } of [
    { name: 'IPv6', query: { host: '::1', count: 1 }, remote_ip: '::1' },
    { name: 'a name', query: { host: 'localhost', ip_version: 4, count: 1 }, remote_ip: '127.0.0.1' },
    { name: 'the largest size', query: { host: '127.0.0.1', size: 65_507, count: 1 }, remote_ip: '127.0.0.1' },
    {
      name: 'no bytes, of which ping tells no times',
      query: { host: '127.0.0.1', size: 0, count: 1 },
      remote_ip: '127.0.0.1',
    },
  ]) {
    test(`Probe pings ${name}`, async () => {
      const facts = await observe(Probe, query)
      assert.deepEqual([facts.received, facts.remote_ip], [1, remote_ip])
      assert.equal(facts.rtt_ms === undefined, query.size === 0)
    })
  }

  test('Probe is dead for a name that nobody has', async () => {
    assert.deepEqual(await check(Probe, { host: 'nobody.invalid' }), {
      kind: 'dead',
      reason: 'no address is known for nobody.invalid',
    })
  })

  test('Probe is unknown where ping may not ask', async () => {
    assert.deepEqual(await check(Probe, { host: '255.255.255.255' }), {
      kind: 'unknown',
      reason:
        'ping said something unforeseen: "ping: Do you want to ping broadcast? Then -b. If not, check your local firewall…"',
    })
  })

  test('Probe kills ping when the check is cancelled, at once', async () => {
    for (const ms of [0, 1, 5, 20, 50, 200]) {
      const over = new Error('over')
      const controller = new AbortController()
      const query = { host: '127.0.0.1', count: 20, interval: 0.4, timeout: 20 }
      setTimeout(() => controller.abort(over), ms)
      await assert.rejects(observe(Probe, query, controller.signal), over)
    }
    await sleep(100)
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
    assert.equal(children.trim(), '')
  })

  test('Probe leaves nothing behind, alive and unknown', async () => {
    await assertNothingLeft(Probe, { host: '127.0.0.1', count: 1 })
    await assertNothingLeft(Probe, { host: '255.255.255.255' }, { kind: 'unknown' })
  })

  test('Probe is unknown without ping, and says what to install', async () => {
    // The module looks in the usual folders as well, so ping must be out of sight there too.
    const hidden = [
      'unshare',
      '--map-root-user',
      '--mount',
      'sh',
      '-c',
      'mount -t tmpfs none /usr/bin && exec "$@"',
      'sh',
    ]
    const [became] = await checkBy(hidden, [{ query: { host: '127.0.0.1' } }])
    assert.deepEqual(became?.outcome, {
      kind: 'unknown',
      reason: 'this host has no ping; run: apt-get install iputils-ping, or dnf install iputils',
    })
  })
})

describe('without the right to ping', { skip: isMissing || findMissingRoot() }, () => {
  const reason = 'ping may not send ICMP here; run: setcap cap_net_raw+ep "$(command -v ping)"'
  const powerless = ['setpriv', '--bounding-set', '-net_raw']
  const task = { query: { host: '127.0.0.1' } }

  test('Probe is unknown when ping cannot get its right', async () => {
    const [became] = await checkBy(powerless, [task])
    assert.deepEqual(became?.outcome, { kind: 'unknown', reason })
  })

  test('Probe is unknown when ping has none', async () => {
    const { stdout } = spawnSync('sh', ['-c', 'command -v ping'], { encoding: 'utf8' })
    // The copy loses the capability of the file.
    copyFileSync(stdout.trim(), join(folder, 'ping'))
    const [became] = await checkBy(powerless, [task], { ...process.env, PATH: `${folder}:${process.env.PATH}` })
    assert.deepEqual(became?.outcome, { kind: 'unknown', reason })
  })
})

function findMissingRoot(): string | false {
  if (process.env.DEADPOOL_TEST_NO_SKIP || process.getuid?.() === 0) return false
  return 'only root can give up the right'
}

describe('in a network of its own', { skip: isMissing || findMissingNetwork() }, () => {
  let became: Became[]
  before(async () => {
    became = await checkBy(
      ['unshare', '--map-root-user', '--net', 'sh', '-c', NETWORK, 'sh'],
      [
        { query: { host: '10.4.4.9', timeout: 2 } },
        { query: { host: '10.4.4.2', count: 1, timeout: 6 } },
        { query: { host: '10.8.0.1' } },
        { query: { host: '10.7.0.1' } },
        { query: { host: '10.99.0.1' } },
        { query: { host: '127.0.0.1', count: 10, interval: 0.1, timeout: 2 }, silentAfterMs: 450 },
      ],
    )
  })

  test('Probe is dead by facts, before the time is over, when nothing is answered', () => {
    const { facts, outcome } = became[0] as Became
    const { time_ms, ...rest } = facts
    assert.deepEqual(rest, { received: 0, sent: 3, loss_percent: 100, remote_ip: '10.4.4.9' })
    assert.ok(Number(time_ms) > 1700 && Number(time_ms) < 2000, `${time_ms} ms`)
    assert.deepEqual(outcome, { kind: 'dead', reason: 'received: 0 is less than 1' })
  })

  test('Probe tells what a router says of a host that is not there', () => {
    const { facts } = became[1] as Became
    assert.deepEqual([facts.loss_percent, facts.icmp_error], [100, 'Destination Host Unreachable'])
  })

  for (const { index, outcome } of [
    { index: 2, outcome: { kind: 'dead', reason: 'no route to 10.8.0.1' } },
    { index: 3, outcome: { kind: 'unknown', reason: 'this host could not send to 10.7.0.1: Invalid argument' } },
    { index: 4, outcome: { kind: 'unknown', reason: 'this host has no route to the network of 10.99.0.1' } },
  ]) {
    test(`Probe is ${outcome.kind}: ${outcome.reason}`, () => {
      assert.deepEqual(became[index]?.outcome, outcome)
    })
  }

  test('Probe reports a loss in part, and is alive', () => {
    const { sent, received, loss_percent, rtt_ms } = (became[5] as Became).facts as Record<string, number>
    assert.equal(sent, 10)
    assert.ok(received !== undefined && received > 0 && received < 10, `${received} received`)
    assert.equal(loss_percent, (10 - received) * 10)
    assert.ok(Number(rtt_ms) > 0)
  })
})

function findMissingNetwork(): string | false {
  const isPossible = spawnSync('unshare', ['--map-root-user', '--net', 'ip', 'link', 'set', 'lo', 'up']).status === 0
  if (isPossible || process.env.DEADPOOL_TEST_NO_SKIP) return false
  return 'networks of its own cannot be made here: apt-get install iproute2 util-linux, and allow user namespaces'
}

for (const { name, query, problems } of [
  { name: 'no host', query: {}, problems: ['host: is missing; it is required'] },
  { name: 'an option for a host', query: { host: '-f' }, problems: ['host: "-f" is not a name or address'] },
  { name: 'a host with a blank', query: { host: 'a b' }, problems: ['host: "a b" is not a name or address'] },
  {
    name: 'too many requests',
    query: { host: 'a', count: 21 },
    problems: ['count: 21 is out of range; at most 20 is allowed'],
  },
  { name: 'none', query: { host: 'a', count: 0 }, problems: ['count: 0 is out of range; at least 1 is allowed'] },
  {
    name: 'a size that IP has not',
    query: { host: 'a', size: 65_508 },
    problems: ['size: 65508 is out of range; at most 65507 is allowed'],
  },
  {
    name: 'a flood',
    query: { host: 'a', interval: '1ms' },
    problems: ['interval: "1ms" is out of range; 2 ms to 10 min is allowed'],
  },
  {
    name: 'more requests than there is time for',
    query: { host: 'a', count: 10, interval: 0.5, timeout: 5 },
    problems: ['timeout: 5 is too short for 10 requests, one each 0.5 s; lessen count or interval'],
  },
]) {
  test(`Probe refuses ${name}`, async () => {
    assert.deepEqual(await findProblems(Probe, query), problems)
  })
}
