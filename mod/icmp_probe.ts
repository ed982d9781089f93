/**
 * icmp_probe: sends ICMP echo requests by the system's `ping` (iputils), which alone may do so without further rights.
 *
 *   gateway:
 *     module: icmp_probe
 *     period: 5
 *     query:
 *       host: localhost            # name or address
 *       # ip_version: 4            # 4 or 6; without it as the resolver prefers
 *       count: 3                   # requests, 1 to 20
 *       interval: 200ms            # between them; below 200ms older versions of ping refuse
 *       size: 56                   # bytes of each, without headers
 *       timeout: 5                 # seconds for the whole check; what has no answer shortly before is lost
 *     success_criteria:            # default: received is at least 1
 *       loss_percent: { type: lte, query: 34 }
 *       rtt_ms: { type: lt, query: 20 }
 *
 * Where `ping` is missing or may not send, the check is unknown and says what to do.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { isIP } from 'node:net'
import { Dead, defineProbe, explainNetworkError, lookup, msSince, quote, seconds, Unknown, z } from 'deadpool'

const MAX_OUTPUT = 64 * 1024
/** Of the time, this share and at least so many milliseconds are for starting ping and for hearing what it counted. */
const SPARE_SHARE = 0.1
const SPARE_MS = 100
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

const querySchema = z
  .strictObject({
    host: z.string().min(1).describe('name or address'),
    ip_version: z.literal([4, 6]).optional().describe('only addresses of this kind'),
    count: z.int().min(1).max(20).default(3).describe('how many requests'),
    interval: seconds({ minMs: 2 }).default(0.2).describe('time between them, s'),
    size: z.int().min(0).max(65_507).default(56).describe('of each without headers, bytes'),
    timeout: seconds().default(5).describe('for the whole check, s'),
  })
  .superRefine(({ host, count, interval, timeout }, context) => {
    const refuse = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message })
    if (!/^[^-\s][^\s]*$/.test(host)) refuse('host', 'is not a name or address')
    if (count * interval >= timeout - findSpare(timeout)) {
      refuse('timeout', `is too short for ${count} requests, one each ${interval} s; lessen count or interval`)
    }
  })

type Query = z.output<typeof querySchema>

/** In seconds. */
function findSpare(timeout: number): number {
  return Math.max(timeout * SPARE_SHARE, SPARE_MS / 1000)
}

export const Probe = defineProbe({
  summary: 'Pings a host: ICMP echo by the ping of the system.',
  query: querySchema,
  facts: {
    received: { about: 'answers', type: 'number' },
    sent: { about: 'requests', type: 'number' },
    loss_percent: { about: 'requests without an answer', type: 'number', unit: 'percent' },
    rtt_ms: { about: 'average time until an answer', type: 'number', unit: 'ms' },
    rtt_min_ms: { about: 'the quickest', type: 'number', unit: 'ms' },
    rtt_max_ms: { about: 'the slowest', type: 'number', unit: 'ms' },
    jitter_ms: { about: 'deviation of these times, mdev as ping has it', type: 'number', unit: 'ms' },
    icmp_error: { about: 'what a router said of the last request, such as Destination Host Unreachable', type: 'text' },
    remote_ip: { about: 'address that was pinged', type: 'text' },
    time_ms: { about: 'whole check', type: 'number', unit: 'ms' },
  },
  criteria: { received: { type: 'gte', query: 1 } },
  async probe(query, { signal }) {
    const startedAt = performance.now()
    const address = await resolve(query, signal)
    const passed = (performance.now() - startedAt) / 1000
    const said = await ping(listArguments(query, address, passed), signal)
    const time_ms = msSince(startedAt)
    return { ...readFacts(said, address), remote_ip: address, time_ms }
  },
})

/** By the shared look-up, which tells a dead resolver from a dead target; ping would only say that it failed. */
async function resolve({ host, ip_version: family }: Query, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted()
  if (isIP(host) !== 0 && (family === undefined || isIP(host) === family)) return host
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort)
  lookup(host, { family }, (error, address) => {
    if (error) reject(explainNetworkError(error))
    else resolve(String(address))
  })
  return promise.finally(() => signal.removeEventListener('abort', abort))
}

/** Without `-w`, which would go on sending until it is over; `-W` is the wait after the last request. */
function listArguments({ count, interval, size, timeout }: Query, address: string, passed: number): string[] {
  const wait = Math.max(0.01, timeout - findSpare(timeout) - passed - (count - 1) * interval)
  const options = { '-c': count, '-i': interval, '-s': size, '-W': wait.toFixed(2) }
  return ['-n', ...Object.entries(options).flatMap(([option, value]) => [option, `${value}`]), '--', address]
}

interface Said {
  output: string
  errors: string
}

function ping(args: string[], signal: AbortSignal): Promise<Said> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<Said>()
  const said: Said = { output: '', errors: '' }
  const child = start(args)
  const abort = () => {
    killGroup(child)
    reject(signal.reason)
  }
  signal.addEventListener('abort', abort)
  child.on('error', (error) => reject(explainStart(error)))
  child.on('close', () => resolve(said))
  // Without descriptors there are no pipes. The numbers come last.
  child.stdout?.setEncoding('utf8').on('data', (text) => (said.output = (said.output + text).slice(-MAX_OUTPUT)))
  child.stderr?.setEncoding('utf8').on('data', (text) => (said.errors = (said.errors + text).slice(0, MAX_OUTPUT)))
  return promise.finally(() => signal.removeEventListener('abort', abort))
}

/** In a process group of its own, which can be killed whole. */
function start(args: string[]): ChildProcess {
  try {
    return spawn('ping', args, {
      detached: true,
      env: { PATH: `${process.env.PATH ?? ''}:${PATH}`, LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  } catch (error) {
    // Most errors come by the event, but not all.
    throw explainStart(error as NodeJS.ErrnoException)
  }
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}

const MAY_NOT = 'ping may not send ICMP here; run: setcap cap_net_raw+ep "$(command -v ping)"'

const IS_MISSING = 'this host has no ping; run: apt-get install iputils-ping, or dnf install iputils'

/** Whatever keeps ping from starting says nothing of the target. */
function explainStart(error: NodeJS.ErrnoException): Unknown {
  const { code = error.message } = error
  if (code === 'ENOENT' && !existsSync('/dev/null')) return new Unknown('ping cannot run: this host has no /dev/null')
  return new Unknown({ ENOENT: IS_MISSING, EACCES: MAY_NOT, EPERM: MAY_NOT }[code] ?? `ping cannot be started: ${code}`)
}

const COUNTS = /^(\d+) packets transmitted, (\d+) received/m
const TIMES = /^rtt min\/avg\/max\/mdev = ([\d.]+)\/([\d.]+)\/([\d.]+)\/([\d.]+) ms/m
const ICMP_ERROR = /^From \S+ icmp_seq=\d+ (?!Redirect)(.+)$/gm

function readFacts({ output, errors }: Said, address: string) {
  const counts = COUNTS.exec(output)
  const [sent = 0, received = 0] = counts?.slice(1).map(Number) ?? []
  if (received === 0) refuseOwnTrouble(errors, address)
  if (!counts || sent === 0) throw new Unknown(`ping said something unforeseen: ${quote((errors || output).trim())}`)
  const [rtt_min_ms, rtt_ms, rtt_max_ms, jitter_ms] = TIMES.exec(output)?.slice(1).map(Number) ?? []
  return {
    received,
    sent,
    loss_percent: Math.round(((sent - received) / sent) * 1000) / 10,
    rtt_ms,
    rtt_min_ms,
    rtt_max_ms,
    jitter_ms,
    icmp_error: [...output.matchAll(ICMP_ERROR)].at(-1)?.[1],
  }
}

/** What ping complains of when it cannot send: as with other sockets, a host without a route is dead, the rest unknown. */
function refuseOwnTrouble(errors: string, address: string): void {
  const [, words] = /^ping: (?:connect|sendmsg|socket): (.+)$/m.exec(errors) ?? []
  if (words === undefined) return
  if (words === 'No route to host') throw new Dead(`no route to ${address}`)
  if (words === 'Network is unreachable') throw new Unknown(`this host has no route to the network of ${address}`)
  if (/^ping: socket: /m.test(errors)) throw new Unknown(MAY_NOT)
  throw new Unknown(`this host could not send to ${address}: ${words}`)
}
