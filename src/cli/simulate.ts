import { readClocks } from '../clock.ts'
import { formatDuration } from '../config/duration.ts'
import { type Config, type LoadedConfig, refuseMistakes, rulesOf } from '../config/load.ts'
import type { Problem } from '../config/problem.ts'
import { type Page, writePage } from '../spiderman/page.ts'
import { NO_LISTING } from '../status/listing.ts'
import { suggest } from '../suggest.ts'
import type { Report } from '../verdict/standing.ts'
import { decide } from '../verdict/verdict.ts'
import type { Printout } from './place.ts'
import { UsageError } from './usage.ts'

/** What is to be taken as the states of probes; all others are alive. */
export interface Simulated {
  dead: readonly string[]
  unknown: readonly string[]
}

const REASON = 'simulated'

/**
 * Tells the answer that a configuration would give if these probes were dead or could not be checked: nothing is asked,
 * and drains and mutes that stand are passed over. The exit code is that of the answer: 0 for OK, 1 for DEAD.
 *
 * @throws ConfigError, UsageError for names that are no enabled probes
 */
export function simulate(loaded: LoadedConfig, simulated: Simulated, { json }: { json: boolean }): Printout {
  refuseMistakes(loaded, findRuleMistakes(loaded))
  const { config } = loaded
  checkNames(simulated, config)
  const now = answer(config, simulated, false)
  const later = simulated.unknown.length > 0 ? answer(config, simulated, true) : undefined
  const code = now.status === 200 ? 0 : 1
  if (json) return { out: `${JSON.stringify({ now: toJson(now), after_stale: later ? toJson(later) : null })}\n`, code }
  const afterMs = config.watchman.staleAfterMs
  const more = later
    ? `\nafter ${formatDuration(afterMs)} (stale_after) without a check:\n${later.status}\n${later.text}`
    : ''
  return { out: `${now.status}\n${now.text}${more}`, code }
}

/** Mistakes in what the verdict is made by. A token that cannot be read here, or a log, changes no verdict. */
export function findRuleMistakes({ problems }: LoadedConfig): Problem[] {
  return problems.filter(({ kind, path }) => kind === 'mistake' && path[0] !== 'Generic' && path[1] !== 'access_token')
}

function toJson({ status, json }: Page) {
  return { code: status, ...JSON.parse(json) }
}

function checkNames({ dead, unknown }: Simulated, { probes, groups }: Config): void {
  const names = probes.map(({ name }) => name)
  for (const name of [...dead, ...unknown]) {
    const group = groups.find((each) => each.name === name)
    if (group) throw new UsageError(`"${name}" is a group; name its members instead: ${group.members.join(', ')}`)
    const probe = probes.find((each) => each.name === name)
    if (probe && !probe.isEnabled) throw new UsageError(`"${name}" is disabled: its state does not count`)
    if (probe) continue
    const meant = suggest(name, names)
    const hint = meant ? `did you mean "${meant}"?` : `there are ${names.slice(0, 20).join(', ')}`
    throw new UsageError(`"${name}" is not the name of a probe; ${hint}`)
  }
  const both = dead.find((name) => unknown.includes(name))
  if (both !== undefined) throw new UsageError(`"${both}" is given as dead and as unknown; choose one`)
}

function answer(config: Config, { dead, unknown }: Simulated, isStale: boolean): Page {
  const { wallMs: sinceMs, monotonicMs: nowMs } = readClocks()
  const report = (name: string): Report => {
    const common = { sinceMs, isFlagged: true, arrivedMs: nowMs }
    if (dead.includes(name)) return { ...common, life: 'dead', reason: REASON }
    if (!unknown.includes(name)) return { ...common, life: 'alive', reason: '' }
    const doubt = { reason: REASON, sinceMs }
    if (!isStale) return { ...common, life: 'alive', reason: '', unknown: doubt }
    return { ...common, life: 'dead', reason: `cannot check: ${REASON}`, cause: 'unknown', unknown: doubt }
  }
  const rules = rulesOf(config)
  const verdict = decide({
    rules,
    folder: { ...NO_LISTING, fault: undefined, beganMs: nowMs },
    reports: new Map(rules.probes.map(({ name }) => [name, report(name)])),
    stale: new Map(),
    watcherSilentSinceMs: undefined,
    nowMs,
  })
  return writePage(verdict, config.web.name)
}
