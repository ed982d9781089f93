import { createOutage } from '../../src/log/outage.ts'

/** An outage that keeps what it would tell. */
export function recordOutage() {
  const told: string[] = []
  return { told, outage: createOutage('target', (level, message) => told.push(`${level} ${message}`)) }
}
