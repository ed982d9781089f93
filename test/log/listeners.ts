import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

/** A UDP server on loopback that keeps every datagram. It is closed with the test. */
export async function listenUdp(t: TestContext, port = 0) {
  const socket = createSocket('udp4')
  const datagrams: Buffer[] = []
  socket.on('message', (datagram) => datagrams.push(datagram))
  socket.bind(port, '127.0.0.1')
  await once(socket, 'listening')
  let closed: Promise<unknown> | undefined
  const close = () => (closed ??= new Promise<void>((done) => socket.close(done)))
  t.after(close)
  return { port: socket.address().port, datagrams, close }
}

/** A TCP server on loopback that keeps what every connection sent, or never reads at all. It is closed with the test. */
export async function listenTcp(t: TestContext, { port = 0, reads = true } = {}) {
  const chunks: Buffer[] = []
  const sockets = new Set<Socket>()
  const server = createServer({ pauseOnConnect: !reads }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    if (reads) socket.on('data', (chunk) => chunks.push(chunk))
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  let closed: Promise<unknown> | undefined
  function close() {
    closed ??= new Promise((done) => server.close(done))
    for (const socket of sockets) socket.destroy()
    return closed
  }
  t.after(close)
  return {
    port: (server.address() as AddressInfo).port,
    chunks,
    get text() {
      return Buffer.concat(chunks).toString()
    },
    get connections() {
      return sockets.size
    },
    /** Closes what is connected now and goes on listening. */
    hangUp() {
      for (const socket of sockets) socket.end()
      sockets.clear()
    },
    close,
  }
}

/** A port of loopback on which nothing listens. */
export async function findFreePort(t: TestContext): Promise<number> {
  const server = await listenTcp(t)
  await server.close()
  return server.port
}

/** GELF messages put together from their datagrams as a server does it: by the chunk's id, number and count. */
export function reassemble(datagrams: Buffer[]): Buffer[] {
  const messages: Buffer[] = []
  const parts = new Map<string, Buffer[]>()
  for (const datagram of datagrams) {
    if (datagram.readUInt16BE(0) !== 0x1e0f) {
      messages.push(datagram)
      continue
    }
    const id = datagram.toString('hex', 2, 10)
    const [number, count] = [datagram.readUInt8(10), datagram.readUInt8(11)]
    const chunks = parts.get(id) ?? []
    parts.set(id, chunks)
    chunks[number] = datagram.subarray(12)
    if (Object.keys(chunks).length === count) messages.push(Buffer.concat(chunks))
  }
  return messages
}
