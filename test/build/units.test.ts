import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { skip } from '../e2e/binary.ts'

const units = join(import.meta.dirname, '../../packaging/systemd')

test('systemd-analyze security calls deadpool.service exposed by 1.5 at most', (context) => {
  const found = analyze(context, 'security', '--offline=yes', '--threshold=15', join(units, 'deadpool.service'))
  if (!found) return
  assert.match(found.output, /Overall exposure level for deadpool\.service: [01]\.\d OK/)
  assert.equal(found.status, 0, found.output)
})

test('systemd-analyze verify finds no fault in the units', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-units-'))
  context.after(() => rmSync(folder, { recursive: true }))
  cpSync(units, folder, { recursive: true })
  // With a program that is there, and without the manual, which is not installed here.
  const service = join(folder, 'deadpool.service')
  const text = readFileSync(service, 'utf8').replaceAll('/usr/bin/deadpool', '/bin/true')
  writeFileSync(service, text)
  const found = analyze(context, 'verify', '--man=no', service, join(folder, 'deadpool.socket'))
  if (!found) return
  assert.deepEqual(found, { status: 0, output: '' })

  writeFileSync(service, text.replace('RestartSec=1', 'RestartSecs=1'))
  assert.match(analyze(context, 'verify', '--man=no', service)?.output ?? '', /Unknown key.* 'RestartSecs'/)
})

function analyze(context: TestContext, ...args: string[]): { status: number | null; output: string } | undefined {
  const { error, status, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' })
  if (!error) return { status, output: stdout + stderr }
  skip(context, 'systemd-analyze is missing; apt-get install systemd')
  return undefined
}
