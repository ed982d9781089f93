import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Moment, readBootId, readClocks } from '../../src/clock.ts'
import { type ProbeRecord, type WatchmanNotes, writeWatchmanNotes } from '../../src/status/state-file.ts'
import type { ProbeRule } from '../../src/verdict/rules.ts'
import type { State } from '../../src/verdict/state.ts'

/** Makes a folder that goes with the test. */
export function makeFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-cli-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A moment that long ago. */
export function ago(ms: number, now: Moment = readClocks()): Moment {
  return { wallMs: now.wallMs - ms, monotonicMs: now.monotonicMs - ms }
}

export const alive = (forMs = 60_000, more: Partial<State> = {}): State => {
  return { life: 'alive', reason: '', since: ago(forMs), streak: 0, ...more }
}
export const dead = (reason: string, forMs = 60_000, more: Partial<State> = {}): State => {
  return { life: 'dead', reason, since: ago(forMs), streak: 0, ...more }
}

export const record = (state: State, more: Partial<ProbeRecord> = {}): ProbeRecord => ({
  module: 'url_probe',
  state,
  policy: { fall: 3, rise: 5, holdMs: 0, staleAfterMs: 30_000 },
  periodMs: 3000,
  // A dead probe of these tests has no flag on disk: its report counts.
  isFlagged: state.life === 'alive',
  last: { atMs: Date.now() - 2000, tookMs: 12, outcome: state.life },
  counts: { alive: 1, dead: 1, unknown: 0 },
  ...more,
})

export const rule = (name: string, more: Partial<ProbeRule> = {}): ProbeRule => {
  return { name, severity: 'critical', dependsOn: [], ...more }
}

export interface NotesOptions extends Partial<Omit<WatchmanNotes, 'rules' | 'probes'>> {
  groups?: WatchmanNotes['rules']['groups']
  /** How the probes count; critical where nothing is said. */
  rules?: ProbeRule[]
  ageMs?: number
}

/** Writes the notes of a WatchMan that knows these probes. */
export async function writeNotes(
  folder: string,
  probes: Record<string, ProbeRecord>,
  { groups = [], rules = [], ageMs = 500, ...more }: NotesOptions = {},
): Promise<void> {
  await writeWatchmanNotes(folder, {
    boot: readBootId(),
    written: ago(ageMs),
    pid: 4711,
    config: '/etc/deadpool/deadpool.yml',
    name: 'dc1',
    staleAfterMs: 30_000,
    rules: {
      probes: Object.keys(probes).map((name) => rules.find((each) => each.name === name) ?? rule(name)),
      groups,
      onStale: 'dead',
    },
    countedSinceMs: Date.UTC(2026, 10, 20),
    pace: { checksPerSecond: 33.3, lateP50Ms: 0.1, lateP99Ms: 3, lateMaxMs: 9, skipped: 0 },
    probes,
    shadows: {},
    ...more,
  })
}
