import * as z from 'zod'

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Reads a duration as people write it: a number of seconds, or text such as `500ms`, `3s`, `2m`, `1h`. In milliseconds. */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value * 1000 : undefined
  if (typeof value !== 'string') return undefined
  const match = /^(-?\d+(?:\.\d+)?)\s?(ms|s|m|h|d)?$/.exec(value.trim())
  if (!match) return undefined
  return Number(match[1]) * (UNITS[match[2] ?? 's'] ?? 1000)
}

/** Writes a duration for people: `250 ms`, `2 s`, `3 min 20 s`, `5 h 12 min`, `4 d 1 h`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  const seconds = ms / 1000
  if (seconds < 60) return `${Number(seconds.toFixed(seconds < 10 ? 1 : 0))} s`
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [Math.floor(seconds) % 60, 's'],
  ]
  const first = parts.findIndex(([count]) => count > 0)
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ')
}

/** The limits of a duration, both included, in milliseconds. */
export interface DurationLimits {
  minMs: number
  maxMs: number
}

/** The schema of a duration in the configuration; its output is in milliseconds. */
export function milliseconds({ minMs, maxMs }: DurationLimits) {
  const isNoDuration = 'is not a duration; write 3, "3s" or "500ms"'
  const schema = z.union([z.number(), z.string()], { error: isNoDuration }).transform((value, context) => {
    const ms = parseDuration(value)
    if (ms === undefined) {
      context.addIssue({ code: 'custom', message: isNoDuration })
      return z.NEVER
    }
    if (ms < minMs || ms > maxMs) {
      const allowed = `${formatDuration(minMs)} to ${formatDuration(maxMs)}`
      context.addIssue({ code: 'custom', message: `is out of range; ${allowed} is allowed` })
      return z.NEVER
    }
    return ms
  })
  return schema.meta({ title: 'duration', unit: 'ms' })
}

/** The schema of a duration in a module's query, 1 ms to 10 min unless told otherwise; its output is in seconds. */
export function seconds({ minMs = 1, maxMs = 600_000 }: Partial<DurationLimits> = {}) {
  return milliseconds({ minMs, maxMs })
    .transform((ms) => ms / 1000)
    .meta({ title: 'duration', unit: 's' })
}
