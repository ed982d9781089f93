import { fork } from 'node:child_process'
import { access, constants, mkdir, stat } from 'node:fs/promises'

import type { Carried } from '../carried/carried.ts'
import { type LoadedConfig, refuseMistakes } from '../config/load.ts'
import { ConfigError } from '../config/problem.ts'
import { createRedactor } from '../config/secrets.ts'
import { createLog } from '../log/create-log.ts'
import { createVerdictSource } from '../spiderman/evidence.ts'
import { createResponder } from '../spiderman/responder.ts'
import { listen } from '../spiderman/server.ts'
import { answerWithin, FOLDER_TIMEOUT_MS, NO_ANSWER } from '../status/answer-within.ts'
import { createFlagReader, describeFault } from '../status/reader.ts'
import { ROLE_VARIABLE, WATCHMAN_ROLE } from '../watchman/messages.ts'
import { createSupervisor } from '../watchman/supervisor.ts'
import { validateProbes } from './validate.ts'

/** A DeadPool at work. */
export interface Running {
  url: string
  /** Whether the status folder's disk does not answer: a thread waits for it, and cannot be ended in good order. */
  isDiskHanging(): boolean
  /** Stops both processes; flags stay as they are. */
  stop(reason: string): Promise<void>
}

/**
 * Starts SpiderMan and WatchMan. Everything is validated before anything listens or forks; only a module that does not
 * load is no obstacle, since its probes are dead and the others are not.
 *
 * @throws ConfigError, ListenError
 */
export async function run(loaded: LoadedConfig, carried: Carried): Promise<Running> {
  const { config } = loaded
  const problems = [...loaded.problems, ...(await validateProbes(config, carried))]
  refuseMistakes(loaded, problems)
  await readyFolder(loaded)

  const log = await createLog({
    targets: config.log,
    name: config.web.name,
    role: 'SpiderMan',
    redact: createRedactor(config.secrets),
  })
  for (const line of loaded.format(problems.filter(({ kind }) => kind === 'broken'))) log.error(line)
  for (const line of loaded.format(problems.filter(({ kind }) => kind === 'warning'))) log.warn(line)

  const probes = config.probes.filter((probe) => probe.isEnabled).map((probe) => probe.name)
  const { baseUrl, tokens, name, host, port } = config.web
  const { statusFolder: folder, staleAfterMs } = config.watchman
  const watcher = createSupervisor({
    spawn: () => forkWatchMan(probes.length),
    start: { kind: 'start', file: config.file, text: loaded.text },
    staleAfterMs,
    log,
  })
  const reader = createFlagReader({ folder, probes, isKnown: (probe) => watcher.reports.get(probe)?.life === 'dead' })
  const readVerdict = createVerdictSource({ probes, reader, watcher, log })
  // Listening comes before the fork: a port in use must not leave a watcher behind.
  const server = await listen(createResponder({ baseUrl, tokens, name, readVerdict, log }), host, port)
  watcher.launch()
  log.info(`DeadPool ${carried.version} answers at ${server.url}${baseUrl}`, { config: config.file })

  return {
    url: server.url,
    isDiskHanging: () => reader.isHanging(),
    async stop(reason) {
      log.info(`stopping: ${reason}`)
      await Promise.all([server.close(), watcher.stop()])
      await log.close()
    },
  }
}

/** Makes the status folder, and makes sure at the start that flags can be kept in it. */
async function readyFolder({ config, format }: LoadedConfig): Promise<void> {
  const folder = config.watchman.statusFolder
  try {
    await answerWithin(FOLDER_TIMEOUT_MS, makeFolder(folder))
  } catch (error) {
    const fault = error as NodeJS.ErrnoException
    const message = `flags cannot be kept there: ${describeFault(folder, fault)}`
    const lines = format([{ kind: 'mistake', path: ['WatchMan', 'probe_status_folder'], message }])
    throw new ConfigError(lines, { isDiskHanging: fault.code === NO_ANSWER })
  }
}

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  if (!(await stat(folder)).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' })
  await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
}

/**
 * Forks this program again as the watcher. The role goes by the environment: `argv` shifts in a packaged binary. The
 * thread pool is sized for the probes, as every lookup of a name holds one of its threads.
 */
function forkWatchMan(probeCount: number) {
  const threads = Math.min(64, Math.max(8, probeCount + 4))
  const script = process.argv[1] ?? process.execPath
  return fork(script, [], {
    env: { UV_THREADPOOL_SIZE: String(threads), ...process.env, [ROLE_VARIABLE]: WATCHMAN_ROLE },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
}
