import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { findFreePort } from './listeners.ts'
import { until } from './until.ts'

const RSYSLOGD = '/usr/sbin/rsyslogd'

/** The `skip` of tests that need rsyslog: says what to install, unless skipping is forbidden. */
export const skipWithoutRsyslog =
  existsSync(RSYSLOGD) || process.env.DEADPOOL_TEST_NO_SKIP === '1'
    ? false
    : 'rsyslog is missing: apt-get install rsyslog'

/** What rsyslog made of a message. */
export interface Received {
  msg: string
  hostname: string
  syslogfacility: string
  syslogseverity: string
  'app-name': string
  procid: string
  msgid: string
  'protocol-version': string
  'structured-data': string
  timereported: string
  $: { 'rfc5424-sd'?: Record<string, Record<string, string>> } | null
}

/**
 * A real rsyslogd of the test's own, with all its files in a folder that is removed with the test. It listens on `socket` as
 * on `/dev/log`, and on the same free port of loopback for UDP and TCP.
 */
export async function startRsyslog(t: TestContext) {
  if (!existsSync(RSYSLOGD)) throw new Error(`${RSYSLOGD} is missing: apt-get install rsyslog`)
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-rsyslog-'))
  const port = await findFreePort(t)
  const [config, socket, output] = ['rsyslog.conf', 'log', 'received'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  writeFileSync(config, writeConfig({ folder, socket, output, port }))
  let daemon: ReturnType<typeof spawn> | undefined

  async function start() {
    daemon = spawn(RSYSLOGD, ['-n', '-f', config, '-i', join(folder, 'pid')], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    await until('rsyslogd listens', () => existsSync(socket) && canConnect(port))
  }

  /** `SIGKILL` leaves its socket behind, as a crash does. */
  async function stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM') {
    if (!daemon || daemon.exitCode !== null || daemon.signalCode !== null) return
    daemon.kill(signal)
    await once(daemon, 'exit')
    if (signal === 'SIGTERM') rmSync(socket, { force: true }) // It does so itself, but not when it has only just begun.
  }

  t.after(async () => {
    await stop('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  await start()

  function received(): Received[] {
    if (!existsSync(output)) return []
    const lines = readFileSync(output, 'utf8').split('\n').slice(0, -1)
    return lines.map((line) => JSON.parse(line)).map(({ '$!': $, ...rest }) => ({ ...rest, $ }))
  }
  return { folder, socket, port, received, start, stop }
}

/** rsyslog listens on TCP last of all. */
function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.on('error', () => resolve(false))
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

function writeConfig({
  folder,
  socket,
  output,
  port,
}: Record<'folder' | 'socket' | 'output', string> & { port: number }): string {
  return `
    global(workDirectory="${folder}" maxMessageSize="8k")
    module(load="imuxsock" SysSock.Use="off")
    module(load="imudp")
    module(load="imtcp")
    module(load="mmpstrucdata")
    input(type="imuxsock" Socket="${socket}" CreatePath="off")
    input(type="imudp" address="127.0.0.1" port="${port}")
    input(type="imtcp" address="127.0.0.1" port="${port}")
    template(name="all" type="list") { property(name="jsonmesg") constant(value="\\n") }
    action(type="mmpstrucdata" sd_name.lowercase="off")
    action(type="omfile" file="${output}" template="all")
  `
}
