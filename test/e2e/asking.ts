import { type Agent, get } from 'node:http'
import type { TestContext } from 'node:test'
import { finallyDo, TOKEN } from './binary.ts'

/** A client that asks all the time, each question as soon as the one before is answered. */
export interface Asking {
  /** The different answers, or the codes of failures, in the order in which each came first; times and all. */
  heard(): string[]
  /** How many requests came to an answer or to a failure. */
  count(): number
  /** Stops, and gives what was heard. */
  stop(): Promise<string[]>
}

export interface AskingOptions {
  /** Where to ask next. */
  url: string | (() => string)
  /** False for a fresh connection each time. */
  agent?: Agent | false
  /** What is kept of an answer; all of it unless given. */
  keep?: (status: number, text: string) => string
  /** Called for each failure, on a kept connection or a fresh one; true ends the asking, and the failure is not one. */
  isEnd?: (code: string, isKept: boolean) => boolean
}

export function keepAsking(context: TestContext, options: AskingOptions): Asking {
  const { url, agent = false, keep = (_, text) => text, isEnd = () => false } = options
  const heard = new Set<string>()
  let count = 0
  let isOver = false

  function ask(): Promise<void> {
    const headers = { authorization: `Bearer ${TOKEN}` }
    return new Promise((resolve) => {
      const request = get(
        typeof url === 'string' ? url : url(),
        { agent, headers, timeout: 10_000 },
        async (answer) => {
          const text = (await answer.setEncoding('utf8').toArray()).join('')
          count++
          heard.add(keep(answer.statusCode ?? 0, text))
          resolve()
        },
      )
      request.on('error', (error: NodeJS.ErrnoException) => {
        const code = error.code ?? error.message
        if (isEnd(code, request.reusedSocket)) isOver = true
        else {
          count++
          heard.add(code)
        }
        resolve()
      })
    })
  }

  const asking = (async () => {
    while (!isOver) await ask()
  })()
  const stop = async () => {
    isOver = true
    await asking
    if (agent) agent.destroy()
    return [...heard]
  }
  finallyDo(context, stop)
  return { heard: () => [...heard], count: () => count, stop }
}
