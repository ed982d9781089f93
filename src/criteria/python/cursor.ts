/** Thrown for a pattern that cannot be used; the message goes on from the pattern: `is not a pattern: missing closing ]`. */
export class PatternError extends Error {
  override name = 'PatternError'
}

/** The error for something that Python has and RE2, for the sake of linear time, has not. */
export function unsupported(what: string, written: string): PatternError {
  const reason = 'which RE2 does not know, since it cannot be matched in linear time'
  return new PatternError(`has ${what} "${written}", ${reason}`)
}

/** A place in a pattern that moves on as the pattern is read, by whole characters. */
export class Cursor {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  get isAtEnd(): boolean {
    return this.#at === this.#text.length
  }

  /** What the sticky expression matches here, or an empty text. */
  peek(expression: RegExp): string {
    expression.lastIndex = this.#at
    return expression.exec(this.#text)?.[0] ?? ''
  }

  /** Moves on past what the sticky expression matches here: past one character, unless told otherwise. */
  take(expression = /./suy): string {
    const taken = this.peek(expression)
    this.#at += taken.length
    return taken
  }

  /** Moves on past `expected` and tells so, or stays. */
  accept(expected: string): boolean {
    if (!this.#text.startsWith(expected, this.#at)) return false
    this.#at += expected.length
    return true
  }
}
