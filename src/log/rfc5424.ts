import { hostname } from 'node:os'
import { cutBytes, formatText, toOneLine } from './line-text.ts'
import { type LogEntry, SEVERITY } from './reporter.ts'

/** Receivers must take 2,048 bytes and mostly take 8,192 (rsyslog's default). */
const MAX_BYTES = 8192
const SD_BYTES = 4096
const VALUE_BYTES = 1024

/**
 * The SD-ID of the fields. Without a private enterprise number of its own DeadPool takes 32473, which RFC 5612 sets aside
 * for documentation: it belongs to nobody, so no other product's `deadpool@32473` can mean something else.
 */
const SD_ID = 'deadpool@32473'

/**
 * An entry as a syslog message (RFC 5424): the fields as structured data, the text in UTF-8 without the byte order mark that
 * the RFC asks for, since receivers would show it.
 */
export function formatRfc5424(entry: LogEntry, facility: number): string {
  const priority = facility * 8 + SEVERITY[entry.level]
  const header = `<${priority}>1 ${entry.time.toISOString()} ${HOSTNAME} deadpool ${process.pid} -`
  const data = formatData({ role: entry.role, name: entry.name, ...entry.fields })
  return cutBytes(`${header} ${data} ${formatText(entry)}`, MAX_BYTES)
}

const HOSTNAME =
  hostname()
    .replace(/[^\x21-\x7e]/g, '')
    .slice(0, 255) || '-'

/** What does not fit any more is left out, whole parameters at a time. */
function formatData(fields: Record<string, string | number | boolean>): string {
  let data = `[${SD_ID}`
  for (const [name, value] of Object.entries(fields)) {
    const escaped = cutBytes(toOneLine(String(value)), VALUE_BYTES).replace(/["\\\]]/g, '\\$&')
    const parameter = ` ${name.slice(0, 32)}="${escaped}"`
    if (Buffer.byteLength(data) + Buffer.byteLength(parameter) < SD_BYTES) data += parameter
  }
  return `${data}]`
}
