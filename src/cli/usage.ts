/** Thrown for a command line that cannot be understood; the message says what is allowed. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** What a word or the value of an option is, so that a shell can complete it. */
export type Kind = 'file' | 'folder' | 'probe' | 'item' | 'items' | 'module' | 'duration' | 'shell' | 'command' | 'text'

/** An option, with a value if it has a `value`. */
export interface OptionUsage {
  about: string
  short?: string
  /** What stands for the value in texts, and what that is. */
  value?: string
  kind?: Kind
  example?: string
  isRepeatable?: boolean
  /** Told in `--help` by itself; the others stand in the forms of their commands. */
  isGeneral?: boolean
}

/** Every option. The parser, `--help`, the completions and deadpool(1) are all made from this. */
export const OPTIONS = {
  config: {
    about:
      'the configuration; without it $DEADPOOL_CONFIG, then deadpool.yml here, beside the binary, and in /etc/deadpool',
    short: 'c',
    value: 'FILE',
    kind: 'file',
    example: 'deadpool.yml',
    isGeneral: true,
  },
  folder: {
    about:
      'the status folder, for status, drain, resume, mute, unmute, reload and upgrade; without it the one of the configuration',
    short: 'f',
    value: 'DIR',
    kind: 'folder',
    example: '/var/lib/deadpool/probe',
    isGeneral: true,
  },
  'check-config': { about: 'the same as the command check-config', isGeneral: true },
  version: { about: 'print the version, the commit and the version of Node', short: 'V', isGeneral: true },
  help: { about: 'print this; after a command, all about that one', short: 'h', isGeneral: true },
  against: { about: 'a former configuration to compare with', value: 'OLD.yml', kind: 'file', example: 'old.yml' },
  eject: { about: 'write the source of this stock module here', value: 'NAME', kind: 'module', example: 'url_probe' },
  types: { about: 'print the types of the virtual module "deadpool"' },
  for: { about: 'how long it stands, 1 s to 30 days', value: 'DURATION', kind: 'duration', example: '30m' },
  reason: { about: 'why, for those who see the answer', value: 'TEXT', kind: 'text', example: 'INC-4711' },
  dead: {
    about: 'probes to take for dead',
    value: 'NAMES',
    kind: 'items',
    example: 'elastic',
    isRepeatable: true,
  },
  unknown: {
    about: 'probes to take for impossible to check',
    value: 'NAMES',
    kind: 'items',
    example: 'elastic',
    isRepeatable: true,
  },
  json: { about: 'print JSON, for programs' },
  watch: { about: 'show it again every second, until Ctrl-C' },
  root: { about: 'another root than /', value: 'DIR', kind: 'folder', example: '/mnt/image' },
  'dry-run': { about: 'only say what would be done' },
  now: { about: 'start it as well, now and at every start of this host' },
  purge: { about: 'remove the configuration, the modules, the state and the user as well' },
} as const satisfies Record<string, OptionUsage>

export type OptionName = keyof typeof OPTIONS

/** A command: the ways to call it, each with what that does, the options it knows, and the words it takes. */
export interface CommandUsage {
  group?: Group
  forms: readonly (readonly [form: string, does: string])[]
  options: readonly OptionName[]
  takes?: { kind: Kind; isMany?: boolean }
  /** What the manual tells beside. */
  more?: string
}

type Group = keyof typeof GROUPS

/** The headings of the manual, in their order; `--help` leaves an empty line between the groups. */
export const GROUPS = {
  watching: 'Watching',
  night: 'At night',
  installing: 'Installing',
} as const

/** Every command. */
export const COMMANDS = {
  run: {
    group: 'watching',
    forms: [['[run] [-c FILE]', 'watch the components and answer, until stopped']],
    options: ['config', 'check-config', 'against'],
    more: 'It stays in the foreground. SIGTERM and SIGINT stop it in good order, SIGHUP loads the configuration again.',
  },
  'check-config': {
    group: 'watching',
    forms: [
      ['check-config [-c FILE]', 'validate the configuration and its modules, without listening'],
      ['check-config --against OLD.yml', 'validate, and tell what changes from that file'],
    ],
    options: ['config', 'check-config', 'against'],
    more: 'Every mistake is told in one go, with line, column and what was probably meant.',
  },
  check: {
    group: 'watching',
    forms: [['check [NAME...] [--json]', 'check these probes, or all, once and now, and show what was found']],
    options: ['config', 'json'],
    takes: { kind: 'probe', isMany: true },
    more: 'Nothing listens, no flag is touched, and a running DeadPool does not notice.',
  },
  modules: {
    group: 'watching',
    forms: [
      ['modules [-c FILE]', 'list the modules and where each comes from'],
      ['modules NAME', 'tell all about one: an example, its query, its facts, when it is alive'],
      ['modules --eject NAME', 'write the source of a stock module here, as a starting point'],
      ['modules --types', 'print the types of the virtual module "deadpool", a .d.ts'],
    ],
    options: ['config', 'eject', 'types'],
    takes: { kind: 'module' },
  },
  status: {
    group: 'night',
    forms: [['status [--json] [--watch]', 'how things are; with --watch every second']],
    options: ['config', 'folder', 'json', 'watch'],
    more: 'It reads the status folder alone, and works for everybody who may read that.',
  },
  drain: {
    group: 'night',
    forms: [['drain [--for 30m] [--reason TEXT]', 'answer 503 until then, or until "resume"']],
    options: ['config', 'folder', 'for', 'reason'],
  },
  resume: { group: 'night', forms: [['resume', 'end the drain']], options: ['config', 'folder'] },
  mute: {
    group: 'night',
    forms: [['mute NAME --for 1h [--reason TEXT]', 'let the death of a probe or group not count']],
    options: ['config', 'folder', 'for', 'reason'],
    takes: { kind: 'item' },
  },
  unmute: {
    group: 'night',
    forms: [['unmute NAME', 'end the mute']],
    options: ['config', 'folder'],
    takes: { kind: 'item' },
  },
  simulate: {
    group: 'night',
    forms: [['simulate --dead A,B [--unknown C] [--json]', 'the answer if these were dead, or could not be checked']],
    options: ['config', 'dead', 'unknown', 'json'],
  },
  reload: {
    group: 'night',
    forms: [['reload', 'let the running DeadPool load its configuration again']],
    options: ['config', 'folder'],
    more: 'It waits for the word of the running DeadPool. A configuration with a mistake changes nothing.',
  },
  upgrade: {
    group: 'night',
    forms: [['upgrade', 'let a new process, of a new binary, take over from the running one']],
    options: ['config', 'folder'],
    more: 'No request fails meanwhile. If the new process does not become ready, the old one stays.',
  },
  init: {
    group: 'installing',
    forms: [['init [FILE]', 'write a configuration to start from, with a random token; FILE is deadpool.yml']],
    options: [],
    takes: { kind: 'file' },
    more: 'It is readable by its owner alone, and never written over a file that is there.',
  },
  install: {
    group: 'installing',
    forms: [['install [--root DIR] [--dry-run] [--now]', 'make this file a service of this host; needs root']],
    options: ['root', 'dry-run', 'now'],
    more: 'It may be repeated: what was edited is left alone, and what is older is renewed. Nothing is started without --now; with it, a service that runs hands over to the new file, and no request fails.',
  },
  uninstall: {
    group: 'installing',
    forms: [['uninstall [--purge] [--root DIR] [--dry-run]', 'undo that; the configuration and the state stay']],
    options: ['purge', 'root', 'dry-run'],
  },
  completion: {
    group: 'installing',
    forms: [['completion bash|zsh|fish', 'print what lets that shell complete commands and names']],
    options: ['config', 'folder'],
    takes: { kind: 'shell' },
    more: 'install puts it into its place. "completion names" prints the names of the probes and groups, for the shells.',
  },
  licenses: {
    group: 'installing',
    forms: [['licenses', 'print the licences of everything inside the binary']],
    options: [],
  },
  help: { forms: [], options: [], takes: { kind: 'command' } },
  version: { forms: [], options: [] },
} as const satisfies Record<string, CommandUsage>

export type CommandName = keyof typeof COMMANDS

/** What `deadpool completion` prints: the script of a shell, or the names that such a script asks for. */
export const COMPLETED = ['bash', 'zsh', 'fish', 'names'] as const

export type Completed = (typeof COMPLETED)[number]

/** What the exit codes mean: of most commands, and of the ones named. */
const EXIT_CODES: readonly { of: readonly CommandName[]; mean: string }[] = [
  { of: [], mean: '0 done or stopped on request; 1 failed; 2 wrong usage or configuration.' },
  { of: ['status', 'simulate'], mean: '0 the answer is 200; 1 it is 503; 2 there is none, or it cannot be told.' },
  { of: ['check'], mean: '0 all are alive; 1 one is dead; 2 one could not be checked.' },
]

/** A line for each entry of {@link EXIT_CODES}. */
export function listExitCodes(): string[] {
  return EXIT_CODES.map(({ of, mean }) => `${of.length === 0 ? 'Exit codes' : `Of ${of.join(' and ')}`}: ${mean}`)
}

export const SUMMARY = 'DeadPool watches the components of a data centre and tells Cloudflare whether it is alive.'

/** The commands of a group, in their order. */
export function commandsOf(group: Group): [CommandName, CommandUsage][] {
  const all = Object.entries(COMMANDS) as [CommandName, CommandUsage][]
  return all.filter(([, usage]) => usage.group === group)
}

/** Writes what `deadpool --help` prints, or of one command `deadpool COMMAND --help`. */
export function writeHelp(about?: CommandName): string {
  return about === undefined || !hasForms(about) ? writeWholeHelp() : writeHelpOf(about)
}

function hasForms(name: CommandName): boolean {
  return COMMANDS[name].forms.length > 0
}

function writeHelpOf(name: CommandName): string {
  const { forms, options: known, more }: CommandUsage = COMMANDS[name]
  const options = (Object.entries(OPTIONS) as [OptionName, OptionUsage][])
    .filter(([option]) => known.includes(option) || option === 'help')
    .map(([option, usage]) => [spellOption(option, usage), usage.about] as const)
  const codes = EXIT_CODES.find(({ of }) => of.includes(name)) ?? EXIT_CODES[0]
  return `${[
    `Usage:\n${writeColumns(forms.map(([form, does]) => [`deadpool ${form}`, does]))}`,
    ...(more ? [wrap(more, WIDTH).join('\n')] : []),
    `Options:\n${writeColumns(options)}`,
    `Exit codes: ${codes?.mean}`,
  ].join('\n\n')}\n`
}

function writeWholeHelp(): string {
  const groups = (Object.keys(GROUPS) as Group[]).map((group) =>
    writeColumns(commandsOf(group).flatMap(([, { forms }]) => forms.map(([form, does]) => [`deadpool ${form}`, does]))),
  )
  const options = (Object.entries(OPTIONS) as [string, OptionUsage][])
    .filter(([, { isGeneral }]) => isGeneral)
    .map(([name, option]) => [spellOption(name, option), option.about] as const)
  return `${[
    SUMMARY,
    `Usage:\n${groups.join('\n\n')}`,
    `Options:\n${writeColumns(options)}`,
    listExitCodes().join('\n'),
  ].join('\n\n')}\n`
}

function spellOption(name: string, { short, value }: OptionUsage): string {
  return `${short ? `-${short}, ` : '    '}--${name}${value ? ` ${value}` : ''}`
}

const WIDTH = 120
const MAX_FIRST = 46

/** Two columns, the second of them wrapped; what is too long for the first has a line of its own. */
function writeColumns(rows: readonly (readonly [string, string])[]): string {
  const fitting = rows.map(([first]) => first.length).filter((length) => length <= MAX_FIRST)
  const margin = 2 + Math.max(0, ...fitting) + 2
  return rows
    .flatMap(([first, second]) => {
      const lines = wrap(second, WIDTH - margin).map((line) => ' '.repeat(margin) + line)
      const head = `  ${first}`
      return head.length <= margin - 2 ? [head.padEnd(margin) + lines.shift()?.trimStart(), ...lines] : [head, ...lines]
    })
    .join('\n')
}

function wrap(text: string, width: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? ''
    if (line === '') lines[lines.length - 1] = word
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines
}
