import { hostname } from 'node:os'
import { gzipSync } from 'node:zlib'
import { splitIntoChunks } from './gelf-chunks.ts'
import type { Outage } from './outage.ts'
import { type LogEntry, type Reporter, SEVERITY } from './reporter.ts'
import type { LogTarget } from './target.ts'
import { createTcpSender } from './tcp-sender.ts'
import { createUdpSender } from './udp-sender.ts'

/** A server takes 128 chunks of 8,180 bytes; what gzip adds to bytes that it cannot shrink must fit as well. */
const MAX_BYTES = 1_040_000
const SHORT_LENGTH = 250

/**
 * Sends GELF 1.1 (https://go2docs.graylog.org/current/getting_in_log_data/gelf.html): over UDP gzipped and chunked, over
 * TCP as it is, each message ended by a NUL.
 */
export function createGelfReporter(target: LogTarget & { type: 'gelf' }, outage: Outage): Reporter {
  const address = { host: target.server, port: target.port }
  if (target.protocol === 'tcp') {
    const tcp = createTcpSender(address, outage)
    return { write: (entry) => tcp.send(`${formatGelf(entry)}\0`), close: (withinMs) => tcp.close(withinMs) }
  }
  const udp = createUdpSender(address, outage)
  return {
    write(entry) {
      const payload = Buffer.from(formatGelf(entry))
      udp.send(splitIntoChunks(target.compress ? gzipSync(payload, { level: 1 }) : payload))
    },
    close: (withinMs) => udp.close(withinMs),
  }
}

/** An entry as GELF 1.1. One that would not fit into 128 chunks has its longest texts cut, and says so in `_shortened`. */
export function formatGelf(entry: LogEntry): string {
  let text = JSON.stringify(toGelf(entry))
  for (let maxLength = 256 << 10; Buffer.byteLength(text) > MAX_BYTES && maxLength > SHORT_LENGTH; maxLength >>= 1) {
    const cut = (value: unknown) => (typeof value === 'string' ? value.slice(0, maxLength).toWellFormed() : value)
    text = JSON.stringify({ ...toGelf(entry), _shortened: 'true' }, (_, value) => cut(value))
  }
  return text
}

function toGelf({ time, level, message, role, name, fields }: LogEntry): Record<string, string | number> {
  const short = message.split('\n', 1)[0]?.slice(0, SHORT_LENGTH).toWellFormed().trim() || '-'
  const gelf: Record<string, string | number> = {
    version: '1.1',
    host: hostname(),
    short_message: short,
    timestamp: time.getTime() / 1000,
    level: SEVERITY[level],
    _role: role,
    _name: name,
  }
  if (short !== message) gelf.full_message = message
  for (const [field, value] of Object.entries(fields)) {
    gelf[`_${field}`] = typeof value === 'number' ? value : String(value)
  }
  return gelf
}
