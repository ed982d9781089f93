import { setTimeout as sleep } from 'node:timers/promises'
import { answerWithin, FOLDER_TIMEOUT_MS } from '../status/answer-within.ts'
import { explainUnusable } from '../status/state-file.ts'
import { decide } from '../verdict/verdict.ts'
import { fail, failForDisk, type Printout } from './place.ts'
import { readPresent, toEvidence } from './present.ts'
import { writeStatusJson } from './status-json.ts'
import { writeStatus } from './status-text.ts'
import { type Look, writeLine } from './table.ts'

export interface StatusOptions {
  json: boolean
  look: Look
}

/**
 * Tells how things are, from the status folder alone. The exit code is that of the verdict: 0 for OK, 1 for DEAD, and 2
 * when nobody answers or the folder does not tell.
 */
export async function status(folder: string, { json, look }: StatusOptions): Promise<Printout> {
  try {
    const present = await readPresent(folder)
    if (!present) {
      const unusable = await answerWithin(FOLDER_TIMEOUT_MS, explainUnusable(folder, 'WatchMan'))
      if (unusable) return fail(`${unusable}; a WatchMan at work writes it anew within seconds`, 2)
      const remedy = 'start DeadPool with this status folder, or name the one that it works with by "--folder DIR"'
      return fail(`there are no notes of WatchMan in ${folder}; ${remedy}`, 2)
    }
    const decision = decide(toEvidence(present))
    const lines = json ? [writeStatusJson(decision, present)] : writeStatus(decision, present, look)
    return {
      out: `${lines.join('\n')}\n`,
      code: present.hasEnded ? 2 : decision.status === 'OK' ? 0 : 1,
      isDiskHanging: present.isDiskHanging,
    }
  } catch (error) {
    return failForDisk('the status cannot be told', folder, error, 2)
  }
}

/** A place to show the status again and again. */
export interface Screen {
  /** The present size of the terminal; undefined for a pipe. */
  size(): { columns: number; rows: number } | undefined
  write(text: string): void
}

const CLEAR = '\x1b[H\x1b[2J'
const HOME = '\x1b[H'
const END_OF_LINE = '\x1b[K'
const END_OF_SCREEN = '\x1b[J'

/** Shows the status every second, for ever; in a terminal always in the same place. */
export async function watchStatus(
  folder: string,
  options: { json: boolean; color: boolean; everyMs?: number; signal?: AbortSignal },
  screen: Screen,
): Promise<void> {
  const { json, color, everyMs = 1000, signal } = options
  if (screen.size() && !json) screen.write(CLEAR)
  while (!signal?.aborted) {
    const size = screen.size()
    const look = { width: size?.columns, color }
    const { out, err = '' } = await status(folder, { json, look })
    const lines = (out + err).trimEnd().split('\n')
    if (size && !json) screen.write(repaint(lines, size.rows, look))
    else screen.write(`${lines.join('\n')}\n${json ? '' : '\n'}`)
    await sleep(everyMs, undefined, signal ? { signal } : {}).catch(() => undefined) // the signal ends the loop
  }
}

/** Writes over what stands there, line by line, so that nothing flickers. */
function repaint(lines: readonly string[], rows: number, look: Look): string {
  const room = Math.max(2, rows - 1)
  const shown = lines.length <= room ? lines : lines.slice(0, room - 1)
  const hidden = lines.length - shown.length
  const more =
    hidden > 0 ? [writeLine(`and ${hidden} more lines; make the terminal higher, or leave out --watch`, look)] : []
  return `${HOME}${[...shown, ...more].map((line) => `${line}${END_OF_LINE}\n`).join('')}${END_OF_SCREEN}`
}
