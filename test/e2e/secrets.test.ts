import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { finallyDo, makeFolder, runBinary, startDeadPool, TOKEN, waitFor } from './binary.ts'

const SECRETS = ['url-pass-4711', 'header-key-4712', 'cookie-4713', TOKEN]

test('no token, password or URL credential appears in a log, a flag, an answer or an error', async (context) => {
  // A component that throws everything it was sent back at whoever asks.
  const server = createServer((request, response) => {
    const basic = Buffer.from(String(request.headers.authorization ?? '').replace(/^Basic /, ''), 'base64').toString()
    response.writeHead(500, { location: `http://user:url-pass-4711@127.0.0.1/` })
    response.end(`denied: ${basic} ${JSON.stringify(request.headers)} ${TOKEN} Bearer header-key-4712`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  finallyDo(context, () => server.close())
  const { port } = server.address() as { port: number }
  const criteria =
    'success_criteria: { body: { type: re_search, query: "never there" }, status: { type: status_in, query: [200] } }'
  const deadpool = await startDeadPool(context, {
    probes: `echo: { module: url_probe, period: 0.3, query: { url: "http://user:url-pass-4711@127.0.0.1:${port}/" }, ${criteria} }
keyed: { module: url_probe, period: 0.3, query: { url: "http://127.0.0.1:${port}/", header: { X-Api-Key: header-key-4712, Cookie: cookie-4713, Authorization: 'Bearer header-key-4712' } }, ${criteria} }
down: { module: url_probe, period: 0.3, query: { url: "http://user:url-pass-4711@127.0.0.1:1/" } }
tls: { module: url_probe, period: 0.3, query: { url: "https://user:url-pass-4711@127.0.0.1:${port}/" } }`,
  })
  await waitFor('all four dead', async () => (await deadpool.ask()).text.startsWith('DEAD echo, keyed, down, tls\n'))
  await waitFor(
    'all four flags',
    () => readdirSync(join(deadpool.folder, 'probe')).filter((name) => name.endsWith('.dead')).length === 4,
  )
  const answers = [
    await deadpool.ask(),
    await deadpool.ask({ headers: { accept: 'application/json' } }),
    await deadpool.ask({ headers: { authorization: 'Bearer wrong' } }),
  ]
  await deadpool.stop()
  const files = readdirSync(join(deadpool.folder, 'probe'), { recursive: true, withFileTypes: true })
  const readAll = (isWanted: (name: string) => boolean) =>
    files
      .filter((file) => file.isFile() && isWanted(file.name))
      .map((file) => readFileSync(join(file.parentPath, file.name), 'utf8'))
      .join('\n')
  const places = {
    log: deadpool.output(),
    flags: readAll((name) => name.endsWith('.dead')),
    notes: readAll((name) => name.endsWith('.json')),
    answers: answers.map(({ text }) => text).join('\n'),
  }
  for (const [place, text] of Object.entries(places)) {
    assert.ok(text.length > 0)
    for (const secret of SECRETS) {
      assert.equal(text.includes(secret), false, `${secret} in the ${place}`)
      assert.equal(
        text.includes(Buffer.from(`user:${secret}`).toString('base64')),
        false,
        `${secret} in base64 in the ${place}`,
      )
    }
  }
  assert.match(places.flags, /denied: \*\*\*/)
  assert.match(places.notes, /denied: \*\*\*/)
})

test('errors of a configuration print no secret', async (context) => {
  const folder = makeFolder(context)
  const write = (text: string) => writeFileSync(join(folder, 'deadpool.yml'), text)
  const configurations = [
    `WEB: { access_token: { value: ${TOKEN} }, port: "http://user:url-pass-4711@host/" }\nprobes: { a: { module: url_probe, query: { url: "ftp://user:url-pass-4711@host/" } } }\n`,
    `WEB: { access_token: "${TOKEN} with spaces" }\nprobes: { a: { module: url_probe, query: { url: "http://h/", header: { X-Api-Key: [header-key-4712], Cookie: "cookie-4713\\n" } } } }\n`,
    `WEB: { access_token: "${TOKEN}" }\nprobes: { a: { module: url_probe, query: { url: "http://h/", header: "X-Api-Key: header-key-4712" } } }\n`,
    `WEB: { access_token: *${TOKEN} }\n`,
    `WEB: { access_token: "${TOKEN}\nprobes: {}\n`,
  ]
  for (const text of configurations) {
    write(text)
    const { code, stdout, stderr } = await runBinary(['--check-config'], { cwd: folder })
    assert.equal(code, 2)
    assert.ok(stderr.length > 0)
    for (const secret of SECRETS) assert.equal((stdout + stderr).includes(secret), false, `${secret} in ${stderr}`)
  }
})
