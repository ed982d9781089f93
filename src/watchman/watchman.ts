import type { Carried } from '../carried/carried.ts'
import { readBootId, readClocks } from '../clock.ts'
import { type Config, loadConfig, rulesOf } from '../config/load.ts'
import { createRedactor } from '../config/secrets.ts'
import { createLog } from '../log/create-log.ts'
import type { Log } from '../log/log.ts'
import { createCatalog, moduleFolderOf } from '../modules/catalog.ts'
import { answerWithin, FOLDER_TIMEOUT_MS } from '../status/answer-within.ts'
import { createFlagKeeper } from '../status/keeper.ts'
import { createFlagReader, describeFault } from '../status/reader.ts'
import {
  explainUnusable,
  type Recollection,
  readWatchmanNotes,
  type ShadowRecord,
  toRecollection,
  type WatchmanNotes,
  writeWatchmanNotes,
} from '../status/state-file.ts'
import { tidyFolder } from '../status/tidy.ts'
import type { Flag } from '../verdict/standing.ts'
import { createActivityNote } from './activity.ts'
import { type ConfigMessage, heartbeatPeriod, type WatchmanMessage } from './messages.ts'
import { createNoteWriter } from './note-writer.ts'
import { createPaceMeter } from './pace-meter.ts'
import { createRoster } from './roster.ts'
import { createShadowBook } from './shadow-book.ts'
import { watchStalls } from './stalls.ts'
import { createTroubleLog } from './trouble-log.ts'

/** The channel to SpiderMan. */
export interface Channel {
  send(message: WatchmanMessage): void
}

/** A WatchMan at work. */
export interface WatchMan {
  /** Goes on by another configuration, which SpiderMan validated: only what changed in it begins anew. */
  reload(message: ConfigMessage): void
  /** Lets nothing count any more that a check under way comes to. */
  rest(): void
  /** Writes down where it is, and closes the log. */
  stop(): Promise<void>
}

const STOP_TIMEOUT_MS = 300

/**
 * Starts all enabled probes of the configuration that SpiderMan validated, and goes on for ever.
 *
 * @throws ConfigError when the text cannot be loaded here, which SpiderMan's validation makes unlikely
 */
export async function startWatchMan(start: ConfigMessage, channel: Channel, carried: Carried): Promise<WatchMan> {
  // What SpiderMan found good is taken as it is: the watcher answers nobody, so a token that is gone does not stop it.
  let { config } = loadConfig(start.file, { text: start.text })
  let { generation } = start
  let redact = createRedactor(config.secrets)
  const { statusFolder: folder } = config.watchman
  const log = await createLog({
    targets: config.log,
    name: config.web.name,
    role: 'WatchMan',
    redact,
  })
  surviveErrors(log)

  const isCleared = config.watchman.clearOnStart && !start.isAgain
  const remembered = isCleared ? undefined : await recall([folder, start.formerFolder ?? folder], log)
  const flags = await tidyOrGoOn(config, isCleared, log)
  const boot = readBootId()
  const catalog = createCatalog({ folder: moduleFolderOf(config, carried), carried, log })
  const stalls = watchStalls()
  const pace = createPaceMeter()
  const noteActivity = createActivityNote()
  const shadows = createShadowBook(rulesOf(config), log, remembered && recallShadows(remembered))
  const notes = createNoteWriter({ write: writeNotes, folder, log })
  let lastFault: string | undefined
  let isLookDue = false
  const keeper = createFlagKeeper({
    folder,
    onSettled({ probe, fault }) {
      if (fault !== undefined && fault !== lastFault)
        log.error(`flags cannot be set: ${fault}; answers follow the checks`)
      else if (fault === undefined && lastFault !== undefined) log.info('flags can be set again')
      lastFault = fault
      roster.watcher(probe)?.flagSettled(fault)
    },
  })
  const countProbes = () => roster.size()
  const reader = createFlagReader({ folder, probes: enabledNames(config), isKnown: () => true })
  const roster = createRoster({
    around: {
      catalog,
      keeper,
      reader,
      stalls,
      log,
      troubles: createTroubleLog(log, countProbes),
      redact: (text) => redact(text),
      send: channel.send,
      staleAfterMs: () => config.watchman.staleAfterMs,
      onChange() {
        if (!isLookDue) setImmediate(lookAtShadows)
        isLookDue = true
        notes.hurry()
      },
    },
    onStart: pace.start,
    onStep: (index, step) => noteActivity(generation, index, step),
    onRound: () => channel.send({ kind: 'ready', generation, checked: roster.takeChecked() }),
  })
  roster.follow(config.probes, { remembered, flags, heard: new Map(start.heard) })
  // Between two heartbeats there may be another configuration with another `stale_after`.
  const tellChecked = () => channel.send({ kind: 'heartbeat', generation, checked: roster.takeChecked() })
  const beat = () => {
    tellChecked()
    setTimeout(beat, heartbeatPeriod(config.watchman.staleAfterMs))
  }
  beat()
  log.info(`watching ${countText(roster.size())}`)

  /** Once for all changes of a moment: when thousands of probes die together, not once for each. */
  function lookAtShadows(): void {
    isLookDue = false
    shadows.update(roster.standings, readClocks())
  }

  async function writeNotes(): Promise<void> {
    await writeWatchmanNotes(folder, {
      boot,
      written: readClocks(),
      pid: process.pid,
      config: config.file,
      name: config.web.name,
      staleAfterMs: config.watchman.staleAfterMs,
      rules: rulesOf(config),
      countedSinceMs: remembered?.notes.countedSinceMs ?? startedMs,
      pace: pace.read(),
      probes: roster.records(),
      shadows: shadows.records(),
    })
  }

  return {
    reload(message) {
      config = loadConfig(message.file, { text: message.text }).config
      // By the places that they have until now.
      tellChecked()
      generation = message.generation
      redact = createRedactor(config.secrets)
      log.redactBy(redact)
      reader.follow(enabledNames(config))
      shadows.follow(rulesOf(config))
      const { begun, ended } = roster.follow(config.probes)
      const changes = [
        begun.length > 0 && `${countText(begun.length)} begun anew`,
        ended > 0 && `${countText(ended)} ended`,
      ]
      log.info(
        `watching ${countText(roster.size())} by the new configuration; ${changes.filter(Boolean).join(', ') || 'none changed'}`,
      )
      notes.hurry()
    },
    rest: () => roster.stop(),
    async stop() {
      roster.stop()
      stalls.stop()
      await notes.finish(STOP_TIMEOUT_MS)
      await log.close()
    },
  }
}

const startedMs = Date.now()

function enabledNames({ probes }: Pick<Config, 'probes'>): string[] {
  return probes.filter(({ isEnabled }) => isEnabled).map(({ name }) => name)
}

function countText(count: number): string {
  return `${count} probe${count === 1 ? '' : 's'}`
}

/** Of another run of the host the wall clock alone tells. */
function recallShadows({ notes, isSameBoot }: Recollection): WatchmanNotes['shadows'] {
  if (isSameBoot) return notes.shadows
  const entries = Object.entries(notes.shadows).map(([name, { since, ...rest }]): [string, ShadowRecord] => {
    return [name, since ? { ...rest, since: { wallMs: since.wallMs } } : rest]
  })
  return Object.fromEntries(entries)
}

/** Reads the youngest notes of these folders. */
async function recall(folders: string[], log: Log): Promise<Recollection | undefined> {
  const found: Recollection[] = []
  for (const folder of new Set(folders)) {
    try {
      const notes = await answerWithin(FOLDER_TIMEOUT_MS, readWatchmanNotes(folder))
      if (notes) found.push(toRecollection(notes))
      const unusable = notes ? undefined : await answerWithin(FOLDER_TIMEOUT_MS, explainUnusable(folder, 'WatchMan'))
      if (unusable) log.warn(`the notes cannot be read: ${unusable}; flags alone tell the states`)
    } catch (error) {
      const fault = describeFault(folder, error as NodeJS.ErrnoException)
      log.warn(`the notes cannot be read: ${fault}; flags alone tell the states`)
    }
  }
  return found.sort((a, b) => a.ageMs - b.ageMs)[0]
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
async function tidyOrGoOn(config: Config, clear: boolean, log: Log): Promise<Map<string, Flag>> {
  const names = (isEnabled: boolean) =>
    new Set(config.probes.filter((probe) => probe.isEnabled === isEnabled).map(({ name }) => name))
  const { statusFolder: folder } = config.watchman
  try {
    const probes = { enabled: names(true), disabled: names(false), clear }
    return await answerWithin(FOLDER_TIMEOUT_MS, tidyFolder(folder, probes))
  } catch (error) {
    log.error(`the status folder cannot be read: ${describeFault(folder, error as NodeJS.ErrnoException)}`)
    return new Map()
  }
}
