import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startDeadPool, waitFor } from './binary.ts'
import { startComponent, urlProbe } from './component.ts'

test('severity: a warning is listed beside the answer, a shadow is logged and counted, neither makes 503', async (context) => {
  const component = await startComponent(context)
  const probe = (name: string, more = '') => urlProbe(name, `${component.url}/${name}`, { more: `period: 0.2${more}` })
  const probes = [probe('cache', ', severity: warning'), probe('trial', ', severity: shadow'), probe('web')].join('\n')
  const deadpool = await startDeadPool(context, { probes })
  await waitFor('the first round', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  for (const name of ['cache', 'trial']) component.status(500, `/${name}`)
  const expected = /^OK\nTEST SERVER\nwarning: cache is dead: status: 500 is not one of 2xx \(since .*\)\n$/
  await waitFor('the warning', async () => expected.test((await deadpool.ask()).text))
  await waitFor('the shadow', () =>
    deadpool
      .log()
      .some(({ message }) => message === 'trial would have answered 503 (shadow): status: 500 is not one of 2xx'),
  )
  assert.match((await deadpool.ask()).text, expected)
  // Asked by itself, each says how it is.
  for (const name of ['cache', 'trial']) assert.equal((await deadpool.ask({}, `/${name}`)).status, 503)
  component.status(200, '/trial')
  await waitFor('its end', () => deadpool.log().some(({ message }) => /^trial would answer 200 again/.test(message)))
  const notes = join(deadpool.folder, 'probe/state/watchman.json')
  await waitFor('the count', () => {
    const { trial } = JSON.parse(readFileSync(notes, 'utf8')).shadows
    return trial?.count === 1 && trial.since === undefined && trial.totalMs > 0
  })
  component.status(500, '/web')
  assert.match(await deadpool.becomes(503), /^DEAD web\nTEST SERVER\nweb: .*\nwarning: cache is dead: .*\n$/)
})

test('groups: members count only together, and the reason names the dead ones', async (context) => {
  const component = await startComponent(context)
  const names = ['a', 'b', 'c', 'x', 'y', 'z']
  const probes = names.map((name) => urlProbe(name, `${component.url}/${name}`)).join('\n')
  const groups = `
groups:
  number: { members: [a, b, c], min_alive: 2 }
  share: { members: [x, y, z], min_alive: "34%" }`
  const deadpool = await startDeadPool(context, { probes, after: groups })
  await waitFor('the first round', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  component.status(500, '/a')
  await waitFor('the death of a', async () => (await deadpool.ask({}, '/a')).status === 503)
  assert.deepEqual((await deadpool.ask()).text, 'OK\nTEST SERVER\n')
  assert.equal((await deadpool.ask({}, '/number')).status, 200)
  component.status(500, '/b')
  const reason =
    'number: 1 of 3 alive, 2 needed \\(a: status: 500 is not one of 2xx; b: status: 500 is not one of 2xx\\)'
  assert.match(await deadpool.becomes(503), new RegExp(`^DEAD number\nTEST SERVER\n${reason} \\(since .*\\)\n$`))
  assert.match((await deadpool.ask({}, '/number')).text, new RegExp(`^DEAD number\nTEST SERVER\n${reason} \\(since`))
  assert.equal((await deadpool.ask({}, '/share')).text, 'OK\nTEST SERVER\n')
  // 34% of three is more than one: two.
  component.status(500, '/x')
  component.status(500, '/y')
  await waitFor('the other group', async () => (await deadpool.ask()).text.startsWith('DEAD number, share\n'))
  component.status(200, '/a')
  component.status(200, '/y')
  assert.equal(await deadpool.becomes(200), 'OK\nTEST SERVER\n')
})

test('depends_on: a consequence is listed behind its cause, and goes on being checked', async (context) => {
  const component = await startComponent(context)
  const probes = [
    urlProbe('mongo', `${component.url}/mongo`, { more: 'period: 0.2, depends_on: network' }),
    urlProbe('other', `${component.url}/other`),
    urlProbe('network', `${component.url}/network`),
  ].join('\n')
  const deadpool = await startDeadPool(context, { probes })
  for (const name of ['mongo', 'network', 'other']) component.status(500, `/${name}`)
  const expected =
    /^DEAD other, network, mongo\nTEST SERVER\nother: .*\nnetwork: .*\nmongo: .* \(because of network\) \(since .*\)\n$/
  await waitFor('the order', async () => expected.test((await deadpool.ask()).text))
  const json = await deadpool.ask({ headers: { accept: 'application/json' } })
  assert.deepEqual(
    JSON.parse(json.text).dead.map(({ probe, because_of }: Record<string, unknown>) => [probe, because_of]),
    [
      ['other', undefined],
      ['network', undefined],
      ['mongo', 'network'],
    ],
  )
  component.status(200, '/mongo')
  await waitFor('mongo to live', async () => (await deadpool.ask()).text.startsWith('DEAD other, network\n'))
})

test('depends_on a group: what a dead group explains stands behind it, and is not explained by one that is alive', async (context) => {
  const component = await startComponent(context)
  const probe = (name: string, more = '') => urlProbe(name, `${component.url}/${name}`, { more: `period: 0.2${more}` })
  const probes = [probe('shop', ', depends_on: [switch, nodes]'), probe('a'), probe('b'), probe('switch')].join('\n')
  const after = '\ngroups: { nodes: { members: [a, b], min_alive: "51%" } }'
  const deadpool = await startDeadPool(context, { probes, after })
  for (const name of ['shop', 'a']) component.status(500, `/${name}`)
  const explained =
    /^DEAD nodes, shop\n.*\nnodes: 1 of 2 alive, 2 needed \(a: .*\) \(since .*\)\nshop: .* \(because of nodes\) \(since /
  await waitFor('both', async () => explained.test((await deadpool.ask()).text))
  assert.match((await deadpool.ask({}, '/shop')).text, /^DEAD shop\n.*\nshop: .* \(because of nodes\)/)
  component.status(500, '/switch')
  await waitFor('the first cause', async () => /^DEAD switch, shop, nodes\n/.test((await deadpool.ask()).text))
  component.status(200, '/switch')
  component.status(200, '/a')
  await waitFor('shop alone', async () =>
    /^DEAD shop\n.*\nshop: [^(]* \(since .*\)\n$/.test((await deadpool.ask()).text),
  )
})

test('a group of severity warning or shadow never makes 503, and its dead members are told', async (context) => {
  const component = await startComponent(context)
  const probes = ['a', 'b'].map((name) => urlProbe(name, `${component.url}/${name}`)).join('\n')
  const after = `
groups:
  soft: { members: [a], severity: warning }
  trial: { members: [b], severity: shadow }`
  const deadpool = await startDeadPool(context, { probes, after })
  await waitFor('the first round', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  for (const name of ['a', 'b']) component.status(500, `/${name}`)
  const warned =
    /^OK\nTEST SERVER\nwarning: soft is dead: 0 of 1 alive, 1 needed \(a: status: 500 is not one of 2xx\) \(since .*\)\n$/
  await waitFor('the warning', async () => warned.test((await deadpool.ask()).text))
  const line = 'trial would have answered 503 (shadow): 0 of 1 alive, 1 needed (b: status: 500 is not one of 2xx)'
  await waitFor('the shadow', () => deadpool.log().some(({ message }) => message === line))
  assert.match((await deadpool.ask()).text, warned)
  for (const name of ['a', 'soft', 'b', 'trial']) assert.equal((await deadpool.ask({}, `/${name}`)).status, 503, name)
  const turned = deadpool.log().filter(({ message }) => message.startsWith('the answer is 503'))
  assert.deepEqual(turned, [])
})

test('each probe and group answers by itself below base_url, with the same tokens and statuses', async (context) => {
  const component = await startComponent(context)
  component.status(500, '/sick')
  const probes = `${urlProbe('sick', `${component.url}/sick`)}
${urlProbe('well', `${component.url}/well`)}
off: { module: url_probe, isEnabled: False, query: { url: "${component.url}" } }`
  const after = '\ngroups: { all: { members: [sick, well] } }'
  const deadpool = await startDeadPool(context, { probes, after, web: 'base_url: /health' })
  await waitFor('the death', async () => (await deadpool.ask({}, '/health/sick')).status === 503)
  const json = await deadpool.ask({ headers: { accept: 'application/json' } }, '/health/sick')
  const { dead, ...rest } = JSON.parse(json.text)
  assert.deepEqual(rest, { name: 'TEST SERVER', status: 'DEAD', warnings: [] })
  assert.equal(dead[0].reason, 'status: 500 is not one of 2xx')
  const statusOf = async (path: string, init: RequestInit = {}) => (await deadpool.ask(init, path)).status
  const token = { headers: { authorization: 'Bearer wrong' } }
  const statuses = {
    whole: await statusOf('/health'),
    sick: await statusOf('/health/sick'),
    well: await statusOf('/health/well'),
    slash: await statusOf('/health/well/'),
    group: await statusOf('/health/all'),
    head: await statusOf('/health/sick', { method: 'HEAD' }),
    stranger: await statusOf('/health/sick', token),
    unknownToStranger: await statusOf('/health/nosuch', token),
    disabled: await statusOf('/health/off'),
    unknown: await statusOf('/health/nosuch'),
    beside: await statusOf('/sick'),
    deeper: await statusOf('/health/well/more'),
    post: await statusOf('/health/well', { method: 'POST' }),
  }
  assert.deepEqual(statuses, {
    whole: 200,
    sick: 503,
    well: 200,
    slash: 200,
    group: 200,
    head: 503,
    stranger: 511,
    unknownToStranger: 511,
    disabled: 404,
    unknown: 404,
    beside: 404,
    deeper: 404,
    post: 405,
  })
})
