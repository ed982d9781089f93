import { type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const SRC = fileURLToPath(new URL('../../src/log/', import.meta.url))

/** Makes the text of a script in which `openLog(targets)` opens a log as the program does. */
export function writeScript(script: string): string {
  return `
  import { createLog } from '${SRC}create-log.ts'
  import { logTarget } from '${SRC}target.ts'
  const openLog = (targets: unknown[]) => createLog({
    targets: targets.map((target) => logTarget.parse(target)),
    name: 'TEST',
    role: 'WatchMan',
    redact: (text) => text,
  })
  ${script}
`
}

interface ScriptOptions {
  stdio?: StdioOptions
  env?: NodeJS.ProcessEnv
}

/** Starts a process, for 20 s at most, that runs the script. */
export function startScript(script: string, { stdio = 'pipe', env = {} }: ScriptOptions = {}) {
  return spawn(process.execPath, ['--input-type=module-typescript', '--eval', writeScript(script)], {
    stdio,
    env: { ...process.env, ...env },
    timeout: 20_000,
    killSignal: 'SIGKILL',
  })
}

/** Runs the script to its end. */
export async function runScript(script: string, options?: ScriptOptions) {
  const start = performance.now()
  const child = startScript(script, options)
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.on('data', (chunk) => {
      output[name] += chunk
    })
  }
  const [code] = await once(child, 'close')
  return { code: code as number | null, ...output, tookMs: performance.now() - start }
}
