import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { firstDelay, startLoop } from '../../src/watchman/loop.ts'

/** Runs a loop for `forMs` on a clock of the test's own; `lengths` are how long each run takes. */
async function startsOf(options: {
  /** The distance that each run asks for; the last one goes for all after it. */
  distances: number[]
  firstDelayMs?: number
  lengths?: number[]
  forMs: number
}): Promise<{ starts: number[]; skipped: number }> {
  mock.timers.enable({ apis: ['setTimeout'] })
  let nowMs = 0
  const starts: number[] = []
  let skipped = 0
  const loop = startLoop({
    onStart(lateMs, count) {
      assert.ok(lateMs <= 10, `${lateMs} ms late`)
      skipped += count
    },
    firstDelayMs: options.firstDelayMs ?? 0,
    now: () => nowMs,
    async run() {
      starts.push(nowMs)
      const lengthMs = options.lengths?.[starts.length - 1] ?? 0
      if (lengthMs > 0) await new Promise((resolve) => setTimeout(resolve, lengthMs))
      return options.distances[starts.length - 1] ?? (options.distances.at(-1) as number)
    },
  })
  for (; nowMs < options.forMs; nowMs += 10) {
    mock.timers.tick(nowMs === 0 ? 0 : 10)
    // Timers that a finished run sets are seen by the next tick.
    for (let turn = 0; turn < 50; turn++) await Promise.resolve()
  }
  loop.stop()
  mock.timers.reset()
  return { starts, skipped }
}

const scenarios: {
  name: string
  options: Parameters<typeof startsOf>[0]
  starts: number[]
  skipped?: number
}[] = [
  {
    name: 'runs at once and then every period',
    options: { distances: [1000], forMs: 3500 },
    starts: [0, 1000, 2000, 3000],
  },
  {
    name: 'measures from start to start',
    options: { distances: [1000], lengths: [400, 900, 10], forMs: 3500 },
    starts: [0, 1000, 2000, 3000],
  },
  {
    name: 'skips the starts that a long run missed, and keeps the rhythm',
    options: { distances: [1000], lengths: [2500], forMs: 4500 },
    starts: [0, 3000, 4000],
    skipped: 2,
  },
  {
    name: 'keeps the rhythm with runs almost as long as the period',
    options: { distances: [1000], lengths: [990, 990], forMs: 3500 },
    starts: [0, 1000, 2000, 3000],
  },
  {
    name: 'begins after its first delay',
    options: { distances: [1000], firstDelayMs: 300, forMs: 2500 },
    starts: [300, 1300, 2300],
  },
  {
    name: 'changes its distance from run to run',
    options: { distances: [1000, 200, 200, 1000], forMs: 2600 },
    starts: [0, 1000, 1200, 1400, 2400],
  },
  {
    name: 'runs again at once where it is asked to, and takes the rhythm from there',
    options: { distances: [0, 100, 1000], lengths: [500], forMs: 1700 },
    // A timer of no length fires one step of this test's clock later.
    starts: [0, 510, 600, 1600],
  },
]
for (const { name, options, starts, skipped = 0 } of scenarios) {
  test(`startLoop() ${name}`, async () => assert.deepEqual(await startsOf(options), { starts, skipped }))
}

test('firstDelay() starts few probes together and spreads many over at most their period', () => {
  assert.equal(firstDelay(0, 10, 3000), 0)
  assert.equal(firstDelay(9, 10, 3000), 9)
  assert.equal(firstDelay(9999, 10_000, 3000), 2999.7)
  assert.equal(firstDelay(99, 100, 100), 99)
})
