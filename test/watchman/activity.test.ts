import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ACTIVITY_FD, type ActivityFile, openActivityFile } from '../../src/watchman/activity.ts'

const SOURCE = join(import.meta.dirname, '../../src/watchman/activity.ts')

function open(context: TestContext): ActivityFile {
  const file = openActivityFile()
  assert.ok(file)
  context.after(file.close)
  return file
}

/** Runs a process that notes something, with `fd` as its file of activity. */
function note(fd: number | 'ignore', call: string): void {
  const script = `import { createActivityNote } from ${JSON.stringify(SOURCE)}; const note = createActivityNote(); ${call}`
  const stdio: (number | 'ignore' | 'pipe')[] = ['ignore', 'ignore', 'pipe', 'ignore']
  stdio[ACTIVITY_FD] = fd
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { stdio })
  assert.equal(status, 0, String(stderr))
}

test('openActivityFile() reads nothing before something was noted', (context) => {
  assert.equal(open(context).read(), undefined)
})

test('openActivityFile() reads what another process noted last, even if that process is gone', (context) => {
  const file = open(context)
  note(file.fd, "note(3, 70000, 'asking'); note(4, 12, 'judging')")
  assert.deepEqual(file.read(), { generation: 4, index: 12, step: 'judging' })
  note(file.fd, "note(4, 0, 'asking')")
  assert.deepEqual(file.read(), { generation: 4, index: 0, step: 'asking' })
})

test('createActivityNote() writes to nothing that is not a file of activity', (context) => {
  const file = open(context)
  note('ignore', "note(1, 2, 'asking')")
  assert.equal(file.read(), undefined)
})
