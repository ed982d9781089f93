import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Assignment, createSupervisor } from '../../src/watchman/supervisor.ts'
import { finallyDo, isRunning, waitFor } from '../e2e/binary.ts'

/** A WatchMan that says what it is told by the text of its configuration, a line of JavaScript. */
const SCRIPT = `
const beat = () => process.send({ kind: 'heartbeat', generation, checked })
let generation = 0, checked = []
process.once('disconnect', () => process.exit(0))
process.on('message', (message) => {
  if (message.kind === 'stop') process.exit(0)
  generation = message.generation
  eval(message.text)
})
`

function superviseScript(context: TestContext, text: string, staleAfterMs = 1000) {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-supervisor-'))
  const script = join(folder, 'watchman.cjs')
  writeFileSync(script, SCRIPT)
  const lines: string[] = []
  const children: ChildProcess[] = []
  const note = (message: string) => void lines.push(message)
  const assignmentOf = (line: string): Assignment => ({
    config: { file: 'deadpool.yml', text: line },
    staleAfterMs,
    probes: [{ name: 'a', freshForMs: 1000 }],
  })
  const supervisor = createSupervisor({
    spawn() {
      const child = fork(script)
      children.push(child)
      return child
    },
    assignment: assignmentOf(text),
    describeActivity: () => 'it was asking a',
    log: { debug: note, info: note, warn: note, error: note },
  })
  finallyDo(context, async () => {
    await supervisor.stop()
    rmSync(folder, { recursive: true })
  })
  supervisor.launch()
  return { supervisor, lines, children, assignmentOf }
}

const report = (more = '') =>
  `process.send({ kind: 'report', probe: 'a', life: 'dead', reason: 'refused', sinceMs: 5, isFlagged: false ${more} });`

test('createSupervisor() starts a WatchMan that ended again, with growing pauses until one is through its first round', async (context) => {
  const { lines } = superviseScript(context, 'process.exit(3)')
  await waitFor('three ends', () => lines.length >= 3)
  assert.deepEqual(lines.slice(0, 3), [
    'WatchMan ended (exit code 3); starting it again in 100 ms',
    'WatchMan ended (exit code 3); starting it again in 200 ms',
    'WatchMan ended (exit code 3); starting it again in 400 ms',
  ])
  const well = superviseScript(
    context,
    `process.send({ kind: 'ready', generation, checked: [0] }, () => process.exit(3))`,
  )
  await waitFor('three ends', () => well.lines.length >= 3)
  assert.deepEqual(
    new Set(well.lines.slice(0, 3)),
    new Set(['WatchMan ended (exit code 3); starting it again in 100 ms']),
  )
})

test('createSupervisor() kills a WatchMan that hangs, and says what it was busy with', async (context) => {
  const { lines, children } = superviseScript(context, 'beat(); setTimeout(() => { for (;;); }, 100)')
  await waitFor('the kill', () => lines.length >= 2)
  assert.match(lines[0] ?? '', /^WatchMan hangs: it is silent for 2(\.\d)? s, while it was asking a; killing it$/)
  assert.equal(lines[1], 'WatchMan ended (killed by SIGKILL); starting it again in 100 ms')
  await waitFor('the next one', () => children.length === 2)
})

test('createSupervisor() kills a WatchMan that hangs after somebody stopped it and let it go on', async (context) => {
  const { lines, children } = superviseScript(context, 'beat(); setTimeout(() => { for (;;); }, 100)')
  await waitFor('the first', () => children[0]?.connected)
  await new Promise((resolve) => setTimeout(resolve, 500))
  const pid = children[0]?.pid as number
  process.kill(pid, 'SIGSTOP')
  await waitFor('the word of it', () => /was stopped by a signal/.test(lines[0] ?? ''))
  process.kill(pid, 'SIGCONT')
  await waitFor('the kill', () => /^WatchMan hangs/.test(lines[1] ?? ''))
})

test('createSupervisor() tells the next WatchMan what the last one said', async (context) => {
  const text = `if (message.heard.length) process.send({ kind: 'report', ...message.heard[0][1], probe: 'told', isFlagged: false })
  else { ${report()} setTimeout(() => process.exit(1), 200) }`
  const { supervisor } = superviseScript(context, text)
  await waitFor('what it was told', () => supervisor.reports.has('told'))
  assert.equal(supervisor.reports.get('told')?.reason, 'refused')
})

test('createSupervisor() calls a probe stale that is never checked while WatchMan goes on', async (context) => {
  const { supervisor } = superviseScript(context, 'setInterval(beat, 100)', 5000)
  const version = supervisor.version()
  await waitFor('the stale one', () => supervisor.stale.has('a'))
  assert.ok(supervisor.version() > version)
  assert.equal(supervisor.silentSinceMs(), undefined)
  const { supervisor: other } = superviseScript(context, 'checked = [0]; setInterval(beat, 100)', 5000)
  await new Promise((resolve) => setTimeout(resolve, 1600))
  assert.equal(other.stale.has('a'), false)
})

test('createSupervisor() gives a new configuration to the running WatchMan, or to a new one that takes its place', async (context) => {
  const { supervisor, children, assignmentOf } = superviseScript(context, report(', fault: "one"'))
  await waitFor('the first', () => supervisor.reports.get('a')?.fault === 'one')
  supervisor.assign(assignmentOf(report(', fault: "two"')), { isRestart: false })
  await waitFor('the second', () => supervisor.reports.get('a')?.fault === 'two')
  assert.equal(children.length, 1)
  supervisor.assign(assignmentOf(report(', fault: "three"')), { isRestart: true })
  await waitFor('the third', () => supervisor.reports.get('a')?.fault === 'three')
  assert.equal(children.length, 2)
  assert.equal(isRunning(children[0]?.pid as number), false)
  supervisor.assign({ ...assignmentOf(''), probes: [] }, { isRestart: false })
  assert.deepEqual([...supervisor.reports], [])
})

test('createSupervisor() takes no flag of a dead probe for set while another WatchMan takes over', async (context) => {
  const flagged = report().replace('isFlagged: false', 'isFlagged: true')
  const again = `process.prependOnceListener('message', () => { ${flagged} });`
  const { supervisor, children, assignmentOf } = superviseScript(context, `${again} ${flagged}`)
  await waitFor('the report', () => supervisor.reports.get('a')?.isFlagged)
  supervisor.assign(assignmentOf('beat()'), { isRestart: true })
  assert.equal(supervisor.reports.get('a')?.isFlagged, false)
  await waitFor('the next one', () => children.length === 2)
  assert.equal(supervisor.reports.get('a')?.isFlagged, false, 'the one before spoke of its own folder')
})

test('createSupervisor() counts checks that were told by the places of the configuration before', async (context) => {
  const beats = 'setInterval(() => { generation = 1; checked = [0]; beat() }, 100)'
  const { supervisor } = superviseScript(context, beats, 5000)
  const config = { file: 'deadpool.yml', text: '' }
  const probes = [
    { name: 'new', freshForMs: 9000 },
    { name: 'a', freshForMs: 1000 },
  ]
  supervisor.assign({ config, staleAfterMs: 5000, probes }, { isRestart: false })
  await new Promise((resolve) => setTimeout(resolve, 1600))
  assert.deepEqual([...supervisor.stale], [])
})
