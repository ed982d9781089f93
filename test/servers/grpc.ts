import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

/** What the server answers for a service: a status, an error of gRPC, or never anything. */
export type GrpcAnswer = string | number | { code: number; details: string }

export interface GrpcOptions {
  /** Paths of PEM files; with `clientCa` it wants a certificate of its clients as well. */
  tls?: { cert: string; key: string; clientCa?: string }
  /** Without it the server knows no method at all. */
  hasHealth?: boolean
}

/** A call as the server saw it. */
export interface Asked {
  service: string
  host: string
  metadata: Record<string, string>
  deadline_ms: number
}

/** A real gRPC server (@grpc/grpc-js) in a process of its own. */
export interface Grpc {
  port: number
  pid: number
  /** The next call for a service, as the server saw it. */
  nextCall(service: string): Promise<Asked>
  /** Changes what it answers for a service; the whole server, `''`, is SERVING at first. */
  set(service: string, answer: GrpcAnswer): Promise<void>
  pause(): void
  resume(): void
  stop(): Promise<void>
}

interface Message {
  port?: number
  set?: string
  asked?: Asked
}

/** Starts it on a free port of 127.0.0.1. */
export async function startGrpc(options: GrpcOptions = {}): Promise<Grpc> {
  const child = fork(join(import.meta.dirname, 'grpc-main.ts'), [JSON.stringify(options)])
  const kill = () => void child.kill('SIGKILL')
  process.once('exit', kill)
  function hear(isWanted: (message: Message) => boolean): Promise<Message> {
    const { promise, resolve } = Promise.withResolvers<Message>()
    const listener = (message: Message) => {
      if (!isWanted(message)) return
      child.off('message', listener)
      resolve(message)
    }
    child.on('message', listener)
    return promise
  }

  async function nextCall(service: string): Promise<Asked> {
    const { asked } = await hear((message) => message.asked?.service === service)
    if (!asked) throw new Error('it was no call')
    return asked
  }

  async function set(service: string, answer: GrpcAnswer): Promise<void> {
    const isSet = hear((message) => message.set === service)
    child.send({ service, answer })
    await isSet
  }

  async function stop(): Promise<void> {
    process.off('exit', kill)
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  const gone = once(child, 'exit').then(([code]) =>
    Promise.reject(new Error(`the gRPC server ended with code ${code}`)),
  )
  gone.catch(() => {})
  const { port = 0 } = await Promise.race([hear((message) => message.port !== undefined), gone])
  const pause = () => void child.kill('SIGSTOP')
  const resume = () => void child.kill('SIGCONT')
  return { port, pid: child.pid ?? 0, nextCall, set, pause, resume, stop }
}
