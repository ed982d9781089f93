import { findNameFault } from '../config/schema.ts'
import { muteFile } from '../status/notice-file.ts'
import { removeNotice, writeNotice } from '../status/notice-writer.ts'
import { readWatchmanNotes } from '../status/state-file.ts'
import { suggest } from '../suggest.ts'
import { toTime } from '../verdict/notice.ts'
import { describeReplaced, isWatched, makeNotice, readNotices, type Saying } from './notice.ts'
import { failForDisk, findOutline, type Place, type Printout, type Surroundings } from './place.ts'
import { UsageError } from './usage.ts'

/** Lets the death of one probe or group count for nothing for a while, whether DeadPool runs or not. */
export async function mute(folder: string, name: string, saying: Saying, by: string): Promise<Printout> {
  const notice = makeNotice(saying, by)
  try {
    const former = (await readNotices(folder)).mutes.get(name)
    const effect = (await isWatched(folder))
      ? 'its death does not count'
      : 'its death will not count once DeadPool runs'
    await writeNotice(folder, muteFile(name), notice)
    const until = notice.untilMs === undefined ? '' : ` until ${toTime(notice.untilMs)}`
    const end = `end it with "deadpool unmute ${name}"`
    return { out: `${name} is muted${until}: ${effect}; ${end}${describeReplaced(former)}\n`, code: 0 }
  } catch (error) {
    return failForDisk(`${name} is not muted`, folder, error)
  }
}

/** Ends a mute. That none stands is said, and is no failure. */
export async function unmute(folder: string, name: string): Promise<Printout> {
  const fault = findNameFault(name, 'probe')
  if (fault) throw new UsageError(fault)
  try {
    if (await removeNotice(folder, muteFile(name))) {
      return { out: `${name} is no longer muted: its death counts again\n`, code: 0 }
    }
    const meant = suggest(name, (await readNotices(folder)).mutes.keys())
    return { out: `${name} is not muted${meant ? `; did you mean "${meant}"?` : ''}\n`, code: 0 }
  } catch (error) {
    return failForDisk(`${name} is still muted`, folder, error)
  }
}

/**
 * Refuses a name that no probe and no group has. The names are the configuration's; with `--folder` alone, those that
 * WatchMan noted there, and where nothing tells them every name is taken.
 *
 * @throws UsageError with what was probably meant
 */
export async function checkMuteName(name: string, place: Place, folder: string, around: Surroundings): Promise<void> {
  const fault = findNameFault(name, 'probe')
  if (fault) throw new UsageError(fault)
  const isNamed = place.folder === undefined || place.config !== undefined
  const names = isNamed ? findOutline(place, around).names : await readNotedNames(folder)
  if (names === undefined || names.includes(name)) return
  const meant = suggest(name, names)
  const hint = meant ? `did you mean "${meant}"?` : `there are ${names.slice(0, 20).join(', ')}`
  throw new UsageError(`"${name}" is not the name of a probe or group; ${hint}`)
}

async function readNotedNames(folder: string): Promise<string[] | undefined> {
  const notes = await readWatchmanNotes(folder).catch(() => undefined) // the fault is told when the mute is written
  return notes && [...notes.rules.probes, ...notes.rules.groups].map(({ name }) => name)
}
