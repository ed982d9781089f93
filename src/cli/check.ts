import pLimit from 'p-limit'
import type { Carried } from '../carried/carried.ts'
import { formatDuration } from '../config/duration.ts'
import { type LoadedConfig, refuseMistakes } from '../config/load.ts'
import type { ProbeConfig } from '../config/probes.ts'
import { createRedactor } from '../config/secrets.ts'
import { quote, textOf } from '../criteria/quote.ts'
import { toOneLine } from '../log/line-text.ts'
import { createCatalog, moduleFolderOf } from '../modules/catalog.ts'
import type { ProbeLog } from '../modules/define-probe.ts'
import { copyFacts } from '../modules/thrown.ts'
import { suggest } from '../suggest.ts'
import { type CheckResult, runCheck } from '../watchman/check.ts'
import { prepareProbe, type ReadyProbe } from '../watchman/prepare.ts'
import type { Printout } from './place.ts'
import { writeTable } from './table.ts'
import { UsageError } from './usage.ts'

/** So many checks are made at once. */
const AT_ONCE = 20

/** A fact's value is shown up to here. */
const MAX_VALUE = 500

export interface CheckOptions {
  carried: Carried
  json: boolean
  /** Takes what the modules say meanwhile. */
  onLog(line: string): void
}

/**
 * Makes one check of each of these probes, or of all that are enabled, here and now: nothing listens, no flag is touched,
 * and a running DeadPool does not notice. Probes that are named are shown with their facts. The exit code is 0 when all are
 * alive, 1 when one is dead, 2 when one could not be checked and none is dead.
 *
 * @throws ConfigError for mistakes of these probes; UsageError for a name that no probe has
 */
export async function check(loaded: LoadedConfig, names: readonly string[], options: CheckOptions): Promise<Printout> {
  refuseMistakes(
    loaded,
    loaded.problems.filter(({ path }) => path[0] === 'probes' || path[1] === 'probes'),
  )
  const { config } = loaded
  const { carried, json, onLog } = options
  const probes =
    names.length > 0 ? names.map((name) => findProbe(name, config.probes)) : config.probes.filter(isEnabled)
  if (probes.length === 0) throw new UsageError('no probe is enabled; name one to check it all the same')
  const redact = createRedactor(config.secrets)
  const say = (line: string) => onLog(redact(line))
  const catalog = createCatalog({ folder: moduleFolderOf(config, carried), carried, log: createLog('', say) })
  try {
    const prepared = await Promise.all(probes.map((probe) => prepareProbe(probe, catalog)))
    refuseMistakes(
      loaded,
      prepared.flatMap(({ problems }) => problems),
      ['mistake', 'broken'],
    )
    const ready = prepared.flatMap(({ probe }) => (probe ? [probe] : []))
    const limit = pLimit(AT_ONCE)
    const results = await Promise.all(ready.map((probe) => limit(() => checkOne(probe, say))))
    if (json) return { out: writeJson(results, redact), code: codeOf(results) }
    const out = names.length > 0 ? results.map(writeOne).join('\n') : writeAll(results)
    return { out: redact(out), code: codeOf(results) }
  } finally {
    await catalog.close()
  }
}

interface Checked extends CheckResult {
  probe: ProbeConfig
}

function isEnabled(probe: ProbeConfig): boolean {
  return probe.isEnabled
}

function findProbe(name: string, probes: readonly ProbeConfig[]): ProbeConfig {
  const probe = probes.find((each) => each.name === name)
  if (probe) return probe
  const all = probes.map((each) => each.name)
  const meant = suggest(name, all)
  const hint = meant ? `did you mean "${meant}"?` : `there are ${all.slice(0, 20).join(', ')}`
  throw new UsageError(`"${name}" is not the name of a probe; ${hint}`)
}

async function checkOne(ready: ReadyProbe, say: (line: string) => void): Promise<Checked> {
  const log = createLog(`${ready.config.name}: `, say)
  const result = await runCheck(ready, { log, stalls: { between: () => 0 } })
  ready.close()
  return { probe: ready.config, ...result, facts: result.facts && copyFacts(result.facts).facts }
}

function createLog(prefix: string, say: (line: string) => void): ProbeLog {
  const at = (level: string) => (message: string) => say(`${level} ${prefix}${toOneLine(message)}`)
  return { debug: at('debug'), info: at('info'), warn: at('warning'), error: at('error') }
}

function codeOf(results: readonly Checked[]): 0 | 1 | 2 {
  if (results.some(({ outcome }) => outcome.kind === 'dead')) return 1
  return results.some(({ outcome }) => outcome.kind === 'unknown') ? 2 : 0
}

function reasonOf({ outcome }: Checked): string {
  return outcome.kind === 'alive' ? '' : outcome.reason
}

function writeAll(results: readonly Checked[]): string {
  const rows = results.map((result) => [result.probe.name, result.outcome.kind, took(result), reasonOf(result)])
  return `${writeRows(rows).join('\n')}\n`
}

function writeOne(result: Checked): string {
  const reason = reasonOf(result)
  const head = `${result.probe.name} is ${result.outcome.kind}${reason && `: ${toOneLine(reason)}`}`
  const facts = Object.entries(result.facts ?? {}).filter(([, value]) => value !== undefined)
  const rows = facts.map(([name, value]) => [`  ${name}`, quote(value, MAX_VALUE)])
  return `${[head, `  checked by ${result.probe.module} in ${took(result)}`, ...writeRows(rows)].join('\n')}\n`
}

/** Nothing is cut off: this is a text to read. */
function writeRows(rows: readonly string[][]): string[] {
  return writeTable(
    rows.map((row) => row.map((text) => ({ text }))),
    { width: undefined, color: false },
  )
}

function took({ tookMs }: Checked): string {
  return formatDuration(tookMs)
}

function writeJson(results: readonly Checked[], redact: (text: string) => string): string {
  const checks = results.map((result) => ({
    probe: result.probe.name,
    module: result.probe.module,
    outcome: result.outcome.kind,
    reason: redact(reasonOf(result)),
    took_ms: Math.round(result.tookMs * 10) / 10,
    facts: Object.fromEntries(Object.entries(result.facts ?? {}).map(([name, fact]) => [name, toPlain(fact, redact)])),
  }))
  return redact(`${JSON.stringify(checks)}\n`)
}

/** A fact as JSON can hold it, without secrets: these are looked for in texts as they were, not escaped ones in others. */
function toPlain(fact: unknown, redact: (text: string) => string): unknown {
  const clean = (_: string, value: unknown) => {
    if (typeof value === 'bigint') return String(value)
    return typeof value === 'string' ? redact(value) : value
  }
  try {
    const text = JSON.stringify(fact, clean)
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    // A cycle, or nested too deeply; another fact may be what is looked for.
    return textOf(fact)
  }
}
