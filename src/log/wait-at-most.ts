/** Waits until the promise is settled, that long at most. */
export async function waitAtMost(ms: number, promise: Promise<unknown>): Promise<void> {
  const timeout = Promise.withResolvers<void>()
  const timer = setTimeout(timeout.resolve, ms)
  await Promise.race([promise, timeout.promise])
  clearTimeout(timer)
}
