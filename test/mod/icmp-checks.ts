import { writeFileSync } from 'node:fs'
import { Probe } from '../../mod/icmp_probe.ts'
import { checkPrepared, observe, prepare, type Query } from './checking.ts'

/** What to ask, and after how many milliseconds of it this network is to answer no more. */
export interface Task {
  query: Query
  silentAfterMs?: number
}

// Works through the tasks that it is given and writes what became of each; for a network that a test made.
for (const argument of process.argv.slice(2)) {
  const { query, silentAfterMs } = JSON.parse(argument) as Task
  if (silentAfterMs !== undefined) setTimeout(hush, silentAfterMs)
  const facts = await observe(Probe, query).catch((error: Error) => ({ thrown: error.name }))
  const outcome = await checkPrepared(Probe, await prepare(Probe, query))
  console.log(JSON.stringify({ facts, outcome }))
}

function hush(): void {
  writeFileSync('/proc/sys/net/ipv4/icmp_echo_ignore_all', '1')
}
