/** The middle value; of an even number of values, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  const [low, high] = [sorted[Math.floor(middle)], sorted[Math.ceil(middle)]]
  if (low === undefined || high === undefined) throw new Error('there is no median of nothing')
  return (low + high) / 2
}

/** The value that so large a share of all values does not exceed (nearest rank): `quantile(latencies, 0.99)`. */
export function quantile(values: readonly number[], share: number): number {
  const value = values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)]
  if (value === undefined) throw new Error('there is no quantile of nothing')
  return value
}

/** The median of the ratios of two series that were measured round by round: what slows both in a round cancels out. */
export function medianRatio(ours: readonly number[], theirs: readonly number[]): number {
  return median(ours.map((value, round) => value / (theirs[round] ?? Number.NaN)))
}

/**
 * Runs every task once a round, in an order that shifts from round to round, and gives the results of each task. The
 * machines this runs on are shared: side by side, a busy moment hits everybody's figures and not one's alone.
 */
export async function interleave<Result>(
  rounds: number,
  tasks: readonly (() => Promise<Result>)[],
): Promise<Result[][]> {
  const results: Result[][] = tasks.map(() => [])
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < tasks.length; turn++) {
      const index = (turn + round) % tasks.length
      const result = await tasks[index]?.()
      if (result !== undefined) results[index]?.push(result)
    }
  }
  return results
}
