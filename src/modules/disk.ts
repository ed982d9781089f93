import { formatDuration } from '../config/duration.ts'
import { Unknown } from './errors.ts'

/**
 * What hangs on a disk, such as that of a network, holds a thread of libuv's pool until the disk is back. Look-ups leave
 * three threads to the disks; modules take two of them, so that one is left for the flags.
 */
const MAX_ASKED = 2

/** One question to a disk, from the first check that asks it on, for all that ask it meanwhile. */
interface Asking {
  answer: Promise<unknown>
  /** When a thread took it up; until then it waits for one. */
  startedMs: number | undefined
}

type Ask<T> = (path: string) => Promise<T>

const askings = new Map<Ask<unknown>, Map<string, Asking>>()
const asked = new Map<Asking, string>()
const waiting: (() => void)[] = []

/** Thrown when a disk does not answer in time. */
export class DiskHangs extends Unknown {}

export interface DiskOptions {
  signal: AbortSignal
  /** How long the disk may take; less than the check may, so that the check can tell that it was this disk. */
  patienceMs: number
}

/**
 * Asks the disk below `path`, which can hang for ever, so that one that hangs harms nobody else: the same `ask` (a function
 * of the module, not one made for the check) is under way at most once for a path, for all checks that want its answer, and
 * hanging disks never take the whole thread pool.
 *
 * @throws DiskHangs, which is an Unknown, when it has not answered for that long; Unknown when it could not be asked because
 * of other disks that hang; what `ask` throws
 */
export async function askDisk<T>(ask: Ask<T>, path: string, { signal, patienceMs }: DiskOptions): Promise<T> {
  signal.throwIfAborted()
  const asking = findAsking(ask, path)
  const agedMs = performance.now() - (asking.startedMs ?? performance.now())
  const { promise: end, reject: giveUp } = Promise.withResolvers<never>()
  const abort = () => giveUp(signal.reason)
  signal.addEventListener('abort', abort)
  const timer = setTimeout(() => giveUp(explainSilence(path, asking)), Math.max(1, patienceMs - agedMs))
  try {
    return (await Promise.race([asking.answer, end])) as T
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}

function findAsking(ask: Ask<unknown>, path: string): Asking {
  const known = askings.get(ask)?.get(path)
  if (known) return known
  const asking: Asking = { answer: Promise.resolve(), startedMs: undefined }
  askings.set(ask, (askings.get(ask) ?? new Map<string, Asking>()).set(path, asking))
  asking.answer = take(asking, ask, path)
  // All who wanted it may have left before it fails.
  asking.answer.catch(() => {})
  return asking
}

async function take(asking: Asking, ask: Ask<unknown>, path: string): Promise<unknown> {
  while (asked.size >= MAX_ASKED) await new Promise<void>((resolve) => waiting.push(resolve))
  asked.set(asking, path)
  asking.startedMs = performance.now()
  try {
    return await ask(path)
  } finally {
    asked.delete(asking)
    askings.get(ask)?.delete(path)
    waiting.shift()?.()
  }
}

function explainSilence(path: string, { startedMs }: Asking): Unknown {
  if (startedMs !== undefined) {
    return new DiskHangs(`${path} has not answered for ${formatDuration(performance.now() - startedMs)}`)
  }
  return new Unknown(`${path} cannot be asked while other disks hang: ${[...new Set(asked.values())].join(', ')}`)
}
