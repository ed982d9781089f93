import type { ClientRequest, IncomingMessage } from 'node:http'
import { pipeline, type Readable } from 'node:stream'
import { Dead } from './errors.ts'
import { explainNetworkError } from './network-error.ts'

const KIB = 1024
const MAX_INFORMATIONAL = 100
/** The most headers that an answer may have: `maxHeaderSize` of a request. */
export const MAX_HEADER_BYTES = 16 * KIB
export const TOO_MANY_HEADERS = `sent more than ${MAX_HEADER_BYTES / KIB} KiB of headers`
/** 8 MiB, the most that RFC 9659 lets a server use; the library's own limit is 128 MiB. */
const MAX_ZSTD_WINDOW_LOG = 23

/**
 * Sends a request of `node:http` and waits for the head of the answer. Errors that come later come out of reading its body.
 *
 * @throws Dead when the target sends something else, and what {@link explainHttpError} puts into words
 */
export function awaitHttpAnswer(request: ClientRequest, body?: string | Uint8Array): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const count = createInformationalLimit((error) => request.destroy(error))
  request.on('response', (answer) => {
    // An error within the body says more than that the answer was cut; bytes after its end do no harm.
    request.on('error', (error) => void (answer.complete || answer.destroy(error)))
    resolve(answer)
  })
  request.on('error', reject)
  request.on('information', count)
  request.on('upgrade', (_answer, socket) => {
    // The socket no longer belongs to the request, which would not hand on its errors.
    socket.destroy()
    reject(new Dead('switched to another protocol (status 101) without being asked'))
  })
  request.end(body)
  return promise
}

/** Counts informational answers, of which a target could send without end, and fails at more than a hundred. */
export function createInformationalLimit(fail: (error: Dead) => void): () => void {
  let count = 0
  return () => {
    if (++count > MAX_INFORMATIONAL) fail(new Dead(`sent more than ${MAX_INFORMATIONAL} informational answers`))
  }
}

/** What was read of a body. */
export interface HttpBody {
  bytes: Buffer
  /** Whether it goes on after the limit. */
  truncated: boolean
}

/**
 * Reads at most `limit` bytes of a body, undoing the compression of a server that compresses although nobody asked; an
 * unknown coding stays as it came.
 *
 * @param coding the header Content-Encoding
 * @throws Dead when it cannot be decompressed
 */
export async function readHttpBody(answer: Readable, limit: number, coding = ''): Promise<HttpBody> {
  const name = coding.trim().toLowerCase()
  if (!/^(x-gzip|gzip|deflate|br|zstd)$/.test(name)) return readBounded(answer, limit)
  const decoder = createDecoder(name)
  // The callback has nothing to do: errors of both streams come out of the reading.
  pipeline(answer, decoder, () => {})
  try {
    return await readBounded(decoder, limit)
  } catch (error) {
    if (answer.errored) throw error
    const { code, message } = error as NodeJS.ErrnoException
    // HEAD, or an empty body: its coding is named although there is nothing to decode.
    if (code === 'Z_BUF_ERROR' && decoder.bytesWritten === 0) return { bytes: Buffer.alloc(0), truncated: false }
    throw new Dead(`body cannot be decompressed (${name}): ${message}`, { cause: error })
  }
}

function createDecoder(coding: string) {
  const zlib = process.getBuiltinModule('node:zlib')
  if (coding === 'br') return zlib.createBrotliDecompress()
  if (coding === 'deflate') return zlib.createInflate()
  if (coding !== 'zstd') return zlib.createGunzip()
  return zlib.createZstdDecompress({ params: { [zlib.constants.ZSTD_d_windowLogMax]: MAX_ZSTD_WINDOW_LOG } })
}

/** The bytes go into one buffer, as a list of what a server sends byte by byte would grow a hundredfold. */
function readBounded(body: Readable, limit: number): Promise<HttpBody> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpBody>()
  let bytes = Buffer.alloc(0)
  let length = 0
  body.on('data', (chunk: Buffer) => {
    const kept = chunk.subarray(0, limit - length)
    bytes = makeRoom(bytes, length + kept.length)
    bytes.set(kept, length)
    length += kept.length
    if (kept.length === chunk.length) return
    resolve({ bytes: bytes.subarray(0, length), truncated: true })
    body.destroy()
  })
  body.on('end', () => resolve({ bytes: bytes.subarray(0, length), truncated: false }))
  body.on('error', reject)
  // It may have failed together with its first bytes, and says so only once.
  if (body.errored) reject(body.errored)
  return promise
}

function makeRoom(bytes: Buffer<ArrayBuffer>, length: number): Buffer<ArrayBuffer> {
  if (length <= bytes.length) return bytes
  const larger = Buffer.allocUnsafe(Math.max(length, bytes.length * 2))
  larger.set(bytes)
  return larger
}

/** Does for an error of HTTP what {@link explainNetworkError} does for those below it, and for these as well. */
export function explainHttpError(thrown: unknown): unknown {
  if (!(thrown instanceof Error)) return thrown
  const { code = '', message, reason = message } = thrown as NodeJS.ErrnoException & { reason?: string }
  const fault = describe(code, message, reason)
  return fault === undefined ? explainNetworkError(thrown) : new Dead(fault, { cause: thrown })
}

function describe(code: string, message: string, reason: string): string | undefined {
  if (code === 'HPE_HEADER_OVERFLOW') return TOO_MANY_HEADERS
  if (code.startsWith('HPE_')) return `HTTP cannot be parsed: ${reason}`
  if (code === 'ERR_HTTP2_ERROR') return `HTTP/2 cannot be parsed: ${message}`
  if (/^ERR_HTTP2_(STREAM|SESSION)_ERROR$/.test(code)) return `HTTP/2 failed: ${message.replace('NGHTTP2_', '')}`
  if (code !== 'ECONNRESET' || message.includes('TLS') || message.startsWith('read')) return undefined
  return message === 'aborted' ? 'closed before the whole body' : 'closed before the answer'
}
