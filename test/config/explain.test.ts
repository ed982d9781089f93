import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { explainIssues } from '../../src/config/explain.ts'

test('explainIssues() says where a former key is now, and nothing of it to those that are only misspelt', () => {
  const schema = z
    .strictObject({ tls: z.strictObject({ ca_file: z.string().optional() }) })
    .meta({ formerKeys: { ca_file: 'tls.ca_file' } })
  const given = { ca_file: 'x', tsl: 'x', tls: { cafile: 'x' } }
  const problems = explainIssues(schema, given, schema.safeParse(given).error?.issues ?? [])
  assert.deepEqual(
    problems.map(({ path, message }) => `${path.join('.')}: ${message}`),
    [
      'tls.cafile: is not a known key; did you mean "ca_file"?',
      'ca_file: is now tls.ca_file',
      'tsl: is not a known key; did you mean "tls"?',
    ],
  )
})
