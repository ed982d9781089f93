import type { Server } from 'node:net'
import type { Connection } from '../spiderman/server.ts'
import type { WatchmanMessage } from '../watchman/messages.ts'
import type { Handover, PredecessorMessage, SuccessorMessage } from './messages.ts'

/** The process that this one takes over from. */
export interface Predecessor {
  /** Says that everything is prepared; resolves when its WatchMan has ended. */
  begin(readyWithinMs: number): Promise<Handover>
  /**
   * Says that requests can be answered, and gives each socket as it comes; resolves when all are there. Until then the
   * other process answers alone, and nothing is lost if this one ends.
   */
  takeSockets(onSocket: (name: string, server: Server) => void): Promise<void>
  /** Passes on what WatchMan said. */
  relay(message: WatchmanMessage): void
  /** Says that this process answers, and gives each connection that clients keep to the other one as it comes. */
  ready(version: string, onConnection: (connection: Connection) => void): void
  /** Says why this process cannot go on; resolves when that is said. */
  fail(reasons: readonly string[]): Promise<void>
}

const PROOF_MS = 500

/** Finds the process that this one takes over from, by the channel to it. Without one it ends. */
export function openPredecessor(): Predecessor {
  let onBegin = (_: Handover) => {}
  let onSocket = (_: string, __: Server, ___: number) => {}
  let onConnection = (_: Connection) => {}
  let hasSockets = false
  const send = (message: SuccessorMessage, done = () => {}) => {
    if (process.connected) process.send?.(message, undefined, undefined, done)
    else done()
  }
  process.on('message', (message: PredecessorMessage, handle: unknown) => {
    if (message.kind === 'begin') onBegin(message)
    // Without a pause: the socket accepts already, and what comes must not meet a server that has no answers.
    if (message.kind === 'socket') onSocket(message.name, handle as Server, message.left)
    if (message.kind === 'connection') onConnection(handle as Connection)
  })
  send({ kind: 'started' })
  // Without sockets there is nothing to go on with.
  process.once('disconnect', () => hasSockets || process.kill(process.pid, 'SIGKILL'))

  return {
    begin: (readyWithinMs) =>
      new Promise((resolve) => {
        onBegin = resolve
        send({ kind: 'prepared', readyWithinMs })
      }),
    takeSockets: (take) =>
      new Promise((resolve) => {
        onSocket = (name, server, left) => {
          take(name, server)
          if (left > 0) return
          hasSockets = true
          resolve()
        }
        send({ kind: 'open' })
      }),
    relay: (message) => send(message.kind === 'report' ? message : { kind: 'heartbeat' }),
    ready(version, take) {
      onConnection = take
      send({ kind: 'ready', version, takesConnections: true })
      setTimeout(() => send({ kind: 'proven' }), PROOF_MS)
    },
    fail: (reasons) => new Promise((resolve) => send({ kind: 'failed', reasons: [...reasons] }, resolve)),
  }
}
