import { findNameFault } from '../config/schema.ts'
import { readWatchmanNotes } from '../status/state-file.ts'
import { findOutline, type Place, type Surroundings } from './place.ts'

/**
 * The names of the probes and groups, for a shell that completes them: those of the configuration, or with `--folder`
 * alone those that WatchMan noted there. What cannot be a name is left out, lest a shell take it for a command. Where this
 * user may read neither there are none: a shell wants no messages.
 */
export async function listNames(place: Place, around: Surroundings): Promise<string[]> {
  try {
    return (await readNames(place, around)).filter((name) => findNameFault(name, 'probe') === undefined)
  } catch {
    return [] // a shell that completes a word wants no messages
  }
}

async function readNames(place: Place, around: Surroundings): Promise<string[]> {
  if (place.folder === undefined || place.config !== undefined) return findOutline(place, around).names
  const notes = await readWatchmanNotes(place.folder)
  return notes ? [...notes.rules.probes, ...notes.rules.groups].map(({ name }) => name) : []
}
