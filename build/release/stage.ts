import { chmodSync, cpSync, lutimesSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Arch } from '../node.ts'

const home = join(import.meta.dirname, '../..')

/** What one release of one processor is made from. */
export interface Release {
  arch: Arch
  /** The version that packages carry. */
  version: string
  /** Seconds since 1970: the time of every file. */
  epoch: number
  /** Where the binary, `mod/`, `licenses.txt` and the SBOM were built. */
  built: string
  /** Where what is made for others goes. */
  out: string
  /** A folder of its own for what is thrown away. */
  work: string
  /** How hard xz tries, 0 to 9. */
  level: number
}

/** A file to be: its path, and its text or the file that it is a copy of. A folder has neither. */
export interface Item {
  path: string
  text?: string | Buffer
  from?: string
  isExecutable?: boolean
}

/** Makes these files below `root`, with modes and times that depend on nothing but this. */
export function stage(root: string, items: readonly Item[], epoch: number): void {
  mkdirSync(root, { recursive: true })
  for (const { path, text, from, isExecutable } of items) {
    const target = join(root, path)
    mkdirSync(from === undefined && text === undefined ? target : dirname(target), { recursive: true })
    if (text !== undefined) writeFileSync(target, text)
    if (from !== undefined) cpSync(from, target)
    if (isExecutable) chmodSync(target, 0o755)
    else if (text !== undefined || from !== undefined) chmodSync(target, 0o644)
  }
  settle(root, epoch)
}

function settle(folder: string, epoch: number): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) settle(path, epoch)
    else lutimesSync(path, epoch, epoch)
  }
  chmodSync(folder, 0o755)
  lutimesSync(folder, epoch, epoch)
}

/** What there is to read, in the places to which its links lead, with the sources of the stock modules. */
export function readings(release: Release): Item[] {
  const files = [
    'README.md',
    'README.ru.md',
    'CHANGELOG.md',
    'deadpool.example.yml',
    ...filesOf('docs'),
    ...filesOf('mod'),
  ]
  return [
    ...files.map((path) => ({ path, from: join(home, path) })),
    ...['licenses.txt', 'deadpool.cdx.json'].map((path) => ({ path, from: join(release.built, path) })),
  ]
}

/** The units of systemd, with the path of each in `packaging/systemd`. */
export function units(): { name: string; from: string }[] {
  return filesOf('packaging/systemd').map((path) => ({
    name: path.slice('packaging/systemd/'.length),
    from: join(home, path),
  }))
}

/** What a package puts into its places on a host, the binary first. */
export function installed(release: Release, zsh: ZshFolder): Item[] {
  return [
    { path: 'usr/bin/deadpool', from: join(release.built, 'deadpool'), isExecutable: true },
    { path: 'etc/deadpool/deadpool.yml', from: join(home, 'packaging/deadpool.yml') },
    { path: 'etc/deadpool/mod' },
    ...units().map(({ name, from }) => ({ path: `usr/lib/systemd/system/${name}`, from })),
    ...manual(release),
    ...placeCompletions(zsh).map(([name, path]) => ({ path, from: join(release.built, 'completions', name) })),
    ...readings(release).map(({ path, ...rest }) => ({ path: `usr/share/doc/deadpool/${path}`, ...rest })),
  ]
}

/** Where zsh looks for the completions of packages: on Debian, and everywhere else. */
export type ZshFolder = 'vendor-completions' | 'site-functions'

/** Where each shell looks for completions. */
function placeCompletions(zsh: ZshFolder): [name: string, path: string][] {
  return [
    ['deadpool.bash', 'usr/share/bash-completion/completions/deadpool'],
    ['deadpool.zsh', `usr/share/zsh/${zsh}/_deadpool`],
    ['deadpool.fish', 'usr/share/fish/vendor_completions.d/deadpool.fish'],
  ]
}

/** The pages of the manual, compressed as packages have them. */
function manual({ built }: Release): Item[] {
  return filesIn(join(built, 'man')).map((name) => {
    const text = gzipSync(readFileSync(join(built, 'man', name)), { level: 9 })
    return { path: `usr/share/man/man${name.at(-1)}/${name}.gz`, text }
  })
}

/** Fills `@name@` in a text of `packaging/`; where a line is nothing else, it becomes as many as there are, each indented. */
export function fill(file: string, values: Record<string, string | number>): string {
  const take = (name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`packaging/${file} asks for @${name}@; there are ${Object.keys(values)}`)
    return String(value).trimEnd()
  }
  return readFileSync(join(home, 'packaging', file), 'utf8')
    .replace(/^( *)@([a-z-]+)@$/gm, (_, indent: string, name: string) => take(name).replace(/^(?=.)/gm, indent))
    .replace(/@([a-z-]+)@/g, (_, name: string) => take(name))
}

/** What the scripts of both kinds of packages have in common, by the name under which they ask for it. */
export function scripts(): Record<string, string> {
  const names = ['refuse', 'account', 'set-up', 'hand-over']
  const read = (name: string) => readFileSync(join(home, 'packaging', `${name}.sh`), 'utf8')
  return { ...Object.fromEntries(names.map((name) => [name, read(name)])), 'is-ours': IS_OURS }
}

/** A unit of the administrator's own goes before that of the package, and may run a DeadPool that is somewhere else. */
const IS_OURS = "systemctl show --property ExecStart deadpool.service | grep -q '[ =]/usr/bin/deadpool '"

/** The files of a folder in another, each under its path in that. */
export function filesBelow(root: string, folder: string): Item[] {
  return filesIn(join(root, folder)).map((name) => ({ path: `${folder}/${name}`, from: join(root, folder, name) }))
}

function filesOf(folder: string): string[] {
  return filesIn(join(home, folder)).map((name) => `${folder}/${name}`)
}

function filesIn(folder: string): string[] {
  return readdirSync(folder).sort()
}
