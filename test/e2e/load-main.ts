import { Agent, get } from 'node:http'
import { readMonotonic } from '../../src/clock.ts'
import { TOKEN } from './binary.ts'

/**
 * Asks a URL all the time, as a program of its own, whether it answers or not: `load-main.ts URL FRESH KEPT`, so many
 * times a second on fresh connections and on kept ones. Told to stop on the IPC channel, it waits for the last answers and
 * says what came of each request: when it was sent, when its end came (monotonic), and the status or the failure.
 */
const [, , url = '', fresh, kept] = process.argv
/** On a busy machine an answer can be late; what was lost is told from that all the same. */
const TIMEOUT_MS = 30_000
/** More than wait through a restart: a machine that cannot keep the rate is not asked for ever more. */
const MAX_OPEN = 1000
const agent = new Agent({ keepAlive: true, maxSockets: 50, scheduling: 'fifo' })
const results: [sentMs: number, endedMs: number, what: string][] = []
let isOver = false
let open = 0

/** A rate that is kept whatever happens, unlike that of clients that wait for their answers. */
function keepRate(perSecond: number, isKept: boolean): void {
  const startMs = performance.now()
  let sent = 0
  const sendDue = () => {
    if (isOver) return
    for (const due = ((performance.now() - startMs) * perSecond) / 1000; sent < due; sent++)
      if (open < MAX_OPEN) ask(isKept)
    setTimeout(sendDue, 2)
  }
  sendDue()
}

function ask(isKept: boolean): void {
  const sentMs = readMonotonic()
  let isDone = false
  open++
  const end = (what: string) => {
    if (isDone) return
    isDone = true
    results.push([sentMs, readMonotonic(), what])
    open--
    if (isOver && open === 0) tell()
  }
  const kind = isKept ? 'kept' : 'fresh'
  // Many addresses, or the ports of one would not suffice.
  const localAddress = `127.0.0.${2 + Math.floor(Math.random() * 200)}`
  const way = isKept ? { agent } : { agent: false as const, localAddress }
  const headers = { authorization: `Bearer ${TOKEN}` }
  const request = get(url, { ...way, headers, timeout: TIMEOUT_MS }, (answer) => {
    answer
      .resume()
      .on('end', () => end(String(answer.statusCode)))
      .on('error', (error) => end(`${kind}: ${error.message}`))
  })
  request.on('timeout', () => request.destroy(new Error('no answer')))
  request.on('error', (error: NodeJS.ErrnoException) => end(`${kind}: ${error.code ?? error.message}`))
}

function tell(): void {
  process.send?.(results, () => process.exit(0))
}

process.once('message', () => {
  isOver = true
  if (open === 0) tell()
})
process.once('disconnect', () => process.exit(0))
keepRate(Number(fresh), false)
keepRate(Number(kept), true)
