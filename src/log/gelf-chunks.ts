import { randomBytes } from 'node:crypto'

const MAX_DATAGRAM = 8192
const HEADER = 12
const MAX_CHUNKS = 128

/**
 * A GELF message as datagrams of at most 8,192 bytes: one as it is, or chunks with the magic bytes `1e 0f`, an id of 8 bytes,
 * the chunk's number and their count. A message of more than 128 chunks cannot be sent and gives none.
 */
export function splitIntoChunks(message: Buffer): Buffer[] {
  if (message.length <= MAX_DATAGRAM) return [message]
  const room = MAX_DATAGRAM - HEADER
  const count = Math.ceil(message.length / room)
  if (count > MAX_CHUNKS) return []
  const id = randomBytes(8)
  return Array.from({ length: count }, (_, number) =>
    Buffer.concat([
      Buffer.from([0x1e, 0x0f]),
      id,
      Buffer.from([number, count]),
      message.subarray(number * room, (number + 1) * room),
    ]),
  )
}
