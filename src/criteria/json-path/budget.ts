/**
 * The steps that one judgement may take, each well under a microsecond: it runs on the loop that all checks share, and what
 * is judged comes from outside.
 */
export const MAX_STEPS = 500_000

/** So many characters are searched or compared in one step. */
const CHARACTERS_PER_STEP = 50

/** Thrown when a judgement has used up its steps. */
export class ExhaustedError extends Error {
  override name = 'ExhaustedError'
}

/** Of the judgement under way. There is one at a time, as none of them waits for anything. */
let stepsLeft: number | undefined

/**
 * Runs one judgement. What it runs inside shares its steps.
 *
 * @throws ExhaustedError when it needs more than {@link MAX_STEPS}
 */
export function runBounded<Result>(judge: () => Result): Result {
  if (stepsLeft !== undefined) return judge()
  stepsLeft = MAX_STEPS
  try {
    return judge()
  } finally {
    stepsLeft = undefined
  }
}

/** Takes steps from those that the judgement under way has left. */
export function spend(steps: number): void {
  if (stepsLeft === undefined) return
  stepsLeft -= steps
  if (stepsLeft < 0) throw new ExhaustedError(`takes more than ${MAX_STEPS} steps`)
}

/** Spends what it takes to search or to compare the whole of a value, however deeply it is nested. */
export function spendOn(value: unknown): void {
  const rest = [value]
  // Outside a judgement nothing would end what goes in circles.
  while (rest.length > 0 && stepsLeft !== undefined) {
    const next = rest.pop()
    if (typeof next === 'string') spend(next.length / CHARACTERS_PER_STEP)
    if (typeof next !== 'object' || next === null) continue
    const members = Object.values(next)
    spend(members.length)
    for (const member of members) rest.push(member)
  }
}
