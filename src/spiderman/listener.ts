import type { Hono } from 'hono'
import { type ListeningServer, listen } from './server.ts'

export interface Address {
  host: string
  port: number
}

/** Where SpiderMan listens and what it answers by; both can change while it goes on. */
export interface Listener {
  url(): string
  /** Answers by another app from the next request on. */
  answerWith(app: Hono): void
  /**
   * Listens at another address. The former one is answered for a while longer, so that clients can follow.
   *
   * @throws ListenError when that is not possible; everything is as before then
   */
  moveTo(address: Address): Promise<void>
  /** Lets requests in flight finish, for at most a second. */
  close(): Promise<void>
}

/** How long the former address goes on being answered. */
const MOVING_MS = 5000

/** @throws ListenError */
export async function createListener(first: Hono, start: Address): Promise<Listener> {
  let app = first
  let address = start
  let server = await open(address)
  const former = new Map<ListeningServer, NodeJS.Timeout>()

  async function open({ host, port }: Address): Promise<ListeningServer> {
    return listen({ fetch: (...request) => app.fetch(...request) }, host, port)
  }

  function leave(left: ListeningServer): void {
    const timer = setTimeout(() => {
      former.delete(left)
      void left.close()
    }, MOVING_MS)
    former.set(left, timer)
  }

  /** One port cannot be listened on twice: the former socket goes first, and comes back if the new one is refused. */
  async function replace(next: Address): Promise<void> {
    const closing = server.close()
    try {
      server = await open(next)
    } catch (error) {
      server = await open(address)
      throw error
    } finally {
      void closing
    }
  }

  return {
    url: () => server.url,
    answerWith(next) {
      app = next
    },
    async moveTo(next) {
      if (next.host === address.host && next.port === address.port) return
      if (next.port === server.port) await replace(next)
      else {
        const fresh = await open(next)
        leave(server)
        server = fresh
      }
      address = next
    },
    async close() {
      for (const timer of former.values()) clearTimeout(timer)
      await Promise.all([server, ...former.keys()].map((each) => each.close()))
    },
  }
}
