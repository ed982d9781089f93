import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { Dead } from './errors.ts'
import { createInformationalLimit, MAX_HEADER_BYTES, TOO_MANY_HEADERS } from './http-answer.ts'

export interface Http2Question {
  /** Scheme, host and port: `https://example.org`. */
  origin: string
  method: string
  path: string
  /** By lower-case name; `host` becomes `:authority`. */
  headers: Record<string, string | number>
  body?: Uint8Array | undefined
}

/** The head of an answer; whoever gets it reads the body and ends the session. */
export interface Http2Answer {
  status: number
  /** By lower-case name, each value as it came. */
  headers: Record<string, string[] | undefined>
  body: Readable
  /** Whether the body, which came to an end, was cut off there: HTTP/2 has no error for a lost connection. */
  isCut(): boolean
}

/** A session with one question. */
export interface Http2Session {
  answer: Promise<Http2Answer>
  destroy(): void
}

/**
 * Asks one question by HTTP/2 (RFC 9113) over a connection that has agreed to it, or is known to speak it.
 * `explainHttpError` puts into words what goes wrong.
 */
export function askHttp2(socket: Socket, question: Http2Question): Http2Session {
  const { origin, method, path, body } = question
  const { host, ...headers } = question.headers
  // Loaded by the first check that needs it.
  const session = process.getBuiltinModule('node:http2').connect(origin, {
    createConnection: () => socket,
    settings: { enablePush: false },
    // As many as fit: it is their bytes that are limited.
    maxHeaderListPairs: MAX_HEADER_BYTES,
  })
  const { promise, resolve, reject } = Promise.withResolvers<Http2Answer>()
  session.on('error', reject)
  const pseudo = { ':method': method, ':path': path, ...(host !== undefined && { ':authority': String(host) }) }
  const stream = session.request({ ...pseudo, ...headers }, { endStream: !body })
  stream.on('error', reject)
  stream.on('close', () => reject(new Dead('closed before the answer')))
  stream.on('headers', createInformationalLimit(reject))
  stream.on('response', ({ ':status': status = 0 }, _flags, raw: string[]) => {
    if (raw.join('').length > MAX_HEADER_BYTES) reject(new Dead(TOO_MANY_HEADERS))
    else resolve({ status, headers: pair(raw), body: stream, isCut: () => stream.rstCode !== 0 })
  })
  if (body) stream.end(body)
  return { answer: promise, destroy: () => session.destroy() }
}

/** Makes a record of what stands in turns: name, value, name, value. */
function pair(raw: string[]): Http2Answer['headers'] {
  const headers: Http2Answer['headers'] = Object.create(null)
  for (let i = 0; i < raw.length; i += 2) {
    const [name = '', value = ''] = raw.slice(i, i + 2)
    if (name.startsWith(':')) continue
    headers[name] ??= []
    headers[name].push(value)
  }
  return headers
}
