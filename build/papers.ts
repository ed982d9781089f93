import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { PAPERS, type Paper } from '../src/carried/carried.ts'
import { writeCompletion } from '../src/cli/completion.ts'
import { type Edition, writeCommandPage, writeConfigPage } from './man.ts'

const home = join(import.meta.dirname, '..')

/** Gives a text that goes beside the binary where it is installed. */
export async function writePaper(name: Paper): Promise<string> {
  switch (name) {
    case 'man/deadpool.1':
      return writeCommandPage(readEdition())
    case 'man/deadpool.yml.5':
      return writeConfigPage(readEdition())
    default:
      return readFileSync(join(home, 'packaging', name), 'utf8')
  }
}

/** Writes all of them into a folder, and beside them the completions of the shells: what a package puts into its places. */
export async function writePapers(folder: string, modules: readonly string[]): Promise<void> {
  const put = (name: string, text: string) => {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  for (const name of PAPERS) put(name, await writePaper(name))
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    put(`completions/deadpool.${shell}`, writeCompletion(shell, modules))
  }
}

function readEdition(): Edition {
  const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))
  return { version, date: readDate() }
}

/** The day of the commit, so that the same commit gives the same page. */
function readDate(): string {
  try {
    return execFileSync('git', ['log', '-1', '--format=%cs'], { cwd: home, encoding: 'utf8', stdio: 'pipe' }).trim()
  } catch {
    return '' // an exported tree, or no git
  }
}
