import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const home = join(import.meta.dirname, '../..')
const page = readFileSync(join(home, 'docs/operations.md'), 'utf8')
const tables = page.slice(page.indexOf('## Log lines that matter'), page.indexOf('## Changing the token'))

/** Where a line of the level warn or error is written: by a log, or by what stands before one. */
const CALL =
  /\b(?:log\.(?:warn|error)|(?:write|tell)\((?=\s*'(?:warn|error)',))\(?\s*(?:'(?:warn|error)',\s*)?([`'"]?)/g

/** Lines that are made elsewhere and passed on, and what the page calls them; each place is given by its code. */
const PASSED_ON: Record<string, string[]> = {
  'describeTrouble(crowd, namesOf(crowd), countProbes())': [
    'timed out in the same moment',
    'cannot be checked in the same moment',
  ],
  line: [
    '`FILE:LINE:COLUMN PATH: …`, `cannot listen on …`, `another DeadPool (process …) works with …`, `the reload failed: …`',
    'then `the configuration was not loaded again; everything goes on as before`',
  ],
  remark: ['is for process …, not for this one', 'is no number of sockets'],
  mismatch: ['do not count: the service manager passed a socket of'],
  fault: [
    'the new process (',
    'cannot be started: ',
    'the WatchMan of the new process says nothing',
    'process 1 cannot be replaced while it runs',
    'the upgrade failed: ',
    'then `no other process has taken over',
  ],
}

const lines = globSync('src/**/*.ts', { cwd: home }).flatMap((file) => {
  const source = readFileSync(join(home, file), 'utf8')
  return [...source.matchAll(CALL)].map((call) => ({ file, ...readLine(source, call) }))
})

/** The words of a line that are always the same, of a call that begins there; or the code that gives them. */
function readLine(source: string, call: RegExpExecArray): { words?: string[]; code?: string } {
  const start = call.index + call[0].length
  const [, quote] = call
  if (!quote) return { code: source.slice(start, source.indexOf('\n', start)).replace(/\)$/, '') }
  const text = source.slice(start, findEnd(source, start, quote))
  return { words: splitTemplate(text) }
}

/** The end of a text in quotes; a template may hold others within its braces. */
function findEnd(source: string, start: number, quote: string): number {
  let depth = 0
  for (let index = start; index < source.length; index++) {
    if (source.startsWith('${', index)) depth++
    else if (source[index] === '}' && depth > 0) depth--
    else if (source[index] === '\\') index++
    else if (source[index] === quote && depth === 0) return index
  }
  throw new Error(`no end of ${source.slice(start, start + 40)}`)
}

function splitTemplate(text: string): string[] {
  let depth = 0
  let words = ''
  for (let index = 0; index < text.length; index++) {
    if (text.startsWith('${', index)) {
      if (depth++ === 0) words += '\0'
    } else if (text[index] === '}') depth--
    else if (depth === 0) words += text[index]
  }
  return words.split('\0')
}

/** The longest part of a line that is always the same; what a module says in its own words has none. */
function wordsToFind(words: readonly string[]): string {
  const [longest = ''] = words.toSorted((a, b) => b.length - a.length)
  return longest.trim() === ':' ? '`NAME: …`' : longest.trim()
}

test('lines of the levels warn and error are found in the sources', () =>
  assert.ok(lines.length > 35, `${lines.length}`))

for (const { file, words, code } of lines) {
  const shown = code ?? words?.join('…') ?? ''
  test(`operations.md explains the line "${shown}" of ${file}`, () => {
    const known = code === undefined ? undefined : PASSED_ON[code]
    assert.ok(words ?? known, `${file} passes on a line that is not listed here: ${code}`)
    for (const text of known ?? [wordsToFind(words ?? [])]) assert.ok(tables.includes(text), `no table has "${text}"`)
  })
}
