import { readWatchmanNotes } from '../status/state-file.ts'
import { findOutline, type Place, type Surroundings } from './place.ts'

/**
 * The names of the probes and groups, for a shell that completes them: those of the configuration, or with `--folder`
 * alone those that WatchMan noted there. Where this user may read neither there are none: a shell wants no messages.
 */
export async function listNames(place: Place, around: Surroundings): Promise<string[]> {
  try {
    if (place.folder === undefined || place.config !== undefined) return findOutline(place, around).names
    const notes = await readWatchmanNotes(place.folder)
    return notes ? [...notes.rules.probes, ...notes.rules.groups].map(({ name }) => name) : []
  } catch {
    return [] // a shell that completes a word wants no messages
  }
}
