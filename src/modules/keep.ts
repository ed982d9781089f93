/** Holds one thing, such as a connection, from a check of a probe to its next. */
export interface Keep {
  /** What the former check left, which is the caller's from now on; undefined when there is nothing. */
  take<Thing>(): Thing | undefined
  /**
   * Leaves a thing for the next check. `close` is called when there will be none: the probe was changed or taken out, or
   * something else is left. It is not waited for.
   */
  leave<Thing>(thing: Thing, close: (thing: Thing) => unknown): void
}

/** A {@link Keep} for one probe, and its end. */
export interface Kept extends Keep {
  /** Closes what is held, now and whatever a late check leaves. */
  close(): void
}

/** How well it is closed does not matter any more. */
async function giveUp(close: () => unknown): Promise<void> {
  try {
    await close()
  } catch {
    // Nobody uses it.
  }
}

export function createKeep(): Kept {
  let held: { thing: unknown; close: () => unknown } | undefined
  let isClosed = false

  function drop(): void {
    const closing = held
    held = undefined
    if (closing) void giveUp(closing.close)
  }

  return {
    take<Thing>() {
      const thing = held?.thing as Thing | undefined
      held = undefined
      return thing
    },
    leave(thing, close) {
      drop()
      held = { thing, close: () => close(thing) }
      if (isClosed) drop()
    },
    close() {
      isClosed = true
      drop()
    },
  }
}
