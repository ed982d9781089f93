import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Runs all tests: `npm test`, or `npm test -- test/config` for a part of them. Those of `test/hosts`, which make whole
 * machines and take minutes, are run only when they are named: `npm run test:hosts`.
 */
const home = join(import.meta.dirname, '..')
const wanted = process.argv.slice(2)
const HOSTS = 'test/hosts'
// They load the host, look at the clock, or have ports, mounts and memory in common: one file at a time.
const ALONE = ['test/build', 'test/e2e', HOSTS]

const files = globSync('test/**/*.test.ts', { cwd: home })
  .filter((file) => (wanted.length === 0 ? !file.startsWith(HOSTS) : wanted.some((part) => file.startsWith(part))))
  .sort()
if (files.length === 0) {
  process.stderr.write(`no test matches ${wanted.join(', ')}\n`)
  process.exit(2)
}
const alone = files.filter((file) => ALONE.some((folder) => file.startsWith(folder)))
const beside = files.filter((file) => !alone.includes(file))
const isGood = [runTests(beside, 2), runTests(alone, 1)].every(Boolean)
process.exit(isGood ? 0 : 1)

function runTests(files: readonly string[], atOnce: number): boolean {
  if (files.length === 0) return true
  const options = ['--test', '--test-timeout=300000', `--test-concurrency=${atOnce}`]
  return spawnSync(process.execPath, [...options, ...files], { cwd: home, stdio: 'inherit' }).status === 0
}
