import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCommandLine } from '../../src/cli/command-line.ts'

const nowhere = { config: undefined, folder: undefined }
const understood = [
  { args: '', command: { name: 'run', config: undefined } },
  { args: 'run --check-config', command: { name: 'check-config', config: undefined, against: undefined } },
  {
    args: '--check-config --against old.yml',
    command: { name: 'check-config', config: undefined, against: 'old.yml' },
  },
  {
    args: 'check-config -c new.yml --against=old.yml',
    command: { name: 'check-config', config: 'new.yml', against: 'old.yml' },
  },
  { args: 'check', command: { name: 'check', config: undefined, probes: [], json: false } },
  { args: 'check a b --json', command: { name: 'check', config: undefined, probes: ['a', 'b'], json: true } },
  {
    args: 'modules redis_probe',
    command: { name: 'modules', config: undefined, module: 'redis_probe', eject: undefined, types: false },
  },
  { args: 'status', command: { name: 'status', ...nowhere, json: false, watch: false } },
  {
    args: 'status --json --watch -f /var/probe -c x.yml',
    command: { name: 'status', config: 'x.yml', folder: '/var/probe', json: true, watch: true },
  },
  { args: 'drain', command: { name: 'drain', ...nowhere, saying: { reason: undefined, forMs: undefined } } },
  {
    args: 'drain --for 30m --reason racks',
    command: { name: 'drain', ...nowhere, saying: { reason: 'racks', forMs: 1_800_000 } },
  },
  { args: 'drain --for 90', command: { name: 'drain', ...nowhere, saying: { reason: undefined, forMs: 90_000 } } },
  { args: 'resume --folder f', command: { name: 'resume', config: undefined, folder: 'f' } },
  {
    args: 'mute elastic --for 30d',
    command: { name: 'mute', ...nowhere, item: 'elastic', saying: { reason: undefined, forMs: 2_592_000_000 } },
  },
  { args: 'unmute elastic', command: { name: 'unmute', ...nowhere, item: 'elastic' } },
  { args: 'reload', command: { name: 'reload', ...nowhere } },
  { args: 'upgrade --folder f', command: { name: 'upgrade', config: undefined, folder: 'f' } },
  {
    args: 'simulate --dead a,b --dead c --unknown d,,e',
    command: {
      name: 'simulate',
      config: undefined,
      simulated: { dead: ['a', 'b', 'c'], unknown: ['d', 'e'] },
      json: false,
    },
  },
]
for (const { args, command } of understood) {
  test(`parseCommandLine() understands "deadpool ${args}"`, () => {
    assert.deepEqual(parseCommandLine(args.split(' ').filter(Boolean)), command)
  })
}

const refused = [
  { args: ['mute', 'elastic'], message: /^a mute needs an end, as in "deadpool mute elastic --for 1h"/ },
  { args: ['mute', '--for', '1h'], message: /^"deadpool mute" needs the name of a probe or group, as in / },
  {
    args: ['unmute'],
    message: /^"deadpool unmute" needs the name of a probe or group, as in "deadpool unmute elastic"$/,
  },
  { args: ['mute', 'a', 'b', '--for', '1h'], message: /^"b" is too much; "deadpool mute" takes one name$/ },
  { args: ['drain', 'elastic'], message: /^"elastic" is too much; "deadpool drain" takes options only$/ },
  {
    args: ['drain', '--for', 'ever'],
    message: /^"--for ever" is not a duration; write 30m, 2h, or 90 for seconds$/,
  },
  { args: ['drain', '--for=-5m'], message: /^"--for -5m" is out of range; 1 s to 30 d is allowed$/ },
  { args: ['drain', '--for', '31d'], message: /^"--for 31d" is out of range; 1 s to 30 d is allowed$/ },
  { args: ['drain', '--for'], message: /^"--for" needs a value, as in "--for 30m"$/ },
  { args: ['drain', '--reason', 'x'.repeat(501)], message: /^"--reason" has 501 characters; at most 500 are allowed$/ },
  { args: ['simulate'], message: /^"deadpool simulate" needs the names of probes, as in / },
  { args: ['simulate', '--dead', ','], message: /^"deadpool simulate" needs the names of probes, as in / },
  {
    args: ['simulate', '-f', 'x'],
    message: /^"deadpool simulate" has no option "--folder"; see "deadpool simulate --help"$/,
  },
  { args: ['run', '--against', 'old.yml'], message: /^"--against" belongs to "--check-config"; give both$/ },
  { args: ['reload', '--json'], message: /^"deadpool reload" has no option "--json"/ },
  { args: ['statsu'], message: /^there is no command "statsu"; did you mean "status"\?$/ },
  { args: ['status', '--wach'], message: /^there is no option "--wach"; did you mean "--watch"\?$/ },
]
for (const { args, message } of refused) {
  test(`parseCommandLine() refuses "deadpool ${args.join(' ').slice(0, 40)}" and says what is allowed`, () => {
    assert.throws(() => parseCommandLine(args), { name: 'UsageError', message })
  })
}
