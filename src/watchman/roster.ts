import { readClocks } from '../clock.ts'
import type { ProbeConfig } from '../config/probes.ts'
import { type ProbeRecord, type Recollection, recordOf } from '../status/state-file.ts'
import { type Heard, restoreState } from '../verdict/restore.ts'
import type { Flag, Standing } from '../verdict/standing.ts'
import type { State } from '../verdict/state.ts'
import type { Step } from './activity.ts'
import { firstDelay, type Loop, type LoopOptions, startLoop } from './loop.ts'
import { createWatcher, type Watcher, type WatcherSurroundings } from './watcher.ts'

/** All probes that are being watched. */
export interface Roster {
  /**
   * Watches the enabled ones of these probes from now on. One whose checks are the same as before goes on with its state
   * and its schedule; a changed one begins anew with its state, but without its streak.
   */
  follow(probes: readonly ProbeConfig[], past?: Past): { begun: string[]; ended: number }
  watcher(name: string): Watcher | undefined
  size(): number
  standings(): Map<string, Standing>
  records(): Record<string, ProbeRecord>
  /** The probes whose checks were finished since this was asked last, by their places among the enabled ones. */
  takeChecked(): number[]
  stop(): void
}

/** What is known from before WatchMan started. */
export interface Past {
  remembered: Recollection | undefined
  flags: ReadonlyMap<string, Flag>
  heard: ReadonlyMap<string, Heard>
}

export interface RosterOptions {
  around: WatcherSurroundings
  onStart: NonNullable<LoopOptions['onStart']>
  onStep(index: number, step: Step): void
  /** Called once, when every probe has been checked. */
  onRound(): void
}

interface Entry {
  watcher: Watcher
  loop: Loop
  fingerprint: string
  /** Its place among the enabled probes. */
  place: { index: number }
}

export function createRoster({ around, onStart, onStep, onRound }: RosterOptions): Roster {
  let entries = new Map<string, Entry>()
  let checked = new Set<number>()
  let unchecked: Set<string> | undefined

  function begin(
    config: ProbeConfig,
    fingerprint: string,
    [index, count]: [number, number],
    past: Past | undefined,
    former?: Entry,
  ): Entry {
    const place = { index }
    const watcher = createWatcher(
      {
        probe: config,
        state: former ? { ...former.watcher.state(), streak: 0 } : restore(config.name, past),
        counts: former?.watcher.record().counts ?? findRecord(config.name, past)?.counts,
        onStep: (step) => onStep(place.index, step),
        onChecked() {
          checked.add(place.index)
          tick(config.name)
        },
      },
      around,
    )
    const firstDelayMs = firstDelay(index, count, config.periodMs)
    const loop = startLoop({ firstDelayMs, run: watcher.checkOnce, onStart })
    return { watcher, loop, fingerprint, place }
  }

  function restore(name: string, past: Past | undefined): State {
    const record = findRecord(name, past)
    const remembered = record && past?.remembered && { ...past.remembered, state: record.state }
    return restoreState(remembered, past?.flags.get(name), readClocks(), around.staleAfterMs(), past?.heard.get(name))
  }

  /** Takes note of the first check of each probe. */
  function tick(name: string): void {
    if (!unchecked?.delete(name) || unchecked.size > 0) return
    unchecked = undefined
    onRound()
  }

  function end({ watcher, loop }: Entry): void {
    loop.stop()
    watcher.retire()
  }

  return {
    follow(probes, past) {
      const enabled = probes.filter(({ isEnabled }) => isEnabled)
      const former = entries
      entries = new Map()
      checked = new Set()
      around.catalog.refresh(new Set(enabled.map(({ module }) => module)))
      const modules = new Map<string, string>()
      for (const { module } of enabled) {
        if (!modules.has(module)) modules.set(module, around.catalog.fingerprint(module))
      }
      const begun: string[] = []
      for (const [index, config] of enabled.entries()) {
        const before = former.get(config.name)
        former.delete(config.name)
        const fingerprint = fingerprintOf(config, modules.get(config.module) ?? '')
        if (before?.fingerprint === fingerprint) {
          before.place.index = index
          entries.set(config.name, before)
          continue
        }
        if (before) end(before)
        begun.push(config.name)
        entries.set(config.name, begin(config, fingerprint, [index, enabled.length], past, before))
      }
      for (const [name, gone] of former) {
        end(gone)
        around.keeper.drop(name)
        around.troubles.forget(name)
      }
      if (past) {
        unchecked = new Set(begun)
        if (unchecked.size === 0) onRound()
      }
      return { begun, ended: former.size }
    },
    watcher: (name) => entries.get(name)?.watcher,
    size: () => entries.size,
    standings: () => new Map([...entries].map(([name, { watcher }]) => [name, toStanding(watcher.state())])),
    records: () => Object.fromEntries([...entries].map(([name, { watcher }]) => [name, watcher.record()])),
    takeChecked() {
      const taken = [...checked]
      checked = new Set()
      return taken
    },
    stop() {
      for (const entry of entries.values()) end(entry)
    },
  }
}

function findRecord(name: string, past: Past | undefined): ProbeRecord | undefined {
  return past?.remembered && recordOf(past.remembered.notes, name)
}

/** Everything that the checks of a probe depend on; what a verdict makes of them is not in it. */
function fingerprintOf({ path: _, severity: __, dependsOn: ___, ...config }: ProbeConfig, module: string): string {
  return JSON.stringify([config, module])
}

function toStanding({ life, reason, cause, since }: State): Standing {
  return life === 'alive' ? { life } : { life, reason, cause, sinceMs: since.wallMs }
}
