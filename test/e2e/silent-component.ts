import { createServer, type Socket } from 'node:net'

/** A component that takes every connection and never says a word, and what became of its clients. */
export interface SilentComponent {
  url: string
  /** Connections that stand now. */
  open(): number
  /** How long the clients waited until they left, in milliseconds, since this was asked last. */
  takeWaits(): number[]
  stop(): Promise<void>
}

export async function startSilentComponent(): Promise<SilentComponent> {
  const sockets = new Set<Socket>()
  let waits: number[] = []
  const server = createServer((socket) => {
    const cameMs = performance.now()
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      sockets.delete(socket)
      waits.push(performance.now() - cameMs)
    })
    // What the client asks is read, or its leaving would not be seen.
    socket.resume()
  })
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, resolve))
  const { port } = server.address() as { port: number }
  return {
    url: `http://127.0.0.1:${port}/`,
    open: () => sockets.size,
    takeWaits() {
      const taken = waits
      waits = []
      return taken
    },
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
