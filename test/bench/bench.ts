import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { BINARY } from '../e2e/binary.ts'
import { measureAnswers } from './answers.ts'
import { measureChecks } from './checks.ts'
import { writeDocument } from './document.ts'
import { measureFlip } from './flip.ts'
import { describeMachine } from './machine.ts'
import { measureMemory } from './memory.ts'
import { measureModules } from './module-costs.ts'
import { measurePace } from './pace.ts'
import { formatTable, type Row } from './row.ts'
import { measureSize } from './size.ts'
import { measureStart } from './start.ts'

/**
 * Measures DeadPool beside its yardsticks, and prints one table: `npm run bench`.
 *
 *   npm run bench -- answers    one part, or several
 *   npm run bench -- --quick    shorter, for a first look
 *   npm run bench -- --write    the whole table, into docs/performance.md
 */

/** What each part gets. */
export interface Bench {
  /** A folder of its own, gone at the end. */
  folder: string
  /** A copy of the binary: other runs of the original would share its pages, and so lower its memory. */
  binary: string
  isQuick: boolean
  /** Adds a line below the table. */
  note(line: string): void
}

const PARTS: Record<string, (bench: Bench) => Promise<Row[]>> = {
  answers: measureAnswers,
  checks: measureChecks,
  modules: measureModules,
  pace: measurePace,
  flip: measureFlip,
  start: measureStart,
  memory: measureMemory,
  size: measureSize,
}

const { values, positionals } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, write: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const strangers = positionals.filter((name) => !Object.hasOwn(PARTS, name))
if (strangers.length > 0)
  fail(`there is no part "${strangers.join('", "')}"; there are ${Object.keys(PARTS).join(', ')}`)
if (values.write && (positionals.length > 0 || values.quick)) fail('--write takes a whole run: no part, no --quick')
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

const folder = mkdtempSync(join(tmpdir(), 'deadpool-bench-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const binary = join(folder, 'deadpool')
copyFileSync(BINARY, binary)

const rows: Row[] = []
const notes: string[] = []
for (const [name, measure] of Object.entries(PARTS)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue
  process.stderr.write(`measuring: ${name}\n`)
  rows.push(...(await measure({ folder, binary, isQuick: values.quick, note: (line) => notes.push(line) })))
}
const report = [formatTable(rows), ...notes.map((line) => `- ${line}`), describeMachine()]
const text = [report[0], '', ...report.slice(1, -1), ...(notes.length > 0 ? [''] : []), report.at(-1), ''].join('\n')
process.stdout.write(text)
if (values.write) writeDocument(text)
process.exit(0)

function fail(message: string): never {
  process.stderr.write(`bench: ${message}\n`)
  process.exit(2)
}
