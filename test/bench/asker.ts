import * as http from 'node:http'
import { prepareQuery } from '../../src/modules/local.ts'
import { firstDelay, startLoop } from '../../src/watchman/loop.ts'

/**
 * Asks a URL again and again, as a program of its own, at the pace at which WatchMan runs that many probes:
 * `asker.ts BY URL COUNT PERIOD_MS`, BY being `node:http` or `url_probe`; `{index}` in URL becomes the number of the probe.
 */
const [, , by, url = '', count, periodMs] = process.argv

for (let index = 0; index < Number(count); index++) {
  const ownUrl = url.replace('{index}', `${index}`)
  const ask = by === 'url_probe' ? await createModuleAsker(ownUrl) : () => askPlainly(ownUrl)
  startLoop({
    firstDelayMs: firstDelay(index, Number(count), Number(periodMs)),
    run: () => ask().then(() => Number(periodMs)),
  })
}
process.once('disconnect', () => process.exit(0))

/** The least that a check can be: a fresh connection, the status and the whole body. */
async function askPlainly(url: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  http
    .get(url, { agent: false }, (answer) => {
      let body = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk) => (body += chunk))
      answer.on('end', () =>
        answer.statusCode === 200 && body.includes('green') ? resolve() : reject(new Error(body)),
      )
    })
    .on('error', reject)
  await promise
}

/** The module alone, without WatchMan's deadline, criteria, flags and reports. */
async function createModuleAsker(url: string): Promise<() => Promise<void>> {
  const { Probe } = await import('../../mod/url_probe.ts')
  const { observe } = await prepareQuery(Probe, { url })
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  return async () => {
    const { status } = await observe(new AbortController().signal, log)
    if (status !== 200) throw new Error(`it answered ${status}`)
  }
}
