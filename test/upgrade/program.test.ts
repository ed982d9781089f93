import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { findProgramFault } from '../../src/upgrade/program.ts'

const TRUE = readFileSync('/bin/true')

/** The same program for a machine that nobody has. */
function forAnotherMachine(): Buffer {
  const copy = Buffer.from(TRUE)
  copy.writeUInt16LE(0xfe, 18)
  return copy
}

const cases = [
  { name: 'a program', content: TRUE, fault: undefined },
  { name: 'a script', content: '#!/bin/sh\nexit 0\n', fault: undefined },
  {
    name: 'a part of a program',
    content: TRUE.subarray(0, 9000),
    fault: /^\S+ is cut off: it has 9000 bytes of at least \d+; copy it again$/,
  },
  { name: 'the beginning of one', content: TRUE.subarray(0, 20), fault: /^\S+ is (cut off|a program for another)/ },
  { name: 'a text', content: 'rm -r x\n', fault: /^\S+ is not a program$/ },
  { name: 'nothing', content: '', fault: /^\S+ is not a program$/ },
  {
    name: 'a program for another machine',
    content: forAnotherMachine(),
    fault: /^\S+ is a program for another kind of machine$/,
  },
]

test('findProgramFault() knows what the shell would be given instead', () => {
  const folder = mkdtempSync(join(tmpdir(), 'deadpool-program-'))
  const file = join(folder, 'program')
  try {
    for (const { name, content, fault } of cases) {
      writeFileSync(file, content)
      chmodSync(file, 0o755)
      const found = findProgramFault(file)
      if (fault) assert.match(found ?? '', fault, name)
      else assert.equal(found, undefined, name)
    }
    assert.equal(findProgramFault(process.execPath), undefined)
    // What running it will tell.
    assert.equal(findProgramFault(folder), undefined)
    assert.equal(findProgramFault(join(folder, 'nowhere')), undefined)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
