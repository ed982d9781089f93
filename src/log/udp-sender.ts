import { createSocket, type Socket } from 'node:dgram'
import { isIP } from 'node:net'
import { promisify } from 'node:util'
import { lookup } from '../modules/lookup.ts'
import { createBackOff } from './back-off.ts'
import { createLineQueue } from './line-queue.ts'
import type { Outage } from './outage.ts'
import { waitAtMost } from './wait-at-most.ts'

/** Sends lines as UDP datagrams, each line one or several of them. */
export interface UdpSender {
  send(datagrams: Buffer[]): void
  close(withinMs: number): Promise<void>
}

/** More at a time could overflow a receiver's buffer, 200 KB by default, where each datagram takes more than its length. */
const ROOM_PER_MS = 64 << 10
const OVERHEAD = 1024
/** What `renewMs` is at most after a failure; then the socket is made anew as well, for the route may be another. */
const RENEW_FAULTY_MS = 5000

/**
 * Sends to a host whose name is looked up again after `renewMs`, by the next line; the old address serves until the new one
 * is known. UDP tells of a failure only sometimes (ICMP), and after the fact: it counts as mended when lines went out for
 * `settleMs` without another.
 */
export function createUdpSender(
  address: { host: string; port: number },
  outage: Outage,
  { renewMs = 60_000, settleMs = 5000 } = {},
): UdpSender {
  const queue = createLineQueue<Buffer[]>()
  const backOff = createBackOff()
  let current: { ip: string; socket: Socket } | undefined
  let isRenewing = false
  let isFaulty = false
  let renewAt = 0
  let retry: NodeJS.Timeout | undefined
  let settling: NodeJS.Timeout | undefined
  let rest: Buffer[] = []
  let room = ROOM_PER_MS
  let inFlight = 0
  let isClosed = false
  let idle: (() => void) | undefined

  async function renew() {
    retry = undefined
    isRenewing = true
    try {
      const ip = await findAddress(address.host)
      if (ip !== current?.ip || isFaulty) await replaceSocket(ip)
      renewAt = isIP(address.host) ? Number.POSITIVE_INFINITY : performance.now() + renewMs
    } catch (error) {
      renewAt = performance.now() + RENEW_FAULTY_MS
      if (!current) begin(error as Error)
      if (!current && !idle) retry = setTimeout(renew, backOff.next()).unref()
    }
    isRenewing = false
    if (!isBusy()) idle?.()
  }

  async function replaceSocket(ip: string) {
    const socket = await openSocket(ip, address.port)
    if (isClosed) return void socket.close()
    socket.on('error', fail)
    current?.socket.close()
    current = { ip, socket }
    isFaulty = false
    pump()
  }

  function pump() {
    while (current && room > 0) {
      if (rest.length === 0) rest = queue.shift() ?? []
      const datagram = rest.shift()
      if (!datagram) return
      if (room === ROOM_PER_MS) setTimeout(refill, 1).unref()
      room -= datagram.length + OVERHEAD
      transmit(current.socket, datagram)
    }
  }

  function refill() {
    room = ROOM_PER_MS
    pump()
  }

  function transmit(socket: Socket, datagram: Buffer) {
    if (outage.isOpen) settling ??= setTimeout(settle, settleMs).unref()
    inFlight++
    socket.send(datagram, (error) => {
      inFlight--
      if (error) fail(error)
      if (!isBusy()) idle?.()
    })
  }

  function settle() {
    settling = undefined
    outage.end()
  }

  function begin(error: Error) {
    clearTimeout(settling)
    settling = undefined
    outage.begin(error.message)
  }

  function fail(error: Error) {
    begin(error)
    outage.drop(1)
    isFaulty = true
    renewAt = Math.min(renewAt, performance.now() + RENEW_FAULTY_MS)
  }

  function isBusy(): boolean {
    return isRenewing || inFlight > 0 || (current !== undefined && rest.length + queue.size > 0)
  }

  return {
    send(datagrams) {
      if (isClosed) return
      if (performance.now() >= renewAt && !isRenewing && !retry) void renew()
      outage.drop(queue.push(datagrams, countBytes(datagrams)))
      pump()
    },
    async close(withinMs) {
      clearTimeout(retry)
      if (isBusy()) await waitAtMost(withinMs, new Promise<void>((resolve) => (idle = resolve)))
      isClosed = true
      current?.socket.close()
      outage.drop(queue.size)
      outage.close()
    },
  }
}

/** A connected socket: the kernel then needs no look-up for a datagram, and reports what ICMP says. */
async function openSocket(ip: string, port: number): Promise<Socket> {
  const socket = createSocket(isIP(ip) === 6 ? 'udp6' : 'udp4')
  socket.unref()
  try {
    await new Promise<void>((resolve, reject) => {
      socket.connect(port, ip, ((error?: Error) => (error ? reject(error) : resolve())) as () => void)
    })
  } catch (error) {
    socket.close()
    throw error
  }
  return socket
}

async function findAddress(host: string): Promise<string> {
  if (isIP(host)) return host
  return (await promisify(lookup)(host, {})) as unknown as string
}

function countBytes(datagrams: Buffer[]): number {
  return datagrams.reduce((sum, { length }) => sum + length, 0)
}
