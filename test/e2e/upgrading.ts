import { chmodSync, existsSync, linkSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { BINARY, type DeadPool, finallyDo, isRunning, runBinary, type StartOptions, startDeadPool } from './binary.ts'

/** The log lines that begin with a text, or match. */
export const said = (deadpool: DeadPool, text: string | RegExp) =>
  deadpool.log().filter(({ message }) => (typeof text === 'string' ? message.startsWith(text) : text.test(message)))

/** What SpiderMan wrote down last, whichever process that is by now. */
export const notesOf = ({ folder }: DeadPool) =>
  JSON.parse(readFileSync(join(folder, 'probe/state/spiderman.json'), 'utf8'))

/** Starts a DeadPool of which a later process may be the one at work, which ends with the test too. */
export async function startToUpgrade(context: TestContext, options: StartOptions): Promise<DeadPool> {
  const deadpool = await startDeadPool(context, options)
  finallyDo(context, () => {
    if (!existsSync(deadpool.folder)) return
    const { pid } = notesOf(deadpool)
    if (isRunning(pid)) process.kill(pid, 'SIGKILL')
  })
  return deadpool
}

/** Runs the command. */
export const upgrade = ({ folder }: DeadPool) => runBinary(['upgrade', '--config', join(folder, 'deadpool.yml')])

/** A name for the binary that something else can take. */
export function nameBinary(folder: string): string {
  const binary = join(folder, 'deadpool')
  linkSync(BINARY, binary)
  return binary
}

/** Puts a program in the place of the binary, as an upgrade of a package does. */
export function replaceBinary(binary: string, script: string): void {
  writeFileSync(`${binary}.new`, `#!/bin/sh\n${script}\n`)
  chmodSync(`${binary}.new`, 0o755)
  renameSync(`${binary}.new`, binary)
}
