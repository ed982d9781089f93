import { DRAIN_FILE } from '../status/notice-file.ts'
import { removeNotice, writeNotice } from '../status/notice-writer.ts'
import { toTime } from '../verdict/notice.ts'
import { describeReplaced, isWatched, makeNotice, readNotices, type Saying } from './notice.ts'
import { failForDisk, type Printout } from './place.ts'

/** Takes the data centre out, whether DeadPool runs or not: while the file stands, the answer is 503. */
export async function drain(folder: string, saying: Saying, by: string): Promise<Printout> {
  const notice = makeNotice(saying, by)
  try {
    const { drain: former } = await readNotices(folder)
    const answer = (await isWatched(folder)) ? 'the answer is 503' : 'the answer will be 503 once DeadPool runs'
    // Last, so that a disk that hangs before it has changed nothing.
    await writeNotice(folder, DRAIN_FILE, notice)
    const until = notice.untilMs === undefined ? '' : ` until ${toTime(notice.untilMs)}`
    return { out: `drained${until}: ${answer}; end it with "deadpool resume"${describeReplaced(former)}\n`, code: 0 }
  } catch (error) {
    return failForDisk('not drained', folder, error)
  }
}

/** Ends a drain. That none stands is said, and is no failure. */
export async function resume(folder: string): Promise<Printout> {
  try {
    const stood = await removeNotice(folder, DRAIN_FILE)
    const out = stood
      ? 'no longer drained: the answer follows the components again\n'
      : `not drained: there is no drain in ${folder}\n`
    return { out, code: 0 }
  } catch (error) {
    return failForDisk('still drained', folder, error)
  }
}
