import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listCriteria, listFacts, readHeadComment } from '../../src/modules/reference.ts'

const SOURCE = `/**
 * door_probe: asks a door
 * whether it is open.
 *
 *   front:
 *     module: door_probe
 *
 *     period: 3
 *
 * It knocks first.
 */
import { z } from 'deadpool'
/** another */
`

test('readHeadComment() takes the words and the indented YAML apart', () => {
  assert.deepEqual(readHeadComment(SOURCE), {
    intro: 'Asks a door\nwhether it is open.\n\n\n\nIt knocks first.',
    example: 'front:\n  module: door_probe\n\n  period: 3',
  })
})

test('readHeadComment() is content with a module that says nothing', () => {
  assert.deepEqual(readHeadComment('export const a = 1\n'), { intro: '', example: undefined })
})

const DESCRIPTION = { summary: '', query: [], factsVary: false }

test('listFacts() tells type and unit, and "any" where no type is known', () => {
  const facts = {
    time_ms: { about: 'whole check', type: 'number', unit: 'ms' },
    open: { about: 'is it', type: 'boolean' },
    mood: { about: 'of the door' },
  } as const
  assert.deepEqual(listFacts({ ...DESCRIPTION, facts, criteria: {} }).rows, [
    ['time_ms', 'number, ms', 'whole check'],
    ['open', 'boolean', 'is it'],
    ['mood', 'any', 'of the door'],
  ])
})

test('listCriteria() tells each criterion of a fact', () => {
  const criteria = {
    open: { type: 'equals', query: true },
    time_ms: [
      { type: 'gt', query: 1 },
      { type: 'lt', query: 9 },
    ],
  }
  assert.deepEqual(listCriteria({ ...DESCRIPTION, facts: {}, criteria }), [
    'open: equals true',
    'time_ms: gt 1',
    'time_ms: lt 9',
  ])
})
