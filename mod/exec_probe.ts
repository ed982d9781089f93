/**
 * exec_probe: runs a program, without a shell, and reads how it ended; plugins of Nagios work as they are.
 *
 *   disk:
 *     module: exec_probe
 *     period: 30
 *     query:
 *       command: [check_disk, -w, 20%, -c, 10%, -p, /]   # program and arguments; searched for in PATH
 *       nagios: true               # the exit code is the verdict of a plugin, its output has performance data
 *       env: { LC_ALL: C.UTF-8 }   # added to the environment: text, {env: NAME}, {file: PATH} or {credential: NAME}
 *       cwd: /                     # where it runs; default: the folder of the configuration
 *       stdin: ""                  # text to send; default: nothing, as of /dev/null
 *       timeout: 10                # seconds; then it is killed, with all that it started
 *       max_output: 64KiB          # of stdout, and of stderr; more is read and dropped; 1KiB to 4MiB
 *     success_criteria:            # default: exit_code 0; with nagios: true 0 or 1, OK or WARNING
 *       nagios: { type: in, query: [OK, WARNING] }
 *       perfdata: { type: json, query: { path: "$['/'].value", any: { type: lt, query: 900e9 } } }   # bytes used
 *
 * With `nagios: true` a WARNING is alive, as it is of a host in Nagios: nobody moves a data centre for a disk that is 80 %
 * full. Judge `nagios` or `exit_code` to be stricter. A plugin that could not judge says nothing of the target, so the check
 * is unknown: UNKNOWN (exit 3) or any higher exit code, or killed by a signal. Plugins are looked for in the folders of the
 * distributions as well. Without `nagios` any exit code and signal is a fact to judge.
 *
 * The program gets PATH, HOME, USER, LOGNAME, TMPDIR and TZ of DeadPool, a UTF-8 locale without a language (LC_ALL=C.UTF-8),
 * and what `env` adds; nothing else, so no secret of DeadPool. Whatever is left in its process group at its end, or at the
 * deadline, is killed; a process that has moved to a session of its own (setsid) is not, and neither is one of another user
 * (sudo). A program that cannot be run at all, as it is missing on this host, makes the check unknown. To start a process
 * takes some 3 ms in which WatchMan does nothing else, so a module that asks by itself is better for hundreds of checks a
 * second.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { constants, existsSync } from 'node:fs'
import { access, open, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import {
  askDisk,
  Dead,
  type DiskOptions,
  defineProbe,
  msSince,
  type Secret,
  seconds,
  secret,
  Unknown,
  z,
} from 'deadpool'

const KIB = 1024
const MIB = 1024 * KIB
/** What a program may write at all: reading on would keep WatchMan busy with nothing. */
const MAX_WRITTEN = 64 * MIB
/** How long after the program's end its pipes may stay open: what still holds them is not the program. */
const PIPES_MS = 200

const INHERITED = ['PATH', 'HOME', 'USER', 'LOGNAME', 'TMPDIR', 'TZ']
const FIXED = { LC_ALL: 'C.UTF-8', LANG: 'C.UTF-8' }
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
/** Where Debian, Red Hat, Alpine and the sources put plugins. */
const PLUGIN_FOLDERS = [
  '/usr/lib/nagios/plugins',
  '/usr/lib64/nagios/plugins',
  '/usr/lib/monitoring-plugins',
  '/usr/local/nagios/libexec',
]
const VERDICTS = ['OK', 'WARNING', 'CRITICAL']

const argument = z
  .union([z.string(), z.number()], { error: 'is not a text; write it in quotes' })
  .transform(String)
  .refine((text) => !text.includes('\0'), 'has a NUL character')

const commandSchema = z
  .union([z.string(), z.array(argument)], { error: 'is not a list of the program and its arguments' })
  .superRefine((command, context) => {
    const message = findCommandFault(command)
    if (message !== undefined) context.addIssue({ code: 'custom', message })
  })
  .transform((command) => [command].flat())
  .meta({ title: 'text or list of texts' })

const envSchema = z
  .record(
    z.string(),
    z.union([z.string(), z.number().transform(String), secret()], {
      error: 'is not a text, {env: NAME}, {file: PATH} or {credential: NAME}; write it in quotes',
    }),
  )
  .superRefine((env, context) => {
    for (const [name, value] of Object.entries(env)) {
      const message = findVariableFault(name, value)
      if (message !== undefined) context.addIssue({ code: 'custom', path: [name], message })
    }
  })

const sizeSchema = z
  .union([z.number(), z.string()], { error: 'is not a size; write 65536, "64KiB" or "1MiB"' })
  .superRefine((value, context) => {
    const bytes = parseSize(value)
    const isAllowed = bytes !== undefined && bytes >= KIB && bytes <= 4 * MIB
    const fault =
      bytes === undefined ? 'not a size; write 65536, "64KiB" or "1MiB"' : 'out of range; 1KiB to 4MiB is allowed'
    if (!isAllowed) context.addIssue({ code: 'custom', message: `is ${fault}` })
  })
  .transform((value) => parseSize(value) ?? z.NEVER)
  .meta({ title: 'size' })

const querySchema = z.strictObject({
  command: commandSchema.describe('program and its arguments, as a list'),
  nagios: z.boolean().default(false).describe('whether it is a plugin of Nagios'),
  env: envSchema
    .default({})
    .describe('variables to add to the environment, by name: text, {env: NAME}, {file: PATH} or {credential: NAME}'),
  cwd: z.string().min(1).optional().describe('folder in which it runs; that of the configuration without one'),
  stdin: z.string().optional().describe('text to send to it'),
  timeout: seconds().default(5).describe('of the whole check'),
  max_output: sizeSchema.default(64 * KIB).describe('how much of stdout, and of stderr, is kept'),
})

type Query = z.output<typeof querySchema>

export const Probe = defineProbe({
  summary: 'Runs a program or a plugin of Nagios, and reads how it ended.',
  query: querySchema,
  facts: {
    exit_code: { about: 'exit code; absent when it was killed', type: 'number' },
    signal: {
      about: 'signal that killed it, such as SIGSEGV; absent when it exited',
      type: 'text',
      explains: ['exit_code'],
    },
    stdout: { about: 'what it wrote to standard output', type: 'text' },
    stderr: { about: 'what it wrote to standard error', type: 'text' },
    output_truncated: { about: 'whether it wrote more than max_output', type: 'boolean' },
    nagios: { about: 'verdict of the plugin: OK, WARNING or CRITICAL; only with nagios: true', type: 'text' },
    message: {
      about: 'first line of stderr, or of stdout if that is empty; of a plugin that of stdout, before the "|"',
      type: 'text',
      explains: true,
    },
    perfdata: {
      about: 'performance data by label: value, unit, warn, crit, min, max; only with nagios: true',
      type: 'record',
    },
    time_ms: { about: 'whole check', type: 'number', unit: 'ms' },
  },
  criteria: { exit_code: { type: 'equals', query: 0 } },
  // OK and WARNING
  criteriaOf: ({ nagios }) => (nagios ? { exit_code: { type: 'in', query: [0, 1] } } : {}),
  async probe(query, { signal }) {
    const startedAt = performance.now()
    // Not all of the time: a program whose disk hangs is this host's trouble, which the deadline could not tell.
    const disk = { signal, patienceMs: query.timeout * 500 }
    const env = await createEnv(query.env, signal)
    const folder = query.cwd === undefined ? undefined : await findFolder(query.cwd, disk)
    const program = await findProgram(query, env.PATH, disk)
    const ended = await run({ program, env, folder, query, signal })
    const facts = query.nagios ? readPlugin(ended) : readProgram(ended)
    return { ...facts, time_ms: msSince(startedAt) }
  },
})

async function createEnv(added: Query['env'], signal: AbortSignal): Promise<Record<string, string>> {
  const inherited = INHERITED.map((name) => [name, process.env[name]] as const)
  const env: Record<string, string> = { PATH: DEFAULT_PATH, ...FIXED }
  for (const [name, value] of inherited) if (value !== undefined) env[name] = value
  for (const [name, value] of Object.entries(added)) env[name] = await readValue(value, signal)
  return env
}

async function readValue(value: string | Secret, signal: AbortSignal): Promise<string> {
  return typeof value === 'string' ? value : value.read(signal)
}

async function findFolder(path: string, disk: DiskOptions): Promise<string> {
  if (await askDisk(isFolder, resolve(path), disk)) return path
  throw new Unknown(`cwd "${path}" is not a folder of this host`)
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    if (isAbsence(error)) return false
    throw new Unknown(`cwd "${path}" cannot be used: ${codeOf(error)}`, { cause: error })
  }
}

/** The path of the program, or why this host has none, which says nothing of what the program is to look at. */
async function findProgram({ command, nagios }: Query, path: string | undefined, disk: DiskOptions): Promise<string> {
  const [name = ''] = command
  const folders = [...(path ?? DEFAULT_PATH).split(':'), ...(nagios ? PLUGIN_FOLDERS : [])].filter(Boolean)
  const candidates = name.includes('/') ? [resolve(name)] : folders.map((folder) => join(folder, name))
  let isForbidden = false
  for (const candidate of candidates) {
    const found = await askDisk(examine, candidate, disk)
    if (found === 'ready') return candidate
    isForbidden ||= found === 'forbidden'
  }
  if (isForbidden) throw new Unknown(`"${name}" cannot be run: DeadPool is not allowed to execute it`)
  const place = name.includes('/') ? 'on this host' : `in ${folders.join(':')}`
  throw new Unknown(`"${name}" cannot be run: there is no such program ${place}`)
}

/**
 * Looks at a program before it is run. `spawn` keeps the whole loop waiting until the system has read the program from its
 * disk, so that one on a disk that hangs would stop every probe; its first page is read here, where that harms nobody.
 */
async function examine(path: string): Promise<'ready' | 'missing' | 'forbidden'> {
  try {
    if (!(await stat(path)).isFile()) return 'missing'
    await access(path, constants.X_OK)
    await readFirstPage(path)
    return 'ready'
  } catch (error) {
    if (isAbsence(error)) return 'missing'
    if (/^(EACCES|EPERM)$/.test(codeOf(error))) return 'forbidden'
    throw new Unknown(`"${path}" cannot be run: ${codeOf(error)}`, { cause: error })
  }
}

async function readFirstPage(path: string): Promise<void> {
  const file = await open(path).catch((error) => {
    // It may be executed and not be read, which is enough.
    if (codeOf(error) !== 'EACCES') throw error
  })
  try {
    await file?.read(Buffer.allocUnsafe(4 * KIB), 0, 4 * KIB, 0)
  } finally {
    await file?.close()
  }
}

function isAbsence(error: unknown): boolean {
  return /^(ENOENT|ENOTDIR|ELOOP|ENAMETOOLONG)$/.test(codeOf(error))
}

/** The code and no more: messages of Node quote arguments and variables, which may be secret. */
function codeOf(error: unknown): string {
  const { code, name } = error as NodeJS.ErrnoException
  return code ?? name
}

interface Run {
  program: string
  env: Record<string, string>
  folder: string | undefined
  query: Query
  signal: AbortSignal
}

/** How a program ended, and what it wrote. */
interface Ended {
  code: number | null
  killedBy: string | null
  stdout: string
  stderr: string
  isTruncated: boolean
}

async function run(running: Run): Promise<Ended> {
  const { query, signal } = running
  signal.throwIfAborted()
  const child = start(running)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let grace: NodeJS.Timeout | undefined
  child.on('error', (error) => reject(explainStart(error, query)))
  child.on('exit', () => (grace = setTimeout(resolve, PIPES_MS)))
  child.on('close', () => resolve())
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort)
  const room: Room = { left: MAX_WRITTEN, exhaust: reject }
  const stdout = collect(child.stdout, query.max_output, room)
  const stderr = collect(child.stderr, query.max_output, room)
  feed(child.stdin, query.stdin)
  try {
    await promise
    const isTruncated = stdout.isTruncated || stderr.isTruncated
    return {
      code: child.exitCode,
      killedBy: child.signalCode,
      stdout: stdout.text(),
      stderr: stderr.text(),
      isTruncated,
    }
  } finally {
    clearTimeout(grace)
    signal.removeEventListener('abort', abort)
    end(child)
  }
}

/** The process groups of the programs under way. */
const groups = new Set<number>()
// A WatchMan that ends in good order ends its programs too.
process.once('exit', () => {
  for (const pid of groups) killGroup(pid)
})

function start({ program, env, folder, query }: Run): ChildProcess {
  const { command, stdin } = query
  try {
    const child = spawn(program, command.slice(1), {
      env,
      cwd: folder,
      // In a process group of its own, so that it can be killed with all that it started.
      detached: true,
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    if (child.pid !== undefined) groups.add(child.pid)
    return child
  } catch (error) {
    throw explainStart(error, query)
  }
}

/** Whatever kept a program from starting is a matter of this host. */
function explainStart(error: unknown, { command: [name] }: Query): Unknown {
  const code = codeOf(error)
  if (code === 'ENOENT') {
    if (!existsSync('/dev/null')) return new Unknown('no program can be run: this host has no /dev/null')
    // It was there a moment ago.
    return new Unknown(`"${name}" cannot be run: the interpreter that its first line names is missing`)
  }
  const faults: Record<string, string> = {
    EACCES: 'DeadPool is not allowed to execute it',
    EAGAIN: 'this host allows no further process',
    ENOMEM: 'this host is out of memory',
    EMFILE: 'this process has no file descriptors left',
    ENFILE: 'this host has no file descriptors left',
    E2BIG: 'its arguments and environment are too long',
    ENOEXEC: 'it is not a program for this host',
  }
  return new Unknown(`"${name}" cannot be run: ${faults[code] ?? code}`)
}

/** Closes the pipes and kills what is left of the program's process group, whether or not it has ended itself. */
function end({ pid, stdin, stdout, stderr }: ChildProcess): void {
  for (const pipe of [stdin, stdout, stderr]) pipe?.destroy()
  if (pid === undefined) return
  groups.delete(pid)
  killGroup(pid)
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Nobody is left, which is as it should be, or only processes of another user, which cannot be helped.
  }
}

function feed(stdin: Writable | null, text: string | undefined): void {
  // A program need not read what it is sent.
  stdin?.on('error', () => {})
  stdin?.end(text)
}

/** What a program may still write, to both pipes together. */
interface Room {
  left: number
  exhaust(error: Dead): void
}

/** Keeps the first `limit` bytes of a pipe, in one buffer: a list of what is written byte by byte would grow a hundredfold. */
function collect(pipe: Readable | null, limit: number, room: Room) {
  let bytes = Buffer.alloc(0)
  let length = 0
  const output = {
    isTruncated: false,
    text: () => new TextDecoder().decode(bytes.subarray(0, length)),
  }
  pipe?.on('error', () => {})
  pipe?.on('data', (chunk: Buffer) => {
    const kept = chunk.subarray(0, limit - length)
    if (length + kept.length > bytes.length) {
      const larger = Buffer.allocUnsafe(Math.min(limit, Math.max(4 * KIB, 2 * (length + kept.length))))
      larger.set(bytes.subarray(0, length))
      bytes = larger
    }
    bytes.set(kept, length)
    length += kept.length
    output.isTruncated ||= kept.length < chunk.length
    room.left -= chunk.length
    if (room.left < 0) room.exhaust(new Dead(`wrote more than ${MAX_WRITTEN / MIB} MiB`))
  })
  return output
}

function readProgram({ code, killedBy, stdout, stderr, isTruncated }: Ended) {
  return {
    exit_code: code ?? undefined,
    signal: killedBy ?? undefined,
    stdout,
    stderr,
    output_truncated: isTruncated,
    message: findFirstLine(stderr) ?? findFirstLine(stdout),
  }
}

/** @throws Unknown when the plugin came to no verdict */
function readPlugin(ended: Ended) {
  const { code, killedBy, stdout, stderr } = ended
  const output = readOutput(stdout)
  const message = findFirstLine(output.text) ?? findFirstLine(stderr)
  const verdict = VERDICTS[code ?? -1]
  if (verdict === undefined) {
    const how = code === 3 ? 'the plugin says UNKNOWN' : `the plugin gave no verdict (${describeEnd(code, killedBy)})`
    throw new Unknown(message === undefined ? how : `${how}: "${shorten(message)}"`)
  }
  return { ...readProgram(ended), nagios: verdict, message, perfdata: parsePerfdata(output.perfdata) }
}

function describeEnd(code: number | null, killedBy: string | null): string {
  return killedBy === null ? `exit ${code}` : `killed by ${killedBy}`
}

function findFirstLine(text: string): string | undefined {
  return /\S.*/.exec(text)?.[0].trimEnd()
}

function shorten(text: string): string {
  const line = text.replace(/\p{Cc}/gu, ' ')
  return line.length > 200 ? `${line.slice(0, 199)}…` : line
}

/**
 * Takes a plugin's output apart, as Nagios' plugin API has it: the first line may have performance data after a `|`; in the
 * lines that follow, all is performance data after the next `|`.
 */
function readOutput(stdout: string): { text: string; perfdata: string } {
  const [first, rest] = splitAt(stdout.trimStart(), '\n')
  const [text, perfdata] = splitAt(first, '|')
  return { text, perfdata: `${perfdata}\n${splitAt(rest, '|')[1]}` }
}

function splitAt(text: string, mark: string): [before: string, after: string] {
  const at = text.indexOf(mark)
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

/** One value of performance data. Thresholds are ranges, such as `10`, `~:5` or `@10:20`, and so they are text. */
interface Measure {
  /** Absent when the plugin says that it does not know it (`U`). */
  value?: number
  unit: string
  warn?: string
  crit?: string
  min?: number
  max?: number
}

const LABEL = /\s*(?:'([^']*(?:''[^']*)*)'|([^\s='][^\s=]*))=(\S*)/y
const VALUE = /^(?:U|([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)([^\d\s]*))$/i

/** Reads `'label'=value[unit];warn;crit;min;max …` as the guidelines of the Monitoring Plugins have it, and passes over the rest. */
function parsePerfdata(text: string): Record<string, Measure> {
  const found: [string, Measure][] = []
  let at = 0
  while (at < text.length) {
    LABEL.lastIndex = at
    const match = LABEL.exec(text)
    if (match) {
      const [, quoted, bare, value = ''] = match
      const measure = parseMeasure(value)
      if (measure) found.push([quoted?.replaceAll("''", "'") ?? bare ?? '', measure])
    }
    at = match ? LABEL.lastIndex : findNextWord(text, at)
  }
  return Object.fromEntries(found)
}

/** Past what is no performance data; the end when a quote is not closed, as then nobody knows what is a label. */
function findNextWord(text: string, at: number): number {
  const start = at + (/\S/.exec(text.slice(at))?.index ?? text.length)
  if (text[start] === "'" && !text.includes("'", start + 1)) return text.length
  const blank = /\s/.exec(text.slice(start))
  return blank ? start + blank.index : text.length
}

function parseMeasure(written: string): Measure | undefined {
  const [first = '', warn, crit, min, max] = written.split(';')
  const match = VALUE.exec(first)
  if (!match) return undefined
  const [, value, unit = ''] = match
  return {
    ...(value !== undefined && { value: Number(value) }),
    unit,
    ...(warn && { warn }),
    ...(crit && { crit }),
    ...(isNumeric(min) && { min: Number(min) }),
    ...(isNumeric(max) && { max: Number(max) }),
  }
}

function isNumeric(text: string | undefined): text is string {
  return text !== undefined && text !== '' && Number.isFinite(Number(text))
}

function findCommandFault(command: string | string[]): string | undefined {
  if (typeof command === 'string' && /\s/.test(command.trim())) {
    return `is one text, which no shell takes apart; write a list: [${command.trim().split(/\s+/).join(', ')}]`
  }
  const [program = ''] = [command].flat()
  if (program.trim() === '') return 'names no program; write a list such as [check_disk, -w, 10%]'
  return program.includes('\0') ? 'has a NUL character' : undefined
}

function findVariableFault(name: string, value: string | Secret): string | undefined {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return 'is not for a variable; a name is of letters, digits and "_"'
  if (name === 'DEADPOOL_ROLE') return "is not for others; DEADPOOL_ROLE is for DeadPool's own use"
  return typeof value === 'string' && value.includes('\0') ? 'has a NUL character' : undefined
}

/** Reads a size as people write it, in bytes: a number, or text such as `512KiB` or `1MiB`. */
function parseSize(value: string | number): number | undefined {
  const match = /^(\d+)\s?(KiB|MiB)?$/i.exec(String(value).trim())
  if (!match) return undefined
  const unit = match[2]?.toLowerCase()
  return Number(match[1]) * (unit === 'mib' ? MIB : unit === 'kib' ? KIB : 1)
}
