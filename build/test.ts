import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'

/** Runs all tests: `npm test`, or `npm test -- test/config` for a part of them. */
const home = join(import.meta.dirname, '..')
const wanted = process.argv.slice(2)
const files = globSync('test/**/*.test.ts', { cwd: home }).filter(
  (file) => wanted.length === 0 || wanted.some((part) => file.startsWith(part)),
)
if (files.length === 0) {
  process.stderr.write(`no test matches ${wanted.join(', ')}\n`)
  process.exit(2)
}
const { status } = spawnSync(process.execPath, ['--test', '--test-timeout=300000', ...files.sort()], {
  cwd: home,
  stdio: 'inherit',
})
process.exit(status ?? 1)
