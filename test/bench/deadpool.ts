import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { childrenOf, TOKEN, waitFor } from '../e2e/binary.ts'
import { freePort } from '../e2e/nginx.ts'
import type { Bench } from './bench.ts'
import { startProgram, waitForPort } from './programs.ts'

/** A configuration in a folder of its own. */
export interface Config {
  file: string
  port: number
}

export interface ProbesOptions {
  count: number
  /** As it is written in the configuration. */
  period: string
  /** What all of them ask, or each by its number. */
  url: string | ((index: number) => string)
}

/** Writes a configuration with many equal probes, in the style that people write. */
export async function writeConfig({ folder }: Bench, { count, period, url }: ProbesOptions): Promise<Config> {
  const file = join(mkdtempSync(join(folder, 'config-')), 'deadpool.yml')
  const port = await freePort()
  const probe = (_: unknown, index: number) => `  component-${index}:
    module: url_probe
    isEnabled: True
    period: ${period}
    query: { url: '${typeof url === 'string' ? url : url(index)}', query_type: get, timeout: 5 }
    success_criteria:
      status: { type: status_in, query: [200] }
      body: { type: re_search, query: 'elasticsearch+ green+' }
`
  writeFileSync(
    file,
    `Generic:
  log: { type: json, level: info }
WEB:
  port: ${port}
  host: 127.0.0.1
  access_token: ${TOKEN}
  name: "TEST SERVER"
WatchMan:
  probe_status_folder: probe
probes:
${Array.from({ length: count }, probe).join('')}`,
  )
  return { file, port }
}

/** The binary at work. */
export interface DeadPool {
  child: ChildProcess
  spiderman: number
  watchman: number
  url: string
}

/** Starts the binary on a configuration, and waits until it listens and has forked WatchMan. */
export async function startDeadPool({ binary }: Bench, { file, port }: Config): Promise<DeadPool> {
  const child = startProgram(binary, ['--config', file])
  await waitForPort(port)
  const spiderman = child.pid as number
  const watchman = await waitFor('WatchMan', () => childrenOf(spiderman)[0])
  return { child, spiderman, watchman, url: `http://127.0.0.1:${port}/` }
}
