import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { watchStalls } from '../../src/watchman/stalls.ts'

/** Watches on a clock of the test's own; `run` lets time pass in order, `stand` without any timer getting its turn. */
function createStalls() {
  mock.timers.enable({ apis: ['setInterval'] })
  let nowMs = 0
  const stalls = watchStalls({ now: () => nowMs })
  return {
    stalls,
    run(ms: number) {
      for (let passed = 0; passed < ms; passed += 50) {
        nowMs += 50
        mock.timers.tick(50)
      }
    },
    stand(ms: number) {
      nowMs += ms
    },
    end() {
      stalls.stop()
      mock.timers.reset()
    },
  }
}

test('watchStalls() sees none while its timer fires in time', () => {
  const { stalls, run, end } = createStalls()
  run(1000)
  assert.equal(stalls.between(0, 1000), 0)
  end()
})

test('watchStalls() sees a stall that is not over yet, before its own timer got a turn', () => {
  const { stalls, run, stand, end } = createStalls()
  run(1000)
  stand(500)
  assert.equal(stalls.between(0, 1500), 450)
  assert.equal(stalls.between(1400, 1500), 100)
  end()
})

test('watchStalls() counts of a stall what lies between two moments', () => {
  const { stalls, run, stand, end } = createStalls()
  run(1000)
  stand(450)
  run(1000) // The timer fires at 1500, 450 ms late.
  assert.equal(stalls.between(0, 2400), 450)
  assert.equal(stalls.between(0, 1200), 150)
  assert.equal(stalls.between(1200, 1300), 100)
  assert.equal(stalls.between(1500, 2400), 0)
  end()
})
