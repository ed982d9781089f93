import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * A component that is always well, as a program of its own: it says its port on the IPC channel, and answers any message
 * there with how often each path was asked; to `stamps` it answers when, in milliseconds, if it was started with that word.
 */
const BODY = '1700000000 12:00:00 elasticsearch green 3 3 10 5 0 0 0 0 - 100.0%\n'
const counts: Record<string, number> = {}
const stamps: Record<string, number[]> = {}
const keepsStamps = process.argv[2] === 'stamps'

const server = createServer((request, response) => {
  const path = request.url ?? ''
  counts[path] = (counts[path] ?? 0) + 1
  if (keepsStamps) {
    stamps[path] ??= []
    stamps[path].push(performance.now())
  }
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': BODY.length })
  response.end(BODY)
})
server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, () => {
  process.send?.({ port: (server.address() as AddressInfo).port })
})
process.on('message', (wanted) => process.send?.(wanted === 'stamps' ? { stamps } : { counts }))
process.once('disconnect', () => process.exit(0))
