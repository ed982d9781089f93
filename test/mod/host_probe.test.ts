import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Probe } from '../../mod/host_probe.ts'
import type { Facts } from '../../src/modules/define-probe.ts'
import { finallyDo, skip, waitFor } from '../e2e/binary.ts'
import { mountHangingDisk } from '../e2e/hanging-disk.ts'
import { findMissingChrony, startChrony, startTimeServer, writeTime } from '../servers/time-server.ts'
import { assertNothingLeft, check, findProblems, observe, prepare } from './checking.ts'

const folder = mkdtempSync(join(tmpdir(), 'deadpool-host-'))
chmodSync(folder, 0o755)
after(() => rmSync(folder, { recursive: true }))

const HOME = join(import.meta.dirname, '../..')
const isRoot = process.getuid?.() === 0

function assertNear(found: unknown, wanted: number, tolerance: number): void {
  assert.ok(typeof found === 'number' && Math.abs(found - wanted) <= tolerance, `${found} is not near ${wanted}`)
}

let made = 0
function makeMountPoint(): string {
  const path = join(folder, `mount-${made++}`)
  mkdirSync(path)
  return path
}

/** Mounts a file system for the test; none where the host does not let it, and then the test was skipped. */
function mount(t: TestContext, ...args: string[]): string | undefined {
  if (!isRoot) return void skip(t, 'needs root, to mount')
  const path = makeMountPoint()
  const { status, stderr } = spawnSync('mount', [...args, path], { encoding: 'utf8' })
  if (status !== 0) return void skip(t, `this host mounts nothing: ${stderr}`)
  finallyDo(t, () => void spawnSync('umount', ['-l', path]))
  return path
}

/** Observes in a process of its own, after `prepare` in a mount namespace where it can lay files over those of the kernel. */
async function observeIn(t: TestContext, prepare: string): Promise<Facts | undefined> {
  if (!isRoot) return void skip(t, 'needs root, to lay files over those of the kernel')
  const script = join(folder, `in-${made++}.mts`)
  writeFileSync(
    script,
    `import { observe } from '${HOME}/test/mod/checking.ts'
    import { Probe } from '${HOME}/mod/host_probe.ts'
    console.log(JSON.stringify(await observe(Probe, {})))`,
  )
  const within = `set -e; ${prepare}; exec "$0" "$1"`
  const { stdout, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', within, process.execPath, script], {
    encoding: 'utf8',
  })
  assert.notEqual(stdout, '', stderr)
  return JSON.parse(stdout)
}

/** The commands that lay a file of this text over `path`. */
function overlay(path: string, text: string): string {
  const file = join(folder, `file-${made++}`)
  writeFileSync(file, text)
  return `mount --bind ${file} ${path}`
}

/** The commands that put files of these texts into `path`, and nothing else. */
function replaceFolder(path: string, files: Record<string, string>): string {
  const source = makeMountPoint()
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(source, name, '..'), { recursive: true })
    writeFileSync(join(source, name), text)
  }
  return `mount --bind ${source} ${path}`
}

describe('Probe of disks', () => {
  test('Probe counts what is free as df does', async () => {
    const facts = await observe(Probe, {})
    const [, used = '', iused = ''] =
      /(\d+)%\s+(\d+)%\s*$/.exec(execFileSync('df', ['--output=pcent,ipcent', '/'], { encoding: 'utf8' })) ?? []
    // df rounds up what is used.
    assertNear(facts.disk_free_percent, 100 - Number(used), 1.01)
    assertNear(facts.inodes_free_percent, 100 - Number(iused), 1.01)
    assert.equal(facts['disk_free_percent:/'], facts.disk_free_percent)
  })

  test('Probe leaves out what only root may still take', async (t) => {
    const image = join(folder, 'image')
    execFileSync('truncate', ['-s', '16M', image])
    const mke2fs = spawnSync('mke2fs', ['-q', '-F', '-t', 'ext4', '-m', '20', image])
    if (mke2fs.error) return skip(t, 'mke2fs is missing: apt-get install e2fsprogs')
    const path = mount(t, '-o', 'loop', image)
    if (!path) return
    const { blocks, bfree, bavail } = statfsSync(path)
    assert.ok(bfree - bavail > blocks / 10, 'nothing is kept back on the disk of this test')
    const used = Number(/(\d+)%\s*$/.exec(execFileSync('df', ['--output=pcent', path], { encoding: 'utf8' }))?.[1])
    const facts = await observe(Probe, { paths: [path] })
    assertNear(facts.disk_free_percent, 100 - used, 1.01)
  })

  test('Probe tells the least of all paths, and each of them', async (t) => {
    const small = mount(t, '-t', 'tmpfs', '-o', 'size=4m,nr_inodes=100', 'none')
    const large = mount(t, '-t', 'tmpfs', '-o', 'size=8m,nr_inodes=50', 'none')
    if (!small || !large) return
    writeFileSync(join(small, 'big'), Buffer.alloc(3 * 1024 * 1024))
    for (let i = 0; i < 39; i++) writeFileSync(join(large, `${i}`), '')
    const { time_ms, ...facts } = await observe(Probe, { paths: [large, small, '/proc'] })
    const inodes = (path: string) => {
      const { ffree, files } = statfsSync(path)
      return Math.round((ffree / files) * 10_000) / 100
    }
    const found = Object.fromEntries(Object.entries(facts).filter(([name]) => /^(disk|inodes)_/.test(name)))
    assert.deepEqual(found, {
      disk_free_percent: 25,
      disk_lowest_path: small,
      [`disk_free_percent:${small}`]: 25,
      [`disk_free_percent:${large}`]: 100,
      inodes_free_percent: inodes(large),
      inodes_lowest_path: large,
      [`inodes_free_percent:${small}`]: inodes(small),
      [`inodes_free_percent:${large}`]: inodes(large),
    })
    assertNear(inodes(large), 20, 2.1)
    const criteria = {
      disk_free_percent: { type: 'gte', query: 30 },
      inodes_free_percent: { type: 'gte', query: 5 },
      load_per_core: { type: 'lt', query: 100_000 },
    }
    assert.deepEqual(await check(Probe, { paths: [large, small] }, criteria), {
      kind: 'dead',
      reason: `disk_free_percent: 25 is less than 30 (disk_lowest_path: "${small}")`,
    })
  })

  test('Probe names the facts of each path', async () => {
    const { facts } = await prepare(Probe, { paths: ['/var'] })
    assert.deepEqual(Object.keys(facts), ['disk_free_percent:/var', 'inodes_free_percent:/var'])
  })

  test('Probe calls a path that is not there dead, with all of them', async () => {
    assert.deepEqual(await check(Probe, { paths: ['/', '/nowhere', '/etc/passwd/x'] }), {
      kind: 'dead',
      reason: '/nowhere is not there; /etc/passwd/x is not there',
    })
  })

  test('Probe calls it unknown when it is not allowed to look', async (t) => {
    if (!isRoot) return skip(t, 'needs root, to look as another user')
    mkdirSync(join(folder, 'closed/in'), { recursive: true })
    chmodSync(join(folder, 'closed'), 0o700)
    const script = join(folder, 'as-nobody.mts')
    writeFileSync(
      script,
      `import { check } from '${HOME}/test/mod/checking.ts'
      import { Probe } from '${HOME}/mod/host_probe.ts'
      console.log(JSON.stringify(await check(Probe, { paths: ['${folder}/closed/in'] })))`,
    )
    const args = ['--reuid', 'nobody', '--clear-groups', process.execPath, script]
    const { stdout, stderr } = spawnSync('setpriv', args, { encoding: 'utf8', cwd: '/' })
    assert.notEqual(stdout, '', stderr)
    assert.deepEqual(JSON.parse(stdout), {
      kind: 'unknown',
      reason: `${folder}/closed/in cannot be looked at: DeadPool is not allowed to`,
    })
  })

  test('Probe names a disk that hangs, asks it once and harms nothing else', async (t) => {
    const disk = await mountHangingDisk(t, makeMountPoint())
    if (!disk) return
    const query = { paths: ['/', disk.folder], timeout: 1 }
    assert.deepEqual(await check(Probe, query), { kind: 'alive' })
    disk.hang()
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => check(Probe, query)))
    for (const outcome of outcomes) {
      assert.equal(outcome.kind, 'dead', JSON.stringify(outcome))
      assert.match(outcome.reason, /^\/.* has not answered for \d+ ms$/)
      assert.ok(outcome.reason.startsWith(`${disk.folder} `), outcome.reason)
    }
    const startedAt = performance.now()
    assert.equal((await check(Probe, query)).kind, 'dead')
    assert.ok(performance.now() - startedAt < 600, 'it waited for a disk that was known to hang')
    // The thread pool, of four threads here, still serves others.
    await readFile('/etc/passwd')
    assert.deepEqual(await check(Probe, { paths: ['/'] }), { kind: 'alive' })
    disk.resume()
    await waitFor('the disk', async () => (await check(Probe, query)).kind === 'alive' || undefined)
  })

  test('Probe calls a disk dead whose server has ended', async (t) => {
    if (!isRoot || spawnSync('bindfs', ['--version']).error) return skip(t, 'needs root and bindfs')
    const path = makeMountPoint()
    const below = makeMountPoint()
    execFileSync('bindfs', ['-o', 'fsname=deadpool-test', below, path])
    finallyDo(t, () => void spawnSync('umount', ['-l', path]))
    assert.deepEqual(await check(Probe, { paths: [path] }), { kind: 'alive' })
    const pid = execFileSync('pgrep', ['-f', `bindfs.* ${below} ${path}`], { encoding: 'utf8' }).trim()
    process.kill(Number(pid), 'SIGKILL')
    const gone = { kind: 'dead', reason: `${path} is mounted, and the server of the file system has ended` }
    await waitFor(
      'the end of the server',
      async () => (await check(Probe, { paths: [path] })).kind === 'dead' || undefined,
    )
    assert.deepEqual(await check(Probe, { paths: [path] }), gone)
  })
})

const MEMINFO = 'MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\nSwapTotal: 200 kB\nSwapFree: 50 kB\n'

describe('Probe of memory, load and time since the start', () => {
  test('Probe tells the memory that can be had, as free does', async () => {
    const words = execFileSync('free', { encoding: 'utf8' }).split('\n')[1]?.split(/\s+/).map(Number) ?? []
    assertNear((await observe(Probe, {})).mem_available_percent, (Number(words[6]) / Number(words[1])) * 100, 3)
  })

  test('Probe tells load and time since the start as the kernel does', async () => {
    const facts = await observe(Probe, {})
    const [one = 0, five = 0, fifteen = 0] = readFileSync('/proc/loadavg', 'utf8').split(' ').map(Number)
    const cores = Number(execFileSync('getconf', ['_NPROCESSORS_ONLN'], { encoding: 'utf8' }))
    assertNear(facts.load_per_core, one / cores, 0.6)
    assertNear(facts.load_per_core_5, five / cores, 0.2)
    assertNear(facts.load_per_core_15, fifteen / cores, 0.1)
    assertNear(facts.uptime_s, Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]), 2)
    assertNear(facts.time_ms, 0, 5000)
  })

  test('Probe divides the load by the cores that are online', async (t) => {
    const around = [
      overlay('/sys/devices/system/cpu/online', '0-3,8\n'),
      overlay('/proc/loadavg', '10.00 5.00 2.50 1/100 1\n'),
    ]
    const facts = await observeIn(t, around.join('; '))
    if (facts) assert.deepEqual([facts.load_per_core, facts.load_per_core_5, facts.load_per_core_15], [2, 1, 0.5])
  })

  test('Probe tells swap, and nothing where there is none', async (t) => {
    const facts = await observeIn(t, overlay('/proc/meminfo', MEMINFO))
    if (!facts) return
    assert.deepEqual([facts.swap_free_percent, facts.mem_available_percent], [25, 40])
    const none = await observeIn(t, overlay('/proc/meminfo', 'MemTotal: 9 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n'))
    assert.deepEqual([none?.swap_free_percent, none?.mem_available_percent], [undefined, undefined])
  })

  const v2 = (max: string) => ({
    'memory.max': `${max}\n`,
    'memory.current': '800000\n',
    'memory.stat': 'anon 1\ninactive_file 700000\nactive_file 5\n',
  })
  const v1 = (limit: string) => ({
    'memory/memory.limit_in_bytes': `${limit}\n`,
    'memory/memory.usage_in_bytes': '600000\n',
    'memory/memory.stat': 'inactive_file 1\ntotal_inactive_file 100000\n',
  })
  const containers = [
    { name: 'a container with a limit (v2)', files: v2('125000'), percent: 20 },
    { name: 'a container with room enough (v2)', files: v2('900000'), percent: 40 },
    { name: 'a container that is full (v2)', files: v2('90000'), percent: 0 },
    { name: 'a container without a limit (v2)', files: v2('max'), percent: 40 },
    { name: 'a container whose limit is above the host (v2)', files: v2('9000000000'), percent: 40 },
    { name: 'a container with a limit (v1)', files: v1('625000'), percent: 20 },
    { name: 'no limit (v1)', files: v1('9223372036854771712'), percent: 40 },
    { name: 'no groups at all', files: {}, percent: 40 },
  ]
  for (const { name, files, percent } of containers) {
    test(`Probe tells the memory of ${name}`, async (t) => {
      const facts = await observeIn(
        t,
        `${overlay('/proc/meminfo', MEMINFO)}; ${replaceFolder('/sys/fs/cgroup', files)}`,
      )
      if (facts) assert.equal(facts.mem_available_percent, percent)
    })
  }
})

describe('Probe of the clock', () => {
  const ask = (port: number, rest = {}) => ({ ntp_server: '127.0.0.1', ntp_port: port, ...rest })
  const judged = { clock_offset_ms: { type: 'between', query: [-500, 500] } }

  for (const aheadMs of [0, 5000, -250, 11 * 365.25 * 86_400_000]) {
    test(`Probe tells that the clock is ${aheadMs} ms behind`, async (t) => {
      const { port, requests } = await startTimeServer(t, { aheadMs })
      assertNear((await observe(Probe, ask(port))).clock_offset_ms, aheadMs, 30)
      assert.equal(requests.length, 1)
      assert.equal(requests[0]?.length, 48)
      assert.equal(requests[0]?.[0], 0x23)
    })
  }

  test('Probe asks by a name, and judges', async (t) => {
    const { port } = await startTimeServer(t, { aheadMs: 2000 })
    const outcome = await check(Probe, ask(port, { ntp_server: 'localhost' }), judged)
    assert.equal(outcome.kind, 'dead', JSON.stringify(outcome))
    assert.match(outcome.reason, /^clock_offset_ms: (19[789]\d|20[012]\d) is not between -500 and 500$/)
  })

  test('Probe asks a second time, as one packet may be lost', async (t) => {
    const { port, requests } = await startTimeServer(t, { answer: (packet, count) => (count > 1 ? packet : undefined) })
    assert.deepEqual(await check(Probe, ask(port, { timeout: 1 }), judged), { kind: 'alive' })
    assert.equal(requests.length, 2)
    assert.notDeepEqual(requests[0], requests[1])
  })

  test('Probe passes over what answers none of its requests', async (t) => {
    const forge = (change: (packet: Buffer) => void): Buffer => {
      const packet = Buffer.alloc(48)
      packet[0] = 0x24
      packet[1] = 1
      change(packet)
      return packet
    }
    const { port } = await startTimeServer(t, {
      answer: (packet, count) => {
        if (count > 1) return packet
        return forge((forged) => writeTime(forged, 32, 0))
      },
    })
    const facts = await observe(Probe, ask(port, { timeout: 1 }))
    assertNear(facts.clock_offset_ms, 0, 30)
  })

  const failures = [
    {
      name: 'is silent',
      answer: () => undefined,
      reason: 'did not answer within 0.4 s',
    },
    {
      name: 'sends too little',
      answer: (packet: Buffer) => packet.subarray(0, 40),
      reason: 'did not answer within 0.4 s',
    },
    {
      name: 'is not synchronised',
      answer: (packet: Buffer) => Buffer.concat([Buffer.from([0xe4]), packet.subarray(1)]),
      reason: 'is not synchronised itself',
    },
    {
      name: 'has no source',
      answer: (packet: Buffer) => Buffer.concat([Buffer.from([0x24, 16]), packet.subarray(2)]),
      reason: 'is not synchronised itself',
    },
    {
      name: 'is asked too often',
      answer: (packet: Buffer) =>
        Buffer.concat([Buffer.from([0xe4, 0]), packet.subarray(2, 12), Buffer.from('RATE'), packet.subarray(16)]),
      reason: 'refuses to tell the time (RATE)',
    },
  ]
  for (const { name, answer, reason } of failures) {
    test(`Probe calls only the clock unknown when the time server ${name}`, async (t) => {
      const { port } = await startTimeServer(t, { answer })
      const query = ask(port, { timeout: 0.5 })
      assert.deepEqual(await check(Probe, query, judged), {
        kind: 'unknown',
        reason: `the time server 127.0.0.1:${port} ${reason}`,
      })
      const others = { disk_free_percent: { type: 'gte', query: 0 } }
      assert.deepEqual(await check(Probe, query, others), { kind: 'alive' })
      const full = await check(Probe, query, { ...judged, disk_free_percent: { type: 'gt', query: 100 } })
      assert.equal(full.kind, 'dead')
    })
  }

  test('Probe calls the clock unknown when nothing listens or no address is known', async (t) => {
    const { port } = await startTimeServer(t)
    const refused = await check(Probe, ask(port, { ntp_server: '127.0.0.2' }), judged)
    assert.deepEqual(refused, {
      kind: 'unknown',
      reason: `the time server 127.0.0.2:${port} cannot be asked (ECONNREFUSED)`,
    })
    const unknown = await check(Probe, ask(123, { ntp_server: 'nowhere.invalid' }), judged)
    assert.equal(unknown.kind, 'unknown')
    assert.match(unknown.reason, /^the time server nowhere\.invalid:123 has no address \((ENOTFOUND|EAI_AGAIN)\)$/)
  })

  test('Probe asks a real time server', { skip: findMissingChrony() }, async (t) => {
    if (!isRoot) return skip(t, 'needs root, for chronyd')
    const { port } = await startChrony(t)
    const facts = await waitFor('chrony', async () => {
      const found = await observe(Probe, ask(port, { timeout: 1 }))
      try {
        return found.clock_offset_ms === undefined ? undefined : found
      } catch {
        return undefined // it has not begun yet
      }
    })
    assertNear(facts?.clock_offset_ms, 0, 30)
  })

  test('Probe tells no clock without a time server', async () => {
    assert.equal((await observe(Probe, {})).clock_offset_ms, undefined)
  })

  test('Probe stops asking when it is aborted at any moment', async (t) => {
    const { port } = await startTimeServer(t, { answer: () => undefined })
    const resources = () =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout' || name === 'UDPWRAP').length
    for (const ms of [0, 1, 2, 5, 20]) {
      const before = resources()
      const controller = new AbortController()
      const observing = observe(Probe, ask(port, { ntp_server: 'localhost' }), controller.signal)
      const rejected = assert.rejects(observing, /^Error: over$/)
      await sleep(ms)
      controller.abort(new Error('over'))
      await rejected
      await waitFor('the sockets', () => resources() <= before || undefined)
    }
  })
})

test('Probe leaves nothing behind in 300 checks', async (t) => {
  const { port } = await startTimeServer(t)
  await assertNothingLeft(Probe, { ntp_server: '127.0.0.1', ntp_port: port })
})

test('Probe leaves nothing behind in 300 checks that fail', () =>
  assertNothingLeft(Probe, { paths: ['/nowhere'] }, { kind: 'dead' }))

const mistakes = [
  {
    name: 'no path',
    query: { paths: [] },
    problems: ['paths: an empty list is too short; at least 1 entry is needed'],
  },
  { name: 'a path alone', query: { paths: '/' }, problems: ['paths: "/" is not a list'] },
  {
    name: 'an empty path',
    query: { paths: [''] },
    problems: ['paths.0: "" is too short; at least 1 character is needed'],
  },
  {
    name: 'a port out of range',
    query: { ntp_port: 0 },
    problems: ['ntp_port: 0 is out of range; at least 1 is allowed'],
  },
  { name: 'an unknown key', query: { path: ['/'] }, problems: ['path: is not a known key; did you mean "paths"?'] },
]
for (const { name, query, problems } of mistakes) {
  test(`Probe refuses ${name}`, async () => assert.deepEqual(await findProblems(Probe, query), problems))
}
