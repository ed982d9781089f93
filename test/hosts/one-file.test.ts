import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type DeadPool, finallyDo, skip, waitFor, writeConfig } from '../e2e/binary.ts'
import { type Component, startComponent } from '../e2e/component.ts'
import { copyIn, makeMachine, makeRoot, NOBODY, released, runIn, type StartInside, SUITES, startIn } from './machine.ts'

const BINARY = released(/linux-x64$/)

const ONE_PROBE = 'web: { module: url_probe, query: { url: http://127.0.0.1:9/ } }'

function probing(component: Component): string {
  return `web: { module: url_probe, period: 100ms, query: { url: '${component.url}/', timeout: 5 } }`
}

/** Lets the component die and come back, and looks that the answer and the flag follow. */
async function flip(pool: DeadPool, component: Component): Promise<void> {
  await pool.becomes(200, 30_000)
  component.status(500)
  assert.match(await pool.becomes(503, 30_000), /^DEAD web\n/)
  const isFlagged = () => existsSync(join(pool.folder, 'probe/web.dead'))
  await waitFor('the flag', isFlagged)
  component.status(200)
  await pool.becomes(200, 30_000)
  await waitFor('the end of the flag', () => !isFlagged())
}

/** Starts DeadPool in a machine, and has it flip. */
async function flipIn(
  context: TestContext,
  root: string,
  options: Omit<StartInside, 'probes'> = {},
): Promise<DeadPool> {
  const component = await startComponent(context)
  const pool = await startIn(context, root, { probes: probing(component), ...options })
  await flip(pool, component)
  return pool
}

for (const suite of SUITES) {
  test(`on ${suite} with nothing added, the one file is an installation, for an unprivileged user`, async (context) => {
    const root = makeMachine(context, suite)
    if (!root) return
    copyIn(root, BINARY)
    const version = runIn(root, ['/deadpool', '--version'])
    assert.match(version.stdout, /^deadpool \d+\.\d+\.\d+ \([0-9a-f]{12}\+?, Node 24\./, version.stderr)
    const init = runIn(root, ['/deadpool', 'init', '/srv/deadpool/deadpool.yml'])
    assert.match(init.stdout, /^\/srv\/deadpool\/deadpool\.yml: written, with a random token;/, init.stderr)
    const check = runIn(root, ['/deadpool', '--check-config', '--config', '/srv/deadpool/deadpool.yml'])
    assert.equal(check.stdout.split('\n')[0], '/srv/deadpool/deadpool.yml: OK', check.stderr)
    assert.equal(check.status, 0)
    const pool = await flipIn(context, root)
    const status = readFileSync(`/proc/${pool.pid}/status`, 'utf8')
    assert.match(status, new RegExp(`^Uid:\t${NOBODY}\t`, 'm'))
    const { code, stderr } = await pool.stop()
    assert.deepEqual([code, stderr], [0, ''])
  })
}

test('on poor machines', async (context) => {
  const root = makeMachine(context, 'bookworm')
  if (!root) return
  copyIn(root, BINARY)

  const works: ({ name: string } & Omit<StartInside, 'probes'>)[] = [
    { name: 'HOME and everything else of the environment is unset', env: {} },
    { name: 'PATH is empty', env: { PATH: '' } },
    { name: 'there is no such folder as those of PATH and HOME', env: { PATH: '/none', HOME: '/none' } },
    {
      name: 'the time zone and the locale are others',
      env: { TZ: 'Asia/Kathmandu', LANG: 'ru_RU.KOI8-R', LC_ALL: 'tr_TR.UTF-8' },
    },
    { name: 'there is no /proc', before: 'umount "$0/proc"' },
    { name: 'there is no /dev/null', before: 'mount -t tmpfs tmpfs "$0/dev"' },
    {
      name: 'all but the folder of the state is read-only',
      before:
        'mount --rbind "$0" "$0"\nmount --bind "$0/srv/deadpool/probe" "$0/srv/deadpool/probe"\nmount -o remount,bind,ro "$0"',
      program: '/deadpool',
    },
  ]
  for (const { name, ...options } of works) {
    await context.test(`DeadPool works where ${name}`, async (inner) => {
      const pool = await flipIn(inner, root, options)
      assert.equal((await pool.stop()).code, 0)
    })
  }

  await context.test('a read-only folder of the state is told in one line, before anything listens', () => {
    writeFileSync(join(root, 'srv/deadpool/deadpool.yml'), writeConfig({ probes: ONE_PROBE }))
    const before = 'mount --rbind "$0" "$0"\nmount -o remount,bind,ro "$0"'
    const { status, stdout, stderr } = runIn(root, ['/deadpool', '--config', '/srv/deadpool/deadpool.yml'], { before })
    assert.match(
      stderr,
      /^\S+:10:24 WatchMan\.probe_status_folder: flags cannot be kept there: \S+ is on a read-only file system\n$/,
    )
    assert.deepEqual([status, stdout], [2, ''])
  })

  await context.test('no /dev/log is told in one line of each process, with what is missing', () => {
    const config = join(root, 'srv/deadpool/deadpool.yml')
    writeFileSync(
      config,
      writeConfig({
        generic: '  log: { type: syslog }',
        probes: ONE_PROBE,
      }),
    )
    const run = (env: Record<string, string>) =>
      runIn(root, ['/usr/bin/timeout', '3', '/deadpool', '--config', '/srv/deadpool/deadpool.yml'], { env })
    const fails = ({ stdout, stderr }: { stdout: string; stderr: string }) =>
      `${stdout}${stderr}`.split('\n').filter((line) => line.includes('log target'))
    for (const line of fails(run({})))
      assert.match(line, /log target syslog fails: logger: socket \/dev\/log: No such file or directory$/)
    assert.equal(fails(run({})).length, 2)
    for (const line of fails(run({ PATH: '/none' })))
      assert.match(line, /log target syslog fails: "logger" is not installed$/)
  })

  await context.test('DeadPool works in 64 MiB of memory', async (inner) => {
    const group = makeMemoryGroup(inner, 64)
    if (!group) return skip(inner, 'there is no cgroup for memory that can be written to')
    // What runs here looks in /sys for the limit, as it does on every machine and in every container.
    const before = `mkdir -p "$0/sys"\nmount --rbind /sys "$0/sys"\necho $$ >'${group}/cgroup.procs'`
    const pool = await flipIn(inner, root, { before })
    assert.equal(readFileSync(`${group}/cgroup.procs`, 'utf8').trim().split('\n').length, 2)
    assert.equal((await pool.stop()).code, 0)
    assert.doesNotMatch(pool.output(), /WatchMan ended/)
  })
})

/** A cgroup that may use so much, of version 2 or 1; undefined where there is none. */
function makeMemoryGroup(context: TestContext, megabytes: number): string | undefined {
  const name = `deadpool-test-${process.pid}`
  const versions = [
    { root: '/sys/fs/cgroup', limit: 'memory.max' },
    { root: '/sys/fs/cgroup/memory', limit: 'memory.limit_in_bytes' },
  ]
  for (const { root, limit } of versions) {
    const group = join(root, name)
    try {
      mkdirSync(group)
      finallyDo(context, () => spawnSync('rmdir', [group]))
      writeFileSync(join(group, limit), String(megabytes * 1024 * 1024), { flag: 'r+' })
      return group
    } catch {
      rmSync(group, { recursive: true, force: true }) // not this version, or not for us
    }
  }
  return undefined
}

test('the arm64 binary works on the libraries of Debian for arm64', async (context) => {
  if (!registerArm64(context)) return skip(context, 'qemu-user-static, libc6-arm64-cross and binfmt_misc are needed')
  const root = makeRoot(context)
  spawnSync('cp', ['-a', '/usr/aarch64-linux-gnu/lib', join(root, 'lib')])
  copyIn(root, released(/linux-arm64$/))
  const version = runIn(root, ['/deadpool', '--version'])
  assert.match(version.stdout, /^deadpool \d+\.\d+\.\d+ \([0-9a-f]{12}\+?, Node 24\./, version.stderr)
  const config = join(root, 'srv/deadpool/deadpool.yml')
  writeFileSync(config, writeConfig({ probes: ONE_PROBE }))
  const check = runIn(root, ['/deadpool', '--check-config', '--config', '/srv/deadpool/deadpool.yml'])
  assert.deepEqual([check.status, check.stdout.split('\n')[0]], [0, '/srv/deadpool/deadpool.yml: OK'], check.stderr)
  // Everything takes ten times as long there.
  const pool = await flipIn(context, root, { watchman: 'stale_after: 120' })
  assert.equal((await pool.stop()).code, 0)
})

/** Has the kernel run programs for arm64 by qemu until the test is over. */
function registerArm64(context: TestContext): boolean {
  const folder = '/proc/sys/fs/binfmt_misc'
  const qemu = '/usr/bin/qemu-aarch64-static'
  if (!existsSync(qemu) || !existsSync('/usr/aarch64-linux-gnu/lib/libstdc++.so.6') || process.getuid?.() !== 0)
    return false
  if (
    !existsSync(`${folder}/register`) &&
    spawnSync('mount', ['-t', 'binfmt_misc', 'binfmt_misc', folder]).status !== 0
  )
    return false
  if (existsSync(`${folder}/qemu-aarch64`)) return true
  const x = (bytes: string) => bytes.replace(/../g, '\\x$&')
  // ELF, 64 bits, little-endian, executable or shared, for AArch64; F opens qemu now, as it is in no machine.
  const magic = x('7f454c460201010000000000000000000200b700')
  const mask = x('ffffffffffffff00fffffffffffffffffeffffff')
  const name = `deadpool-test-${process.pid}`
  writeFileSync(`${folder}/register`, `:${name}:M::${magic}:${mask}:${qemu}:F`)
  finallyDo(context, () => writeFileSync(`${folder}/${name}`, '-1'))
  return true
}
