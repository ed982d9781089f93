import { parseArgs } from 'node:util'
import { formatDuration, parseDuration } from '../config/duration.ts'
import { suggest } from '../suggest.ts'
import type { Saying } from './notice.ts'
import type { Place } from './place.ts'
import type { Simulated } from './simulate.ts'
import {
  COMMANDS,
  COMPLETED,
  type CommandUsage,
  type Completed,
  type Kind,
  OPTIONS,
  type OptionName,
  type OptionUsage,
  UsageError,
} from './usage.ts'

/** A command line as it was understood. */
export type Command =
  | { name: 'run'; config: string | undefined }
  | { name: 'check-config'; config: string | undefined; against: string | undefined }
  | { name: 'check'; config: string | undefined; probes: string[]; json: boolean }
  | {
      name: 'modules'
      config: string | undefined
      module: string | undefined
      eject: string | undefined
      types: boolean
    }
  | ({ name: 'status'; json: boolean; watch: boolean } & Place)
  | ({ name: 'drain'; saying: Saying } & Place)
  | ({ name: 'resume' | 'reload' | 'upgrade' } & Place)
  | ({ name: 'mute'; item: string; saying: Saying } & Place)
  | ({ name: 'unmute'; item: string } & Place)
  | { name: 'simulate'; config: string | undefined; simulated: Simulated; json: boolean }
  | { name: 'init'; file: string }
  | { name: 'install'; root: string; isDry: boolean; isNow: boolean }
  | { name: 'uninstall'; root: string; isDry: boolean; isPurge: boolean }
  | ({ name: 'completion'; of: Completed } & Place)
  | { name: 'help'; about: Command['name'] | undefined }
  | { name: 'version' | 'licenses' }

/** The compiler's word that the table has every command. */
const USAGES: Record<Command['name'], CommandUsage> = COMMANDS
const NAMES = Object.keys(USAGES) as Command['name'][]

const PARSED = Object.fromEntries(
  (Object.entries(OPTIONS) as [OptionName, OptionUsage][]).map(([name, { short, value, isRepeatable }]) => {
    const type = value === undefined ? ('boolean' as const) : ('string' as const)
    return [name, { type, multiple: isRepeatable === true, ...(short ? { short } : {}) }]
  }),
)

const MAX_FOR_MS = 30 * 86_400_000
const MIN_FOR_MS = 1000
const MAX_REASON = 500

type Values = Partial<Record<OptionName, string | boolean | string[]>>

/** @throws UsageError with what was probably meant */
export function parseCommandLine(args: readonly string[]): Command {
  // -v is what half of all tools call their version; DeadPool has no verbose mode that it could mean instead.
  const spelled = args.map((arg) => (arg === '-v' ? '-V' : arg))
  const { values, positionals, tokens } = parseArgs({
    args: spelled,
    options: PARSED,
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  for (const token of tokens) if (token.kind === 'option') checkOption(token)
  if (values.help) return { name: 'help', about: NAMES.find((command) => command === positionals[0]) }
  if (values.version) return { name: 'version' }

  const [word = 'run', ...rest] = positionals
  if (/\.ya?ml$/.test(word)) throw new UsageError(explainExtra(word, 'run'))
  const name = NAMES.find((command) => command === word)
  if (!name) throw new UsageError(explainUnknown(`command "${word}"`, word, NAMES))
  const { takes, options } = USAGES[name]
  const item = takes && !takes.isMany ? rest.shift() : undefined
  const items = takes?.isMany ? rest.splice(0) : []
  if (rest[0] !== undefined) throw new UsageError(explainExtra(rest[0], name))
  const stranger = Object.keys(values).find((option) => !options.includes(option as OptionName))
  if (stranger) throw new UsageError(`"deadpool ${name}" has no option "--${stranger}"; see "deadpool ${name} --help"`)
  return toCommand(name, values as Values, item, items)
}

function toCommand(name: Command['name'], values: Values, item: string | undefined, items: string[]): Command {
  const text = (key: keyof Values) => values[key] as string | undefined
  const place: Place = { config: text('config'), folder: text('folder') }
  const json = values.json === true
  switch (name) {
    case 'run':
    case 'check-config': {
      const against = text('against')
      if (name === 'check-config' || values['check-config'])
        return { name: 'check-config', config: place.config, against }
      if (against !== undefined) throw new UsageError('"--against" belongs to "--check-config"; give both')
      return { name, config: place.config }
    }
    case 'check':
      return { name, config: place.config, probes: items, json }
    case 'modules':
      return { name, config: place.config, module: item, eject: text('eject'), types: values.types === true }
    case 'status':
      return { name, ...place, json, watch: values.watch === true }
    case 'drain':
      return { name, ...place, saying: readSaying(values) }
    case 'mute':
      if (values.for === undefined) {
        throw new UsageError(
          'a mute needs an end, as in "deadpool mute elastic --for 1h"; nobody remembers one that has none',
        )
      }
      return { name, ...place, item: needItem(name, item), saying: readSaying(values) }
    case 'unmute':
      return { name, ...place, item: needItem(name, item) }
    case 'simulate':
      return { name, config: place.config, simulated: readSimulated(values), json }
    case 'resume':
    case 'reload':
    case 'upgrade':
      return { name, ...place }
    case 'init':
      return { name, file: item ?? 'deadpool.yml' }
    case 'install':
      return { name, root: text('root') ?? '/', isDry: values['dry-run'] === true, isNow: values.now === true }
    case 'uninstall':
      return { name, root: text('root') ?? '/', isDry: values['dry-run'] === true, isPurge: values.purge === true }
    case 'completion':
      return { name, of: readCompleted(item), ...place }
    case 'help':
      return { name, about: readAbout(item) }
    case 'licenses':
    case 'version':
      return { name }
  }
}

function readCompleted(word: string | undefined): Completed {
  const found = COMPLETED.find((each) => each === word)
  if (found) return found
  const what = word === undefined ? 'needs the name of a shell' : `does not know "${word}"`
  throw new UsageError(`"deadpool completion" ${what}; there are ${COMPLETED.join(', ')}`)
}

function readAbout(word: string | undefined): Command['name'] | undefined {
  const found = NAMES.find((command) => command === word)
  if (word !== undefined && !found) throw new UsageError(explainUnknown(`command "${word}"`, word, NAMES))
  return found
}

function needItem(name: string, item: string | undefined): string {
  if (item) return item
  const end = name === 'mute' ? ' --for 1h' : ''
  throw new UsageError(`"deadpool ${name}" needs the name of a probe or group, as in "deadpool ${name} elastic${end}"`)
}

function readSaying(values: Values): Saying {
  const reason = values.reason as string | undefined
  if (reason !== undefined && reason.length > MAX_REASON) {
    throw new UsageError(`"--reason" has ${reason.length} characters; at most ${MAX_REASON} are allowed`)
  }
  return { reason, forMs: readFor(values.for as string | undefined) }
}

function readFor(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const ms = parseDuration(text)
  if (ms === undefined) throw new UsageError(`"--for ${text}" is not a duration; write 30m, 2h, or 90 for seconds`)
  if (ms >= MIN_FOR_MS && ms <= MAX_FOR_MS) return ms
  const allowed = `${formatDuration(MIN_FOR_MS)} to ${formatDuration(MAX_FOR_MS)}`
  throw new UsageError(`"--for ${text}" is out of range; ${allowed} is allowed`)
}

function readSimulated(values: Values): Simulated {
  const list = (key: 'dead' | 'unknown') =>
    ((values[key] ?? []) as string[]).flatMap((text) => text.split(',')).flatMap((name) => name.trim() || [])
  const simulated = { dead: list('dead'), unknown: list('unknown') }
  if (simulated.dead.length + simulated.unknown.length > 0) return simulated
  throw new UsageError('"deadpool simulate" needs the names of probes, as in "deadpool simulate --dead elastic"')
}

function checkOption({ name, rawName, value }: { name: string; rawName: string; value: string | undefined }): void {
  if (!Object.hasOwn(OPTIONS, name)) {
    const known = Object.keys(OPTIONS).map((option) => `--${option}`)
    throw new UsageError(explainUnknown(`option "${rawName}"`, rawName, known))
  }
  const option: OptionUsage = OPTIONS[name as OptionName]
  if (option.value !== undefined && !value)
    throw new UsageError(`"${rawName}" needs a value, as in "${rawName} ${option.example}"`)
  if (option.value === undefined && value !== undefined) throw new UsageError(`"${rawName}" takes no value`)
}

/** What a word is called; most are names. */
const WORDS: Partial<Record<Kind, string>> = { file: 'file', shell: 'word', command: 'command' }

function explainExtra(word: string, name: Command['name']): string {
  const { takes } = USAGES[name]
  const taken = takes ? `takes one ${WORDS[takes.kind] ?? 'name'}` : 'takes options only'
  const message = `"${word}" is too much; "deadpool ${name}" ${taken}`
  return /\.ya?ml$/.test(word) ? `${message}; a configuration is given with "--config ${word}"` : message
}

function explainUnknown(what: string, word: string, known: readonly string[]): string {
  const meant = suggest(word, known)
  return `there is no ${what}; ${meant ? `did you mean "${meant}"?` : `see "deadpool --help"`}`
}
