import { connect, isIP, type Socket, type TcpNetConnectOpts } from 'node:net'
import { type Address, lookup } from './lookup.ts'

/** An address that has not answered for so long gets company by the next one (RFC 8305, section 5). */
const HEAD_START_MS = 250

export interface Route {
  host: string
  port: number | undefined
  /** Only addresses of this kind. */
  family?: 4 | 6 | undefined
  signal: AbortSignal
  /** Told when the addresses of a name are known. */
  onResolved?: (() => void) | undefined
}

/**
 * Connects to the address of a host that answers first, and destroys what else it tried. No address is given up before the
 * signal aborts. Node gives each but the last a quarter of a second, so that one lost packet, which TCP repeats after a
 * second, would be the end of it; and where a family is asked for, it tries one address only.
 *
 * @throws what the socket or the look-up failed with; of several addresses an AggregateError
 */
export async function connectToHost({ host, port, family, signal, onResolved }: Route): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const sockets = new Set<Socket>()
  const errors: Error[] = []
  let waiting: string[] = []
  let headStart: NodeJS.Timeout | undefined
  let isOver = false

  function tryNext(): void {
    clearTimeout(headStart)
    const address = waiting.shift()
    if (address === undefined || isOver) return
    const socket = connect({ host: address, port, noDelay: true } as TcpNetConnectOpts)
    sockets.add(socket)
    socket.once('connect', () => resolve(socket))
    socket.on('error', (error) => {
      if (isOver) return
      errors.push(error)
      if (errors.length === sockets.size && waiting.length === 0) reject(join(errors))
      tryNext()
    })
    if (waiting.length > 0) headStart = setTimeout(tryNext, HEAD_START_MS)
  }

  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort)
  try {
    signal.throwIfAborted()
    waiting = isIP(host)
      ? [host]
      : await Promise.race([findAddresses({ host, family, signal, onResolved }), promise.then(() => [])])
    tryNext()
    const connected = await promise
    signal.throwIfAborted()
    sockets.delete(connected)
    return connected
  } finally {
    isOver = true
    clearTimeout(headStart)
    signal.removeEventListener('abort', abort)
    for (const socket of sockets) socket.destroy()
  }
}

function join(errors: Error[]): Error | undefined {
  return errors.length === 1 ? errors[0] : new AggregateError(errors)
}

async function findAddresses({ host, family, signal, onResolved = () => {} }: Omit<Route, 'port'>): Promise<string[]> {
  const { promise, resolve, reject } = Promise.withResolvers<Address[]>()
  lookup(host, { family, all: true, signal }, (error, found) => (error ? reject(error) : resolve(found as Address[])))
  const found = await promise
  onResolved()
  return alternate(found)
}

/** As they were found, but by turns of either kind: what makes one address fail often makes all of its kind fail. */
function alternate(found: Address[]): string[] {
  const kinds = [
    found.filter(({ family }) => family === found[0]?.family),
    found.filter(({ family }) => family !== found[0]?.family),
  ]
  return found.flatMap((_, i) => kinds.flatMap((kind) => kind[i]?.address ?? []))
}
