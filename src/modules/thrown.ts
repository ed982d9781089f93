import type { Facts } from './define-probe.ts'
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

/** Reads all facts, which may be worked out only when they are read; `unread` are those that throw. */
export function copyFacts(facts: Facts): { facts: Facts; unread: Record<string, ThrownInThread> } {
  const copy: { facts: Facts; unread: Record<string, ThrownInThread> } = { facts: {}, unread: {} }
  for (const name of Object.keys(facts)) {
    try {
      copy.facts[name] = facts[name]
    } catch (error) {
      copy.unread[name] = copyError(error)
    }
  }
  return copy
}

/** Makes the facts again that {@link copyFacts} took apart: to read one that threw throws again. */
export function reviveFacts(facts: Facts, unread: Record<string, ThrownInThread>): Facts {
  for (const [name, thrown] of Object.entries(unread)) {
    const get = () => {
      throw reviveError(thrown)
    }
    Object.defineProperty(facts, name, { get, enumerable: true })
  }
  return facts
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
