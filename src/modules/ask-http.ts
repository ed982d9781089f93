import type { IncomingHttpHeaders } from 'node:http'
import { dial } from './dial.ts'
import { Dead } from './errors.ts'
import { awaitHttpAnswer, explainHttpError, MAX_HEADER_BYTES, readHttpBody } from './http-answer.ts'
import { DEFAULT_TLS, type TlsSettings } from './tls.ts'

export interface HttpQuestion {
  url: string | URL
  method?: string
  headers?: Record<string, string>
  body?: string
  /** For https; the defaults where it is left out. */
  tls?: TlsSettings | undefined
  signal: AbortSignal
  /** Bytes of the body at which it is given up. */
  maxBody?: number
}

export interface HttpAnswer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

const MIB = 1024 * 1024

/**
 * Asks one HTTP question over a connection of its own, follows nothing and keeps nothing: for modules whose component
 * speaks a protocol over HTTP. Any status is an answer.
 *
 * @throws Dead when the target refuses, closes, or sends more than `maxBody` (16 MiB)
 */
export async function askHttp(question: HttpQuestion): Promise<HttpAnswer> {
  const { method = 'GET', headers = {}, body, signal, maxBody = 16 * MIB } = question
  const url = new URL(question.url)
  const isSecure = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port) || (isSecure ? 443 : 80)
  const tls = isSecure ? (question.tls ?? DEFAULT_TLS) : undefined
  const socket = await dial({ host, port, tls, signal })
  try {
    // Loaded by the first check and not by the start, which it would make longer.
    const asked = process.getBuiltinModule('node:http').request({
      createConnection: () => socket,
      method,
      path: url.pathname + url.search,
      maxHeaderSize: MAX_HEADER_BYTES,
      headers: { host: url.host, 'user-agent': 'DeadPool', accept: '*/*', connection: 'close', ...headers },
    })
    const answer = await awaitHttpAnswer(asked, body)
    const { bytes, truncated } = await readHttpBody(answer, maxBody, answer.headers['content-encoding'])
    if (truncated) throw new Dead(`sent more than ${maxBody / MIB} MiB`)
    return { status: answer.statusCode ?? 0, headers: answer.headers, body: bytes.toString() }
  } catch (error) {
    throw signal.aborted ? signal.reason : explainHttpError(error)
  } finally {
    socket.destroy()
  }
}
