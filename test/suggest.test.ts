import assert from 'node:assert/strict'
import { test } from 'node:test'
import { suggest } from '../src/suggest.ts'

const COMMANDS = ['run', 'check-config', 'modules']
const KEYS = ['module', 'isEnabled', 'period', 'query', 'success_criteria']

const CASES: { name: string; word: string; candidates: string[]; meant: string | undefined }[] = [
  { name: 'two letters swapped', word: 'modlues', candidates: COMMANDS, meant: 'modules' },
  { name: 'another case', word: 'isenabled', candidates: KEYS, meant: 'isEnabled' },
  { name: 'another spelling', word: 'is_enabled', candidates: KEYS, meant: 'isEnabled' },
  { name: 'the closest of several', word: 'modul', candidates: [...COMMANDS, ...KEYS], meant: 'module' },
  { name: 'a beginning', word: 'check', candidates: COMMANDS, meant: 'check-config' },
  { name: 'a beginning in another case', word: 'Success', candidates: KEYS, meant: 'success_criteria' },
  { name: 'a long word with many mistakes', word: 'sucess_critreia', candidates: KEYS, meant: 'success_criteria' },
  { name: 'nothing near', word: 'kubernetes', candidates: COMMANDS, meant: undefined },
  { name: 'a short word without a letter in common', word: 'x', candidates: ['ab', 'y'], meant: undefined },
  { name: 'no candidates', word: 'run', candidates: [], meant: undefined },
  { name: 'an empty word', word: '', candidates: COMMANDS, meant: undefined },
]

for (const { name, word, candidates, meant } of CASES) {
  test(`suggest() for ${name}`, () => assert.equal(suggest(word, candidates), meant))
}
