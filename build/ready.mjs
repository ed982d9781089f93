// Readies a fresh clone: checks what this host must have, and installs what package-lock.json says. Runs on the
// host's own Node; everything after it runs on the Node that it installs.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const home = join(import.meta.dirname ?? '.', '..')

/** What is missing on this host, a line each. */
function findMissing() {
  const missing = []
  const major = Number(process.versions.node.split('.')[0])
  if (major < 20) missing.push(`Node 20 or newer is needed to install and build; this is ${process.versions.node}`)
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    missing.push(`DeadPool is built on Linux x64; this is ${process.platform} ${process.arch}`)
  }
  if (spawnSync('strip', ['--version']).error)
    missing.push('strip is missing; install binutils (apt-get install binutils)')
  if (spawnSync('npm', ['--version']).error) missing.push('npm is missing; install it beside Node')
  return missing
}

function install() {
  const lock = createHash('sha256')
    .update(readFileSync(join(home, 'package-lock.json')))
    .digest('hex')
  const stamp = join(home, 'node_modules/.installed')
  if (readStamp(stamp) === lock) return
  // The tools run on the Node that is being installed, so their demands on the host's Node are no concern.
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error']
  const { status } = spawnSync('npm', args, { cwd: home, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
  writeFileSync(stamp, lock)
}

function readStamp(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return '' // not installed yet
  }
}

const missing = findMissing()
if (missing.length > 0) {
  process.stderr.write(`${missing.join('\n')}\n`)
  process.exit(1)
}
install()
