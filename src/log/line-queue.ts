/** Lines that wait for their target, oldest first. */
export interface LineQueue<Line> {
  readonly size: number
  /** Adds a line; returns how many of the oldest had to go to make room for it. */
  push(line: Line, bytes: number): number
  shift(): Line | undefined
}

/**
 * A queue that never holds more than that many lines and bytes. A full one forgets its oldest lines: after an outage
 * those about the present state are worth more.
 */
export function createLineQueue<Line>({ maxLines = 5000, maxBytes = 4 << 20 } = {}): LineQueue<Line> {
  const lines: { line: Line; bytes: number }[] = []
  let total = 0

  function shift() {
    const first = lines.shift()
    total -= first?.bytes ?? 0
    return first?.line
  }

  return {
    get size() {
      return lines.length
    },
    push(line, bytes) {
      lines.push({ line, bytes })
      total += bytes
      let dropped = 0
      while (lines.length > maxLines || (total > maxBytes && lines.length > 1)) {
        shift()
        dropped++
      }
      return dropped
    },
    shift,
  }
}
