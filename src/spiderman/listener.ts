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
  const former = new Map<ListeningServer, { address: Address; timer: NodeJS.Timeout }>()

  async function open({ host, port }: Address): Promise<ListeningServer> {
    return listen({ fetch: (...request) => app.fetch(...request) }, host, port)
  }

  /** Makes `next` the one that counts; the one before is answered for a while longer. */
  function leaveFor(next: ListeningServer): void {
    const left = server
    server = next
    left.dismissClients(true)
    const timer = setTimeout(() => {
      former.delete(left)
      void left.close()
    }, MOVING_MS)
    former.set(left, { address, timer })
  }

  /** The server of an address that was left a moment ago, and is wanted again. */
  function takeBack({ host, port }: Address): ListeningServer | undefined {
    for (const [left, { address, timer }] of former) {
      if (left.port !== port || address.host !== host) continue
      clearTimeout(timer)
      former.delete(left)
      left.dismissClients(false)
      return left
    }
    return undefined
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
      const isHere = next.host === address.host && [address.port, server.port].includes(next.port)
      if (!isHere && next.port === server.port) await replace(next)
      else if (!isHere) leaveFor(takeBack(next) ?? (await open(next)))
      address = next
    },
    async close() {
      for (const { timer } of former.values()) clearTimeout(timer)
      await Promise.all([server, ...former.keys()].map((each) => each.close()))
    },
  }
}
