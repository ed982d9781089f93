import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { connectToHost } from './connect.ts'
import { Dead } from './errors.ts'
import { explainNetworkError } from './network-error.ts'
import { createTlsOptions, type TlsSettings } from './tls.ts'

/** Where a connection goes: a host and port, or the path of a Unix socket. */
export interface Target {
  host?: string | undefined
  port?: number | undefined
  path?: string | undefined
  /** Only addresses of this kind. */
  family?: 4 | 6 | undefined
}

export interface DialOptions extends Target {
  /** TLS from the first byte. */
  tls?: TlsSettings | undefined
  /** The connection is destroyed when it aborts, even after `dial` has given it away. */
  signal: AbortSignal
  /** Protocols to offer by ALPN. */
  alpn?: string[] | undefined
  /** Told when the addresses of a name are known. */
  onResolved?: () => void
}

/**
 * Opens a connection to whichever address of the host answers first; whoever gets it destroys it.
 *
 * @throws Dead when the target refuses, is unreachable or fails at TLS; Unknown when this host could not ask
 */
export async function dial(options: DialOptions): Promise<Socket> {
  const { host = 'localhost', path, tls, signal, alpn } = options
  signal.throwIfAborted()
  const socket = path === undefined ? await dialHost({ ...options, host }) : connect(path)
  destroyOnAbort(socket, signal)
  if (path !== undefined) await waitFor(socket, 'connect', signal)
  return tls ? startTls(socket, { host, tls, signal, alpn }) : socket
}

async function dialHost({ host, port, family, signal, onResolved }: DialOptions & { host: string }): Promise<Socket> {
  try {
    return await connectToHost({ host, port, family, signal, onResolved })
  } catch (error) {
    throw signal.aborted ? signal.reason : explainNetworkError(error)
  }
}

export interface StartTlsOptions {
  /** Whose certificate it must be, unless the settings name another. */
  host: string
  tls: TlsSettings
  signal: AbortSignal
  alpn?: string[] | undefined
}

/**
 * Begins TLS on a connection, at once or after a protocol's own STARTTLS. The socket given goes with the one returned.
 *
 * @throws Dead when the handshake fails or the certificate is not accepted; Unknown when a file of the settings cannot be read
 */
export async function startTls(socket: Socket, { host, tls, signal, alpn }: StartTlsOptions): Promise<TLSSocket> {
  try {
    const options = await createTlsOptions(tls, host, signal)
    await refuseClosed(socket, signal)
    // Loaded by the first check over TLS and not by the start, which it would make longer.
    const secured = process
      .getBuiltinModule('node:tls')
      .connect({ ...options, socket, ...(alpn && { ALPNProtocols: alpn }) })
    destroyOnAbort(secured, signal)
    await waitFor(secured, 'secureConnect', signal)
    return secured
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** A peer that closed meanwhile says so only to one who reads, and TLS would wait for it in vain. */
async function refuseClosed(socket: Socket, signal: AbortSignal): Promise<void> {
  socket.read(0)
  await new Promise<void>((resolve) => process.nextTick(resolve))
  // A check that is over has destroyed the socket itself.
  signal.throwIfAborted()
  if (socket.readableEnded || socket.destroyed) throw new Dead('closed before TLS was established')
}

function destroyOnAbort(socket: Socket, signal: AbortSignal): void {
  const destroy = () => socket.destroy()
  signal.addEventListener('abort', destroy, { once: true })
  socket.once('close', () => signal.removeEventListener('abort', destroy))
  // An error that comes when nobody listens any more must not take the process down.
  socket.on('error', () => {})
}

async function waitFor(socket: Socket, event: 'connect' | 'secureConnect', signal: AbortSignal): Promise<void> {
  try {
    await once(socket, event, { signal })
  } catch (error) {
    socket.destroy()
    throw signal.aborted ? signal.reason : explainNetworkError(error)
  }
}

const DAY_MS = 86_400_000

/** The days until the certificate that the peer served for itself ends, to a tenth; negative when it has ended. */
export function certDays(socket: Socket): number | undefined {
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  const leaf = (socket as Partial<TLSSocket>).getPeerX509Certificate?.()
  if (!(leaf instanceof X509Certificate)) return undefined
  return Math.floor(((leaf.validToDate.getTime() - Date.now()) / DAY_MS) * 10) / 10
}
