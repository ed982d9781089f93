import { createHash } from 'node:crypto'
import { findLocked, type Package } from './inventory.ts'
import { type Revision, toPackageVersion } from './revision.ts'

/** What Node is made of, by the keys of `process.versions`; the others are no software, or parts of these. */
const PARTS_OF_NODE: Record<string, string> = {
  acorn: 'acorn',
  ada: 'ada',
  amaro: 'amaro',
  ares: 'c-ares',
  brotli: 'brotli',
  icu: 'icu',
  llhttp: 'llhttp',
  merve: 'merve',
  nbytes: 'nbytes',
  ncrypto: 'ncrypto',
  nghttp2: 'nghttp2',
  nghttp3: 'nghttp3',
  ngtcp2: 'ngtcp2',
  openssl: 'openssl',
  simdjson: 'simdjson',
  simdutf: 'simdutf',
  sqlite: 'sqlite',
  undici: 'undici',
  uv: 'libuv',
  uvwasi: 'uvwasi',
  v8: 'v8',
  zlib: 'zlib',
  zstd: 'zstd',
}
const NO_PARTS = ['node', 'modules', 'napi', 'cldr', 'tz', 'unicode']

/** Vendor and product by which vulnerabilities of these are filed. */
const CPES: Record<string, string> = {
  node: 'nodejs:node.js',
  openssl: 'openssl:openssl',
  libuv: 'libuv:libuv',
  nghttp2: 'nghttp2:nghttp2',
  sqlite: 'sqlite:sqlite',
}

interface Made {
  revision: Revision
  arch: 'x64' | 'arm64'
  packages: readonly Package[]
  /** The finished binary. */
  binary: Buffer
}

/** Lists everything inside a binary as CycloneDX 1.6 (ECMA-424), JSON. The same binary gives the same text. */
export function writeSbom({ revision, arch, packages, binary }: Made): string {
  const { version, commit, epoch } = revision
  const self = `deadpool@${version}`
  const node = describeNode(arch)
  const components = [node, ...packages.map(describePackage)]
  const sha256 = createHash('sha256').update(binary).digest('hex')
  const bom = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${toUuid(sha256)}`,
    version: 1,
    metadata: {
      ...(epoch === undefined ? {} : { timestamp: new Date(epoch * 1000).toISOString().replace('.000', '') }),
      lifecycles: [{ phase: 'build' }],
      component: {
        type: 'application',
        'bom-ref': self,
        name: 'deadpool',
        version: commit ? toPackageVersion(revision) : version,
        hashes: [{ alg: 'SHA-256', content: sha256 }],
        properties: [{ name: 'deadpool:architecture', value: `linux-${arch}` }],
      },
    },
    components,
    dependencies: [
      { ref: self, dependsOn: components.map((component) => component['bom-ref']) },
      { ref: node['bom-ref'], dependsOn: node.components.map((part) => part['bom-ref']) },
      ...packages.map((each) => ({ ref: purlOf(each), dependsOn: refsOf(each, packages) })),
    ],
  }
  return `${JSON.stringify(bom, null, 2)}\n`
}

function describeNode(arch: string) {
  const { node: version, ...versions } = process.versions
  const name = `node-linux-${arch}`
  const locked = findLocked(name)
  if (locked.version !== version) throw new Error(`${name} is ${locked.version}, but the build runs on Node ${version}`)
  for (const key of Object.keys(versions)) {
    if (Object.hasOwn(PARTS_OF_NODE, key) || NO_PARTS.includes(key)) continue
    throw new Error(`Node ${version} has a part "${key}" that the SBOM does not know; name it in build/sbom.ts`)
  }
  const parts = Object.entries(PARTS_OF_NODE).flatMap(([key, part]) => {
    const found = versions[key]
    return found ? describeGeneric('library', part, found) : [] // QUIC's parts are there but tell no version
  })
  return {
    ...describeGeneric('platform', 'node', version),
    description: `as npm packs it: ${name}`,
    licenses: [{ license: { id: 'MIT' } }],
    externalReferences: [{ type: 'distribution', url: `pkg:npm/${name}@${version}`, hashes: hashesOf(locked) }],
    components: parts,
  }
}

function describeGeneric(type: 'library' | 'platform', name: string, version: string) {
  const purl = `pkg:generic/${name}@${version}`
  const cpe = CPES[name] ? { cpe: `cpe:2.3:a:${CPES[name]}:${version}:*:*:*:*:*:*:*` } : {}
  return { type, 'bom-ref': purl, name, version, ...cpe, purl }
}

function describePackage(each: Package) {
  const [name, group] = each.name.split('/').reverse()
  const { version, licence } = each
  // A term that is an expression, such as "MIT OR Apache-2.0", has a field of its own.
  const terms = licence.includes(' ') ? { expression: licence } : { license: { id: licence } }
  return {
    type: 'library',
    'bom-ref': purlOf(each),
    ...(group ? { group } : {}),
    name,
    version,
    scope: 'required',
    hashes: hashesOf(each),
    licenses: [terms],
    purl: purlOf(each),
  }
}

function hashesOf({ integrity }: { integrity: string }) {
  const [algorithm, base64 = ''] = integrity.split('-')
  if (algorithm !== 'sha512') throw new Error(`package-lock.json has "${integrity}"; sha512 is needed`)
  return [{ alg: 'SHA-512', content: Buffer.from(base64, 'base64').toString('hex') }]
}

function purlOf({ name, version }: Package): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`
}

/** Where a package is there in two versions, it depends on both; the lock file's folders would tell them apart. */
function refsOf({ dependencies }: Package, packages: readonly Package[]): string[] {
  return packages.filter(({ name }) => dependencies.includes(name)).map(purlOf)
}

/** The first bytes of a hash in the form of a UUID of version 8 (RFC 9562), which is for such use. */
function toUuid(hash: string): string {
  const variant = '89ab'[Number.parseInt(hash.charAt(16), 16) % 4]
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `${variant}${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ].join('-')
}
