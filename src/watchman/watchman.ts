import type { Carried } from '../carried/carried.ts'
import { type Config, loadConfig } from '../config/load.ts'
import { createRedactor } from '../config/secrets.ts'
import { createLog } from '../log/create-log.ts'
import type { Log } from '../log/log.ts'
import { createCatalog, moduleFolderOf } from '../modules/catalog.ts'
import { answerWithin, FOLDER_TIMEOUT_MS } from '../status/answer-within.ts'
import { createFlagKeeper } from '../status/keeper.ts'
import { createFlagReader, describeFault } from '../status/reader.ts'
import { tidyFolder } from '../status/tidy.ts'
import type { Flag } from '../verdict/verdict.ts'
import { firstDelay, startLoop } from './loop.ts'
import { heartbeatPeriod, type StartMessage, type WatchmanMessage } from './messages.ts'
import { createWatcher, type Watcher } from './watcher.ts'

/** The channel to SpiderMan. */
export interface Channel {
  send(message: WatchmanMessage): void
}

/** A WatchMan at work. */
export interface WatchMan {
  log: Log & { close(): Promise<void> }
}

/**
 * Starts all enabled probes of the configuration that SpiderMan validated, and goes on for ever.
 *
 * @throws ConfigError when the text cannot be loaded here, which SpiderMan's validation makes unlikely
 */
export async function startWatchMan(
  { file, text }: StartMessage,
  channel: Channel,
  carried: Carried,
): Promise<WatchMan> {
  // What SpiderMan found good is taken as it is: the watcher answers nobody, so a token that is gone does not stop it.
  const { config } = loadConfig(file, { text })
  const redact = createRedactor(config.secrets)
  const log = await createLog({ targets: config.log, name: config.web.name, role: 'WatchMan', redact })
  surviveErrors(log)
  const { statusFolder: folder, staleAfterMs } = config.watchman
  const probes = config.probes.filter((probe) => probe.isEnabled)

  setInterval(() => channel.send({ kind: 'heartbeat' }), heartbeatPeriod(staleAfterMs))
  const flags = await tidyOrGoOn(config, log)
  const catalog = createCatalog({ folder: moduleFolderOf(config, carried), carried, log })
  const watchers = new Map<string, Watcher>()
  let lastFault: string | undefined
  const keeper = createFlagKeeper({
    folder,
    onSettled({ probe, fault }) {
      if (fault !== undefined && fault !== lastFault)
        log.error(`flags cannot be set: ${fault}; answers follow the checks`)
      else if (fault === undefined && lastFault !== undefined) log.info('flags can be set again')
      lastFault = fault
      watchers.get(probe)?.flagSettled(fault)
    },
  })
  const reader = createFlagReader({ folder, probes: probes.map(({ name }) => name), isKnown: () => true })

  for (const [index, probe] of probes.entries()) {
    const watcher = createWatcher({
      probe,
      flag: flags.get(probe.name),
      catalog,
      staleAfterMs,
      keeper,
      reader,
      log,
      redact,
      send: channel.send,
    })
    watchers.set(probe.name, watcher)
    const { periodMs } = probe
    startLoop({ periodMs, firstDelayMs: firstDelay(index, probes.length, periodMs), run: watcher.checkOnce })
  }
  log.info(`watching ${probes.length} probe${probes.length === 1 ? '' : 's'}`)
  return { log }
}

/**
 * An error that a module throws where nobody can catch it must not end the checks of all the others: its own check runs
 * into its deadline, and the watcher goes on.
 */
function surviveErrors(log: Log): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.error(`an error that nobody caught: ${error instanceof Error ? (error.stack ?? error.message) : error}`)
    })
  }
}

/** Tidies the status folder; what is wrong with it is said, and the checks begin all the same. */
async function tidyOrGoOn(config: Config, log: Log): Promise<Map<string, Flag>> {
  const names = (isEnabled: boolean) =>
    new Set(config.probes.filter((probe) => probe.isEnabled === isEnabled).map(({ name }) => name))
  const { statusFolder: folder, clearOnStart: clear } = config.watchman
  try {
    const probes = { enabled: names(true), disabled: names(false), clear }
    return await answerWithin(FOLDER_TIMEOUT_MS, tidyFolder(folder, probes))
  } catch (error) {
    log.error(`the status folder cannot be read: ${describeFault(folder, error as NodeJS.ErrnoException)}`)
    return new Map()
  }
}
