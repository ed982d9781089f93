/**
 * host_probe: looks at this host: disks, memory, load and clock. It has no criteria of its own: what is too little differs.
 *
 *   host:
 *     module: host_probe
 *     period: 60
 *     query:
 *       paths: [/]                 # a path on each file system to look at
 *       ntp_server: localhost      # asked for the time (SNTP); without it clock_offset_ms is not known
 *       ntp_port: 123
 *       timeout: 5                 # seconds; a disk that hangs for nine tenths of it is dead
 *     success_criteria:            # default: none; needed
 *       disk_free_percent: { type: gte, query: 5 }     # of the fullest path; of one: 'disk_free_percent:/'
 *       inodes_free_percent: { type: gte, query: 5 }
 *       mem_available_percent: { type: gte, query: 5 }
 *       load_per_core: { type: lt, query: 20 }
 *       clock_offset_ms: { type: between, query: [-500, 500] }
 *
 * Free are the blocks that programs of any user may still take, as in `df`. A path that is not there, or whose disk does not
 * answer, is dead. Memory is what the kernel calls available; in a container with a limit of its own, the lower of that and
 * what the container may still take (its limit less what it uses, without page cache that is easily given up). A limit
 * within this host, such as systemd's MemoryMax for DeadPool, is none of the host. Load is of the whole host, by its cores. A
 * time server that does not answer, or is not synchronised itself, leaves unknown a probe that judges clock_offset_ms and finds
 * nothing else wrong. It counts who asks: take one of your own.
 */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { cpus, loadavg, uptime } from 'node:os'
import { askDisk, Dead, DiskHangs, defineProbe, lookup, msSince, seconds, Unknown, z } from 'deadpool'

const querySchema = z.strictObject({
  paths: z.array(z.string().min(1)).min(1).default(['/']).describe('a path on each file system to look at'),
  ntp_server: z.string().min(1).optional().describe('host to ask for the time; without it the clock is not looked at'),
  ntp_port: z.int().min(1).max(65535).default(123).describe('port of the time server'),
  timeout: seconds().default(5).describe('of the whole check'),
})

type Query = z.output<typeof querySchema>

const percent = (about: string) => ({ about, type: 'number', unit: 'percent' }) as const

export const Probe = defineProbe({
  summary: 'Looks at the disks, memory, load and clock of this host.',
  query: querySchema,
  facts: {
    disk_free_percent: percent('free space, of the path that has least'),
    disk_lowest_path: {
      about: 'path with the least free space',
      type: 'text',
      explains: ['disk_free_percent'],
    },
    inodes_free_percent: percent('free inodes, of the path that has least; absent where no file system counts them'),
    inodes_lowest_path: { about: 'path with the least free inodes', type: 'text', explains: ['inodes_free_percent'] },
    mem_available_percent: percent('memory that can be had without swapping'),
    swap_free_percent: percent('free swap; absent when there is no swap'),
    load_per_core: { about: 'load of the last minute for each core', type: 'number' },
    load_per_core_5: { about: 'load of the last 5 minutes for each core', type: 'number' },
    load_per_core_15: { about: 'load of the last 15 minutes for each core', type: 'number' },
    uptime_s: { about: 'time since this host started', type: 'number', unit: 's' },
    clock_offset_ms: {
      about: 'what the clock of this host lacks: positive when it is behind the time server; only with ntp_server',
      type: 'number',
      unit: 'ms',
    },
    time_ms: { about: 'whole check', type: 'number', unit: 'ms' },
  },
  factsOf: ({ paths }) =>
    Object.fromEntries(
      paths.flatMap((path) => [
        [`disk_free_percent:${path}`, percent(`free space of ${path}`)],
        [`inodes_free_percent:${path}`, percent(`free inodes of ${path}`)],
      ]),
    ),
  async probe(query, { signal }) {
    const startedAt = performance.now()
    // The clock's failure concerns only those who judge it.
    const [disks, clock] = await Promise.allSettled([readDisks(query, signal), askClock(query, signal)])
    signal.throwIfAborted()
    if (disks.status === 'rejected') throw disks.reason
    return {
      ...disks.value,
      ...readMemory(),
      ...readLoad(),
      uptime_s: Math.floor(uptime()),
      get clock_offset_ms() {
        if (clock.status === 'rejected') throw clock.reason
        return clock.value
      },
      time_ms: msSince(startedAt),
    }
  },
})

/** What is free on a file system, in percent; undefined where it does not count in that unit, as /proc in blocks. */
interface Usage {
  disk: number | undefined
  inodes: number | undefined
}

async function readDisks({ paths, timeout }: Query, signal: AbortSignal) {
  // Not all of the time, so that the reason can name the disk that hangs.
  const disk = { signal, patienceMs: timeout * 900 }
  const unique = [...new Set(paths)]
  const answers = await Promise.allSettled(unique.map((path) => askDisk(readUsage, path, disk)))
  signal.throwIfAborted()
  const errors = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []))
  const [error] = errors
  if (error !== undefined) throw findFault(errors) ?? error
  const usages = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
  return { ...toFacts('disk', unique, usages), ...toFacts('inodes', unique, usages) }
}

/** What is wrong with this host; a disk that hangs is, whoever asks it. */
function findFault(errors: unknown[]): Dead | undefined {
  const faults = errors.filter((error) => error instanceof Dead || error instanceof DiskHangs)
  return faults.length === 0 ? undefined : new Dead(faults.map(({ message }) => message).join('; '))
}

function toFacts(kind: keyof Usage, paths: string[], usages: Usage[]): Record<string, number | string> {
  const facts: Record<string, number | string> = {}
  let lowest = Number.POSITIVE_INFINITY
  for (const [index, path] of paths.entries()) {
    const free = usages[index]?.[kind]
    if (free === undefined) continue
    facts[`${kind}_free_percent:${path}`] = free
    if (free >= lowest) continue
    lowest = free
    facts[`${kind}_free_percent`] = free
    facts[`${kind}_lowest_path`] = path
  }
  return facts
}

async function readUsage(path: string): Promise<Usage> {
  try {
    const { blocks, bfree, bavail, files, ffree } = await statfs(path)
    // What is kept back for root is neither used nor free, as in `df`.
    return { disk: toPercent(bavail, blocks - bfree + bavail), inodes: toPercent(ffree, files) }
  } catch (error) {
    throw explainDisk(path, error)
  }
}

const DISK_FAULTS: Record<string, string> = {
  ENOENT: 'is not there',
  ENOTDIR: 'is not there',
  ESTALE: 'has a stale file handle: the server of the file system does not know it any more',
  ENOTCONN: 'is mounted, and the server of the file system has ended',
  EIO: 'cannot be read: input/output error',
}

/** What this process may not, or cannot for want of memory or descriptors, is left to the core, which calls it unknown. */
function explainDisk(path: string, error: unknown): unknown {
  const { code = '' } = error as NodeJS.ErrnoException
  if (/^(EACCES|EPERM)$/.test(code)) return new Unknown(`${path} cannot be looked at: DeadPool is not allowed to`)
  if (/^(ENOMEM|EMFILE|ENFILE)$/.test(code)) return error
  return new Dead(`${path} ${DISK_FAULTS[code] ?? `cannot be read: ${code}`}`, { cause: error })
}

function toPercent(part: number, whole: number): number | undefined {
  return whole > 0 ? Math.round((part / whole) * 10_000) / 100 : undefined
}

/** The files of /proc and /sys are the kernel's memory: to read them waits for no disk. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // not on this kernel, or not in this container: the fact stays absent
  }
}

/** Finds a number by its name at the beginning of a line. */
function findNumber(text: string, name: string): number | undefined {
  const found = new RegExp(`^${name}:?\\s+(\\d+)`, 'm').exec(text)?.[1]
  return found === undefined ? undefined : Number(found)
}

function readMemory() {
  const meminfo = readText('/proc/meminfo')
  const [total = 0, available, swap = 0, swapFree = 0] = ['MemTotal', 'MemAvailable', 'SwapTotal', 'SwapFree'].map(
    (name) => findNumber(meminfo, name),
  )
  const shares = [available === undefined ? undefined : toPercent(available, total), readContainer(total * 1024)]
  const known = shares.filter((share) => share !== undefined)
  return {
    mem_available_percent: known.length === 0 ? undefined : Math.min(...known),
    swap_free_percent: toPercent(swapFree, swap),
  }
}

const CGROUPS = [
  { folder: '/sys/fs/cgroup', limit: 'memory.max', used: 'memory.current', cache: 'inactive_file' },
  {
    folder: '/sys/fs/cgroup/memory',
    limit: 'memory.limit_in_bytes',
    used: 'memory.usage_in_bytes',
    cache: 'total_inactive_file',
  },
]

/**
 * What a container may still take, in percent of its limit; undefined outside of one. The topmost group that can be seen is
 * the container's: on a host it is the root, which has no limit.
 */
function readContainer(totalBytes: number): number | undefined {
  for (const { folder, limit, used, cache } of CGROUPS) {
    const limitBytes = Number.parseInt(readText(`${folder}/${limit}`), 10)
    if (!(limitBytes < totalBytes)) continue
    const usedBytes = Number.parseInt(readText(`${folder}/${used}`), 10)
    if (Number.isNaN(usedBytes)) continue
    const cacheBytes = findNumber(readText(`${folder}/memory.stat`), cache) ?? 0
    return toPercent(Math.max(0, limitBytes - Math.max(0, usedBytes - cacheBytes)), limitBytes)
  }
  return undefined
}

function readLoad() {
  const cores = countCores()
  const [one = 0, five = 0, fifteen = 0] = loadavg().map((load) => Math.round((load / cores) * 1000) / 1000)
  return { load_per_core: one, load_per_core_5: five, load_per_core_15: fifteen }
}

/** The cores of the host and not those that this process may use, as load is that of all: `0-3,8` are five. */
function countCores(): number {
  const ranges = readText('/sys/devices/system/cpu/online').trim().split(',').filter(Boolean)
  const counts = ranges.map((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return last - first + 1
  })
  return counts.reduce((sum, count) => sum + count, 0) || cpus().length || 1
}

/** The milliseconds that this host's clock is behind the time server's, or undefined when none is to be asked. */
async function askClock(query: Query, signal: AbortSignal): Promise<number | undefined> {
  const { ntp_server: host, ntp_port: port, timeout } = query
  if (host === undefined) return undefined
  const name = `the time server ${host}:${port}`
  const address = await findAddress(host, signal).catch((error: NodeJS.ErrnoException) => {
    signal.throwIfAborted()
    throw new Unknown(`${name} has no address (${error.code})`, { cause: error })
  })
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  let isOver = false
  const socket = createSocket(address.family === 6 ? 'udp6' : 'udp4')
  const sent: Sent[] = []
  let second: NodeJS.Timeout | undefined
  const ask = () => {
    const request = createRequest()
    sent.push(request)
    socket.send(request.packet)
  }
  const fail = ({ code }: NodeJS.ErrnoException) => reject(new Unknown(`${name} cannot be asked (${code})`))
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort)
  socket.on('error', fail)
  socket.on('message', (packet) => {
    try {
      const offsetMs = readAnswer(packet, sent)
      if (offsetMs !== undefined) resolve(offsetMs)
    } catch (error) {
      reject(new Unknown(`${name} ${(error as Error).message}`))
    }
  })
  socket.connect(port, address.address, (error?: Error) => {
    if (isOver) return
    if (error) return fail(error)
    ask()
    // One packet may be lost without that saying anything.
    second = setTimeout(ask, timeout * 300)
  })
  const silence = () => reject(new Unknown(`${name} did not answer within ${Math.round(timeout * 80) / 100} s`))
  const end = setTimeout(silence, timeout * 800)
  try {
    return await promise
  } finally {
    isOver = true
    clearTimeout(second)
    clearTimeout(end)
    signal.removeEventListener('abort', abort)
    socket.close()
  }
}

async function findAddress(host: string, signal: AbortSignal): Promise<{ address: string; family: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ address: string; family: number }>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort)
  lookup(host, {}, (error, address, family = 4) => {
    if (error) reject(error)
    else resolve({ address: String(address), family })
  })
  return promise.finally(() => signal.removeEventListener('abort', abort))
}

/** A request as it left: what it is known by, and when that was. */
interface Sent {
  packet: Buffer
  cookie: Buffer
  wallMs: number
  monotonicMs: number
}

/** A request of SNTP (RFC 4330). Its time is a random one, by which the answer is known and which tells nobody our clock. */
function createRequest(): Sent {
  const packet = Buffer.alloc(48)
  packet[0] = 0x23 // version 4, from a client
  const cookie = randomBytes(8)
  cookie.copy(packet, TRANSMIT)
  return { packet, cookie, wallMs: Date.now(), monotonicMs: performance.now() }
}

const [ORIGINATE, RECEIVE, TRANSMIT] = [24, 32, 40]

/**
 * The offset that an answer tells, as RFC 4330 has it; undefined for a packet that answers none of ours.
 *
 * @throws an error with the phrase that says why the server has no time to give
 */
function readAnswer(packet: Buffer, sent: readonly Sent[]): number | undefined {
  const arrived = performance.now()
  const [first = 0, stratum = 0] = packet
  const request = sent.find(({ cookie }) => packet.length >= 48 && cookie.equals(packet.subarray(ORIGINATE, RECEIVE)))
  if (!request || (first & 7) !== 4) return undefined
  if (stratum === 0) {
    // The kiss of death: four letters instead of a reference.
    throw new Error(`refuses to tell the time (${packet.toString('latin1', 12, 16).replace(/[^A-Z]/g, '')})`)
  }
  if (first >> 6 === 3 || stratum > 15) throw new Error('is not synchronised itself')
  const sentMs = request.wallMs
  const arrivedMs = sentMs + (arrived - request.monotonicMs)
  return Math.round((readTime(packet, RECEIVE, sentMs) - sentMs + readTime(packet, TRANSMIT, sentMs) - arrivedMs) / 2)
}

const SECONDS_1900_TO_1970 = 2_208_988_800

/** Reads a time of 32 bits of seconds since 1900 and 32 of their fraction, which turn over in 2036: the one nearest to `nearMs`. */
function readTime(packet: Buffer, at: number, nearMs: number): number {
  const nearSeconds = Math.floor(nearMs / 1000)
  const apart = (packet.readUInt32BE(at) - SECONDS_1900_TO_1970 - nearSeconds) | 0
  return (nearSeconds + apart + packet.readUInt32BE(at + 4) / 2 ** 32) * 1000
}
