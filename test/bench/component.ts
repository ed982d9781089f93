import { once } from 'node:events'
import { startScript, stopProgram } from './programs.ts'

/** `component-server.ts` at work. */
export interface Component {
  url: string
  /** How often each path was asked so far. */
  counts(): Promise<Record<string, number>>
  stop(): Promise<void>
}

/** Starts the component that all probes of the benchmark ask. */
export async function startComponent(): Promise<Component> {
  const child = startScript('component-server.ts')
  const [{ port }] = await once(child, 'message')
  return {
    url: `http://127.0.0.1:${port}`,
    async counts() {
      const answer = once(child, 'message')
      child.send('count')
      const [{ counts }] = await answer
      return counts
    },
    stop: () => stopProgram(child),
  }
}
