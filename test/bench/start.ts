import { spawnSync } from 'node:child_process'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { TOKEN } from '../e2e/binary.ts'
import type { Bench } from './bench.ts'
import { startComponent } from './component.ts'
import { writeConfig } from './deadpool.ts'
import { startProgram, stopProgram } from './programs.ts'
import { atMost, formatNumber, type Row } from './row.ts'
import { interleave, median, medianRatio } from './sample.ts'

const HOME = join(import.meta.dirname, '../..')
const WARM_UP = join(HOME, 'build/warm-up.yml')
const EXAMPLE = join(HOME, 'deadpool.example.yml')
const FIRST_ANSWER_AIM_MS = 300
const CHECK_CONFIG_AIM = 2.5

/** How long does a start take, and how long does `--check-config`? */
export async function measureStart(bench: Bench): Promise<Row[]> {
  const component = await startComponent()
  const rounds = bench.isQuick ? 5 : 25
  const few = await measureFirstAnswer(bench, `${component.url}/few`, 10, rounds)
  const many = await measureFirstAnswer(bench, `${component.url}/many`, 10_000, Math.ceil(rounds / 5))
  await component.stop()
  return [
    {
      figure: 'start to first answer, 10 probes',
      deadpool: `${formatNumber(few)} ms`,
      aim: atMost(FIRST_ANSWER_AIM_MS, few, 'ms'),
    },
    { figure: 'start to first answer, 10,000 probes', deadpool: `${formatNumber(many)} ms` },
    { ...(await measureCheckConfig(bench, WARM_UP, rounds)), figure: '`--check-config` of one probe, url_probe' },
    await measureExample(bench, rounds),
  ]
}

async function measureFirstAnswer(bench: Bench, url: string, count: number, rounds: number): Promise<number> {
  const config = await writeConfig(bench, { count, period: '1h', url })
  const [times = []] = await interleave(rounds, [() => timeFirstAnswer(bench, config)])
  return median(times)
}

async function timeFirstAnswer({ binary }: Bench, { file, port }: { file: string; port: number }): Promise<number> {
  const startedMs = performance.now()
  const child = startProgram(binary, ['--config', file])
  while (!(await isAnswered(port))) {
    if (child.exitCode !== null) throw new Error(`it ended at once, with code ${child.exitCode}`)
    if (performance.now() - startedMs > 60_000) throw new Error('it did not answer within a minute')
    await sleep(1)
  }
  const tookMs = performance.now() - startedMs
  await stopProgram(child)
  return tookMs
}

/** Tells whether a request is answered at once with any status of 2xx or 5xx; false where nobody listens yet. */
function isAnswered(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect(port, '127.0.0.1')
  socket.setEncoding('latin1')
  socket.on('error', () => resolve(false))
  socket.on('close', () => resolve(false))
  socket.on('data', (text: string) => resolve(/^HTTP\/1\.1 [25]\d\d /.test(text)))
  socket.write(`GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: close\r\n\r\n`)
  return promise.finally(() => socket.destroy())
}

/** All modules, with their libraries. */
async function measureExample(bench: Bench, rounds: number): Promise<Row> {
  const { aim: _, ...row } = await measureCheckConfig(bench, EXAMPLE, rounds)
  return { ...row, figure: '`--check-config` of the example, all modules' }
}

async function measureCheckConfig({ binary }: Bench, file: string, rounds: number): Promise<Row> {
  const [ours = [], bare = []] = await interleave(rounds, [
    async () => timeRun(binary, ['--check-config', '--config', file]),
    async () => timeRun(process.execPath, ['-e', '0']),
  ])
  const ratio = medianRatio(ours, bare)
  return {
    figure: '`--check-config`',
    deadpool: `${formatNumber(median(ours))} ms`,
    yardstick: `node -e 0: ${formatNumber(median(bare))} ms`,
    ratio,
    aim: atMost(CHECK_CONFIG_AIM, ratio),
  }
}

/** Runs a program from its start to its end, in milliseconds. */
function timeRun(command: string, args: string[]): number {
  const startedMs = performance.now()
  const { status, stderr } = spawnSync(command, args, { timeout: 30_000 })
  const tookMs = performance.now() - startedMs
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${stderr}`)
  return tookMs
}
