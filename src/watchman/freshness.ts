/** How long ago each probe's last check was finished, in time that SpiderMan was awake. */
export interface Freshness {
  /** Follows these probes; one that was followed before keeps its age. */
  follow(probes: readonly { name: string; freshForMs: number }[]): void
  /** Checks of these probes were finished; those that are not followed are passed over. */
  refresh(names: readonly string[]): void
  /** Lets time pass; tells whether other probes are stale than before. */
  pass(ms: number, wallMs: number): boolean
  /** Takes out of all ages what WatchMan as a whole was silent for; tells whether other probes are stale than before. */
  forgive(ms: number, wallMs: number): boolean
  /** Since when the stale ones were not checked, in milliseconds of the wall clock. */
  stale: ReadonlyMap<string, number>
}

interface Entry {
  freshForMs: number
  /** When its last check was finished, in awake time. */
  checkedMs: number
}

export function createFreshness(): Freshness {
  let entries = new Map<string, Entry>()
  let awakeMs = 0
  const stale = new Map<string, number>()

  function compare(wallMs: number): boolean {
    let isChanged = false
    for (const [name, { freshForMs, checkedMs }] of entries) {
      const isStale = awakeMs - checkedMs > freshForMs
      if (isStale === stale.has(name)) continue
      isChanged = true
      if (isStale) stale.set(name, wallMs - (awakeMs - checkedMs))
      else stale.delete(name)
    }
    return isChanged
  }

  return {
    stale,
    follow(probes) {
      const former = entries
      entries = new Map(
        probes.map(({ name, freshForMs }) => [name, { freshForMs, checkedMs: former.get(name)?.checkedMs ?? awakeMs }]),
      )
      for (const name of stale.keys()) if (!entries.has(name)) stale.delete(name)
    },
    refresh(names) {
      for (const name of names) {
        const entry = entries.get(name)
        if (entry) entry.checkedMs = awakeMs
      }
    },
    pass(ms, wallMs) {
      awakeMs += ms
      return compare(wallMs)
    },
    forgive(ms, wallMs) {
      for (const entry of entries.values()) entry.checkedMs = Math.min(awakeMs, entry.checkedMs + ms)
      return stale.size > 0 && compare(wallMs)
    },
  }
}
