import * as z from 'zod'

/** The facilities of syslog that a program may use, by name (RFC 5424, 6.2.1). */
export const FACILITIES = {
  user: 1,
  mail: 2,
  daemon: 3,
  auth: 4,
  syslog: 5,
  lpr: 6,
  news: 7,
  uucp: 8,
  cron: 9,
  authpriv: 10,
  ftp: 11,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
} as const

const level = z
  .enum(['error', 'warn', 'info', 'debug'])
  .default('info')
  .describe('the least important lines that it gets')
const host = z.string().regex(/^[\w.:-]+$/, 'is not a host name or an IP address')
const port = z.int().min(1).max(65_535).describe('of the server')
const protocol = z.enum(['udp', 'tcp']).default('udp')

/** A Graylog server, or whatever else takes GELF 1.1. `compress` is gzip, and means UDP only: GELF over TCP knows none. */
const gelf = z.strictObject({
  type: z.literal('gelf').describe('Graylog, by GELF 1.1'),
  level,
  server: host.describe('host name or address'),
  port: port.default(12_201),
  protocol: protocol.describe('over UDP in chunks, over TCP each message ended by a NUL'),
  compress: z.boolean().default(true).describe('gzip; UDP only'),
})

/** Syslog: this host's own without `server`, the journal when systemd started us, else RFC 5424 to that server. */
const syslog = z.strictObject({
  type: z.literal('syslog').describe('syslog, or the journal when systemd started DeadPool'),
  level,
  server: host.optional().describe('host name or address of another syslog; without it that of this host'),
  port: port.default(514).describe('with server'),
  protocol: protocol.describe('with server; TCP with octet counting (RFC 6587)'),
  facility: z
    .enum(Object.keys(FACILITIES) as (keyof typeof FACILITIES)[])
    .default('daemon')
    .describe('the facility of syslog'),
})

/** Lines for people, on stderr, so that the output of commands stays clean. Coloured on a terminal unless `NO_COLOR`. */
const console = z.strictObject({
  type: z.literal('console').describe('lines for people, on standard error'),
  level,
  color: z.boolean().optional().describe('without it on a terminal'),
})

/** One JSON object a line, on stdout, where container platforms take the stream of events from. */
const json = z.strictObject({ type: z.literal('json').describe('one JSON object a line, on standard output'), level })

/** The schema of one entry of `Generic.log`. */
export const logTarget = z.discriminatedUnion('type', [gelf, syslog, console, json])

/** Where log lines are sent, and from which level on. */
export type LogTarget = z.output<typeof logTarget>

/** The targets of a configuration without `Generic.log`: this host's syslog, as the seed says. */
export const DEFAULT_TARGETS: LogTarget[] = [
  { type: 'syslog', level: 'info', port: 514, protocol: 'udp', facility: 'daemon' },
]
