import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seconds, secret, tlsSettings, z } from '../../src/modules/face.ts'
import { listQueryKeys } from '../../src/modules/query-keys.ts'

const TABLE: { name: string; schema: z.ZodType; rows: string[] }[] = [
  { name: 'a text that is required', schema: z.string().min(1), rows: ['a | text | required | '] },
  { name: 'an address', schema: z.int().min(1).max(65535).default(6379), rows: ['a | 1 to 65535 | 6379 | '] },
  { name: 'a count', schema: z.int().min(0).optional(), rows: ['a | whole number, at least 0 |  | '] },
  { name: 'a number', schema: z.number(), rows: ['a | number | required | '] },
  { name: 'a duration', schema: seconds().default(5), rows: ['a | duration | 5 | '] },
  { name: 'a secret', schema: secret().optional(), rows: ['a | secret |  | '] },
  {
    name: 'TLS settings, which are told once for all',
    schema: tlsSettings().optional(),
    rows: ['a | TLS settings |  | '],
  },
  { name: 'a choice', schema: z.enum(['udp', 'tcp', 'tls']).default('udp'), rows: ['a | udp, tcp or tls | udp | '] },
  { name: 'a switch', schema: z.boolean().default(false), rows: ['a | true or false | false | '] },
  { name: 'an empty text', schema: z.string().default(''), rows: ['a | text | "" | '] },
  { name: 'a list', schema: z.array(z.string()).default(['/']), rows: ['a | list of texts | ["/"] | '] },
  { name: 'names and values', schema: z.record(z.string(), z.string()).default({}), rows: ['a | mapping | {} | '] },
  {
    name: 'one or the other',
    schema: z.union([z.boolean(), z.int().min(0)]),
    rows: ['a | true or false or whole number, at least 0 | required | '],
  },
  {
    name: 'what it means',
    schema: z.string().default('x').describe('the letter'),
    rows: ['a | text | x | the letter'],
  },
  {
    name: 'a mapping of keys',
    schema: z.strictObject({ user: z.string().describe('who'), at: z.string().optional() }).optional(),
    rows: ['a | mapping |  | ', 'a.user | text | required | who', 'a.at | text |  | '],
  },
  {
    name: 'a list of steps',
    schema: z.array(z.union([z.strictObject({ send: z.string() }), z.strictObject({ expect: z.string() })])),
    rows: ['a | list of mappings | required | ', 'a[].send | text | required | ', 'a[].expect | text | required | '],
  },
  {
    name: 'one of several mappings, told apart by a key',
    schema: z.discriminatedUnion('by', [
      z.strictObject({ by: z.literal('name'), name: z.string() }),
      z.strictObject({ by: z.literal('place') }),
    ]),
    rows: [
      'a | mapping | required | ',
      'a.by | name | required | ',
      'a.name | text | required | ',
      'a.by | place | required | ',
    ],
  },
  { name: 'nothing of a default that JSON does not know', schema: z.bigint().default(5n), rows: [] },
  {
    name: 'what was transformed and refined',
    schema: z
      .string()
      .transform(Number)
      .superRefine(() => {}),
    rows: ['a | text | required | '],
  },
]
for (const { name, schema, rows } of TABLE) {
  test(`listQueryKeys() tells ${name}`, () => {
    const keys = listQueryKeys(z.strictObject({ a: schema }).superRefine(() => {}))
    const written = keys.map(({ key, takes, isRequired, default: value, about }) =>
      [key, takes, isRequired ? 'required' : (value ?? ''), about].join(' | '),
    )
    assert.deepEqual(written, rows)
  })
}
