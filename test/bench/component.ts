import { once } from 'node:events'
import { startScript, stopProgram } from './programs.ts'

/** `component-server.ts` at work. */
export interface Component {
  url: string
  /** How often each path was asked so far. */
  counts(): Promise<Record<string, number>>
  /** When each path was asked, in milliseconds; nothing unless it was started to keep that. */
  stamps(): Promise<Record<string, number[]>>
  stop(): Promise<void>
}

/** Starts the component that all probes of the benchmark ask. */
export async function startComponent({ keepsStamps = false } = {}): Promise<Component> {
  const child = startScript('component-server.ts', keepsStamps ? ['stamps'] : [])
  const [{ port }] = await once(child, 'message')
  async function ask(what: string) {
    const answer = once(child, 'message')
    child.send(what)
    return (await answer)[0]
  }
  return {
    url: `http://127.0.0.1:${port}`,
    counts: async () => (await ask('counts')).counts,
    stamps: async () => (await ask('stamps')).stamps,
    stop: () => stopProgram(child),
  }
}
