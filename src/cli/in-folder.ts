import type { Carried } from '../carried/carried.ts'
import { findConfig } from '../config/find.ts'
import { wantsColor } from '../log/console.ts'
import { answerWithin, FOLDER_TIMEOUT_MS } from '../status/answer-within.ts'
import type { Command } from './command-line.ts'
import { drain, resume } from './drain.ts'
import { checkMuteName, mute, unmute } from './mute.ts'
import { whoAmI } from './notice.ts'
import { failForDisk, findFolder, type Printout, type Surroundings } from './place.ts'
import { reload } from './reload.ts'
import { type Screen, status, watchStatus } from './status.ts'
import { upgrade } from './upgrade.ts'

/** The commands that look into, or change, the status folder, whether DeadPool runs or not. */
export type FolderCommand = Extract<
  Command,
  { name: 'status' | 'drain' | 'resume' | 'mute' | 'unmute' | 'reload' | 'upgrade' }
>

export interface Shell {
  carried: Carried
  env: NodeJS.ProcessEnv
  cwd: string
  stdout: NodeJS.WriteStream
  print(text: string): void
}

/** @throws ConfigError when the folder cannot be found, UsageError for a name that is none */
export async function executeInFolder(command: FolderCommand, shell: Shell): Promise<Printout> {
  const { carried, env, cwd } = shell
  const around: Surroundings = { env, cwd, home: carried.home }
  const folder = findFolder(command, around)
  switch (command.name) {
    case 'status':
      return showStatus(command, folder, shell)
    case 'drain':
      return inTime('not drained', folder, drain(folder, command.saying, whoAmI(env)))
    case 'resume':
      return inTime('still drained', folder, resume(folder))
    case 'mute':
      return inTime('not muted', folder, muteByName(command, folder, shell))
    case 'unmute':
      return inTime('still muted', folder, unmute(folder, command.item))
    case 'reload':
    case 'upgrade': {
      const isNamed = command.folder === undefined || command.config !== undefined
      const config = isNamed ? findConfig({ option: command.config, ...around }) : undefined
      return (command.name === 'reload' ? reload : upgrade)(folder, { carried, config })
    }
  }
}

async function muteByName(
  command: Extract<Command, { name: 'mute' }>,
  folder: string,
  { carried, env, cwd }: Shell,
): Promise<Printout> {
  await checkMuteName(command.item, command, folder, { env, cwd, home: carried.home })
  return mute(folder, command.item, command.saying, whoAmI(env))
}

/** Nobody has to sit before a disk that hangs; what it does when it answers again is not known. */
async function inTime(what: string, folder: string, work: Promise<Printout>): Promise<Printout> {
  return answerWithin(FOLDER_TIMEOUT_MS, work).catch((error: unknown) => failForDisk(what, folder, error))
}

async function showStatus(
  { json, watch }: Extract<Command, { name: 'status' }>,
  folder: string,
  { env, stdout, print }: Shell,
): Promise<Printout> {
  const color = wantsColor(undefined, stdout.isTTY === true, env)
  const size: Screen['size'] = () =>
    stdout.isTTY ? { columns: stdout.columns || 80, rows: stdout.rows || 24 } : undefined
  if (watch) await watchStatus(folder, { json, color }, { size, write: print })
  return status(folder, { json, look: { width: size()?.columns, color } })
}
