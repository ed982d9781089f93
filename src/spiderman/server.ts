import type { Server } from 'node:http'
import { Server as NetServer, Socket, type SocketConstructorOpts } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import type { Hono } from 'hono'
import type { PassedSocket } from '../systemd/surroundings.ts'
import { findUnixPath } from './unix-path.ts'

/** Thrown when the address cannot be listened on; the message says which and why. */
export class ListenError extends Error {
  override name = 'ListenError'
}

export interface Address {
  host: string
  port: number
}

/** What to listen on: an address, a socket that came with the start, or one that another process has passed. */
export type ListenTarget = Address | PassedSocket | { server: NetServer }

export interface ListeningServer {
  /** `http://HOST:PORT`, with the port that was taken when the configured one is 0; or `unix:PATH:` of a Unix socket, as nginx writes it. */
  url: string
  /** Where it listens in fact: an address, or the path of a Unix socket, if that is known. */
  where: Address | { socketPath: string | undefined }
  /** What can be passed to another process. */
  server: NetServer
  /**
   * Whether every answer is the last one of its connection: a client that keeps its connection would otherwise ask on it
   * in the moment in which it is closed.
   */
  dismissClients(isDismissed: boolean): void
  /** Dismisses the clients, and waits until none that keeps its connection is left, for at most half a second. */
  drain(): Promise<void>
  /** Accepts no more connections, and gives away those that are kept, each when nothing is under way on it. */
  giveAway(give: (connection: Connection) => Promise<void>): Promise<void>
  /** Goes on with a connection that was accepted elsewhere. */
  take(connection: Connection): void
  /** Lets requests in flight finish, for at most a second. */
  close(): Promise<void>
}

/** What Node hides in a socket: the connection itself. Only as such it can be given away without a byte being lost. */
export interface Connection {
  readStop(): number
  readStart(): number
}

/** Slow and idle clients are cut off; load balancers keep their connections between two checks. */
const LIMITS = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 5000,
  requestTimeout: 10_000,
  keepAliveTimeout: 75_000,
  connectionsCheckingInterval: 1000,
}

/** So many connections wait in the kernel while this process is busy, or is being restarted under a passed socket. */
const BACKLOG = 4096

const DRAIN_TIMEOUT_MS = 500
const DRAIN_LOOK_MS = 20
const CLOSE_TIMEOUT_MS = 1000

/**
 * Begins to listen before it first gives up control: a passed server accepts from the moment at which it arrives.
 *
 * @throws ListenError
 */
export async function listen(app: Pick<Hono, 'fetch'>, target: ListenTarget): Promise<ListeningServer> {
  // HTTP/1.0 needs no Host, and simple checkers send none; which name it would be does not matter here.
  const server = createAdaptorServer({ fetch: app.fetch, hostname: 'localhost', serverOptions: LIMITS }) as Server
  // A client that takes no answer, or sends a body that nobody wants, holds its connection at most this long.
  server.setTimeout(LIMITS.keepAliveTimeout)
  let isDismissed = false
  /** All connections: how many requests are under way, and what had been read when the last one was answered. */
  const uses = new Map<Socket, { underWay: number; bytesRead: number; isKept: boolean }>()
  server.on('connection', (socket) => {
    uses.set(socket, { underWay: 0, bytesRead: 0, isKept: false })
    socket.once('close', () => uses.delete(socket))
  })
  server.prependListener('request', ({ socket }, response) => {
    const use = uses.get(socket)
    if (isDismissed) response.setHeader('connection', 'close')
    if (!use) return
    use.isKept ||= !isDismissed
    use.underWay++
    response.once('close', () => {
      use.underWay--
      use.bytesRead = socket.bytesRead
    })
  })

  /** The connections on which not even the beginning of a request has been read. */
  function findIdle(): Socket[] {
    return [...uses].flatMap(([socket, use]) => {
      return use.underWay === 0 && use.bytesRead === socket.bytesRead && !socket.destroyed ? [socket] : []
    })
  }

  async function waitFor(isOver: () => boolean | Promise<boolean>): Promise<void> {
    const endMs = performance.now() + DRAIN_TIMEOUT_MS
    while (!(await isOver()) && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS))
    }
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new ListenError(explain(error, target))))
    if ('port' in target) server.listen({ ...target, backlog: BACKLOG }, resolve)
    else server.listen('fd' in target ? { fd: target.fd } : target.server, BACKLOG, resolve)
  })
  const where = whereOf(server)
  return {
    url: 'socketPath' in where ? `${showPath(where.socketPath)}:` : toUrl(where),
    where,
    server,
    dismissClients(next) {
      isDismissed = next
    },
    async drain() {
      isDismissed = true
      await waitFor(() => [...uses.values()].every(({ isKept }) => !isKept))
    },
    async giveAway(give) {
      // That of HTTP would close the connections that are kept.
      NetServer.prototype.close.call(server)
      await waitFor(async () => {
        await Promise.all(findIdle().map((socket) => giveOne(socket, give)))
        return uses.size === 0
      })
    },
    take(connection) {
      // As the server makes them: a client may say that it is done before it has its answer.
      const options = { handle: connection, readable: true, writable: true, allowHalfOpen: true }
      server.emit('connection', new Socket(options as unknown as SocketConstructorOpts))
    },
    close() {
      isDismissed = true
      return close(server)
    },
  }
}

/** What has come and was not read stays with the connection, for whoever goes on with it. */
async function giveOne(socket: Socket, give: (connection: Connection) => Promise<void>): Promise<void> {
  const { _handle: connection } = socket as unknown as { _handle: Connection | null }
  if (!connection) return
  connection.readStop()
  await give(connection)
  // The other one has it: this closes the name that this process has for it, not the connection.
  socket.destroy()
}

function whereOf(server: Server): ListeningServer['where'] {
  const address = server.address()
  if (address === null || typeof address === 'string') return { socketPath: address || findUnixPath(server) }
  return { host: address.address, port: address.port }
}

/** The path of a Unix socket for people; an abstract one is written as systemd writes it. */
export function showPath(path: string | undefined): string {
  return path === undefined ? 'a Unix socket without a name' : `unix:${path.replace(/^\0/, '@')}`
}

function toUrl({ host, port }: Address): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_TIMEOUT_MS)
  await closed
  clearTimeout(timer)
}

function explain(error: NodeJS.ErrnoException, target: ListenTarget): string {
  if ('server' in target) return `cannot listen on the passed socket: ${error.message}`
  if ('fd' in target) {
    const where = `cannot listen on the passed socket "${target.name}" (descriptor ${target.fd})`
    return `${where}: ${error.message}; a ".socket" unit for DeadPool has ListenStream= and Accept=no`
  }
  const where = `cannot listen on ${target.host}:${target.port}`
  switch (error.code) {
    case 'EADDRINUSE':
      return `${where}: another program listens there; stop it, or set another WEB.port`
    case 'EACCES':
      return `${where}: permission denied; ports below 1024 need root or CAP_NET_BIND_SERVICE`
    case 'EADDRNOTAVAIL':
      return `${where}: this host has no such address; set WEB.host to one of its own, or 0.0.0.0`
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${where}: the name cannot be resolved; set WEB.host to an address`
    default:
      return `${where}: ${error.message}`
  }
}
