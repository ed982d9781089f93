/** Random numbers that a seed repeats. */
export interface Random {
  /** From 0 to just below `limit`. */
  below(limit: number): number
  /** At most `count` of these, at least one. */
  some<T>(from: readonly T[], count: number): T[]
}

/** Creates them with mulberry32, which is good enough to choose moments. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0

  function below(limit: number): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit
  }

  return {
    below,
    some(from, count) {
      const left = [...from]
      return Array.from(
        { length: 1 + Math.floor(below(count)) },
        () => left.splice(Math.floor(below(left.length)), 1)[0],
      ).filter((each) => each !== undefined)
    },
  }
}
