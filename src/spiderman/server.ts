import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import type { Hono } from 'hono'

/** Thrown when the address cannot be listened on; the message says which and why. */
export class ListenError extends Error {
  override name = 'ListenError'
}

export interface ListeningServer {
  /** `http://HOST:PORT`, with the port that was taken when the configured one is 0. */
  url: string
  port: number
  /**
   * Whether every answer is the last one of its connection: a client that keeps its connection would otherwise ask on it
   * in the moment in which it is closed.
   */
  dismissClients(isDismissed: boolean): void
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

const CLOSE_TIMEOUT_MS = 1000

/** @throws ListenError */
export async function listen(app: Pick<Hono, 'fetch'>, host: string, port: number): Promise<ListeningServer> {
  // HTTP/1.0 needs no Host, and simple checkers send none; which name it would be does not matter here.
  const server = createAdaptorServer({ fetch: app.fetch, hostname: 'localhost', serverOptions: LIMITS }) as Server
  // A client that takes no answer, or sends a body that nobody wants, holds its connection at most this long.
  server.setTimeout(LIMITS.keepAliveTimeout)
  let isDismissed = false
  server.prependListener('request', (_, response) => {
    if (isDismissed) response.setHeader('connection', 'close')
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new ListenError(explain(error, host, port))))
    server.listen({ host, port, backlog: 1024 }, resolve)
  })
  const address = server.address() as AddressInfo
  const shownHost = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return {
    url: `http://${shownHost}:${address.port}`,
    port: address.port,
    dismissClients(next) {
      isDismissed = next
    },
    close: () => close(server),
  }
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_TIMEOUT_MS)
  await closed
  clearTimeout(timer)
}

function explain(error: NodeJS.ErrnoException, host: string, port: number): string {
  const where = `cannot listen on ${host}:${port}`
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
