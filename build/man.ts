import type * as z from 'zod'
import { carried } from '#carried'
import { commandsOf, GROUPS, listExitCodes, OPTIONS, type OptionUsage, SUMMARY } from '../src/cli/usage.ts'
import { genericSchema, groupSchema, probeSchema, topSchema, watchmanSchema, webSchema } from '../src/config/schema.ts'
import { listCriterionTypes } from '../src/criteria/criterion.ts'
import { logTarget } from '../src/log/target.ts'
import type { Probe } from '../src/modules/define-probe.ts'
import { describeProbe } from '../src/modules/local.ts'
import { listQueryKeys, type QueryKey } from '../src/modules/query-keys.ts'
import { listCriteria, listFacts, readHeadComment } from '../src/modules/reference.ts'
import { tlsMapping } from '../src/modules/tls.ts'

/**
 * The pages of the manual, in the macros of man(7): deadpool(1) from the table of the commands, of which `--help` and
 * the completions are made as well, and deadpool.yml(5) from the schema of the configuration and the stock modules.
 */
export interface Edition {
  version: string
  /** The day of the commit, `2026-11-25`; empty outside a repository. */
  date: string
}

/** deadpool(1) */
export function writeCommandPage(edition: Edition): string {
  const groups = Object.entries(GROUPS).flatMap(([group, title]) => [
    `.SS "${title}"`,
    ...commandsOf(group as keyof typeof GROUPS).flatMap(([name, { forms, more }]) => [
      ...forms.flatMap(([form, does]) => entry([command(form)], [fold(does)])),
      ...(more ? ['.IP', fold(more)] : []),
      ...(name === 'run' ? ['.IP', fold(RUN)] : []),
    ]),
  ])
  const options = (Object.entries(OPTIONS) as [string, OptionUsage][]).flatMap(([name, option]) =>
    entry([spell(name, option)], [fold(option.about)]),
  )
  return page(edition, 'deadpool', 1, [
    '.SH NAME',
    `deadpool ${DASH} the heartbeat of a data centre, for Cloudflare Load Balancing`,
    '.SH SYNOPSIS',
    `${bold('deadpool')} [${italic('COMMAND')}] [${italic('OPTION')}]...`,
    '.SH DESCRIPTION',
    text(SUMMARY),
    text(
      'Without a command it watches and answers. It is one executable with two processes: WatchMan checks the components and keeps a flag file for each dead one; SpiderMan answers from the flags: 200 while all are alive, 503 with the names and reasons of the dead, 511 without the Bearer token.',
    ),
    '.SH COMMANDS',
    ...groups,
    '.SH OPTIONS',
    ...options,
    '.SH "EXIT STATUS"',
    ...listExitCodes()
      .flatMap((line) => [text(line.replace(/^Exit codes: /, '')), '.br'])
      .slice(0, -1),
    '.SH SIGNALS',
    ...list(SIGNALS),
    '.SH ENVIRONMENT',
    ...list(ENVIRONMENT),
    '.SH FILES',
    ...list(FILES),
    '.SH "SEE ALSO"',
    '.BR deadpool.yml (5),',
    '.BR systemctl (1)',
  ])
}

const RUN = 'Started by systemd with Type=notify it says when it is ready; with a socket unit it answers there.'

const SIGNALS: [string, string][] = [
  ['SIGTERM, SIGINT', 'Stops both processes; requests under way are answered, flags stay as they are.'],
  ['SIGHUP', 'Loads the configuration again; with a mistake in it everything goes on as before.'],
  ['SIGUSR2', 'Starts the program again, which may be a newer one, and hands over to it, as "deadpool upgrade" does.'],
]

const ENVIRONMENT: [string, string][] = [
  ['DEADPOOL_CONFIG', 'The configuration, when no option names one.'],
  ['CREDENTIALS_DIRECTORY', 'Where {credential: NAME} is looked for; systemd sets it for LoadCredential=.'],
  ['NO_COLOR', 'Keeps colours out of the output, whatever its value.'],
]

const FILES: [string, string][] = [
  ['/etc/deadpool/deadpool.yml', 'The configuration, see deadpool.yml(5).'],
  ['/etc/deadpool/token', 'The token that a package has made for this host.'],
  ['/etc/deadpool/mod', 'Modules of your own, where the configuration names this folder.'],
  ['/var/lib/deadpool/probe', 'The status folder of an installed DeadPool: a file NAME.dead for each dead probe.'],
  ['/usr/share/doc/deadpool', 'Where a package has all of the documentation.'],
]

/** deadpool.yml(5) */
export async function writeConfigPage(edition: Edition): Promise<string> {
  const modules = await Promise.all(carried.stockNames().map(writeModule))
  return page(edition, 'deadpool.yml', 5, [
    '.SH NAME',
    `deadpool.yml ${DASH} the configuration of deadpool`,
    '.SH DESCRIPTION',
    text('One YAML file. "deadpool check-config" says everything that is wrong with it, with line and column.'),
    text(
      'It is looked for in this order: --config FILE, $DEADPOOL_CONFIG, deadpool.yml in the working directory, deadpool.yml beside the binary, /etc/deadpool/deadpool.yml. Relative paths in it are relative to its folder. An unknown key is a mistake.',
    ),
    text(
      'A duration is a number of seconds, or a text such as 500ms, 3s, 2m, 1h, 1d. A secret is a text in quotes, {env: NAME}, {file: PATH}, or {credential: NAME}, which systemd provides by LoadCredential=NAME:PATH.',
    ),
    ...keys(topSchema),
    '.SH EXAMPLE',
    ...example(EXAMPLE),
    '.SH Generic',
    ...keys(genericSchema),
    text('The keys of each target:'),
    ...logTarget.options.flatMap((target) => [`.SS "type: ${target.shape.type.value}"`, ...keys(target)]),
    '.SH WEB',
    ...keys(webSchema),
    '.SH WatchMan',
    ...keys(watchmanSchema),
    '.SH probes',
    text('Each entry is named by its key: 1 to 100 letters, digits, "-", "_" or ".".'),
    ...keys(probeSchema),
    '.SS "success_criteria"',
    text('A criterion has a type and a query, which is "this" below. By its type the fact holds when:'),
    ...list(listCriterionTypes().map(({ name, summary }) => [name, summary])),
    '.SH groups',
    ...keys(groupSchema),
    '.SH "TLS SETTINGS"',
    text('What TLS settings of a query are: a mapping with these keys; where no URL tells it, true or false as well.'),
    ...keys(tlsMapping()),
    '.SH MODULES',
    text('The stock modules are inside the binary; "deadpool modules NAME" tells the same of any module.'),
    ...modules.flat(),
    '.SH "SEE ALSO"',
    '.BR deadpool (1)',
  ])
}

const EXAMPLE = `WEB:
  port: 9001
  access_token: { file: token }
  name: dc1
probes:
  elastic:
    module: url_probe
    period: 3
    query:
      url: http://localhost:9200/_cat/health
      timeout: 2
    success_criteria:
      status: { type: status_in, query: [200] }
      body: { type: re_search, query: 'elasticsearch+ green+' }`

async function writeModule(name: string): Promise<string[]> {
  const stock = carried.stock(name)
  if (!stock) throw new Error(`there is no ${name}`)
  const { Probe }: { Probe: Probe } = await stock.load()
  const description = describeProbe(Probe)
  const criteria = listCriteria(description)
  return [
    `.SS "${name}"`,
    text(description.summary),
    ...example(readHeadComment(stock.source).example ?? ''),
    text('The keys of its query:'),
    ...description.query.flatMap(keyEntry),
    text('The facts that it observes:'),
    ...listFacts(description).rows.flatMap(([fact = '', type = '', about = '']) =>
      entry([bold(fact), ` (${toRoff(type)})`], [fold(about)]),
    ),
    text(criteria.length > 0 ? 'Alive, when nothing else is said:' : 'It needs success_criteria of the probe.'),
    ...criteria.flatMap((criterion) => ['.IP', toRoff(criterion)]),
  ]
}

function keys(schema: z.ZodType): string[] {
  return listQueryKeys(schema).flatMap(keyEntry)
}

function keyEntry({ key, takes, isRequired, default: value, about }: QueryKey): string[] {
  const rest = isRequired ? ', required' : value === undefined ? '' : `, default ${value}`
  return entry([bold(key), ` (${toRoff(takes + rest)})`], [fold(about)])
}

// roff

const DASH = '\\-'

function page({ version, date }: Edition, name: string, section: number, body: string[]): string {
  const title = `.TH ${name.toUpperCase()} ${section} "${date}" "DeadPool ${version}" "DeadPool"`
  // No hyphenation, and lines that are ragged: most words are names.
  const lines = ['.\\" Written by build/man.ts; do not edit.', title, '.nh', '.ad l', ...body]
  // Two paragraphs that meet: a heading begins one by itself.
  const settled = lines.filter((line, index) => line !== '.PP' || !/^\.S[HS] /.test(lines[index - 1] ?? ''))
  return `${settled.join('\n')}\n`.replaceAll(/^(\.S[HS] .*)\n\.PP$/gm, '$1')
}

/** A paragraph. */
function text(words: string): string {
  return `.PP\n${fold(words)}`
}

/** Words over as many lines as they need; roff fills them again. */
function fold(words: string): string {
  const lines = ['']
  for (const word of words.split(/\s+/)) {
    const line = lines.at(-1) ?? ''
    if (toRoff(`${line} ${word}`).length > 78 && line !== '') lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.map(toRoff).join('\n')
}

function entry(term: string[], about: string[]): string[] {
  return ['.TP', term.join(''), ...about]
}

function list(rows: [string, string][]): string[] {
  return rows.flatMap(([term, about]) => entry([bold(term)], [fold(about)]))
}

function example(yaml: string): string[] {
  return ['.PP', '.nf', '.RS', ...yaml.split('\n').map((line) => toRoff(line) || '\\&'), '.RE', '.fi']
}

function command(form: string): string {
  return `${bold('deadpool')} ${toRoff(form)}`
}

function spell(name: string, { short, value }: OptionUsage): string {
  const long = bold(`--${name}`) + (value ? ` ${italic(value)}` : '')
  return short ? `${bold(`-${short}`)}, ${long}` : long
}

function bold(words: string): string {
  return `\\fB${toRoff(words)}\\fR`
}

function italic(words: string): string {
  return `\\fI${toRoff(words)}\\fR`
}

/** What roff would read as its own: backslashes, hyphens (which it would make typographic), and a dot that begins a line. */
function toRoff(words: string): string {
  return words
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replaceAll('µ', '\\(mc')
    .replaceAll('…', '...')
    .replace(/^\./, '\\&.')
}
