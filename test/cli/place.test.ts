import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { findFolder } from '../../src/cli/place.ts'
import { readOutline } from '../../src/config/outline.ts'
import { makeFolder } from './notes.ts'

const WEB = 'WEB: { access_token: { env: DEADPOOL_TEST_NOT_SET } }'
const found = [
  {
    name: 'a path from the folder of the file',
    text: `${WEB}\nWatchMan: { probe_status_folder: flags }`,
    folder: 'flags',
  },
  { name: 'nothing about it', text: WEB, folder: 'probe' },
  { name: 'an empty section', text: `${WEB}\nWatchMan:`, folder: 'probe' },
  {
    name: 'mistakes elsewhere',
    text: 'WEB: 7\nWatchMan: { stale_after: soon, wrong: 1, probe_status_folder: flags }\nprobes: { a: { period: x } }',
    folder: 'flags',
  },
]
for (const { name, text, folder } of found) {
  test(`findFolder() reads a configuration with ${name}`, (context) => {
    const home = makeFolder(context)
    writeFileSync(join(home, 'deadpool.yml'), text)
    const place = { folder: undefined, config: undefined }
    assert.equal(findFolder(place, { env: {}, cwd: home, home: '/' }), join(home, folder))
    const inside = join(home, 'inside')
    mkdirSync(inside)
    assert.equal(
      findFolder({ ...place, config: '../deadpool.yml' }, { env: {}, cwd: inside, home: '/' }),
      join(home, folder),
    )
  })
}

test('findFolder() takes the named folder without looking for a configuration', () => {
  const around = { env: { DEADPOOL_CONFIG: '/absent.yml' }, cwd: '/var', home: '/' }
  assert.equal(findFolder({ folder: 'probe', config: undefined }, around), '/var/probe')
})

const unusable = [
  { name: 'that is no YAML', text: 'WEB: [', line: /deadpool\.yml:1:\d+: / },
  {
    name: 'whose folder is no path',
    text: 'WatchMan:\n  probe_status_folder: [a]',
    line: /deadpool\.yml:2:24 WatchMan\.probe_status_folder: a list is not a text$/,
  },
  {
    name: 'whose folder is empty',
    text: 'WatchMan: { probe_status_folder: "" }',
    line: /probe_status_folder: "" is too short/,
  },
  {
    name: 'whose section is a text',
    text: 'WatchMan: 5',
    line: /deadpool\.yml:1:\d+ WatchMan\.probe_status_folder: "?5"? is not a text/,
  },
  { name: 'that is not there', text: undefined, line: /deadpool\.yml: cannot be read: there is no such file$/ },
]
for (const { name, text, line } of unusable) {
  test(`findFolder() with a configuration ${name} says so, and that --folder does without`, (context) => {
    const cwd = makeFolder(context)
    if (text !== undefined) writeFileSync(join(cwd, 'deadpool.yml'), text)
    const place = { folder: undefined, config: 'deadpool.yml' }
    assert.throws(
      () => findFolder(place, { env: {}, cwd, home: '/' }),
      ({ name, lines }: { name: string; lines: string[] }) => {
        assert.equal(name, 'ConfigError')
        assert.match(lines[0] ?? '', line)
        return lines.at(-1) === 'the status folder can also be named with "--folder DIR"'
      },
    )
  })
}

test('readOutline() names the probes of both places and the groups', (context) => {
  const file = join(makeFolder(context), 'deadpool.yml')
  writeFileSync(file, 'probes: { b: {}, a: { isEnabled: False } }\nWatchMan: { probes: { c: } }\ngroups: { d: {} }')
  assert.deepEqual(readOutline(file).names, ['b', 'a', 'c', 'd'])
})
