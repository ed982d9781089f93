import { createServer } from 'node:http'

/** The yardstick of SpiderMan: what Node's own server can do at most, with the same headers, no token and no verdict. */
const BODY = 'OK\nTEST SERVER\n'
const HEADERS = {
  'content-type': 'text/plain; charset=utf-8',
  'cache-control': 'no-store',
  vary: 'accept',
  'content-length': BODY.length,
}

createServer((_request, response) => {
  response.writeHead(200, HEADERS)
  response.end(BODY)
}).listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 1024 })
process.once('disconnect', () => process.exit(0))
