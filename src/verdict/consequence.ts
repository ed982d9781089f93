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
    if (becauseOf === undefined || !names.has(becauseOf)) roots.push(entry)
    else following.set(becauseOf, [...(following.get(becauseOf) ?? []), entry])
  }
  const ordered = new Set<T>()
  const emit = (entry: T): void => {
    if (ordered.has(entry)) return
    ordered.add(entry)
    for (const next of following.get(entry.name) ?? []) emit(next)
  }
  for (const root of roots) emit(root)
  // Nothing leads to a circle. The configuration allows none, but no death may get lost here.
  for (const entry of entries) emit(entry)
  return [...ordered]
}
