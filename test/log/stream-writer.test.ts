import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { runScript, startScript, writeScript } from './run-script.ts'
import { until } from './until.ts'

test('createLog() survives that nobody reads its stdout any more, and says so once', async () => {
  const child = startScript(`
    const log = await openLog([{ type: 'json' }])
    process.stdin.once('data', async () => {
      for (let count = 0; count < 100; count++) {
        log.info('x')
        await new Promise((resolve) => setImmediate(resolve))
      }
      await log.close()
      process.exit(0)
    })
  `)
  let stderr = ''
  child.stderr?.on('data', (chunk) => (stderr += chunk))
  child.stdout?.destroy()
  child.stdin?.write('go')
  const [code] = await once(child, 'close')
  assert.equal(code, 0, stderr)
  assert.equal(stderr.match(/log target json on stdout fails: write EPIPE/g)?.length, 1, stderr)
  assert.match(stderr, /still fails at the end; 100 lines were dropped\n$/)
})

test('createLog() survives that nobody reads its stderr any more', async () => {
  const child = startScript(`
    const log = await openLog([{ type: 'console' }])
    process.stdin.once('data', async () => {
      for (let count = 0; count < 100; count++) {
        log.info('x')
        await new Promise((resolve) => setImmediate(resolve))
      }
      await log.close()
      process.exit(0)
    })
  `)
  child.stderr?.destroy()
  child.stdout?.resume()
  child.stdin?.write('go')
  const [code] = await once(child, 'close')
  assert.equal(code, 0)
})

test('createLog() goes on while the reader of stderr stands still, and tells it later what it missed', async () => {
  const child = startScript(
    `const log = await openLog([{ type: 'console' }])
    for (let turn = 0; turn < 100; turn++) {
      for (let count = 0; count < 100; count++) log.info('x'.repeat(1000))
      await new Promise((resolve) => setImmediate(resolve))
    }
    process.stdout.write('done')
    process.stdin.once('data', async () => {
      log.info('the last')
      await log.close()
      process.exit(0)
    })`,
  )
  child.stderr?.pause()
  const [word] = await once(child.stdout as NodeJS.ReadableStream, 'data')
  assert.equal(String(word), 'done', '10 MB of lines did not block')
  let stderr = ''
  let isTold = false
  child.stderr?.on('data', (chunk) => {
    stderr += chunk
    if (isTold || !stderr.includes('works again')) return
    isTold = true
    child.stdin?.write('go')
  })
  child.stderr?.resume()
  await once(child, 'close')
  assert.match(stderr.slice(-400), /WARN {2}log target stderr works again after .*; \d{4} lines were dropped\n/)
  assert.match(stderr.slice(-400), /the last\n$/)
  assert.ok(stderr.length < 3_000_000, `${stderr.length} bytes were kept`)
})

test('createLog() writes all of it before close() returns', async () => {
  const { stdout } = await runScript(`
    const log = await openLog([{ type: 'json' }])
    for (let count = 0; count < 800; count++) log.info('x'.repeat(1000))
    await log.close()
    process.exit(0)
  `)
  assert.equal(stdout.split('\n').length, 801)
})

const SCRIPT = '/usr/bin/script'
const skipWithoutScript =
  existsSync(SCRIPT) || process.env.DEADPOOL_TEST_NO_SKIP === '1'
    ? false
    : 'script is missing: apt-get install bsdutils'

test('createLog() goes on while a terminal is stopped, as by Ctrl-S', { skip: skipWithoutScript }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-log-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const done = join(folder, 'done')
  writeFileSync(
    join(folder, 'script.ts'),
    writeScript(`
      import { writeFileSync } from 'node:fs'
      const log = await openLog([{ type: 'console' }])
      for (let count = 0; count < 5000; count++) log.info('x'.repeat(1000))
      writeFileSync('${done}', String(process.stderr.isTTY))
      process.exit(0)
    `),
  )
  // Nobody reads what script(1) copies from the terminal, so that the terminal fills up.
  const child = spawn(SCRIPT, ['-qefc', `'${process.execPath}' '${folder}/script.ts'`, '/dev/null'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: 20_000,
    killSignal: 'SIGKILL',
  })
  t.after(() => child.kill('SIGKILL'))
  await until('the script is done', () => existsSync(done) && readFileSync(done, 'utf8') !== '')
  assert.equal(readFileSync(done, 'utf8'), 'true')
})
