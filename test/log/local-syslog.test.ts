import assert from 'node:assert/strict'
import { fstatSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createLog } from '../../src/log/create-log.ts'
import { DEFAULT_TARGETS } from '../../src/log/target.ts'
import { skipWithoutRsyslog, startRsyslog } from './rsyslog.ts'
import { runScript } from './run-script.ts'
import { createTextStream } from './text-stream.ts'
import { until } from './until.ts'

async function openSyslog({ socket, path = process.env.PATH }: { socket?: string; path?: string | undefined }) {
  const stderr = createTextStream()
  const log = await createLog({
    targets: DEFAULT_TARGETS,
    name: 'TEST',
    role: 'SpiderMan',
    redact: (text) => text,
    env: { PATH: path },
    stderr: stderr.stream,
    isTerminal: false,
    syslogSocket: socket,
  })
  return { log, stderr, messages: () => stderr.lines.map((line) => line.slice(25)) }
}

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-log-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A `logger` in the place of the real one, for what the real one does not do on command. */
function fakeLogger(t: TestContext, script: string): string {
  const folder = makeFolder(t)
  writeFileSync(join(folder, 'logger'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  return folder
}

test('the default target reaches the syslog of this host', { skip: skipWithoutRsyslog }, async (t) => {
  const rsyslog = await startRsyslog(t)
  const { log, stderr } = await openSyslog({ socket: rsyslog.socket })
  log.error('an error')
  log.warn('elastic is dead: Ошибка\nforged', { probe: 'elastic', module: 'url_probe' })
  log.info('ж'.repeat(20_000))
  log.debug('below the level')
  await log.close()
  const received = await until('rsyslog wrote all three', () => rsyslog.received().length === 3 && rsyslog.received())
  assert.deepEqual(
    received.map((line) => [line['app-name'], line.procid, line.syslogfacility, line.syslogseverity]),
    ['3', '4', '6'].map((severity) => ['deadpool', String(process.pid), '3', severity]),
  )
  assert.equal(received[1]?.msg.trim(), String.raw`elastic is dead: Ошибка\nforged  module=url_probe`)
  assert.match(received[2]?.msg ?? '', /^ ?ж{2990,}…$/)
  assert.equal(stderr.text, '')
})

test('no line is lost while the syslog of this host is restarted', { skip: skipWithoutRsyslog }, async (t) => {
  const rsyslog = await startRsyslog(t)
  const { log, stderr } = await openSyslog({ socket: rsyslog.socket })
  log.info('before')
  await until('the first line is there', () => rsyslog.received().length === 1)
  await new Promise((resolve) => setTimeout(resolve, 1100)) // Only a logger that lived a second counts as one that works.
  await rsyslog.stop()
  log.info('while it was away')
  await new Promise((resolve) => setTimeout(resolve, 100))
  await rsyslog.start()
  await until('the second line is there', () => rsyslog.received().length === 2)
  await log.close()
  assert.deepEqual(
    rsyslog.received().map(({ msg }) => msg.trim()),
    ['before', 'while it was away'],
  )
  assert.equal(stderr.text, '')
})

test('without a syslog lines go to stderr, said once, and back when there is one', {
  skip: skipWithoutRsyslog,
}, async (t) => {
  const rsyslog = await startRsyslog(t)
  await rsyslog.stop()
  const { log, messages } = await openSyslog({ socket: rsyslog.socket })
  log.info('one')
  log.info('two')
  await until('both are on stderr', () => messages().length === 3)
  log.info('three')
  assert.deepEqual(messages(), [
    `ERROR log target syslog fails: logger: socket ${rsyslog.socket}: No such file or directory`,
    'INFO  one',
    'INFO  two',
    'INFO  three',
  ])
  await rsyslog.start()
  await until('it works again', () => messages().length === 5)
  assert.match(messages()[4] ?? '', /^WARN {2}log target syslog works again after .*; 0 lines were dropped$/)
  log.info('four')
  await log.close()
  await until('the fourth line is there', () => rsyslog.received().some(({ msg }) => msg.trim() === 'four'))
  assert.equal(messages().length, 5)
})

test('without a logger lines go to stderr, said once', async (t) => {
  const { log, messages } = await openSyslog({ path: makeFolder(t) })
  log.info('one')
  log.warn('two')
  await log.close()
  assert.deepEqual(messages(), ['ERROR log target syslog fails: "logger" is not installed', 'INFO  one', 'WARN  two'])
})

test('a logger that takes nothing neither slows the log nor its end', async (t) => {
  const { log, messages } = await openSyslog({ path: fakeLogger(t, 'exec /bin/sleep 60') })
  const start = performance.now()
  for (let count = 0; count < 20_000; count++) log.info('x'.repeat(100))
  assert.ok(performance.now() - start < 2000)
  const closing = performance.now()
  await log.close()
  assert.ok(performance.now() - closing < 1500)
  assert.equal(messages()[0], 'ERROR log target syslog fails: it takes lines too slowly')
  assert.match(messages().at(-1) ?? '', /still fails at the end; \d+ lines were dropped$/)
})

test('a logger that ends at once is not started again and again', async (t) => {
  const folder = makeFolder(t)
  const { log, messages } = await openSyslog({
    path: fakeLogger(t, `echo x >> ${folder}/starts; echo "no luck" >&2; exit 3`),
  })
  log.info('x')
  await until('it failed', () => messages().length === 2)
  const end = performance.now() + 1000
  await until('a second is over', () => {
    log.info('y')
    return performance.now() > end
  })
  await log.close()
  assert.equal(messages()[0], 'ERROR log target syslog fails: no luck')
  const starts = readFileSync(join(folder, 'starts'), 'utf8').length / 2
  assert.ok(starts >= 2 && starts <= 4, `${starts} starts in a second`)
})

for (const { name, of, first } of [
  {
    name: 'marks lines for the journal when stderr is its',
    of: 'stderr',
    first: /^<6>hello\n<3>DeadPool: a\\nb {2}x=1\n$/,
  },
  { name: 'does not when JOURNAL_STREAM is that of a parent', of: 'other', first: /Z ERROR log target syslog fails/ },
]) {
  test(`createLog() ${name}`, async (t) => {
    const folder = makeFolder(t)
    const file = openSync(join(folder, 'stderr'), 'w')
    const { dev, ino } = fstatSync(file)
    const { code } = await runScript(
      `const log = await openLog([{ type: 'syslog' }])
      log.info('hello')
      log.error('DeadPool: a\\nb', { x: 1 })
      await log.close()`,
      {
        stdio: ['ignore', 'pipe', file],
        env: { JOURNAL_STREAM: of === 'stderr' ? `${dev}:${ino}` : `${dev}:1`, PATH: folder },
      },
    )
    assert.equal(code, 0)
    assert.match(readFileSync(join(folder, 'stderr'), 'utf8'), first)
  })
}
