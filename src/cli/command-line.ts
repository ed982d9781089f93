import { parseArgs } from 'node:util'
import { suggest } from '../suggest.ts'
import { UsageError } from './usage.ts'

/** A command line as it was understood. */
export type Command =
  | { name: 'run' | 'check-config'; config: string | undefined }
  | { name: 'modules'; config: string | undefined; eject: string | undefined; types: boolean }
  | { name: 'help' | 'version' }

const COMMANDS = ['run', 'check-config', 'modules', 'help', 'version'] as const
type CommandName = (typeof COMMANDS)[number]

const OPTIONS = {
  config: { type: 'string', short: 'c' },
  'check-config': { type: 'boolean' },
  eject: { type: 'string' },
  types: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'V' },
} as const

/** The options of each command, beside `--help` and `--version`. */
const ALLOWED: Record<CommandName, readonly string[]> = {
  run: ['config', 'check-config'],
  'check-config': ['config', 'check-config'],
  modules: ['config', 'eject', 'types'],
  help: [],
  version: [],
}

/** @throws UsageError with what was probably meant */
export function parseCommandLine(args: readonly string[]): Command {
  // -v is what half of all tools call their version; DeadPool has no verbose mode that it could mean instead.
  const spelled = args.map((arg) => (arg === '-v' ? '-V' : arg))
  const { values, positionals, tokens } = parseArgs({
    args: spelled,
    options: OPTIONS,
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  for (const token of tokens) if (token.kind === 'option') checkOption(token)
  if (values.help) return { name: 'help' }
  if (values.version) return { name: 'version' }

  const [word = 'run', extra] = positionals
  if (/\.ya?ml$/.test(word)) throw new UsageError(explainExtra(word, 'run'))
  const name = COMMANDS.find((command) => command === word)
  if (!name) throw new UsageError(explainUnknown(`command "${word}"`, word, COMMANDS))
  if (extra !== undefined) throw new UsageError(explainExtra(extra, name))
  const stranger = Object.keys(values).find((option) => !ALLOWED[name].includes(option))
  if (stranger) throw new UsageError(`"deadpool ${name}" has no option "--${stranger}"; see "deadpool --help"`)

  const config = values.config as string | undefined
  if (name === 'modules') {
    return { name, config, eject: values.eject as string | undefined, types: values.types === true }
  }
  if (name === 'help' || name === 'version') return { name }
  return { name: values['check-config'] ? 'check-config' : name, config }
}

function checkOption({ name, rawName, value }: { name: string; rawName: string; value: string | undefined }): void {
  if (!Object.hasOwn(OPTIONS, name)) {
    const known = Object.keys(OPTIONS).map((option) => `--${option}`)
    throw new UsageError(explainUnknown(`option "${rawName}"`, rawName, known))
  }
  const { type } = OPTIONS[name as keyof typeof OPTIONS]
  if (type === 'string' && !value)
    throw new UsageError(`"${rawName}" needs a value, as in "${rawName} ${EXAMPLES[name]}"`)
  if (type === 'boolean' && value !== undefined) throw new UsageError(`"${rawName}" takes no value`)
}

const EXAMPLES: Record<string, string> = { config: 'deadpool.yml', eject: 'url_probe' }

function explainExtra(word: string, name: CommandName): string {
  const message = `"${word}" is too much; "deadpool ${name}" takes options only`
  return /\.ya?ml$/.test(word) ? `${message}; a configuration is given with "--config ${word}"` : message
}

function explainUnknown(what: string, word: string, known: readonly string[]): string {
  const meant = suggest(word, known)
  return `there is no ${what}; ${meant ? `did you mean "${meant}"?` : `see "deadpool --help"`}`
}
