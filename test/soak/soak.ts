import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startProgram, stopProgram, waitForPort } from '../bench/programs.ts'
import { BINARY, childrenOf, waitFor, writeConfig } from '../e2e/binary.ts'
import { urlProbe } from '../e2e/component.ts'
import { freePort } from '../e2e/nginx.ts'
import { countSockets, rssBytes } from '../e2e/process-use.ts'
import { startSilentComponent } from '../e2e/silent-component.ts'
import { judgeTrend, percentile, type Series } from './flat.ts'
import { startOddClients } from './odd-requests.ts'

/**
 * Lets DeadPool work hard for a while, and looks whether it leaks: a thousand probes of a component that accepts and
 * says nothing, and clients that ask SpiderMan whatever comes to their minds. Exit code 1 when something is not flat.
 *
 *   npm run soak          ten minutes
 *   npm run soak -- 60    an hour
 */
const PROBES = 1000
const PERIOD_MS = 2000
const TIMEOUT_MS = 1000
/** By how much a deadline may be missed, at the 99th percentile. */
const LATE_MS = 100
const LINE_EVERY_S = 30

const minutes = Number(process.argv[2] ?? 10)
if (!(minutes > 0)) {
  process.stderr.write(`soak: "${process.argv[2]}" is not a number of minutes\n`)
  process.exit(2)
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
const folder = mkdtempSync(join(tmpdir(), 'deadpool-soak-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const component = await startSilentComponent()
const port = await freePort()
writeFileSync(join(folder, 'deadpool.yml'), config())
const child = startProgram(BINARY, ['--config', join(folder, 'deadpool.yml')])
await waitForPort(port)
const spiderman = child.pid as number
const watchman = await waitFor('WatchMan', () => childrenOf(spiderman)[0])
const clients = startOddClients(`http://127.0.0.1:${port}/`)

const sockets = series('sockets of WatchMan', '', 'mean')
const answering = series('sockets of SpiderMan', '', 'mean')
const watchmanMb = series('memory of WatchMan', ' MB', 'peak')
const spidermanMb = series('memory of SpiderMan', ' MB', 'peak')
const all = [sockets, answering, watchmanMb, spidermanMb]
const lateMs: number[] = []

const seconds = Math.ceil(minutes * 60)
for (let second = 1; second <= seconds; second++) {
  await sleep(1000)
  sockets.values.push(countSockets(watchman))
  answering.values.push(countSockets(spiderman))
  watchmanMb.values.push(rssBytes(watchman) / 1e6)
  spidermanMb.values.push(rssBytes(spiderman) / 1e6)
  for (const waitMs of component.takeWaits()) lateMs.push(waitMs - TIMEOUT_MS)
  if (second % LINE_EVERY_S === 0) say(line(second))
}
const mistakes = [...clients.mistakes]
await clients.stop()
await stopProgram(child)
await component.stop()

const trends = all.map(judgeTrend)
for (const { text } of trends) say(text)
const p99 = percentile(lateMs, 0.99)
const isInTime = p99 <= LATE_MS
say(`deadlines: p99 ${p99.toFixed(1)} ms late, of ${lateMs.length} checks: ${isInTime ? 'kept' : 'NOT KEPT'}`)
say(`odd requests: ${mistakes.length} wrong answers${mistakes[0] ? `, the first: ${mistakes[0]}` : ''}`)
const isWell = trends.every(({ isFlat }) => isFlat) && isInTime && mistakes.length === 0
say(isWell ? 'flat' : 'NOT FLAT')
process.exit(isWell ? 0 : 1)

function series(name: string, unit: string, what: Series['what']): Series {
  return { name, unit, what, values: [] }
}

function config(): string {
  const probe = (_: unknown, index: number) =>
    urlProbe(`c${index}`, component.url, {
      more: `period: ${PERIOD_MS / 1000}`,
      query: `timeout: ${TIMEOUT_MS / 1000}`,
    })
  const text = writeConfig({
    generic: '  log: { type: json, level: info }',
    probes: Array.from({ length: PROBES }, probe).join('\n'),
  })
  return text.replace('port: 0', `port: ${port}`)
}

function line(second: number): string {
  const last = ({ values }: Series) => (values.at(-1) ?? Number.NaN).toFixed(0)
  const recent = lateMs.slice((-LINE_EVERY_S * PROBES * 1000) / PERIOD_MS)
  return [
    `${second} s`,
    `sockets ${last(sockets)} and ${last(answering)}`,
    `WatchMan ${last(watchmanMb)} MB`,
    `SpiderMan ${last(spidermanMb)} MB`,
    `deadline p99 ${percentile(recent, 0.99).toFixed(1)} ms late`,
    `${Math.round(clients.takeAnswers() / LINE_EVERY_S)} answers a second`,
  ].join(', ')
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
