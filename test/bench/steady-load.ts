import { Agent, get } from 'node:http'
import { TOKEN } from '../e2e/binary.ts'

/**
 * Asks a URL so many times a second for so many seconds, as a program of its own, whether it answers or not:
 * `steady-load.ts URL PER_SECOND SECONDS`. At the end it says on the IPC channel how long each answer took, in
 * milliseconds from the moment at which the request was due, in the order of these moments. wrk keeps no rate, and autocannon measures from the moment of
 * sending: a server that stalls would hold up their next requests, and the wait would be in nobody's figure.
 */
const [, , url = '', perSecond, seconds] = process.argv
const agent = new Agent({ keepAlive: true, maxSockets: 16 })
const count = Number(perSecond) * Number(seconds)
const startMs = performance.now()
const latencies: number[] = []
let sent = 0
let answered = 0

function sendDue(): void {
  for (; sent < count && dueAt(sent) <= performance.now(); sent++) send(sent)
  if (sent < count) setTimeout(sendDue, 1)
}

function dueAt(index: number): number {
  return startMs + (index * 1000) / Number(perSecond)
}

function send(index: number): void {
  get(url, { agent, headers: { authorization: `Bearer ${TOKEN}` } }, (answer) => {
    if (answer.statusCode !== 200) fail(`it answered ${answer.statusCode}`)
    answer.resume().on('end', () => {
      latencies[index] = performance.now() - dueAt(index)
      if (++answered === count) process.send?.({ latencies })
    })
  }).on('error', ({ message }) => fail(message))
}

function fail(message: string): never {
  process.stderr.write(`${url}: ${message}\n`)
  process.exit(1)
}

process.once('disconnect', () => process.exit(0))
sendDue()
