import type { IncomingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
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
  /**
   * A connection of the caller's, for several questions one after another; it stays open unless one fails. Without it
   * each question has its own.
   */
  socket?: Socket | undefined
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
 * Asks one HTTP question over a connection of its own or the one given, and follows nothing: for modules whose component
 * speaks a protocol over HTTP. Any status is an answer.
 *
 * @throws Dead when the target refuses, closes, or sends more than `maxBody` (16 MiB)
 */
export async function askHttp(question: HttpQuestion): Promise<HttpAnswer> {
  const { method = 'GET', headers = {}, body, signal, maxBody = 16 * MIB } = question
  const url = new URL(question.url)
  const socket = question.socket ?? (await dialFor(url, question))
  if (socket.destroyed) throw signal.aborted ? signal.reason : new Dead('closed before the answer')
  const connection = question.socket ? 'keep-alive' : 'close'
  try {
    // Loaded by the first check and not by the start, which it would make longer.
    const asked = process.getBuiltinModule('node:http').request({
      createConnection: () => socket,
      method,
      path: url.pathname + url.search,
      maxHeaderSize: MAX_HEADER_BYTES,
      headers: { host: url.host, 'user-agent': 'DeadPool', accept: '*/*', connection, ...headers },
    })
    const answer = await awaitHttpAnswer(asked, body)
    const { bytes, truncated } = await readHttpBody(answer, maxBody, answer.headers['content-encoding'])
    if (truncated) throw new Dead(`sent more than ${maxBody / MIB} MiB`)
    if (!question.socket) socket.destroy()
    return { status: answer.statusCode ?? 0, headers: answer.headers, body: bytes.toString() }
  } catch (error) {
    socket.destroy()
    throw signal.aborted ? signal.reason : explainHttpError(error)
  }
}

/** Opens the connection that a question about `url` needs; whoever gets it destroys it. */
export function dialFor(
  { protocol, hostname, port }: URL,
  { tls, signal }: Pick<HttpQuestion, 'tls' | 'signal'>,
): Promise<Socket> {
  const isSecure = protocol === 'https:'
  return dial({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port) || (isSecure ? 443 : 80),
    tls: isSecure ? (tls ?? DEFAULT_TLS) : undefined,
    signal,
  })
}
