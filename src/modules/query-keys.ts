import * as z from 'zod'

/** One key of a module's query, as the reference shows it. */
export interface QueryKey {
  /** With the keys above it: `tls.ca_file`. */
  key: string
  /** What it takes: `duration`, `text`, `1 to 65535`, `get or post` … */
  takes: string
  isRequired: boolean
  /** As it would be written in YAML; undefined where there is none. */
  default: string | undefined
  about: string
}

type JsonSchema = z.core.JSONSchema.JSONSchema

/**
 * Lists the keys of a query's schema, in its order; below each mapping follow the keys in it. None of a schema that cannot
 * be told, such as one with a default that JSON does not know: the module works all the same.
 */
export function listQueryKeys(schema: z.ZodType): QueryKey[] {
  try {
    // What JSON Schema cannot say, such as a refinement, is told by the error of a query that hurts it.
    return listKeys(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline', override }), '')
  } catch {
    return [] // the converter throws at what it cannot write down
  }
}

function override({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodTypes; jsonSchema: JsonSchema }): void {
  const { def } = zodSchema._zod
  // JSON Schema wants a default to be an input, which that of a duration or a size is not.
  if (def.type === 'default') jsonSchema.default ??= def.defaultValue as NonNullable<JsonSchema['default']>
  // A discriminated union, whose options are read as those of any other.
  if (jsonSchema.oneOf) jsonSchema.anyOf = jsonSchema.oneOf
}

function listKeys(schema: JsonSchema, above: string): QueryKey[] {
  return findMappings(schema).flatMap(({ properties = {}, required = [] }) =>
    Object.entries(properties).flatMap(([name, given]) => {
      if (typeof given === 'boolean') return []
      // What a schema makes of a value may not be what is written for it.
      const standard = given.written ?? given.default
      const key: QueryKey = {
        key: above + name,
        takes: describeValue(given),
        isRequired: required.includes(name),
        default: standard === undefined ? undefined : writeDefault(standard, given.unit),
        about: given.description ?? '',
      }
      return [key, ...listKeys(given, `${above}${name}${given.type === 'array' ? '[]' : ''}.`)]
    }),
  )
}

/** The mappings that a value, or each item of a list, may be. What has a name of its own is told elsewhere. */
function findMappings(schema: JsonSchema): JsonSchema[] {
  if (schema.title !== undefined) return []
  if (schema.properties) return [schema]
  const { items, anyOf = [] } = schema
  const parts = typeof items === 'object' && !Array.isArray(items) ? [...anyOf, items] : anyOf
  return parts.flatMap((part) => findMappings(part as JsonSchema))
}

function writeDefault(value: unknown, unit: unknown): string | undefined {
  // Durations of the configuration are milliseconds inside, and seconds where they are written.
  if (unit === 'ms') return String(Number(value) / 1000)
  if (typeof value === 'string') return value === '' ? '""' : value
  return JSON.stringify(value)
}

const KINDS: Record<string, string> = {
  string: 'text',
  number: 'number',
  integer: 'whole number',
  boolean: 'true or false',
  object: 'mapping',
}

function describeValue(schema: JsonSchema): string {
  if (schema.title !== undefined) return schema.title
  if (schema.enum) return joinOr(schema.enum.map(String))
  if (schema.const !== undefined) return String(schema.const)
  if (schema.anyOf) return joinOr(schema.anyOf.map((option) => describeValue(option as JsonSchema)))
  if (schema.type === 'array') return `list of ${describeItems(schema.items)}`
  const kind = KINDS[String(schema.type)] ?? 'any value'
  return schema.type === 'integer' || schema.type === 'number' ? describeRange(schema, kind) : kind
}

function describeItems(items: JsonSchema['items']): string {
  if (typeof items !== 'object' || Array.isArray(items)) return 'values'
  return `${describeValue(items as JsonSchema)}s`
}

/** Zod says the limits of a safe integer where none are given. */
function describeRange({ minimum = -Infinity, maximum = Infinity }: JsonSchema, kind: string): string {
  const isLimited = maximum < Number.MAX_SAFE_INTEGER
  if (minimum > Number.MIN_SAFE_INTEGER) return isLimited ? `${minimum} to ${maximum}` : `${kind}, at least ${minimum}`
  return isLimited ? `${kind}, at most ${maximum}` : kind
}

function joinOr(options: string[]): string {
  const distinct = [...new Set(options)]
  const last = distinct.pop() ?? ''
  return distinct.length === 0 ? last : `${distinct.join(', ')} or ${last}`
}
