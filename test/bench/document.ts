import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const FILE = join(import.meta.dirname, '../../docs/performance.md')
const BEGIN = '<!-- measured: npm run bench -- --write -->'
const END = '<!-- end of measured -->'

/** Puts a report between the two markers of docs/performance.md. */
export function writeDocument(report: string): void {
  const text = readFileSync(FILE, 'utf8')
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`${FILE} has lost its markers: "${BEGIN}" and, below it, "${END}"`)
  writeFileSync(FILE, `${text.slice(0, begin + BEGIN.length)}\n\n${report}\n${text.slice(end)}`)
}
