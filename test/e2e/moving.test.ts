import assert from 'node:assert/strict'
import { Agent } from 'node:http'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Asking, type AskingOptions, keepAsking } from './asking.ts'
import { startDeadPool, waitFor, writeConfig } from './binary.ts'
import { startComponent, urlProbe } from './component.ts'
import { freePort } from './nginx.ts'
import { reload } from './reloading.ts'

const total = (askings: Asking[]) => askings.reduce((sum, asking) => sum + asking.count(), 0)

async function heardBy(askings: Asking[]): Promise<string[]> {
  return [...new Set((await Promise.all(askings.map((asking) => asking.stop()))).flat())]
}

test('a move to another port: clients that stay until the old one is gone, and clients of the new one, all get their answers', async (context) => {
  const component = await startComponent(context)
  const probes = urlProbe('web', component.url)
  const deadpool = await startDeadPool(context, { probes })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const port = await freePort()
  const next = `http://127.0.0.1:${port}/`
  // A fresh connection may come in the moment in which the old one goes; a kept one must not be caught by it.
  const isEnd = (code: string, isKept: boolean) => code === 'ECONNREFUSED' || (code === 'ECONNRESET' && !isKept)
  const startClients = (options: AskingOptions) =>
    [false as const, new Agent({ keepAlive: true }), new Agent({ keepAlive: true })].map((agent) =>
      keepAsking(context, { ...options, agent }),
    )
  const old = startClients({ url: deadpool.url, isEnd })
  const startedMs = performance.now()
  assert.equal(await reload(deadpool, writeConfig({ probes }).replace('port: 0', `port: ${port}`)), true)
  const fresh = startClients({ url: next })
  await waitFor('the old one to go', async () => {
    const before = total(old)
    await sleep(200)
    return total(old) === before
  })
  const perSecond = (total(old) + total(fresh)) / ((performance.now() - startedMs) / 1000)
  assert.ok(perSecond > 200, `only ${Math.round(perSecond)} answers a second`)
  assert.deepEqual(await heardBy(old), ['OK\nTEST SERVER\n'])
  assert.deepEqual(await heardBy(fresh), ['OK\nTEST SERVER\n'])
  const movedMs = performance.now() - startedMs
  assert.ok(movedMs > 4500, `the old address went after ${Math.round(movedMs)} ms`)
  component.status(500)
  await waitFor('the verdict at the new one', async () => (await deadpool.ask({}, next)).status === 503)
})

test('a move back and forth ends where the configuration says', async (context) => {
  const component = await startComponent(context)
  const probes = urlProbe('web', component.url)
  const deadpool = await startDeadPool(context, { probes })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const [a, b] = [await freePort(), await freePort()]
  for (const port of [a, b, a, b, a]) {
    assert.equal(await reload(deadpool, writeConfig({ probes }).replace('port: 0', `port: ${port}`)), true)
    assert.equal((await deadpool.ask({}, `http://127.0.0.1:${port}/`)).text, 'OK\nTEST SERVER\n')
  }
  await sleep(5500)
  assert.equal((await deadpool.ask({}, `http://127.0.0.1:${a}/`)).text, 'OK\nTEST SERVER\n')
  await assert.rejects(deadpool.ask({}, `http://127.0.0.1:${b}/`))
})

test('another host on the same port: fresh connections that are open already get their answers', async (context) => {
  const component = await startComponent(context)
  const probes = urlProbe('web', component.url)
  const deadpool = await startDeadPool(context, { probes })
  await waitFor('the first check', async () => (await deadpool.ask()).text === 'OK\nTEST SERVER\n')
  const { port } = new URL(deadpool.url)
  const config = writeConfig({ probes }).replace('port: 0', `port: ${port}`)
  assert.equal(await reload(deadpool, config.replace('127.0.0.1', '0.0.0.0')), true)
  assert.equal((await deadpool.ask()).text, 'OK\nTEST SERVER\n')
  // Taken back, when the new one cannot be had.
  assert.equal(await reload(deadpool, config.replace('127.0.0.1', '192.0.2.1')), false)
  assert.equal((await deadpool.ask()).text, 'OK\nTEST SERVER\n')
})

test('a bad configuration does not move the address, and a taken one not the configuration', async (context) => {
  const component = await startComponent(context)
  component.status(500)
  const probe = (more: string) => urlProbe('web', component.url, { more: `period: 0.2${more}` })
  const deadpool = await startDeadPool(context, { probes: probe('') })
  await deadpool.becomes(503)
  const port = await freePort()
  const bad = writeConfig({ probes: `${probe('')}\nbad: { module: nosuch }` }).replace('port: 0', `port: ${port}`)
  assert.equal(await reload(deadpool, bad), false)
  await assert.rejects(deadpool.ask({}, `http://127.0.0.1:${port}/`))
  const { port: taken } = component.server.address() as { port: number }
  const lenient = writeConfig({ probes: probe(', severity: warning'), generic: '  log: { type: json, level: error }' })
  assert.equal(await reload(deadpool, lenient.replace('port: 0', `port: ${taken}`)), false)
  assert.match((await deadpool.ask()).text, /^DEAD web\nTEST SERVER\n/)
})
