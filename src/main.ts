import { writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { isSea } from 'node:sea'
import { isMainThread } from 'node:worker_threads'
import { carried } from '#carried'
import { type Command, parseCommandLine } from './cli/command-line.ts'
import type { Printout } from './cli/place.ts'
import { UsageError, writeHelp } from './cli/usage.ts'
import { findConfig, isConfigThere } from './config/find.ts'
import { loadConfig } from './config/load.ts'
import { ConfigError } from './config/problem.ts'
import { takeSurroundings } from './systemd/surroundings.ts'
import { openPredecessor, type Predecessor } from './upgrade/predecessor.ts'
import {
  ROLE_VARIABLE,
  type SpidermanMessage,
  SUCCESSOR_ROLE,
  WATCHMAN_ROLE,
  type WatchmanMessage,
} from './watchman/messages.ts'
import type { WatchMan } from './watchman/watchman.ts'

/**
 * How this program was started. A path may be a link by now to a newer binary, or the file may have been replaced; Linux
 * itself only knows the file that was started.
 */
const STARTED_AS = process.argv0.includes('/') ? resolve(process.argv0) : process.execPath

/** Picks the role, wires the parts, and is the only place that ends a process. */
if (!isMainThread) void import('./modules/thread-main.ts')
else if (process.env[ROLE_VARIABLE] === WATCHMAN_ROLE) watch()
else void main(process.argv.slice(2))

async function main(args: string[]): Promise<void> {
  const predecessor = takeRole() === SUCCESSOR_ROLE ? openPredecessor() : undefined
  try {
    await execute(parseCommandLine(args), predecessor)
  } catch (error) {
    // Who started this process says it where it is read.
    if (predecessor) await predecessor.fail(explain(error))
    // What else is open (a log's socket, a module's thread) must not hold a failed start.
    end(predecessor ? codeOf(error) : report(error), error instanceof ConfigError && error.isDiskHanging)
  }
}

/** Reads the role of this process, which is not that of the ones that it starts. */
function takeRole(): string | undefined {
  const role = process.env[ROLE_VARIABLE]
  if (role !== undefined) refuseByHand()
  delete process.env[ROLE_VARIABLE]
  return role
}

async function execute(command: Command, predecessor: Predecessor | undefined): Promise<void> {
  switch (command.name) {
    case 'help':
      return print(writeHelp(command.about))
    case 'version':
      return print(`deadpool ${carried.version} (${carried.commit || 'from sources'}, Node ${process.versions.node})\n`)
    case 'licenses':
      return print(await carried.licences())
    case 'modules':
      return modules(command)
    case 'completion':
      return complete(command)
    case 'init': {
      const { init } = await import('./cli/init.ts')
      return print(init(command.file, process.cwd(), carried.binary && process.argv0))
    }
    case 'install': {
      const { install } = await import('./cli/install.ts')
      return finish(await install(command, carried))
    }
    case 'uninstall': {
      const { uninstall } = await import('./cli/uninstall.ts')
      return finish(await uninstall(command, carried))
    }
    case 'check-config':
      return checkConfiguration(command)
    case 'check': {
      const { check } = await import('./cli/check.ts')
      const onLog = (line: string) => process.stderr.write(`${line}\n`)
      const { out, code } = await check(load(command.config), command.probes, { carried, json: command.json, onLog })
      process.exitCode = code
      // A module that does not stop must not hold the command.
      process.stdout.write(out, () => end(code, false))
      return
    }
    case 'simulate': {
      const { simulate } = await import('./cli/simulate.ts')
      return finish(simulate(load(command.config), command.simulated, command))
    }
    case 'status':
    case 'drain':
    case 'resume':
    case 'mute':
    case 'unmute':
    case 'reload':
    case 'upgrade': {
      const { executeInFolder } = await import('./cli/in-folder.ts')
      const { env, stdout } = process
      return finish(await executeInFolder(command, { carried, env, cwd: process.cwd(), stdout, print }))
    }
    case 'run': {
      showName()
      const surroundings = takeSurroundings(process.env)
      const loaded = load(command.config)
      const { run } = await import('./cli/run.ts')
      let isReloadDue = false // the configuration is loaded already, and may change until DeadPool is at work
      let reload = () => {
        isReloadDue = true
      }
      let upgrade = () => {} // what is being started is the present program
      refuseDebugger()
      process.on('SIGHUP', () => reload())
      process.on('SIGUSR2', () => upgrade())
      const running = await run(loaded, carried, {
        surroundings,
        predecessor,
        program: { file: programFile(), args: programArgs },
      })
      const endAfter = (ending: Promise<unknown>) => void ending.finally(() => end(0, running.isDiskHanging()))
      reload = () => void running.reload()
      upgrade = () => void running.upgrade().then((isDone) => isDone && endAfter(running.retire()))
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => endAfter(running.stop(signal)))
      if (isReloadDue) reload()
    }
  }
}

/** Lets `ps`, `pgrep` and `systemctl status` call the process by its name, which is `MainThread` in Node. */
function showName(): void {
  try {
    writeFileSync('/proc/self/comm', 'deadpool')
  } catch {
    // It is but a name.
  }
}

/** What runs this program again: its binary, or Node with its main script. */
function programFile(): string {
  return isSea() ? STARTED_AS : process.execPath
}

function programArgs(configFile: string): string[] {
  const script = isSea() ? [] : [...process.execArgv, process.argv[1] ?? '']
  return [...script, 'run', '--config', configFile]
}

/** Ends the process. A thread that waits for a hanging disk would hold `exit` for ever, but not a signal. */
function end(code: number, isDiskHanging: boolean): void {
  if (isDiskHanging) process.kill(process.pid, 'SIGKILL')
  process.exit(code)
}

async function checkConfiguration({ config, against }: Extract<Command, { name: 'check-config' }>): Promise<void> {
  const former = against === undefined ? undefined : loadConfig(resolve(against))
  const { checkConfig } = await import('./cli/check-config.ts')
  const loaded = load(config)
  const { lines, warnings } = await checkConfig(loaded, carried)
  if (former) {
    const { compare, findDoubts } = await import('./cli/compare.ts')
    warnings.push(...findDoubts(former))
    lines.push(...(await compare(former, loaded)))
  }
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`)
  return print(`${lines.join('\n')}\n`)
}

/** Prints what a command came to; the process then ends by itself, if it can. */
function finish({ out, err = '', code, isDiskHanging = false }: Printout): void {
  process.exitCode = code
  // What was done comes before why it went no further.
  print(out)
  process.stderr.write(err)
  if (isDiskHanging) process.stdout.write('', () => end(code, true))
}

async function modules(command: Extract<Command, { name: 'modules' }>): Promise<void> {
  const { ejectModule, listModules, showModule } = await import('./cli/modules.ts')
  if (command.types) return print(await carried.types())
  if (command.eject) return print(`${ejectModule(command.eject, carried, process.cwd())}\n`)
  const { moduleFolderOf } = await import('./modules/catalog.ts')
  const options = { option: command.config, env: process.env, cwd: process.cwd(), home: carried.home }
  const hasConfig = command.config !== undefined || isConfigThere(options)
  const folder = hasConfig ? moduleFolderOf(load(command.config).config, carried) : join(carried.home, 'mod')
  if (command.module !== undefined) return print(await showModule(command.module, folder, carried))
  return print(await listModules(folder, carried))
}

async function complete(command: Extract<Command, { name: 'completion' }>): Promise<void> {
  if (command.of === 'names') {
    const { listNames } = await import('./cli/names.ts')
    const names = await listNames(command, { env: process.env, cwd: process.cwd(), home: carried.home })
    return print(names.map((name) => `${name}\n`).join(''))
  }
  const { writeCompletion } = await import('./cli/completion.ts')
  return print(writeCompletion(command.of, carried.stockNames()))
}

/** Loads the configuration and goes to its folder: every relative path in it, a module's too, is relative to that. */
function load(option: string | undefined) {
  const loaded = loadConfig(findConfig({ option, env: process.env, cwd: process.cwd(), home: carried.home }))
  process.chdir(dirname(loaded.config.file))
  return loaded
}

function print(text: string): void {
  // Whoever reads no further, as `head` does, has what it wanted.
  if (process.stdout.listenerCount('error') === 0) {
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0)
      process.stderr.write(`deadpool: standard output cannot be written: ${error.message}\n`)
      process.exit(1)
    })
  }
  process.stdout.write(text)
}

/** Says on standard error what went wrong, and returns the exit code. */
function report(error: unknown): 1 | 2 {
  const prefix = error instanceof ConfigError ? '' : 'deadpool: '
  process.stderr.write(`${prefix}${explain(error).join('\n')}\n`)
  return codeOf(error)
}

function explain(error: unknown): readonly string[] {
  if (error instanceof ConfigError) return error.lines
  if (!(error instanceof Error)) return [String(error)]
  if ('syscall' in error && error.syscall === 'uv_cwd') return ['the working directory is gone; go to another one']
  // These speak to operators: where they come from in the program does not matter.
  const isExpected = ['UsageError', 'ListenError', 'FolderTakenError', 'UpgradeError'].includes(error.name)
  return [isExpected ? error.message : (error.stack ?? error.message)]
}

function codeOf(error: unknown): 1 | 2 {
  return error instanceof ConfigError || error instanceof UsageError ? 2 : 1
}

/** The roles besides the main one are for processes that DeadPool starts. */
function refuseByHand(): void {
  if (process.send) return
  process.stderr.write(`deadpool: ${ROLE_VARIABLE} is for DeadPool's own use; unset it\n`)
  process.exit(2)
}

/** By SIGUSR1 Node would open its debugger, to every user of this host, and it is mistaken easily for SIGUSR2. */
function refuseDebugger(): void {
  process.on('SIGUSR1', () => undefined)
}

/**
 * The life of the watcher: it waits for SpiderMan's configuration, and ends when SpiderMan is gone. It never forks: a
 * watcher that is not somebody's child refuses to start.
 */
function watch(): void {
  refuseByHand()
  process.title = 'deadpool: WatchMan'
  let watchman: Promise<WatchMan> | undefined
  refuseDebugger()
  // Ctrl-C reaches both processes; SpiderMan decides, and its end ends this one.
  process.on('SIGINT', () => undefined)
  process.on('SIGHUP', () => undefined)
  process.on('SIGTERM', () => {
    // What stops a whole group ends the programs of checks, too: that is not a word of their components.
    void watchman?.then((started) => started.rest())
    setTimeout(() => process.exit(0), 1500).unref()
  })
  // Not by exit(), which a thread that waits for a hanging disk would hold; all that matters here is on disk already.
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))
  const send = (message: WatchmanMessage) => {
    // One that is gone without a word is noticed a moment later.
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined)
  }
  process.on('message', async (message: SpidermanMessage) => {
    const { startWatchMan } = await import('./watchman/watchman.ts')
    if (message.kind === 'start') watchman ??= startWatchMan(message, { send }, carried)
    const started = await watchman?.catch((error) => process.exit(report(error)))
    if (message.kind === 'reload') started?.reload(message)
    if (message.kind !== 'stop') return
    await started?.stop()
    process.exit(0)
  })
}
