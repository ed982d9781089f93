import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'

/** A UDP server on loopback that keeps every datagram. */
export async function listenUdp(port = 0) {
  const socket = createSocket('udp4')
  const datagrams: Buffer[] = []
  socket.on('message', (datagram) => datagrams.push(datagram))
  socket.bind(port, '127.0.0.1')
  await once(socket, 'listening')
  return { port: socket.address().port, datagrams, close: () => new Promise<void>((done) => socket.close(done)) }
}

/** A TCP server on loopback that keeps what every connection sent, or never reads at all. */
export async function listenTcp({ port = 0, reads = true } = {}) {
  const received: Buffer[] = []
  const sockets = new Set<Socket>()
  const server = createServer({ pauseOnConnect: !reads }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    if (reads) socket.on('data', (chunk) => received.push(chunk))
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    get text() {
      return Buffer.concat(received).toString()
    },
    chunks: received,
    get connections() {
      return sockets.size
    },
    async close() {
      const closed = new Promise((done) => server.close(done))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** A port of loopback on which nothing listens. */
export async function findFreePort(): Promise<number> {
  const server = await listenTcp()
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
