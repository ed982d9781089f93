/** Whatever can be explained by the death of something else. */
interface Consequence {
  name: string
  becauseOf?: string | undefined
}

/**
 * Puts each consequence behind what it is because of, and leaves the order as it is otherwise. What is because of
 * something that is not in the list stays where it was.
 */
export function orderConsequences<T extends Consequence>(entries: readonly T[]): T[] {
  const names = new Set(entries.map(({ name }) => name))
  const following = new Map<string, T[]>()
  const roots: T[] = []
  for (const entry of entries) {
    const { becauseOf } = entry
    if (becauseOf === undefined || !names.has(becauseOf)) {
      roots.push(entry)
      continue
    }
    const others = following.get(becauseOf)
    if (others) others.push(entry)
    else following.set(becauseOf, [entry])
  }
  const ordered = new Set<T>()
  // Nothing leads to a circle. The configuration allows none, but no death may get lost here.
  for (const root of [...roots, ...entries]) {
    // A list instead of recursion: a chain of ten thousand must not end in a stack that is too deep.
    const waiting = [root]
    for (let entry = waiting.pop(); entry; entry = waiting.pop()) {
      if (ordered.has(entry)) continue
      ordered.add(entry)
      waiting.push(...(following.get(entry.name) ?? []).toReversed())
    }
  }
  return [...ordered]
}
