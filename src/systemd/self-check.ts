import { type RequestOptions, request } from 'node:http'
import type { ListeningServer } from '../spiderman/server.ts'

export interface SelfCheck {
  /** Where this process itself listens: addresses of its own, or paths of Unix sockets. */
  places: readonly ListeningServer['where'][]
  path: string
  token: string
  timeoutMs: number
}

/**
 * Asks as a load balancer does, on a fresh connection to each of the places; tells what is wrong, if none of them answers.
 * An answer 503 is well.
 */
export async function checkSelf({ places, path, token, timeoutMs }: SelfCheck): Promise<string | undefined> {
  // A name that is right whatever the address: not every spelling of one is a Host that is answered.
  const headers = { authorization: `Bearer ${token}`, connection: 'close', host: 'localhost' }
  const isAnswered = new AbortController()
  const { signal } = isAnswered
  const ways = places.flatMap(waysTo)
  if (ways.length === 0) return undefined // nothing that could be asked from here
  const asked = ways.map((way) => {
    return ask({ ...way, path, method: 'HEAD', headers, agent: false, signal }, timeoutMs)
  })
  try {
    await Promise.any(asked)
    return undefined
  } catch (error) {
    const [first] = (error as AggregateError).errors
    return (first as Error).message
  } finally {
    isAnswered.abort()
  }
}

/**
 * How something that listens there is asked from this host. What listens at one address is asked from that same address:
 * when this host has it no more, nobody else's DeadPool answers.
 */
function waysTo(where: ListeningServer['where']): RequestOptions[] {
  if (!('port' in where)) return where.socketPath === undefined ? [] : [{ socketPath: where.socketPath }]
  const { port, host } = where
  if (host === '0.0.0.0') return [{ port, host: '127.0.0.1' }]
  // One that takes both may stand on a host without IPv6.
  if (host === '::')
    return [
      { port, host: '::1' },
      { port, host: '127.0.0.1' },
    ]
  return [{ port, host, localAddress: host }]
}

/** @throws Error that says what is wrong */
function ask(options: RequestOptions, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const asking = request(options, (answer) => {
      answer.resume()
      const { statusCode = 0 } = answer
      if (statusCode === 200 || statusCode === 503) resolve()
      else reject(new Error(`SpiderMan answers ${statusCode}`))
    })
    const timer = setTimeout(() => asking.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs)
    asking.on('error', ({ code, message }: NodeJS.ErrnoException) => {
      // Clients have rights, and folders, that DeadPool has not: that tells nothing of itself.
      if (options.socketPath !== undefined && (code === 'EACCES' || code === 'ENOENT')) return resolve()
      const isAway = code === 'EADDRNOTAVAIL' && options.localAddress !== undefined
      const reason = isAway ? `this host has no address ${options.host} any more` : message
      reject(new Error(`SpiderMan does not answer: ${reason}`))
    })
    asking.on('close', () => clearTimeout(timer))
    asking.end()
  })
}
