import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild'
import { PAPERS } from '../src/carried/carried.ts'
import { packagesOf } from './inventory.ts'
import { writeLicences } from './licences.ts'
import { ARCHES, type Arch, commandFor, needTools, placeNode } from './node.ts'
import { writePapers } from './papers.ts'
import { readRevision } from './revision.ts'
import { writeSbom } from './sbom.ts'
import { bundleTypes } from './types.ts'

/**
 * Makes `dist/deadpool`, the one executable, `dist/mod/`, what goes beside it where it is installed (the manual, the
 * completions and the units), and what is inside the binary: `dist/deadpool.cdx.json` and `dist/licenses.txt`. The same
 * commit gives the same bytes: nothing here depends
 * on the time, the path or the host.
 *
 *     node build/build.ts [--if-stale] [--out FOLDER] [--arch x64|arm64]
 */
const home = join(import.meta.dirname, '..')
const { values: options } = parseArgs({
  options: { 'if-stale': { type: 'boolean' }, out: { type: 'string' }, arch: { type: 'string', default: 'x64' } },
})
const arch = readArch(options.arch)
const dist = options.out ? resolve(options.out) : join(home, 'dist')
const work = join(dist, '.work')
const binary = join(dist, 'deadpool')
const stampFile = join(dist, '.built')
const INPUTS = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'src',
  'mod',
  'build',
  'packaging',
  'deadpool.example.yml',
]
/** What is given to packages beside the binary. */
const PAPER_FOLDERS = ['man', 'systemd', 'completions']

const MAX_BYTES = 120_000_000

/** What modules can import besides the packages of the stock modules. */
const FOR_OTHERS = ['ky']

/** What stands in `dist` beside what this makes: a release, and what it is made from. */
const KEPT = ['release', 'hosts', 'arm64']

/** Packages that libraries use where somebody has installed them; each looks first whether they are there. */
const OPTIONAL_PACKAGES: string[] = []

const COMMON = {
  absWorkingDir: home,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node24',
  minify: true,
  keepNames: true,
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
  // Each bundle is a function of CommonJS: who put it there at run time would hold the source twice.
  banner: { js: '(function (require, module, exports) {' },
  footer: { js: '})' },
} as const satisfies BuildOptions

/** What the binary carries runs in a `Script`, which knows no `import()`: it becomes a `require` that waits as long. */
const CARRIED = { ...COMMON, supported: { 'dynamic-import': false } } satisfies BuildOptions

const revision = readRevision(INPUTS)
const { commit, version } = revision
const stamp = hashInputs()
let libraries: string[] = []
if (options['if-stale'] && existsSync(binary) && readStamp() === stamp) process.exit(0)
await makeAll()

async function makeAll(): Promise<void> {
  needTools(arch)
  clear()
  mkdirSync(work, { recursive: true })
  libraries = await bundleModules()
  const packages = packagesOf([await bundleLibraries(), await bundle()])
  writeFileSync(join(work, 'licenses.txt'), writeLicences(packages))
  writeFileSync(join(work, 'deadpool.d.ts'), await bundleTypes())
  await writePapers(work, stockNames())
  const node = placeInCache()
  compileCache(node)
  await pack()
  copyModules()
  for (const folder of PAPER_FOLDERS) cpSync(join(work, folder), join(dist, folder), { recursive: true })
  const { size } = statSync(binary)
  if (size > MAX_BYTES) throw new Error(`${binary} has ${size} bytes; at most ${MAX_BYTES} are allowed`)
  writeFileSync(join(dist, 'deadpool.cdx.json'), writeSbom({ revision, arch, packages, binary: readFileSync(binary) }))
  cpSync(join(work, 'licenses.txt'), join(dist, 'licenses.txt'))
  rmSync(work, { recursive: true })
  writeFileSync(stampFile, stamp)
  process.stdout.write(`${binary}: ${(size / 1e6).toFixed(1)} MB, ${commit || 'no commit'}\n`)
}

function readArch(text: string): Arch {
  const known = ARCHES.find((each) => each === text)
  if (known) return known
  throw new Error(`There is no processor "${text}" to build for; write ${ARCHES.join(' or ')}`)
}

function hashInputs(): string {
  const hash = createHash('sha256').update(`${commit} ${arch}`)
  const add = (path: string): void => {
    if (!existsSync(path)) return
    if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) add(join(path, name))
    else hash.update(path.slice(home.length)).update(readFileSync(path))
  }
  for (const input of INPUTS) add(join(home, input))
  return hash.digest('hex')
}

function readStamp(): string {
  return existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : ''
}

/** One CommonJS file for the main thread and the threads of modules alike; what a command does not need stays asleep. */
async function bundle(): Promise<Metafile> {
  const { metafile } = await build({
    ...COMMON,
    entryPoints: [join(home, 'src/main.ts')],
    outfile: join(work, 'app.cjs'),
    alias: { '#carried': './src/carried/in-binary.ts' },
    // Only ever a bundle: no import.meta is left in what the binary runs.
    define: { 'import.meta.url': 'undefined', 'import.meta.dirname': 'undefined' },
    plugins: [builtFacts(), englishOnly()],
  })
  return metafile
}

/** Provides `virtual:built`: what only the build knows. */
function builtFacts(): Plugin {
  return {
    name: 'built-facts',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^virtual:built$/ }, () => ({ path: 'built', namespace: 'built' }))
      onLoad({ filter: /.*/, namespace: 'built' }, () => {
        const facts = { version, commit, modules: stockNames(), libraries }
        const contents = Object.entries(facts).map(([name, fact]) => `export const ${name} = ${JSON.stringify(fact)}`)
        return { contents: contents.join('\n'), loader: 'js' }
      })
    },
  }
}

/** Each stock module is a file of its own, and so is each package that one of them imports: loaded when it is used. */
async function bundleModules(): Promise<string[]> {
  const outdir = join(work, 'mod')
  const { metafile } = await build({
    ...CARRIED,
    entryPoints: stockNames().map((name) => join(home, 'mod', `${name}.ts`)),
    outdir,
    outExtension: { '.js': '.cjs' },
    packages: 'external',
  })
  for (const name of stockNames()) cpSync(join(home, 'mod', `${name}.ts`), join(outdir, `${name}.ts`))
  const imported = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path))
  const packages = imported.filter((path) => !isBuiltin(path) && path !== 'deadpool')
  return [...new Set([...packages, ...FOR_OTHERS])].sort()
}

async function bundleLibraries(): Promise<Metafile> {
  const { metafile } = await build({
    ...CARRIED,
    entryPoints: libraries.map((name) => ({ in: name, out: name })),
    outdir: join(work, 'lib'),
    outExtension: { '.js': '.cjs' },
    external: OPTIONAL_PACKAGES,
    plugins: [englishOnly()],
  })
  return metafile
}

/** Zod carries its messages in fifty languages, 270 kB that every start would load; DeadPool speaks one. */
function englishOnly(): Plugin {
  return {
    name: 'english-only',
    setup({ onLoad }) {
      const contents = "export { default as en } from './en.js'"
      onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({ contents, loader: 'js' }))
    },
  }
}

function stockNames(): string[] {
  return readdirSync(join(home, 'mod'))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -3))
    .sort()
}

function clear(): void {
  if (!existsSync(dist)) return
  for (const name of readdirSync(dist)) if (!KEPT.includes(name)) rmSync(join(dist, name), { recursive: true })
}

/** Puts Node where pkg would have downloaded it to: its cache in the home folder, which is the work folder here. */
function placeInCache(): string {
  const name = `node-v${process.versions.node}-linux-${arch}`
  const folder = join(work, '.pkg-cache/sea')
  const node = join(folder, name, 'bin/node')
  mkdirSync(dirname(node), { recursive: true })
  placeNode(arch, node)
  // What pkg looks for before it downloads.
  for (const file of [`${node}.ok`, join(folder, `${name}.tar.gz`), join(folder, `${name}.tar.gz.ok`)])
    writeFileSync(file, '')
  return node
}

/** Lets V8 compile the app once and for all: a start takes two thirds of the time. A fixed seed and no threads fix the bytes. */
function compileCache(node: string): void {
  const config = join(work, 'warm-up.yml')
  writeFileSync(config, readFileSync(join(home, 'build/warm-up.yml')), { mode: 0o600 })
  const [command, ...before] = commandFor(arch, node)
  const args = [...before, '--predictable', '--random-seed=1', join(home, 'build/cache.cjs'), work]
  execFileSync(command, [...args, 'check-config', '--config', config], { stdio: ['ignore', 'ignore', 'inherit'] })
}

/** Packs Node, the app and what it carries into the executable. */
async function pack(): Promise<void> {
  // The command line of pkg takes no assets; the function behind it does.
  const { default: sea } = createRequire(import.meta.url)('@yao-pkg/pkg/lib-es5/sea.js')
  const names = [
    'app.cjs',
    'app.cache',
    'deadpool.d.ts',
    'licenses.txt',
    ...PAPERS,
    ...listFiles('mod'),
    ...listFiles('lib'),
  ]
  const assets = Object.fromEntries(names.map((name) => [name, join(work, name)]))
  const target = { nodeRange: `node${process.versions.node}`, platform: 'linux', arch, output: binary }
  // The path of the main script goes into the binary. pkg works in a folder that it makes in TMPDIR, so from there this
  // path is the same on every machine.
  cpSync(join(home, 'build/boot.cjs'), join(work, 'boot.cjs'))
  process.env.TMPDIR = work
  process.env.HOME = work
  // The host's NODE_OPTIONS, as of an agent that watches applications, is not meant for this program.
  const seaConfig = { main: '../boot.cjs', assets, execArgvExtension: 'none' }
  await sea(join(work, 'boot.cjs'), { targets: [target], seaConfig })
}

/** The files below `folder` of the work folder, with it in their names. */
function listFiles(folder: string): string[] {
  return readdirSync(join(work, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(work, join(parentPath, name)))
    .sort()
}

function copyModules(): void {
  cpSync(join(home, 'mod'), join(dist, 'mod'), { recursive: true })
}
