import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { listenTcp, listenUdp, reassemble } from '../log/listeners.ts'
import { skipWithoutRsyslog, startRsyslog } from '../log/rsyslog.ts'
import { BINARY, finallyDo, makeFolder, startDeadPool, waitFor, writeConfig } from './binary.ts'

/** A component that dies after its first checks, and its probe. */
async function startMortal(context: TestContext): Promise<{ probes: string; die: () => void }> {
  let code = 200
  const server = createServer((_, response) => response.writeHead(code).end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  finallyDo(context, () => server.close())
  const { port } = server.address() as { port: number }
  const probes = `web: { module: url_probe, period: 0.2, query: { url: "http://127.0.0.1:${port}/" } }`
  return { probes, die: () => (code = 503) }
}

/** Everything in a GELF message that version 1.1 of the format lays down. */
function checkGelf(message: Record<string, unknown>): void {
  assert.equal(message.version, '1.1')
  assert.equal(typeof message.host, 'string')
  assert.ok(typeof message.short_message === 'string' && message.short_message !== '')
  assert.ok(typeof message.timestamp === 'number' && Math.abs(message.timestamp - Date.now() / 1000) < 60)
  assert.ok([3, 4, 6, 7].includes(message.level as number))
  const standard = ['version', 'host', 'short_message', 'full_message', 'timestamp', 'level']
  for (const [key, value] of Object.entries(message)) {
    if (standard.includes(key)) continue
    assert.match(key, /^_[\w.-]+$/)
    assert.notEqual(key, '_id')
    assert.ok(typeof value === 'string' || typeof value === 'number', `${key}: ${value}`)
  }
}

test('Graylog receives every change of state, in GELF 1.1 by UDP and by TCP', async (context) => {
  const [udp, tcp] = [await listenUdp(context), await listenTcp(context)]
  const { probes, die } = await startMortal(context)
  const deadpool = await startDeadPool(context, {
    probes,
    generic: `  log:
    - { type: json, level: debug }
    - { type: gelf, server: 127.0.0.1, port: ${udp.port}, level: debug }
    - { type: gelf, server: 127.0.0.1, port: ${tcp.port}, protocol: tcp }`,
  })
  const byUdp = () => reassemble(udp.datagrams).map((bytes) => JSON.parse(gunzipSync(bytes).toString()))
  const byTcp = () =>
    tcp.text
      .split('\0')
      .slice(0, -1)
      .map((frame) => JSON.parse(frame))
  await waitFor('the first check', () => byUdp().some(({ short_message: text }) => text === 'web was checked: alive'))
  die()
  await deadpool.becomes(503)
  for (const messages of [byUdp, byTcp]) {
    const death = await waitFor('the death', () =>
      messages().find(({ short_message: text }) => text.startsWith('web is dead')),
    )
    assert.equal(death.level, 4)
    assert.equal(death._probe, 'web')
    assert.equal(death._module, 'url_probe')
    assert.equal(death._reason, 'status: 503 is not one of 2xx')
    assert.match(death._was_alive_for, /^\d/)
    assert.equal(death._role, 'WatchMan')
    assert.equal(death._name, 'TEST SERVER')
    await waitFor('the turn', () =>
      messages().find(({ short_message: text }) => text === 'the answer is 503 from now on: web'),
    )
    for (const message of messages()) checkGelf(message)
  }
  assert.equal(
    byTcp().some(({ level }) => level === 7),
    false,
  )
})

test('rsyslog receives every change of state, by UDP and by TCP', { skip: skipWithoutRsyslog }, async (context) => {
  const rsyslog = await startRsyslog(context)
  const { probes, die } = await startMortal(context)
  for (const protocol of ['udp', 'tcp']) {
    const deadpool = await startDeadPool(context, {
      probes: protocol === 'udp' ? probes : probes.replace('web:', 'tcp:'),
      generic: `  log:
    - { type: json }
    - { type: syslog, server: 127.0.0.1, port: ${rsyslog.port}, protocol: ${protocol}, facility: local3 }`,
    })
    if (protocol === 'udp') {
      await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
      die()
    }
    await deadpool.becomes(503)
    const name = protocol === 'udp' ? 'web' : 'tcp'
    const line = await waitFor('the line', () =>
      rsyslog.received().find(({ msg }) => msg.includes(`${name} is dead: status: 503 is not one of 2xx`)),
    )
    const { syslogfacility, syslogseverity, 'app-name': app, msgid, 'protocol-version': version } = line
    assert.deepEqual([syslogfacility, syslogseverity, app, msgid, version], ['19', '4', 'deadpool', '-', '1'])
    const details = Object.assign({}, ...Object.values(line.$?.['rfc5424-sd'] ?? {}))
    assert.deepEqual([details.probe, details.module, details.role], [name, 'url_probe', 'WatchMan'])
    await deadpool.stop()
  }
})

test('under systemd the lines go to the journal with their priority', async (context) => {
  const folder = makeFolder(context)
  const { probes, die } = await startMortal(context)
  die()
  writeFileSync(join(folder, 'deadpool.yml'), writeConfig({ probes, generic: '  log: { type: syslog }' }))
  const journal = openSync(join(folder, 'journal'), 'w')
  const { dev, ino } = fstatSync(journal)
  const env = { ...process.env, JOURNAL_STREAM: `${dev}:${ino}` }
  const child = spawn(BINARY, ['-c', join(folder, 'deadpool.yml')], { env, stdio: ['ignore', 'ignore', journal] })
  const gone = new Promise((resolve) => child.once('exit', resolve))
  finallyDo(context, async () => {
    child.kill()
    await gone
  })
  const lines = () => readFileSync(join(folder, 'journal'), 'utf8').split('\n')
  await waitFor('the death', () => lines().some((line) => /^<\d+>.*web is dead: status: 503/.test(line)))
  const priorities = lines().flatMap((line) => /^<(\d+)>(.*)/.exec(line)?.slice(1, 3).join(' ') ?? [])
  assert.ok(
    priorities.some((line) => line.startsWith('6 ') && line.includes('answers at')),
    priorities.join('\n'),
  )
  assert.ok(
    priorities.some((line) => line.startsWith('4 ') && line.includes('web is dead')),
    priorities.join('\n'),
  )
})

test('log targets that hang, refuse or do not resolve neither slow nor stop the checks', async (context) => {
  const hanging = await listenTcp(context, { reads: false })
  const { probes } = await startMortal(context)
  const deadpool = await startDeadPool(context, {
    probes: probes.replace('0.2', '0.1'),
    generic: `  log:
    - { type: json, level: debug }
    - { type: gelf, server: 127.0.0.1, port: ${hanging.port}, protocol: tcp, level: debug }
    - { type: gelf, server: 127.0.0.1, port: 1, protocol: tcp, level: debug }
    - { type: syslog, server: 127.0.0.1, port: 1, level: debug }
    - { type: gelf, server: no-such-host.invalid, level: debug }`,
  })
  const checks = () => deadpool.log().filter(({ message }) => message === 'web was checked: alive')
  await waitFor('thirty checks', () => checks().length >= 30, 15_000)
  const times = checks().map(({ time }) => Date.parse(time))
  const tookMs = (times[29] as number) - (times[0] as number)
  assert.ok(tookMs < 6000, `29 periods of 100 ms took ${tookMs} ms`)
  assert.equal((await deadpool.ask()).status, 200)
  assert.equal((await deadpool.stop()).code, 0)
})
