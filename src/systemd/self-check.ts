import { request } from 'node:http'
import type { ListeningServer } from '../spiderman/server.ts'

export interface SelfCheck {
  /** Where this process itself listens: an address of its own, or the path of a Unix socket. */
  where: ListeningServer['where']
  path: string
  token: string
  timeoutMs: number
}

/** Asks as a load balancer does, on a fresh connection; tells what is wrong, if anything. An answer 503 is well. */
export function checkSelf({ where, path, token, timeoutMs }: SelfCheck): Promise<string | undefined> {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${token}`, connection: 'close' }
    const place = 'port' in where ? { port: where.port, host: reachable(where.host) } : where
    const asking = request({ ...place, path, method: 'HEAD', headers, agent: false }, (answer) => {
      answer.resume()
      const { statusCode = 0 } = answer
      resolve(statusCode === 200 || statusCode === 503 ? undefined : `SpiderMan answers ${statusCode}`)
    })
    const timer = setTimeout(() => asking.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs)
    asking.on('error', (error) => resolve(`SpiderMan does not answer: ${error.message}`))
    asking.on('close', () => clearTimeout(timer))
    asking.end()
  })
}

/** The address at which something that listens on `address` can be asked from this host. */
function reachable(address: string): string {
  if (address === '0.0.0.0') return '127.0.0.1'
  return address === '::' ? '::1' : address
}
