import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { readMonotonic } from '../../src/clock.ts'
import { finallyDo } from './binary.ts'
import type { Component } from './component.ts'

/** Requests at a steady rate, and the truth that each answer is measured by. */
export interface Load {
  /** Makes the component dead or alive, and remembers when. */
  turn(status: 200 | 500): void
  /** Ends the load, and fails if any request did, or if an answer was wrong; tells how many there were. */
  judge(): Promise<{ count: number; slowestMs: number }>
}

/** How long an answer may lag behind the component: a period and a check, and a restart between the two. */
const LAG_MS = 2500

export function startLoad(
  context: TestContext,
  { url, component, perSecond = 500 }: { url: string; component: Component; perSecond?: number },
): Load {
  const child = fork(join(import.meta.dirname, 'load-main.ts'), [url, String(perSecond), String(perSecond)])
  finallyDo(context, () => child.kill('SIGKILL'))
  const turns: { atMs: number; status: string }[] = [{ atMs: 0, status: '200' }]

  /** Whether the component was such that it gives this status at some moment from `fromMs` to `untilMs`. */
  function wasTrue(status: string, fromMs: number, untilMs: number): boolean {
    return turns.some((turn, index) => {
      return turn.status === status && turn.atMs <= untilMs && (turns[index + 1]?.atMs ?? untilMs) >= fromMs
    })
  }

  return {
    turn(status) {
      component.status(status)
      turns.push({ atMs: readMonotonic(), status: status === 200 ? '200' : '503' })
    },
    async judge() {
      child.send('stop')
      const [results] = (await once(child, 'message')) as [[sentMs: number, endedMs: number, what: string][]]
      const wrong = results.filter(([sentMs, endedMs, what]) => !wasTrue(what, sentMs - LAG_MS, endedMs))
      const counts = new Map<string, number>()
      for (const [, , what] of wrong) counts.set(what, (counts.get(what) ?? 0) + 1)
      assert.deepEqual([...counts], [], `of ${results.length} requests`)
      for (const status of new Set(turns.map((turn) => turn.status))) {
        assert.ok(
          results.some(([, , what]) => what === status),
          `there was no answer ${status}`,
        )
      }
      return { count: results.length, slowestMs: Math.max(...results.map(([sentMs, endedMs]) => endedMs - sentMs)) }
    },
  }
}
