import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** Runs shell commands until one fails; gives what they print, and rejects with it when one does. */
export async function runScript(
  commands: string,
  { cwd, ...env }: { cwd: string } & Record<string, string>,
): Promise<string> {
  const options = { cwd, env: { ...process.env, ...env }, timeout: 60_000 }
  const { stdout } = await promisify(execFile)('sh', ['-ec', commands], options)
  return stdout
}
