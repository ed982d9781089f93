import { COMMANDS, type CommandName, type CommandUsage, type Kind, OPTIONS, type OptionUsage } from './usage.ts'

type Shell = 'bash' | 'zsh' | 'fish'

const commands = Object.entries(COMMANDS) as [CommandName, CommandUsage][]
const options = Object.entries(OPTIONS) as [string, OptionUsage][]
const SHELLS = 'bash zsh fish'
const NAMES = commands.map(([name]) => name).join(' ')
const DURATIONS = '15m 30m 1h 2h 8h 1d'

/** Writes what lets a shell complete the commands, options, names of probes and names of modules of `deadpool`. */
export function writeCompletion(shell: Shell, modules: readonly string[]): string {
  switch (shell) {
    case 'bash':
      return writeBash(modules)
    case 'zsh':
      return writeZsh(modules)
    case 'fish':
      return writeFish(modules)
  }
}

/** What a command's line tells in a menu. */
function summaryOf([name, { forms }]: [CommandName, CommandUsage]): string {
  return forms[0]?.[1] ?? (name === 'help' ? 'print how it is called' : 'print the version')
}

function optionsOf(usage: CommandUsage): [string, OptionUsage][] {
  return options.filter(([name]) => (usage.options as readonly string[]).includes(name) || name === 'help')
}

function spellings([name, { short }]: [string, OptionUsage]): string[] {
  return [...(short ? [`-${short}`] : []), `--${name}`]
}

// bash: one function, which the package bash-completion finds by the name of its file.

function writeBash(modules: readonly string[]): string {
  const valued = options.filter(([, { value }]) => value !== undefined)
  const words = (kind: Kind) => BASH[kind]?.replace('MODULES', modules.join(' ')) ?? 'return'
  const byKind = Map.groupBy(valued, ([, { kind = 'text' }]) => kind)
  const values = [...byKind].map(
    ([kind, group]) => `    ${group.flatMap(spellings).join('|')}) ${words(kind)}; return ;;`,
  )
  const known = commands.map(
    ([name, usage]) => `    ${name}) known='${optionsOf(usage).flatMap(spellings).join(' ')}' ;;`,
  )
  const taken = commands.flatMap(([name, { takes }]) => (takes ? [`    ${name}) ${words(takes.kind)} ;;`] : []))
  return `# What bash completes after "deadpool". Written by: deadpool completion bash

_deadpool_names() {
  "\${program/#\\~/$HOME}" completion names "\${place[@]}" 2>/dev/null
}

# Offers the names that begin so, behind what is given. Not by compgen, which would run what a name has in $().
_deadpool_offer_names() {
  local begin=$1 before=$2 name
  while read -r name; do
    [[ $name == "$begin"* ]] && COMPREPLY+=("$before$name")
  done < <(_deadpool_names)
}

_deadpool() {
  local current=\${COMP_WORDS[COMP_CWORD]} last=\${COMP_WORDS[COMP_CWORD - 1]} program=$1 command= known= option path i
  local -a place=()
  COMPREPLY=()
  # bash takes the "=" of --config=FILE for a word of its own.
  if [[ $current == '=' ]]; then current=
  elif [[ $last == '=' ]]; then last=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
    -c|--config|-f|--folder)
      option=\${COMP_WORDS[i]}
      [[ \${COMP_WORDS[i + 1]} == '=' ]] && ((i++))
      # As it stands on the line: its quotes are taken away, and nothing in it is evaluated.
      path=\${COMP_WORDS[++i]//[\\\\\\'\\"]/}
      ((i < COMP_CWORD)) && place+=("$option" "\${path/#\\~/$HOME}") ;;
    ${valued.flatMap(spellings).join('|')})
      [[ \${COMP_WORDS[i + 1]} == '=' ]] && ((i++))
      ((i++)) ;;
    -*|=) ;;
    *) command=\${command:-\${COMP_WORDS[i]}} ;;
    esac
  done
  case $last in
${values.join('\n')}
  esac
  case $command in
    '') known='${spellingsOfRun()}' ;;
${known.join('\n')}
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$known" -- "$current"))
    return
  fi
  case $command in
    '') COMPREPLY=($(compgen -W '${NAMES}' -- "$current")) ;;
${taken.join('\n')}
  esac
}

complete -F _deadpool deadpool
`
}

/** How bash completes each kind of word; a kind that is not here is not completed. */
const BASH: Partial<Record<Kind, string>> = {
  file: 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current")',
  folder: 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current")',
  probe: '_deadpool_offer_names "$current"',
  item: '_deadpool_offer_names "$current"',
  items:
    // biome-ignore lint/suspicious/noTemplateCurlyInString: these are bash's own
    'local before=; [[ $current == *,* ]] && before=${current%,*},; _deadpool_offer_names "${current##*,}" "$before"',
  module: 'COMPREPLY=($(compgen -W "MODULES" -- "$current"))',
  duration: `COMPREPLY=($(compgen -W "${DURATIONS}" -- "$current"))`,
  shell: `COMPREPLY=($(compgen -W "${SHELLS}" -- "$current"))`,
  command: `COMPREPLY=($(compgen -W "${NAMES}" -- "$current"))`,
}

/** Without a command, `run` is meant; and any option may come first. */
function spellingsOfRun(): string {
  return options
    .filter(([, { isGeneral }]) => isGeneral)
    .flatMap(spellings)
    .join(' ')
}

// zsh: the function of a file _deadpool in a folder of fpath.

function writeZsh(modules: readonly string[]): string {
  const list = commands.map((command) => `    ${quote(`${command[0]}:${summaryOf(command)}`)}`)
  const cases = commands.map(([name, usage]) => {
    const specs = optionsOf(usage).map(writeZshOption)
    const { takes } = usage
    if (takes) specs.push(quote(`${takes.isMany ? '*' : '1'}:${takes.kind}:${ZSH[takes.kind] ?? ' '}`))
    return `    (${name}) _arguments -s ${specs.join(' ')} && result=0 ;;`
  })
  const general = options.filter(([, { isGeneral }]) => isGeneral).map(writeZshOption)
  return `#compdef deadpool
# What zsh completes after "deadpool". Written by: deadpool completion zsh

# The configuration, or the status folder, that the line names; before the command or behind it.
_deadpool_place() {
  local option
  for option in -c --config -f --folder; do
    # Of what stands on the line zsh escapes the backslashes once more.
    (( \${+opt_args[$option]} )) && place+=($option "\${\${(Q)\${(Q)opt_args[$option]}}/#\\~/$HOME}")
  done
}

_deadpool_names() {
  local -a names
  _deadpool_place
  names=(\${(f)"$(_call_program names $program completion names \${(q)place} 2>/dev/null)"})
  compadd "$@" -a names
}

_deadpool() {
  local curcontext=$curcontext program=\${words[1]} state line result=1
  typeset -A opt_args
  local -a commands place
  commands=(
${list.join('\n')}
  )
  # What stands behind the command is the command's.
  _arguments -s -A '-*' -C ${general.join(' ')} '1:command:->command' '*::word:->word' && result=0
  _deadpool_place
  case $state in
  (command) _describe -t commands command commands && result=0 ;;
  (word)
    curcontext=\${curcontext%:*:*}:deadpool-$words[1]:
    case $words[1] in
${cases.join('\n')}
    esac ;;
  esac
  return result
}

_deadpool "$@"
`.replaceAll('MODULES', modules.join(' '))
}

/** How zsh completes each kind of word. */
const ZSH: Partial<Record<Kind, string>> = {
  file: '_files',
  folder: '_files -/',
  probe: '_deadpool_names',
  item: '_deadpool_names',
  items: '_sequence _deadpool_names',
  module: '(MODULES)',
  duration: `(${DURATIONS})`,
  shell: `(${SHELLS})`,
  command: `(${NAMES})`,
}

function writeZshOption([name, { short, about, value, kind = 'text', isRepeatable }]: [string, OptionUsage]): string {
  const text = `[${about.replaceAll(/[[\]:\\]/g, '\\$&')}]`
  const takes = value === undefined ? '' : `:${value}:${ZSH[kind] ?? ' '}`
  const long = value === undefined ? `--${name}` : `--${name}=`
  if (isRepeatable) return quote(`*${long}${text}${takes}`)
  if (short === undefined) return quote(`${long}${text}${takes}`)
  const both = value === undefined ? `{-${short},--${name}}` : `{-${short}+,--${name}=}`
  return `${quote(`(-${short} --${name})`)}${both}${quote(text + takes)}`
}

// fish: a line for each thing that can be completed.

function writeFish(modules: readonly string[]): string {
  const complete = 'complete -c deadpool'
  const words = (kind: Kind) => FISH[kind]?.replace('MODULES', modules.join(' ')) ?? "''"
  const lines = commands.flatMap((command) => {
    const [name, usage] = command
    const seen = quote(`__fish_seen_subcommand_from ${name}`)
    const own = optionsOf(usage).map((option) => `${complete} -n ${seen} ${writeFishOption(option, words)}`)
    const { takes } = usage
    const limit = takes?.isMany ? seen : quote(`__deadpool_wants_word ${name}`)
    const word = takes ? [`${complete} -n ${limit} ${takes.kind === 'file' ? '-F' : `-f -a ${words(takes.kind)}`}`] : []
    return [`${complete} -f -n __deadpool_wants_command -a ${name} -d ${quote(summaryOf(command))}`, ...own, ...word]
  })
  const general = options
    .filter(([, { isGeneral }]) => isGeneral)
    .map((option) => `${complete} -n __deadpool_wants_command ${writeFishOption(option, words)}`)
  return `# What fish completes after "deadpool". Written by: deadpool completion fish

function __deadpool_words
    # The words before the one under the cursor, without options and their values.
    set -l words (commandline -opc)
    set -e words[1]
    set -l skip
    for word in $words
        if set -q skip[1]
            set -e skip
            continue
        end
        switch $word
            case ${options
              .filter(([, { value }]) => value !== undefined)
              .flatMap(spellings)
              .join(' ')}
                set skip yes
            case '-*'
            case '*'
                echo $word
        end
    end
end

function __deadpool_wants_command
    test (count (__deadpool_words)) -eq 0
end

function __deadpool_wants_word
    set -l words (__deadpool_words)
    test (count $words) -eq 1; and test $words[1] = $argv[1]
end

function __deadpool_names
    set -l words (commandline -opc)
    set -l place
    for i in (seq 2 (count $words))
        switch $words[$i]
            case -c --config -f --folder
                set -a place $words[$i] $words[(math $i + 1)]
            case '--config=*' '--folder=*'
                set -a place $words[$i]
        end
    end
    $words[1] completion names $place 2>/dev/null
end

complete -c deadpool -f
${[...general, ...lines].join('\n')}
`
}

/** How fish completes each kind of word, when that is neither a file nor a folder. */
const FISH: Partial<Record<Kind, string>> = {
  folder: "'(__fish_complete_directories)'",
  probe: "'(__deadpool_names)'",
  item: "'(__deadpool_names)'",
  items: "'(__fish_append , (__deadpool_names))'",
  module: "'MODULES'",
  duration: `'${DURATIONS}'`,
  shell: `'${SHELLS}'`,
  command: `'${NAMES}'`,
}

function writeFishOption([name, option]: [string, OptionUsage], words: (kind: Kind) => string): string {
  const { short, about, value, kind = 'text' } = option
  const takes = value === undefined ? '' : kind === 'file' ? ' -r -F' : ` -x -a ${words(kind)}`
  return `-l ${name}${short ? ` -s ${short}` : ''}${takes} -d ${quote(about)}`
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
