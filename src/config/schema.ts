import * as z from 'zod'
import { logTarget } from '../log/target.ts'
import { milliseconds } from './duration.ts'
import { secretSpec } from './secrets.ts'

/** Names become file names (`<probe>.dead`), so they are limited to what every file system takes. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/

/** The phrase that says why `name` cannot be the name of a `thing`, or undefined. */
export function findNameFault(name: string, thing: 'probe' | 'module'): string | undefined {
  if (NAME.test(name)) return undefined
  const shown = name.length > 60 ? `${name.slice(0, 60)}…` : name
  const rule = '1 to 100 letters, digits, "-", "_" or ".", beginning with a letter or digit'
  return `${JSON.stringify(shown)} is not a ${thing} name; ${rule} are allowed`
}

const criterionSpec = z.strictObject({ type: z.string(), query: z.unknown() })

/** One entry under `probes`. */
export const probeSchema = z.strictObject({
  module: z.string(),
  isEnabled: z.boolean().default(true),
  period: milliseconds({ minMs: 100, maxMs: 86_400_000 }).default(3000),
  query: z.unknown().optional(),
  success_criteria: z
    .record(z.string(), z.union([criterionSpec, z.array(criterionSpec).min(1)]))
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
    error: 'is not a token; write a text in quotes, {env: NAME}, {file: PATH}, or a list of these',
  }),
  name: z.string().min(1).max(200).optional(),
})

/** Probes are validated one by one, so that a mistake in one does not hide those in others. */
const probes = z.record(z.string(), z.unknown()).nullish()

export const watchmanSchema = z.strictObject({
  probe_status_folder: z.string().min(1).default('probe'),
  module_folder: z.string().min(1).optional(),
  stale_after: milliseconds({ minMs: 1000, maxMs: 86_400_000 }).default(30_000),
  clear_on_start: z.boolean().default(false),
  probes,
})

export const genericSchema = z.strictObject({ log: z.union([logTarget, z.array(logTarget).min(1)]).optional() })

/** The top of the file; each section has its own schema. */
export const topSchema = z.strictObject({
  Generic: z.unknown().optional(),
  WEB: z.record(z.string(), z.unknown()),
  WatchMan: z.unknown().optional(),
  probes,
})
