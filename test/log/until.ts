import { setTimeout as sleep } from 'node:timers/promises'

/** Asks every 10 ms until the answer is neither `undefined` nor `false`; throws when it takes longer than that. */
export async function until<Answer>(
  what: string,
  ask: () => Answer | undefined | false | Promise<Answer | undefined | false>,
  withinMs = 5000,
): Promise<Answer> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() > deadline) throw new Error(`waited ${withinMs} ms in vain until ${what}`)
    await sleep(10)
  }
}
