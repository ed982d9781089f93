/** A status folder that has not answered by then is taken for one on a disk that hangs. */
export const FOLDER_TIMEOUT_MS = 2000

/** The code of the error for a disk that did not answer in time. */
export const NO_ANSWER = 'ETIMEDOUT'

/**
 * Waits for work on a disk, which can hang for ever, at most `ms`. The work itself cannot be called off.
 *
 * @throws an error with the code {@link NO_ANSWER} when the time is over
 */
export async function answerWithin<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error('no answer in time'), { code: NO_ANSWER })), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
