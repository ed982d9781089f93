import { chmod, mkdir, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Notice } from '../verdict/notice.ts'
import { formatNotice } from './notice-file.ts'

/**
 * Puts a drain or a mute into the status folder, which is made if it is missing, in place of one that stands. It appears
 * whole or not at all, and everybody may read it whatever the umask: DeadPool is often another user. Rejects as the file
 * system does.
 */
export async function writeNotice(folder: string, file: string, notice: Notice): Promise<void> {
  const draft = join(folder, `.${file}.${process.pid}~`)
  await mkdir(folder, { recursive: true })
  try {
    await writeFile(draft, formatNotice(notice), { mode: 0o644, flush: true })
    await chmod(draft, 0o644)
    await rename(draft, join(folder, file))
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined) // the fault itself says more
    throw error
  }
}

/** Takes a drain or a mute away; tells whether one stood. Rejects as the file system does. */
export async function removeNotice(folder: string, file: string): Promise<boolean> {
  try {
    await unlink(join(folder, file))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
