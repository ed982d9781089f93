import { connect as connectTcp, type Socket } from 'node:net'
import { lookup } from '../modules/lookup.ts'
import { createBackOff } from './back-off.ts'
import { createLineQueue } from './line-queue.ts'
import type { Outage } from './outage.ts'
import { waitAtMost } from './wait-at-most.ts'

/** Sends frames, texts that the receiver can tell apart, over a TCP connection which it keeps open. */
export interface TcpSender {
  send(frame: string): void
  close(withinMs: number): Promise<void>
}

/** What may wait inside the socket. More would be lost with a connection that breaks; the rest waits in the queue. */
const MAX_SOCKET_BYTES = 64 << 10
const CONNECT_TIMEOUT_MS = 10_000
const STUCK_TIMEOUT_MS = 30_000
/** A server that closes a connection this old, while nothing waits for it, tidies up and has not failed. */
const IDLE_MS = 10_000

/**
 * Connects with the first frame, again and again with back-off. Frames wait in a bounded queue; a server that takes nothing
 * for 30 s is left and connected to anew, and only for so long can it keep a process from ending that did not `close`.
 */
export function createTcpSender(address: { host: string; port: number }, outage: Outage): TcpSender {
  const queue = createLineQueue<string>()
  const backOff = createBackOff()
  let socket: Socket | undefined
  let retry: NodeJS.Timeout | undefined
  let isClosing = false

  function connect() {
    retry = undefined
    const fresh = connectTcp({ ...address, lookup, keepAlive: true })
    let reason = 'the server closed the connection'
    let connectedAt: number | undefined
    socket = fresh
    if (!isClosing) fresh.unref()
    fresh.resume() // A closed connection is noticed by reading only.
    fresh.setTimeout(CONNECT_TIMEOUT_MS)
    fresh.on('connect', () => {
      fresh.setTimeout(STUCK_TIMEOUT_MS)
      connectedAt = performance.now()
      backOff.works()
      pump()
    })
    fresh.on('drain', pump)
    fresh.on('timeout', () => {
      if (fresh.connecting) fresh.destroy(new Error('no connection within 10 s'))
      else if (fresh.writableLength > 0) fresh.destroy(new Error('it takes nothing for 30 s'))
    })
    fresh.on('error', (error) => {
      reason = error.message || String((error as NodeJS.ErrnoException).code) // An AggregateError has a code only.
    })
    fresh.on('close', (hasFailed) => {
      socket = undefined
      const wasStable = connectedAt !== undefined && performance.now() - connectedAt >= IDLE_MS
      if (queue.size === 0 && !hasFailed && (wasStable || isClosing)) return // The next line connects again.
      outage.begin(reason)
      if (!isClosing) retry = setTimeout(connect, backOff.next()).unref()
    })
  }

  function pump() {
    if (!socket?.writable || socket.connecting) return
    while (socket.writableLength < MAX_SOCKET_BYTES) {
      const frame = queue.shift()
      if (frame === undefined) break
      socket.write(frame, (error) => error && outage.drop(1, error.message))
    }
    if (queue.size > 0) return
    outage.end()
    if (isClosing) socket.end()
  }

  /** Sends what is left and waits until the kernel has taken it. */
  async function end(last: Socket, withinMs: number) {
    const closed = new Promise((resolve) => last.on('close', resolve))
    last.on('finish', () => last.destroy())
    last.ref()
    pump()
    await waitAtMost(withinMs, closed)
    last.destroy()
  }

  return {
    send(frame) {
      outage.drop(queue.push(frame, frame.length))
      if (!socket && !retry && !isClosing) connect()
      else pump()
    },
    async close(withinMs) {
      isClosing = true
      clearTimeout(retry)
      if (!socket && queue.size > 0) connect()
      if (socket) await end(socket, withinMs)
      outage.drop(queue.size)
      outage.close()
    },
  }
}
