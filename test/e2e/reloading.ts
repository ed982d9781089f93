import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type DeadPool, type StartOptions, waitFor, writeConfig } from './binary.ts'

/** Changes the configuration file and asks for it to be loaded, by SIGHUP; resolves when the log tells how that went. */
export async function reload(deadpool: DeadPool, options: StartOptions | string): Promise<boolean> {
  const isOver = /^the configuration was (not )?loaded again/
  const count = () => deadpool.log().filter(({ message }) => isOver.test(message)).length
  const before = count()
  const text = typeof options === 'string' ? options : writeConfig(options)
  writeFileSync(join(deadpool.folder, 'deadpool.yml'), text)
  deadpool.child.kill('SIGHUP')
  await waitFor('the end of the reload', () => count() > before)
  const last = deadpool
    .log()
    .filter(({ message }) => isOver.test(message))
    .at(-1)
  return !last?.message.includes(' not ')
}

/** Waits until WatchMan works by the configuration that was loaded last. */
export async function watcherFollows(deadpool: DeadPool, times: number): Promise<void> {
  const isFollowing = ({ message }: { message: string }) => /by the new configuration/.test(message)
  await waitFor('WatchMan to follow', () => deadpool.log().filter(isFollowing).length >= times)
}
