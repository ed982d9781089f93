import { spawn, spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort } from '../e2e/nginx.ts'

/** Why no real time server can be started here; where skips are forbidden the tests fail instead. */
export function findMissingChrony(): string | false {
  if (process.env.DEADPOOL_TEST_NO_SKIP || !spawnSync(CHRONYD, ['--version']).error) return false
  return 'chronyd is missing: apt-get install chrony'
}

const CHRONYD = '/usr/sbin/chronyd'

/** A real time server, chrony, that gives this host's time and leaves the clock alone. It needs root. */
export async function startChrony(t: TestContext): Promise<{ port: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-chrony-'))
  const port = await freePort()
  const settings = [
    `port ${port}`,
    'bindaddress 127.0.0.1',
    'allow 127.0.0.1',
    'local stratum 8',
    'cmdport 0',
    'bindcmdaddress /',
    `pidfile ${folder}/pid`,
  ]
  writeFileSync(join(folder, 'chrony.conf'), `${settings.join('\n')}\n`)
  const child = spawn(CHRONYD, ['-d', '-x', '-u', 'root', '-f', join(folder, 'chrony.conf')], { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.once('close', resolve))
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true, force: true })
  })
  return { port }
}

/** How a time server of the test's own answers: what it changes of a right answer, or nothing to stay silent. */
export type Answer = (packet: Buffer, count: number) => Buffer | undefined

const EPOCH = 2_208_988_800

/** Writes a moment as NTP does. */
export function writeTime(packet: Buffer, at: number, ms: number): void {
  packet.writeUInt32BE((Math.floor(ms / 1000) + EPOCH) % 2 ** 32, at)
  packet.writeUInt32BE(Math.floor(((ms % 1000) / 1000) * 2 ** 32), at + 4)
}

/** A time server whose clock is `aheadMs` of this host's, and that answers as the test wants. */
export async function startTimeServer(
  t: TestContext,
  { aheadMs = 0, answer = (packet: Buffer) => packet }: { aheadMs?: number; answer?: Answer } = {},
): Promise<{ port: number; requests: Buffer[] }> {
  const socket = createSocket('udp4')
  const requests: Buffer[] = []
  socket.on('message', (request, { port, address }) => {
    requests.push(request)
    const packet = Buffer.alloc(48)
    packet[0] = 0x24
    packet[1] = 2
    request.copy(packet, 24, 40, 48)
    for (const at of [32, 40]) writeTime(packet, at, Date.now() + aheadMs)
    const sent = answer(packet, requests.length)
    if (sent) socket.send(sent, port, address)
  })
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  t.after(() => socket.close())
  return { port: (socket.address() as AddressInfo).port, requests }
}
