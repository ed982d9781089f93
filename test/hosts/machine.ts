import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type DeadPool, makeFolder, type StartOptions, skip, startDeadPool } from '../e2e/binary.ts'

const home = join(import.meta.dirname, '../..')
const cache = join(home, 'node_modules/.cache/deadpool/machines')

/** What `npm run test:hosts` has released before. */
export const RELEASED = join(home, 'dist/hosts')

/** Two releases of Debian, as debootstrap knows them. */
export const SUITES = ['bookworm', 'trixie']

/** An unprivileged user that every machine has. */
export const NOBODY = 65534

/** A released file, by what its name looks like. */
export function released(pattern: RegExp): string {
  const found = readdirSync(RELEASED).filter((name) => pattern.test(name))
  if (found.length === 1 && found[0]) return join(RELEASED, found[0])
  throw new Error(`${RELEASED} has ${found.length} files like ${pattern}; run: npm run test:hosts`)
}

/** Makes the root of a machine with the least that Debian is, of its own for this test; undefined when it is skipped. */
export function makeMachine(context: TestContext, suite: string): string | undefined {
  const needs = whatIsMissing()
  if (needs) {
    skip(context, needs)
    return undefined
  }
  const original = join(cache, suite)
  if (!existsSync(original)) bootstrap(suite, original)
  const root = makeFolder(context)
  chmodSync(root, 0o755)
  execFileSync('cp', ['-a', `${original}/.`, root])
  return root
}

/** Makes a root with nothing in it but `/dev/null`. */
export function makeRoot(context: TestContext): string {
  const root = makeFolder(context)
  chmodSync(root, 0o755)
  mkdirSync(join(root, 'dev'))
  execFileSync('mknod', ['-m', '666', join(root, 'dev/null'), 'c', '1', '3'])
  return root
}

/** Copies the binary in, which is all that an installation is, and makes a folder that belongs to nobody. */
export function copyIn(root: string, binary: string): void {
  cpSync(binary, join(root, 'deadpool'))
  mkdirSync(join(root, 'srv/deadpool/probe'), { recursive: true })
  for (const folder of ['srv/deadpool', 'srv/deadpool/probe']) chownSync(join(root, folder), NOBODY, NOBODY)
}

/** How a command is run in a machine. */
export interface Inside {
  uid?: number
  /** All that is in its environment. */
  env?: Record<string, string>
  /** Shell commands before, with the root as `$0`; they may mount, as only this command sees that. */
  before?: string
}

/** The command line that runs what follows it in a machine. */
export function inside(root: string, { uid = NOBODY, env = {}, before = '' }: Inside = {}): string[] {
  const given = Object.entries(env).map(([name, value]) => `'${name}=${value}'`)
  const enter = `exec env -i ${given.join(' ')} /usr/sbin/chroot --userspec=${uid}:${uid} "$0" "$@"`
  const script = `mkdir -p "$0/proc" && mount -t proc proc "$0/proc"\n${before}\n${enter}`
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec', script, root]
}

/** Runs a command in a machine until it ends. */
export function runIn(root: string, command: string[], how?: Inside) {
  const [program = '', ...args] = [...inside(root, how), ...command]
  return spawnSync(program, args, { encoding: 'utf8', timeout: 120_000 })
}

/** How DeadPool is started in a machine. */
export type StartInside = Omit<StartOptions, 'env' | 'uid' | 'folder' | 'through'> & Inside & { program?: string }

/** Starts the binary that was copied in, on a configuration in the folder that belongs to nobody. */
export function startIn(context: TestContext, root: string, options: StartInside): Promise<DeadPool> {
  const { program = '/deadpool', before, env, uid, ...rest } = options
  const [shell = [], script = ''] = [inside(root).slice(0, -2), inside(root, options).at(-2)]
  // What follows is the command line for this host, with its own paths.
  const command = script.replace('"$@"', `${program} --config /srv/deadpool/deadpool.yml`)
  return startDeadPool(context, { ...rest, folder: join(root, 'srv/deadpool'), through: [...shell, command, root] })
}

function whatIsMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can make machines'
  const tools = { debootstrap: 'debootstrap', unshare: 'util-linux' }
  const missing = Object.entries(tools).find(([tool]) => spawnSync(tool, ['--version']).error)
  return missing && `${missing[0]} is missing; install it: apt-get install ${missing[1]}`
}

/** Makes a machine from where this host has its own packages. */
function bootstrap(suite: string, target: string): void {
  const { mirror, env } = findMirror()
  const part = `${target}.part`
  rmSync(part, { recursive: true, force: true })
  mkdirSync(cache, { recursive: true })
  const args = ['--variant=minbase', suite, part, mirror]
  const { status, stdout } = spawnSync('debootstrap', args, { encoding: 'utf8', env: { ...process.env, ...env } })
  if (status !== 0) throw new Error(`debootstrap of ${suite} ended with ${status}: ${stdout.slice(-500)}`)
  // Downloaded packages are no part of a machine.
  rmSync(join(part, 'var/cache/apt/archives'), { recursive: true, force: true })
  renameSync(part, target)
}

/** The mirror and the proxy that apt uses on this host. */
function findMirror(): { mirror: string; env: Record<string, string> } {
  const codename = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1]
  const format = ['--format', '$(ORIGIN) $(CODENAME) $(REPO_URI)', 'Created-By: Packages']
  const lines = execFileSync('apt-get', ['indextargets', ...format], { encoding: 'utf8' }).split('\n')
  const mirror = lines.find((line) => line.startsWith(`Debian ${codename} http`))?.split(' ')[2]
  if (!mirror) throw new Error(`apt-get indextargets names no mirror of Debian ${codename}`)
  const proxy = execFileSync('apt-config', ['shell', 'PROXY', 'Acquire::http::Proxy'], { encoding: 'utf8' })
  const url = /^PROXY='(.+)'/.exec(proxy)?.[1]
  return { mirror, env: url ? { http_proxy: url, https_proxy: url } : {} }
}
