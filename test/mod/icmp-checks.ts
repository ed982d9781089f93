import { writeFileSync } from 'node:fs'
import { Probe } from '../../mod/icmp_probe.ts'
import { checkPrepared, observe, prepare, type Query } from './checking.ts'

/** What to ask, and after how many milliseconds of it this network is to answer no more. */
export interface Task {
  query: Query
  silentAfterMs?: number
}

// Does all the tasks that it is given at once and writes what became of each; for a network that a test made.
const tasks = process.argv.slice(2).map((argument) => JSON.parse(argument) as Task)
for (const became of await Promise.all(tasks.map(work))) console.log(JSON.stringify(became))

async function work({ query, silentAfterMs }: Task) {
  if (silentAfterMs !== undefined) setTimeout(hush, silentAfterMs)
  const prepared = await prepare(Probe, query)
  const observing = observe(Probe, query).catch((error: Error) => ({ thrown: error.name }))
  const [facts, outcome] = await Promise.all([observing, checkPrepared(Probe, prepared)])
  return { facts, outcome }
}

function hush(): void {
  writeFileSync('/proc/sys/net/ipv4/icmp_echo_ignore_all', '1')
}
