import type { Server } from 'node:net'
import type { Hono } from 'hono'
import { type Address, type Connection, type ListeningServer, listen, showPath } from './server.ts'

/** What is answered by; it can change while everything goes on. */
export interface AppSwitch extends Pick<Hono, 'fetch'> {
  /** Answers by another app from the next request on. */
  answerWith(app: Hono): void
}

export function createAppSwitch(first: Hono): AppSwitch {
  let app = first
  return {
    fetch: (...request) => app.fetch(...request),
    answerWith(next) {
      app = next
    },
  }
}

/** Where SpiderMan listens; that can change while it goes on. */
export interface Listener {
  url(): string
  /** Where it listens in fact; there is at least one place. */
  places(): ListeningServer['where'][]
  /**
   * Listens at another address. The former one is answered for a while longer, so that clients can follow. Passed sockets
   * stay as they are, whatever the address.
   *
   * @throws ListenError when that is not possible; everything is as before then
   */
  moveTo(address: Address): Promise<void>
  /** What another process needs to listen in this one's place. */
  handOn(): HandedOn
  /** Lets no client keep its connection any more, and waits until none does, for at most half a second. */
  drain(): Promise<void>
  /** Accepts no more connections, and gives away those that clients keep, for at most half a second. */
  giveAway(give: (connection: Connection) => Promise<void>): Promise<void>
  /** Goes on with a connection that another process accepted. */
  take(connection: Connection): void
  /** Lets requests in flight finish, for at most a second. */
  close(): Promise<void>
}

/** A listener at an address. */
export interface AddressListener extends Listener {
  /** Answers on this one, too, for a while: clients follow from there. */
  answerForAWhile(former: ListeningServer, address: Address): void
}

/** Sockets for another process: those that a service manager passed, by their names, or the one of an address. */
export interface HandedOn {
  sockets: { name: string; server: Server }[]
  /** Undefined for sockets that a service manager passed. */
  address: Address | undefined
}

/** How long the former address goes on being answered. */
const MOVING_MS = 5000

/**
 * Listens at an address that can change; with `inherited`, on the socket of that address that another process has passed.
 *
 * @throws ListenError
 */
export async function createListener(
  app: Pick<Hono, 'fetch'>,
  start: Address,
  inherited?: ListeningServer,
): Promise<AddressListener> {
  let address = start
  let server = inherited ?? (await open(address))
  const former = new Map<ListeningServer, { address: Address; timer: NodeJS.Timeout }>()

  async function open({ host, port }: Address): Promise<ListeningServer> {
    return listen(app, { host, port })
  }

  /** Makes `next` the one that counts; the one before is answered for a while longer. */
  function leaveFor(next: ListeningServer): void {
    const left = server
    server = next
    answerForAWhile(left, address)
  }

  function answerForAWhile(left: ListeningServer, address: Address): void {
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
      if (portOf(left) !== port || address.host !== host) continue
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
    places: () => [server.where],
    async moveTo(next) {
      const isHere = next.host === address.host && [address.port, portOf(server)].includes(next.port)
      if (!isHere && next.port === portOf(server)) await replace(next)
      else if (!isHere) leaveFor(takeBack(next) ?? (await open(next)))
      address = next
    },
    answerForAWhile,
    handOn() {
      const { host, port } = address
      return { sockets: [{ name: '', server: server.server }], address: { host, port } }
    },
    drain: () => drainAll([server, ...former.keys()]),
    giveAway: (give) => giveAllAway([server, ...former.keys()], give),
    take: (connection) => server.take(connection),
    async close() {
      for (const { timer } of former.values()) clearTimeout(timer)
      await closeAll([server, ...former.keys()])
    },
  }
}

/** Stays with these servers of passed sockets; there is at least one. */
export function createGivenListener(given: readonly { name: string; server: ListeningServer }[]): Listener {
  const servers = given.map(({ server }) => server)
  const [first] = servers as [ListeningServer]
  return {
    url: () => first.url,
    places: () => servers.map(({ where }) => where),
    moveTo: () => Promise.resolve(),
    handOn: () => ({ sockets: given.map(({ name, server: { server } }) => ({ name, server })), address: undefined }),
    drain: () => drainAll(servers),
    giveAway: (give) => giveAllAway(servers, give),
    take: first.take,
    close: () => closeAll(servers),
  }
}

async function drainAll(servers: readonly ListeningServer[]): Promise<void> {
  await Promise.all(servers.map((each) => each.drain()))
}

async function giveAllAway(
  servers: readonly ListeningServer[],
  give: (connection: Connection) => Promise<void>,
): Promise<void> {
  await Promise.all(servers.map((each) => each.giveAway(give)))
}

async function closeAll(servers: readonly ListeningServer[]): Promise<void> {
  await Promise.all(servers.map((each) => each.close()))
}

function portOf({ where }: ListeningServer): number | undefined {
  return 'port' in where ? where.port : undefined
}

/**
 * What does not fit between the configured address and the passed sockets, which are what counts; undefined when one of
 * them is meant by it.
 */
export function findMismatch({ host, port }: Address, actual: readonly ListeningServer['where'][]): string | undefined {
  const isWildcard = (text: string) => text === '0.0.0.0' || text === '::'
  const isMeant = (where: ListeningServer['where']) => {
    if (!('port' in where)) return false
    const areWildcards = isWildcard(host) && isWildcard(where.host)
    const isHost = host === where.host || areWildcards || !/^[\d.]+$|:/.test(host)
    return (port === 0 || port === where.port) && isHost
  }
  if (actual.some(isMeant)) return undefined
  const places = actual.map((where) =>
    'port' in where ? `${where.host} port ${where.port}` : showPath(where.socketPath),
  )
  return `WEB.host ${host} and WEB.port ${port} do not count: the service manager passed a socket of ${places.join(', ')}`
}
