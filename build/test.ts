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
const files = globSync('test/**/*.test.ts', { cwd: home }).filter((file) =>
  wanted.length === 0 ? !file.startsWith(HOSTS) : wanted.some((part) => file.startsWith(part)),
)
// Hosts have ports, mounts and memory in common: one file at a time.
const pace = files.every((file) => file.startsWith(HOSTS)) ? ['--test-concurrency=1'] : []
if (files.length === 0) {
  process.stderr.write(`no test matches ${wanted.join(', ')}\n`)
  process.exit(2)
}
const { status } = spawnSync(process.execPath, ['--test', '--test-timeout=300000', ...pace, ...files.sort()], {
  cwd: home,
  stdio: 'inherit',
})
process.exit(status ?? 1)
