import { AsyncLocalStorage } from 'node:async_hooks'
import * as dns from 'node:dns'
import pLimit from 'p-limit'

/**
 * `getaddrinfo` occupies a thread of libuv's pool until the resolver answers, which can take 30 s and more. So that a
 * silent resolver leaves threads for the disk, lookups may hold only this share of the pool at a time; the rest wait.
 */
const poolSize = Number(process.env.UV_THREADPOOL_SIZE) || 4
const limit = pLimit(Math.max(1, poolSize - 3))

const inFlight = new Map<string, Promise<dns.LookupAddress[]>>()

/** Shows whether a check waits for this host: for the resolver, or for its module. */
export interface LookupWatch {
  /** The name that is being looked up. */
  resolving: string | undefined
  /** The module whose thread is being started. */
  starting?: string | undefined
}

const watches = new AsyncLocalStorage<LookupWatch>()

/** Runs a check so that `watch` shows its lookups. */
export function watchLookups<T>(watch: LookupWatch, run: () => T): T {
  return watches.run(watch, run)
}

/** The watch of the check that is running, if it has one. */
export function currentLookupWatch(): LookupWatch | undefined {
  return watches.getStore()
}

/** One address of a name, as `dns.lookup` gives it. */
export interface Address {
  address: string
  family: number
}

/** What `node:net` calls a LookupFunction, in words of its own: a module's types stand without those of Node. */
export type Lookup = (
  hostname: string,
  options: {
    family?: number | 'IPv4' | 'IPv6' | undefined
    hints?: number | undefined
    all?: boolean | undefined
    /** When it aborts nobody waits for the answer any more. */
    signal?: AbortSignal | undefined
  },
  callback: (
    error: (Error & { code?: string | undefined }) | null,
    address: string | Address[],
    family?: number,
  ) => void,
) => void

/**
 * `dns.lookup` for sockets (`http.request({ lookup })`, `net.connect({ lookup })`) that asks the resolver once for all
 * who want the same name at the same moment, and never takes the whole thread pool.
 */
export const lookup: Lookup = (hostname, options, callback) => {
  const forget = showLookup(hostname, options.signal)
  resolveShared(hostname, options.family ?? 0, options.hints ?? 0).then(
    (addresses) => {
      forget()
      const [first] = addresses
      if (options.all) callback(null, addresses)
      else if (first) callback(null, first.address, first.family)
      else callback(Object.assign(new Error(`${hostname} has no address`), { code: 'ENOTFOUND' }), '')
    },
    (error: NodeJS.ErrnoException) => {
      forget()
      callback(error, '')
    },
  )
}

/** The names that a check waits for: it may want several at a time. */
const awaited = new WeakMap<LookupWatch, Map<symbol, string>>()

/** Shows in the watch of this check that it waits for a name, until the function returned is called or the signal aborts. */
function showLookup(hostname: string, signal: AbortSignal | undefined): () => void {
  const watch = currentLookupWatch()
  if (!watch) return () => {}
  const names = awaited.get(watch) ?? new Map<symbol, string>()
  const key = Symbol(hostname)
  const forget = () => {
    signal?.removeEventListener('abort', forget)
    if (names.delete(key)) watch.resolving = names.values().next().value
  }
  awaited.set(watch, names.set(key, hostname))
  watch.resolving = hostname
  signal?.addEventListener('abort', forget)
  return forget
}

function resolveShared(hostname: string, family: number | string, hints: number): Promise<dns.LookupAddress[]> {
  const key = `${hostname} ${family} ${hints}`
  const running = inFlight.get(key)
  if (running) return running
  const fresh = limit(() => dns.promises.lookup(hostname, { family: toFamily(family), hints, all: true })).finally(() =>
    inFlight.delete(key),
  )
  inFlight.set(key, fresh)
  return fresh
}

function toFamily(family: number | string): number {
  if (family === 'IPv4') return 4
  if (family === 'IPv6') return 6
  return Number(family) || 0
}
