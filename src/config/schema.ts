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
  module: z.string().describe('the module that asks: the name of a file in the module folder, or of a stock module'),
  isEnabled: z.boolean().default(true).describe('whether it is checked; a disabled one is only validated'),
  period: period.default(3000).describe('from the start of a check to the start of the next'),
  fast_period: period.optional().describe('the period while the outcomes disagree with the state'),
  fall: outcomes.default(1).describe('so many failures in a row make it dead'),
  rise: outcomes.default(1).describe('so many successes in a row make it alive again'),
  hold: milliseconds({ minMs: 0, maxMs: 86_400_000 })
    .default(0)
    .describe('once dead, it stays dead at least this long'),
  severity: z
    .enum(SEVERITIES)
    .default('critical')
    .describe('critical counts; warning is listed, but never makes 503; shadow is only logged'),
  depends_on: names.default([]).describe('probes and groups of which its death is a consequence'),
  query: z.unknown().optional().describe("what to ask, in the module's own format; see MODULES"),
  success_criteria: z
    .record(z.string(), z.union([criterionSpec, criteriaList]))
    .refine((criteria) => Object.keys(criteria).length > 0, {
      error: 'judges nothing; name a fact and its criterion, or leave the key out to use the defaults of the module',
    })
    .optional()
    .describe('by fact: one criterion or a list, which all must hold; without it those of the module'),
})

/** What a request can come for as it stands here: clients leave out segments of dots, and "%" is decoded. */
const PATH = /^(?!(?:.*\/)?\.\.?(?:\/|$))\/?(?:[\w.~!$&'()*+,;=:@-]+\/)*[\w.~!$&'()*+,;=:@-]*$/

export const webSchema = z.strictObject({
  port: z.int().min(0).max(65_535).default(9001).describe('the port to listen on; 0 takes any that is free'),
  host: z
    .string()
    .regex(/^[A-Za-z0-9.:_%-]+$/, { error: 'is not an address or a host name' })
    .default('0.0.0.0')
    .describe('the address to listen on; "::" for IPv6 and IPv4'),
  base_url: z
    .string()
    .regex(PATH, { error: 'is not a path such as / or /health' })
    .default('/')
    .describe('the one path that is answered, with and without a slash at its end'),
  access_token: z
    .union([secretSpec, z.array(secretSpec).min(1)], {
      error:
        'is not a token; write a text in quotes, {env: NAME}, {file: PATH}, {credential: NAME}, or a list of these',
    })
    .describe('the Bearer token that a request must carry, or a list of such'),
  name: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe("the server's own name, given in each answer; without it the name of the host"),
})

const notMinAlive = 'is not a number of members or a percentage; write 2 or "50%"'

/** One entry under `groups`. */
export const groupSchema = z.strictObject({
  members: names
    .refine((members) => members.length > 0, { error: 'has no member; name at least one probe' })
    .describe('probes that count only through this group'),
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
    .default({ count: 1 })
    .describe('how many have to be alive, or which share, such as "50%"')
    .meta({ title: 'number or percentage', written: 1 }),
  severity: z.enum(SEVERITIES).default('critical').describe('as that of a probe'),
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
const entries = z.record(z.string(), z.unknown()).nullish().meta({ title: 'mapping' })

export const watchmanSchema = z.strictObject({
  probe_status_folder: z
    .string()
    .min(1)
    .default('probe')
    .describe('the folder of the flags, made when it is not there'),
  module_folder: z
    .string()
    .min(1)
    .optional()
    .describe('where modules are looked for before the stock ones; without it mod beside the binary'),
  stale_after: milliseconds({ minMs: 1000, maxMs: 86_400_000 })
    .default(30_000)
    .describe('how long WatchMan may be silent, and how long a probe may be impossible to check'),
  on_stale: z
    .enum(['dead', 'last_known'])
    .default('dead')
    .describe('what the answer is after that: 503, or the last known states with a warning'),
  clear_on_start: z
    .boolean()
    .default(false)
    .describe('whether flags are removed, and states forgotten, when DeadPool starts'),
  probes: entries.describe('the probes, when they do not stand at the top'),
})

export const genericSchema = z.strictObject({
  log: z
    .union([logTarget, z.array(logTarget).min(1)])
    .optional()
    .meta({
      title: 'target or list of targets',
      description: 'where log lines go; without it to the syslog of this host, or the journal',
    }),
})

/** The top of the file; each section has its own schema. */
export const topSchema = z.strictObject({
  Generic: z.unknown().optional().meta({ title: 'mapping', description: 'the log' }),
  WEB: z.record(z.string(), z.unknown()).describe('SpiderMan, who answers Cloudflare'),
  WatchMan: z.unknown().optional().meta({ title: 'mapping', description: 'WatchMan, who runs the probes' }),
  probes: entries.describe('the probes, by name'),
  groups: entries.describe('probes that count only together, by the name of the group'),
})
