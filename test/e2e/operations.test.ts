import assert from 'node:assert/strict'
import { copyFileSync, existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { BINARY, type DeadPool, makeFolder, TOKEN, waitFor } from './binary.ts'
import { startComponent, urlProbe } from './component.ts'
import { runScript } from './shell.ts'
import { nameBinary, notesOf, said, startToUpgrade } from './upgrading.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/operations.md'), 'utf8')

/** The shell commands of a section as they are written, in other folders, and without sudo. */
function commandsOf(section: string, folder: string): string[] {
  const text = page.split(/^## /m).find((each) => each.startsWith(`${section}\n`)) ?? ''
  return [...text.matchAll(/^( *)```sh\n(.*?)^\1```$/gms)].map(([, indent = '', commands = '']) =>
    commands
      .replaceAll(new RegExp(`^${indent}`, 'gm'), '')
      .replaceAll('sudo ', '')
      .replaceAll(/\/usr\/local\/bin|\/etc\/deadpool/g, folder),
  )
}

const run = (commands: string | undefined, { folder }: Pick<DeadPool, 'folder'>) => {
  assert.ok(commands, 'the page has no such commands')
  return runScript(commands, {
    cwd: folder,
    PATH: `${folder}:${process.env.PATH}`,
    DEADPOOL_CONFIG: join(folder, 'deadpool.yml'),
  })
}

test('the commands for an upgrade and a rollback, run as operations.md has them, change the binary at work', async (context) => {
  const component = await startComponent(context)
  const folder = makeFolder(context)
  const binary = nameBinary(folder)
  const deadpool = await startToUpgrade(context, { probes: urlProbe('web', component.url), folder, binary })
  await deadpool.becomes(200)
  copyFileSync(BINARY, join(folder, 'deadpool-new'))
  const [upgrade, rollback] = commandsOf('Upgrading', folder)
  const atWork = () =>
    readFileSync(`/proc/${notesOf(deadpool).pid}/stat`) && realpathSync(`/proc/${notesOf(deadpool).pid}/exe`)

  assert.match(await run(upgrade, deadpool), /\nupgraded: process \d+ /)
  assert.equal(atWork(), realpathSync(binary))
  const second = notesOf(deadpool).pid
  assert.notEqual(second, deadpool.pid)
  assert.match(await run(rollback, deadpool), /\nupgraded: process \d+ /)
  assert.notEqual(notesOf(deadpool).pid, second)
  assert.ok(!existsSync(join(folder, '.deadpool-new')))
  assert.equal((await deadpool.ask()).status, 200)
})

test('the commands for another token, run as operations.md has them, leave no gap and tell who is left', async (context) => {
  const component = await startComponent(context)
  const folder = makeFolder(context)
  writeFileSync(join(folder, 'token'), `${TOKEN}\n`)
  nameBinary(folder)
  const deadpool = await startToUpgrade(context, { probes: urlProbe('web', component.url), folder })
  await deadpool.becomes(200)
  const [keep, change] = commandsOf('Changing the token', folder)
  await run(keep, deadpool)
  const yaml = /^ *```yaml\n {3}WEB:\n(.*?)^ *```/ms.exec(page.slice(page.indexOf('## Changing the token')))?.[1] ?? ''
  assert.match(yaml, /token\.old/)
  const file = join(folder, 'deadpool.yml')
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^ *access_token: .*\n/m, yaml.replaceAll(/^ {3}/gm, '')))
  await run(change, deadpool)
  const fresh = readFileSync(join(folder, 'token'), 'utf8').trim()
  assert.match(fresh, /^[0-9a-f]{64}$/)
  const ask = (token: string) => deadpool.ask({ headers: { authorization: `Bearer ${token}` } })
  assert.deepEqual([(await ask(fresh)).status, (await ask(TOKEN)).status, (await ask('wrong')).status], [200, 200, 511])
  await waitFor('the line', () => said(deadpool, 'token 2 of 2 in WEB.access_token is in use').length === 1)
})
