import * as z from 'zod'
import { logTarget } from '../log/target.ts'
import { SEVERITIES } from '../verdict/rules.ts'
import { milliseconds } from './duration.ts'
import { secretSpec } from './secrets.ts'

/** Names become file names (`<probe>.dead`), so they are limited to what every file system takes. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/

/** The phrase that says why `name` cannot be the name of a `thing`, or undefined. */
export function findNameFault(name: string, thing: 'probe' | 'group' | 'module'): string | undefined {
  if (NAME.test(name)) return undefined
  const shown = name.length > 60 ? `${name.slice(0, 60)}…` : name
  const rule = '1 to 100 letters, digits, "-", "_" or ".", beginning with a letter or digit'
  return `${JSON.stringify(shown)} is not a ${thing} name; ${rule} are allowed`
}

const criterionSpec = z.strictObject({ type: z.string(), query: z.unknown() })

const criteriaList = z
  .array(criterionSpec)
  .min(1, { error: 'judges nothing; write at least one criterion, or leave the fact out' })

const period = milliseconds({ minMs: 100, maxMs: 86_400_000 })
const outcomes = z.int().min(1).max(1000)
const names = z.union([z.string().transform((name) => [name]), z.array(z.string())], {
  error: 'is not a name or a list of names',
})

/** One entry under `probes`. */
export const probeSchema = z.strictObject({
  module: z.string(),
  isEnabled: z.boolean().default(true),
  period: period.default(3000),
  fast_period: period.optional(),
  fall: outcomes.default(1),
  rise: outcomes.default(1),
  hold: milliseconds({ minMs: 0, maxMs: 86_400_000 }).default(0),
  severity: z.enum(SEVERITIES).default('critical'),
  depends_on: names.default([]),
  query: z.unknown().optional(),
  success_criteria: z
    .record(z.string(), z.union([criterionSpec, criteriaList]))
    .refine((criteria) => Object.keys(criteria).length > 0, {
      error: 'judges nothing; name a fact and its criterion, or leave the key out to use the defaults of the module',
    })
    .optional(),
})

export const webSchema = z.strictObject({
  port: z.int().min(0).max(65_535).default(9001),
  host: z
    .string()
    .regex(/^[A-Za-z0-9.:_%-]+$/, { error: 'is not an address or a host name' })
    .default('0.0.0.0'),
  base_url: z
    .string()
    .regex(/^\/?(?:[\w.~!$&'()*+,;=:@%-]+\/)*[\w.~!$&'()*+,;=:@%-]*$/, { error: 'is not a path such as / or /health' })
    .default('/'),
  access_token: z.union([secretSpec, z.array(secretSpec).min(1)], {
    error: 'is not a token; write a text in quotes, {env: NAME}, {file: PATH}, {credential: NAME}, or a list of these',
  }),
  name: z.string().min(1).max(200).optional(),
})

const notMinAlive = 'is not a number of members or a percentage; write 2 or "50%"'

/** One entry under `groups`. */
export const groupSchema = z.strictObject({
  members: names.refine((members) => members.length > 0, { error: 'has no member; name at least one probe' }),
  min_alive: z
    .union(
      [
        z
          .int()
          .min(1)
          .transform((count) => ({ count })),
        z.string().transform(readPercentage),
      ],
      { error: notMinAlive },
    )
    .default({ count: 1 }),
  severity: z.enum(SEVERITIES).default('critical'),
})

function readPercentage(text: string, context: z.RefinementCtx): { percent: number } {
  const percent = Number(/^(\d+(?:\.\d+)?)\s?%$/.exec(text.trim())?.[1])
  if (percent >= 1 && percent <= 100) return { percent }
  context.addIssue({
    code: 'custom',
    message: Number.isNaN(percent) ? notMinAlive : 'is out of range; "1%" to "100%" is allowed',
  })
  return z.NEVER
}

/** Probes and groups are validated one by one, so that a mistake in one does not hide those in others. */
const entries = z.record(z.string(), z.unknown()).nullish()

export const watchmanSchema = z.strictObject({
  probe_status_folder: z.string().min(1).default('probe'),
  module_folder: z.string().min(1).optional(),
  stale_after: milliseconds({ minMs: 1000, maxMs: 86_400_000 }).default(30_000),
  on_stale: z.enum(['dead', 'last_known']).default('dead'),
  clear_on_start: z.boolean().default(false),
  probes: entries,
})

export const genericSchema = z.strictObject({ log: z.union([logTarget, z.array(logTarget).min(1)]).optional() })

/** The top of the file; each section has its own schema. */
export const topSchema = z.strictObject({
  Generic: z.unknown().optional(),
  WEB: z.record(z.string(), z.unknown()),
  WatchMan: z.unknown().optional(),
  probes: entries,
  groups: entries,
})
