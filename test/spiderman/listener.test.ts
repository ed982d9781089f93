import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findMismatch } from '../../src/spiderman/listener.ts'

const scenarios = [
  { config: '0.0.0.0:9001', actual: ['::|9001'], fits: true },
  { config: '0.0.0.0:9001', actual: ['127.0.0.1|9001'], fits: false },
  { config: '127.0.0.1:9001', actual: ['::|9001'], fits: false },
  { config: '127.0.0.1:9001', actual: ['127.0.0.1|80', '127.0.0.1|9001'], fits: true },
  { config: '127.0.0.1:9001', actual: ['127.0.0.1|80'], fits: false },
  { config: '0.0.0.0:0', actual: ['0.0.0.0|80'], fits: true },
  { config: 'localhost:80', actual: ['127.0.0.1|80'], fits: true },
  { config: '0.0.0.0:9001', actual: ['/run/s'], fits: false },
]

for (const { config, actual, fits } of scenarios) {
  test(`findMismatch() ${fits ? 'accepts' : 'tells of'} ${config} with ${actual.join(' and ')}`, () => {
    const [host = '', port] = config.split(':')
    const places = actual.map((place) => {
      const [where = '', number] = place.split('|')
      return number === undefined ? { socketPath: where } : { host: where, port: Number(number) }
    })
    const found = findMismatch({ host, port: Number(port) }, places)
    assert.equal(found === undefined, fits, found)
  })
}
