import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_TARGETS, logTarget } from '../../src/log/target.ts'

const defaults = [
  {
    name: 'gelf',
    written: { type: 'gelf', server: 'localhost' },
    read: { type: 'gelf', level: 'info', server: 'localhost', port: 12_201, protocol: 'udp', compress: true },
  },
  {
    name: 'remote syslog',
    written: { type: 'syslog', server: '::1', protocol: 'tcp', facility: 'local3', level: 'debug' },
    read: { type: 'syslog', level: 'debug', server: '::1', port: 514, protocol: 'tcp', facility: 'local3' },
  },
  { name: 'console', written: { type: 'console' }, read: { type: 'console', level: 'info' } },
  { name: 'json', written: { type: 'json', level: 'error' }, read: { type: 'json', level: 'error' } },
]

for (const { name, written, read } of defaults) {
  test(`logTarget fills in the defaults of ${name}`, () => {
    assert.deepEqual(logTarget.parse(written), read)
  })
}

test('DEFAULT_TARGETS is what a bare syslog target comes to', () => {
  assert.deepEqual(DEFAULT_TARGETS, [logTarget.parse({ type: 'syslog' })])
})

const mistakes = [
  { name: 'an unknown type', written: { type: 'file' }, path: ['type'] },
  { name: 'gelf without a server', written: { type: 'gelf' }, path: ['server'] },
  { name: 'a server that is a URL', written: { type: 'gelf', server: 'udp://gl:12201' }, path: ['server'] },
  { name: 'port 0', written: { type: 'gelf', server: 'gl', port: 0 }, path: ['port'] },
  { name: 'port 70000', written: { type: 'syslog', server: 'gl', port: 70_000 }, path: ['port'] },
  { name: 'an unknown level', written: { type: 'json', level: 'trace' }, path: ['level'] },
  { name: 'an unknown facility', written: { type: 'syslog', facility: 'kern' }, path: ['facility'] },
  { name: 'an unknown key', written: { type: 'json', color: true }, path: [] },
]

for (const { name, written, path } of mistakes) {
  test(`logTarget refuses ${name}`, () => {
    const result = logTarget.safeParse(written)
    assert.deepEqual(
      result.error?.issues.map((issue) => issue.path),
      [path],
    )
  })
}
