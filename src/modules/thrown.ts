import { Dead, Unknown } from './errors.ts'
import type { ThrownInThread } from './thread-messages.ts'

/** Copies what an error says into plain data that crosses threads. */
export function copyError(error: unknown): ThrownInThread {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) }
  return { name: error.name, message: error.message, code: findCode(error) }
}

/** Makes the error again on this side, of the class that tells dead from unknown. */
export function reviveError({ name, message, code }: ThrownInThread): Error {
  if (name === 'Dead') return new Dead(message)
  if (name === 'Unknown') return new Unknown(message)
  return Object.assign(new Error(message), { name }, code === undefined ? {} : { code })
}

/** The system's code of an error, looked for through its causes: `fetch` wraps them. */
export function findCode(error: unknown): string | undefined {
  for (let depth = 0, at: unknown = error; depth < 8 && at instanceof Error; depth++, at = at.cause) {
    const { code } = at as NodeJS.ErrnoException
    if (typeof code === 'string') return code
    const inner =
      at instanceof AggregateError ? at.errors.map(findCode).find((found) => found !== undefined) : undefined
    if (inner) return inner
  }
  return undefined
}
