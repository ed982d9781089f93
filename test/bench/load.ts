import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { TOKEN } from '../e2e/binary.ts'
import { findProgram } from './programs.ts'

const CONNECTIONS = 16

/** What a server did under load. */
export interface Load {
  answers: number
  perSecond: number
  p99Ms: number
}

/** Asks a URL over 16 kept connections, with the token, as fast as it answers, and fails if it ever does not answer 2xx. */
export type RunLoad = (url: string, seconds: number) => Promise<Load>

/** Chooses the generator: wrk, or autocannon, which ships with the sources but costs more than what it measures. */
export function chooseLoad(note: (line: string) => void): RunLoad {
  const wrk = findProgram('wrk')
  if (wrk) return (url, seconds) => runWrk(wrk, url, seconds)
  note(
    'wrk is missing (apt-get install wrk): autocannon made the load, whose own cost, larger than that of an answer, draws the ratios of answers per second towards 1.',
  )
  return runAutocannon
}

async function runWrk(wrk: string, url: string, seconds: number): Promise<Load> {
  const args = ['--threads', '1', '--connections', `${CONNECTIONS}`, '--duration', `${seconds}s`, '--latency']
  const text = await run(wrk, [...args, '--header', `Authorization: Bearer ${TOKEN}`, url], seconds)
  if (/Non-2xx|Socket errors/.test(text)) throw new Error(`${url} did not always answer 2xx:\n${text}`)
  const [, p99 = '', unit = ''] = /^\s+99%\s+([\d.]+)(us|ms|s)$/m.exec(text) ?? []
  return {
    answers: Number(/(\d+) requests in/.exec(text)?.[1]),
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]),
    p99Ms: Number(p99) * ({ us: 0.001, ms: 1, s: 1000 }[unit] ?? Number.NaN),
  }
}

async function runAutocannon(url: string, seconds: number): Promise<Load> {
  const script = createRequire(import.meta.url).resolve('autocannon')
  const args = ['--connections', `${CONNECTIONS}`, '--duration', `${seconds}`, '--json', '--no-progress']
  const text = await run(
    process.execPath,
    [script, ...args, '--headers', `Authorization=Bearer ${TOKEN}`, url],
    seconds,
  )
  const { requests, latency, non2xx, errors } = JSON.parse(text)
  if (non2xx + errors > 0) throw new Error(`${url} did not always answer 2xx: ${non2xx} other, ${errors} errors`)
  return { answers: requests.total, perSecond: requests.average, p99Ms: latency.p99 }
}

async function run(command: string, args: string[], seconds: number): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { timeout: (seconds + 20) * 1000 })
  return stdout
}
