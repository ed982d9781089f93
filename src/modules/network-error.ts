import { isIP } from 'node:net'
import { Dead, Unknown } from './errors.ts'

interface NetworkError extends NodeJS.ErrnoException {
  address?: string
  port?: number
  path?: string
  hostname?: string
  reason?: string
  errors?: NetworkError[]
}

/**
 * Turns an error of a socket, of TLS or of a look-up that speaks of the target into `Dead` with words for people:
 * `connection refused by 10.0.0.7:6379`. Any other error stays as it is. What a probe throws goes through this anyway; a
 * module calls it to say more.
 */
export function explainNetworkError(thrown: unknown): unknown {
  if (thrown instanceof Dead || thrown instanceof Unknown || !(thrown instanceof Error)) return thrown
  const error: NetworkError = thrown
  // A host with several addresses: one that spoke of the target is enough to judge it.
  const faults = (error.errors ?? [error]).map(describe).filter((text) => text !== undefined)
  if (faults.length > 0) return new Dead([...new Set(faults)].join('; '), { cause: thrown })
  if (!error.errors) return thrown
  return new Unknown(error.errors.map(({ message }) => message).join('; '), { cause: thrown })
}

function describe(error: NetworkError): string | undefined {
  const { message, reason = message } = error
  // That of a DOMException, such as the reason of an abort, is a number.
  const code = typeof error.code === 'string' ? error.code : ''
  if (code === 'ECONNREFUSED') return `connection refused by ${formatPeer(error)}`
  if (code === 'ETIMEDOUT') return `no connection to ${formatPeer(error)}: timed out`
  if (code === 'EHOSTUNREACH') return `no route to ${formatPeer(error)}`
  if (code === 'ENOTFOUND') return `no address is known for ${error.hostname}`
  if (code === 'ECONNRESET') return message.includes('TLS') ? 'closed before TLS was established' : 'connection reset'
  if (code === 'EPIPE') return 'closed before the whole request was sent'
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) return `TLS failed: ${findTlsReason(message) ?? reason}`
  // The names that OpenSSL has for what is wrong with a certificate, in words that Node follows up with advice about itself.
  return /CERT|^UNABLE_TO_|^CRL_|^INVALID_/.test(code) ? message.replace(/; if the root CA .*/s, '') : undefined
}

/** OpenSSL writes `error:<number>:SSL routines:<function>:<reason>:<file>:<line>`. */
function findTlsReason(message: string): string | undefined {
  return /:SSL routines:[^:]*:([^:]+):/.exec(message)?.[1]
}

function formatPeer({ address, port, path }: NetworkError): string {
  if (address === undefined) return path ?? 'the target'
  // A Unix socket's path stands where an address does, without a port.
  if (port === undefined) return address
  return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`
}
