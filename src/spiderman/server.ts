import type { Server } from 'node:http'
import type { Server as NetServer, Socket } from 'node:net'
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
  /** Lets requests in flight finish, for at most a second. */
  close(): Promise<void>
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
  /** Connections on which another request may come. */
  const kept = new Set<Socket>()
  server.prependListener('request', ({ socket }, response) => {
    if (isDismissed) response.setHeader('connection', 'close')
    else if (!kept.has(socket)) {
      kept.add(socket)
      socket.once('close', () => kept.delete(socket))
    }
  })
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
      const endMs = performance.now() + DRAIN_TIMEOUT_MS
      while (kept.size > 0 && performance.now() < endMs) {
        await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS))
      }
    },
    close() {
      isDismissed = true
      return close(server)
    },
  }
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
