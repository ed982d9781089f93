import { createServer, type Server } from 'node:http'
import type { TestContext } from 'node:test'
import { finallyDo } from './binary.ts'

/** A real HTTP server that is as well as the test says, path by path, and remembers who came when. */
export interface Component {
  server: Server
  url: string
  /** Changes the status that a path is answered with from now on; 200 at first. */
  status(code: number, path?: string): void
  /** When the requests for a path arrived, on the monotonic clock. */
  arrivals(path?: string): number[]
  /** Lets all requests wait for their answers until `release`. */
  hold(): void
  release(): void
}

export async function startComponent(context: TestContext, { delayMs = 0 } = {}): Promise<Component> {
  const codes = new Map<string, number>()
  const arrivals = new Map<string, number[]>()
  const arrivalsOf = (path: string) => arrivals.get(path) ?? []
  let waiting: (() => void)[] | undefined
  const server = createServer(({ url: path = '/' }, response) => {
    arrivals.set(path, [...arrivalsOf(path), performance.now()])
    const answer = () => response.writeHead(codes.get(path) ?? 200).end()
    if (waiting) waiting.push(answer)
    else if (delayMs > 0) setTimeout(answer, delayMs)
    else answer()
  })
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, resolve))
  finallyDo(context, () => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as { port: number }
  return {
    server,
    url: `http://127.0.0.1:${port}`,
    status: (code, path = '/') => codes.set(path, code),
    arrivals: (path = '/') => arrivalsOf(path),
    hold() {
      waiting ??= []
    },
    release() {
      const answers = waiting ?? []
      waiting = undefined
      for (const answer of answers) answer()
    },
  }
}

/** YAML of a probe that asks `url`; `more` goes into the entry, `query` into its query. */
export function urlProbe(name: string, url: string, { more = 'period: 0.2', query = '' } = {}): string {
  return `${name}: { module: url_probe, ${more}, query: { url: "${url}"${query && `, ${query}`} } }`
}

/** The longest and the shortest time between two arrivals. */
export function gaps(arrivals: readonly number[]): { longestMs: number; shortestMs: number } {
  const between = arrivals.slice(1).map((ms, index) => ms - (arrivals[index] as number))
  return { longestMs: Math.max(0, ...between), shortestMs: Math.min(...between) }
}
