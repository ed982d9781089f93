import type { Writable } from 'node:stream'
import { createConsoleReporter, wantsColor } from './console.ts'
import { createJsonReporter } from './json.ts'
import type { Outage } from './outage.ts'
import type { LogEntry, Reporter } from './reporter.ts'
import { createStreamWriter, type StreamWriter } from './stream-writer.ts'
import type { LogTarget } from './target.ts'

/** A target that is ready to take lines. */
export interface OpenTarget {
  level: LogTarget['level']
  reporter: Reporter
  /** Shared by all targets that end on stderr. */
  outage: Outage
}

/** What targets need of the process around them. */
export interface Surroundings {
  env: NodeJS.ProcessEnv
  stdout: Writable & { isTTY?: boolean }
  stderr: { writer: StreamWriter; outage: Outage; isTerminal: boolean }
  /** The socket of this host's syslog, where it is not `/dev/log`. */
  syslogSocket: string | undefined
  /** Starts to watch over a target that people know by that label. */
  watch: (label: string) => Outage
  /** Takes what this host's syslog cannot. */
  fallback: (entry: LogEntry) => void
}

type Of<Type extends LogTarget['type']> = LogTarget & { type: Type }

/** Opens one target, loading no more code than it needs. Nothing is connected yet; that is left to the first line. */
export async function openTarget(target: LogTarget, around: Surroundings): Promise<OpenTarget> {
  switch (target.type) {
    case 'console':
      return openConsole(target, around)
    case 'json':
      return openJson(target, around)
    case 'gelf':
      return openGelf(target, around)
    case 'syslog':
      return target.server === undefined
        ? openLocalSyslog(target, around)
        : openRemoteSyslog({ ...target, server: target.server }, around)
  }
}

/** Opens the lines for people on stderr. */
export function openConsole(
  { level, color }: Pick<Of<'console'>, 'level' | 'color'>,
  { stderr: { writer, outage, isTerminal }, env }: Pick<Surroundings, 'stderr' | 'env'>,
): OpenTarget {
  const look = { isTerminal, color: wantsColor(color, isTerminal, env) }
  return { level, reporter: createConsoleReporter(writer, look), outage }
}

function openJson({ level }: Of<'json'>, { stdout, watch }: Surroundings): OpenTarget {
  const outage = watch('json on stdout')
  return { level, reporter: createJsonReporter(createStreamWriter(stdout, outage)), outage }
}

async function openGelf(target: Of<'gelf'>, { watch }: Surroundings): Promise<OpenTarget> {
  const { createGelfReporter } = await import('./gelf.ts')
  const outage = watch(`gelf ${target.protocol} ${target.server}:${target.port}`)
  return { level: target.level, reporter: createGelfReporter(target, outage), outage }
}

async function openRemoteSyslog(
  target: Of<'syslog'> & { server: string },
  { watch }: Surroundings,
): Promise<OpenTarget> {
  const { createSyslogReporter } = await import('./syslog.ts')
  const outage = watch(`syslog ${target.protocol} ${target.server}:${target.port}`)
  return { level: target.level, reporter: createSyslogReporter(target, outage), outage }
}

async function openLocalSyslog(target: Of<'syslog'>, around: Surroundings): Promise<OpenTarget> {
  const { createJournalReporter, createLoggerReporter, isJournal } = await import('./local-syslog.ts')
  const { env, stderr, syslogSocket: socket, fallback } = around
  if (isJournal(env)) {
    return { level: target.level, reporter: createJournalReporter(stderr.writer), outage: stderr.outage }
  }
  const outage = around.watch('syslog')
  const reporter = createLoggerReporter(target, outage, { path: env.PATH ?? '/usr/bin:/bin', socket, fallback })
  return { level: target.level, reporter, outage }
}
