import type { Writable } from 'node:stream'
import type { LogLevel } from './log.ts'
import { type OpenTarget, openConsole, openTarget } from './open-target.ts'
import { createOutage, type Outage } from './outage.ts'
import { type LogEntry, SEVERITY } from './reporter.ts'
import { createStreamWriter } from './stream-writer.ts'
import type { LogTarget } from './target.ts'

export interface OpenOptions {
  targets: LogTarget[]
  env?: NodeJS.ProcessEnv
  stdout?: Writable & { isTTY?: boolean }
  stderr?: Writable & { isTTY?: boolean }
  /** Whether a person watches stderr, who must see something whatever the targets are; found out when absent. */
  isTerminal?: boolean
  /** The socket of this host's syslog, where it is not `/dev/log`. */
  syslogSocket?: string | undefined
}

/**
 * Opens every target, and the console too where nothing else would show anything on a terminal. That a target fails or works
 * again is told to the others and on stderr, as the entry that `toNotice` makes of it, whatever the levels.
 */
export async function openTargets(
  options: OpenOptions,
  toNotice: (level: LogLevel, message: string) => LogEntry,
): Promise<OpenTarget[]> {
  const { targets, env = process.env, stdout = process.stdout, syslogSocket } = options
  const opened: OpenTarget[] = []

  function watch(label: string): Outage {
    const outage = createOutage(label, (level, message, alsoSelf) => {
      const notice = toNotice(level, message)
      const others = opened.filter((target) => alsoSelf || target.outage !== outage)
      if (outage !== stderr.outage && !opened.some((target) => target.outage === stderr.outage)) others.push(onStderr)
      for (const { reporter } of others) reporter.write(notice)
    })
    return outage
  }

  const stderr = openStderr(options, watch)
  const onStderr = openConsole({ level: findMostVerbose(targets) }, { env, stderr })
  const isShown = targets.some(({ type }) => type === 'console' || type === 'json')
  const showsAll = isShown || stderr.isTerminal
  const fallback = showsAll ? () => {} : onStderr.reporter.write
  for (const target of targets) {
    opened.push(await openTarget(target, { env, stdout, stderr, syslogSocket, watch, fallback }))
  }
  if (stderr.isTerminal && !isShown) opened.push(onStderr)
  return opened
}

function openStderr(
  { stderr = process.stderr, isTerminal = stderr.isTTY === true }: OpenOptions,
  watch: (label: string) => Outage,
) {
  const outage = watch('stderr')
  return { writer: createStreamWriter(stderr, outage), outage, isTerminal }
}

function findMostVerbose(targets: LogTarget[]): LogLevel {
  const levels = targets.map(({ level }) => level)
  return levels.sort((a, b) => SEVERITY[b] - SEVERITY[a])[0] ?? 'info'
}
