import assert from 'node:assert/strict'
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { writeCompletion } from '../../src/cli/completion.ts'
import { listNames } from '../../src/cli/names.ts'
import { skip } from '../e2e/binary.ts'

// A "deadpool" that knows one question, so that what the shells ask is seen, and none of them waits for a start.
const folder = mkdtempSync(join(tmpdir(), 'deadpool-completion-'))
after(() => rmSync(folder, { recursive: true }))
writeFileSync(
  join(folder, 'deadpool'),
  `#!/bin/sh
[ "$1 $2" = "completion names" ] || exit 1
case "$*" in
*other.yml*) echo mongo ;;
*) printf '%s\\n' elastic elastic-2 kafka '$(touch "${folder}/pwned")' ;;
esac
`,
  { mode: 0o755 },
)
writeFileSync(join(folder, 'old.yml'), '')
writeFileSync(join(folder, 'site plan.yml'), '')
const env = { ...process.env, PATH: `${folder}:${process.env.PATH}`, HOME: folder, TERM: 'dumb', LC_ALL: 'C.UTF-8' }
const modules = ['url_probe', 'redis_probe']
for (const shell of ['bash', 'zsh', 'fish'] as const) {
  writeFileSync(join(folder, shell === 'zsh' ? '_deadpool' : `deadpool.${shell}`), writeCompletion(shell, modules))
}

/** What is offered after a line, at least and not. */
const lines: { line: string; offers: string[]; not?: string[] }[] = [
  { line: 'deadpool mu', offers: ['mute'], not: ['unmute', 'modules'] },
  { line: 'deadpool mute ela', offers: ['elastic', 'elastic-2'], not: ['kafka'] },
  { line: 'deadpool unmute ', offers: ['elastic', 'elastic-2', 'kafka'] },
  { line: 'deadpool check elastic ka', offers: ['kafka'], not: ['elastic'] },
  { line: 'deadpool -c other.yml mute ', offers: ['mongo'], not: ['kafka'] },
  { line: 'deadpool mute -c other.yml ', offers: ['mongo'], not: ['kafka'] },
  { line: 'deadpool mute --config=other.yml mon', offers: ['mongo'], not: ['kafka'] },
  { line: 'deadpool simulate --dead elastic,ka', offers: ['elastic,kafka'] },
  { line: 'deadpool modules --eject red', offers: ['redis_probe'], not: ['url_probe'] },
  { line: 'deadpool modules url', offers: ['url_probe'] },
  { line: 'deadpool completion ', offers: ['bash', 'zsh', 'fish'] },
  { line: 'deadpool drain --re', offers: ['--reason'], not: ['--json'] },
  { line: 'deadpool drain --for ', offers: ['30m'] },
  { line: 'deadpool check-config --against ol', offers: ['old.yml'] },
  { line: 'deadpool init sit', offers: ['site plan.yml'], not: ['site', 'plan.yml'] },
]

const shells: { shell: string; complete(line: string): Promise<string[]> }[] = [
  { shell: 'bash', complete: completeInBash },
  { shell: 'fish', complete: completeInFish },
  { shell: 'zsh', complete: completeInZsh },
]
for (const { shell, complete } of shells) {
  test(`${shell} completes commands, options, names of probes and modules, and files`, async (context) => {
    if (!isThere(shell, context)) return
    const all = await Promise.all(lines.map(({ line }) => complete(line)))
    for (const [index, { line, offers, not = [] }] of lines.entries()) {
      const offered = all[index] ?? []
      for (const word of offers) assert.ok(offered.includes(word), `${line}| offers ${word}, not ${offered}`)
      for (const word of not) assert.equal(offered.includes(word), false, `${line}| does not offer ${word}`)
    }
    assert.equal(existsSync(join(folder, 'pwned')), false, 'a name is no command')
  })
}

test('bash completes paths with spaces, and names of a configuration whose path has some', async (context) => {
  if (!isThere('bash', context)) return
  writeFileSync(join(folder, 'an other.yml'), '')
  mkdirSync(join(folder, 'a folder'))
  assert.deepEqual(await completeWordsInBash(['deadpool', '-c', 'an']), ['an other.yml'])
  assert.deepEqual(await completeWordsInBash(['deadpool', 'status', '--folder', 'a']), ['a folder'])
  // As bash gives them: with what quotes them on the line.
  for (const config of ["'an other.yml'", 'an\\ other.yml', '"an other.yml"']) {
    assert.deepEqual(await completeWordsInBash(['deadpool', '-c', config, 'mute', '']), ['mongo'], config)
  }
  const evil = '$(touch evil)'
  await completeWordsInBash(['deadpool', '-c', evil, 'mute', ''])
  assert.equal(existsSync(join(folder, 'evil')), false)
})

test('writeCompletion() writes scripts that their shells can parse', (context) => {
  if (isThere('bash', context)) execFileSync('bash', ['-n', join(folder, 'deadpool.bash')])
  if (isThere('zsh', context)) execFileSync('zsh', ['-n', join(folder, '_deadpool')])
  if (isThere('fish', context)) execFileSync('fish', ['-n', join(folder, 'deadpool.fish')])
})

function isThere(shell: string, context: TestContext): boolean {
  const found = spawnSync(shell, ['--version']).error === undefined
  if (!found) skip(context, `${shell} is missing; apt-get install ${shell}`)
  return found
}

async function completeInBash(line: string): Promise<string[]> {
  return completeWordsInBash(line.split(/ |(?==)/))
}

async function completeWordsInBash(words: string[]): Promise<string[]> {
  const script = `source ${folder}/deadpool.bash; compopt() { :; }
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _deadpool deadpool; printf '%s\\n' "\${COMPREPLY[@]}"`
  return run('bash', ['-c', script, 'bash', ...words])
}

async function completeInFish(line: string): Promise<string[]> {
  const script = `source ${folder}/deadpool.fish; complete --do-complete="${line}"`
  return (await run('fish', ['--no-config', '-c', script])).map((offer) => offer.split('\t')[0] ?? '')
}

/** zsh completes in a terminal only: one of its own, where a key lists what is offered, between marks. */
async function completeInZsh(line: string): Promise<string[]> {
  const told = join(folder, `told-${lines.findIndex((each) => each.line === line)}`)
  const script = `
zmodload zsh/zpty
zpty inner zsh -f -i
# What is offered goes to compadd, which here tells it.
zpty -w inner 'PS1=; fpath=(${folder} $fpath); autoload -U compinit; compinit -u -D
  compadd() {
    if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi
    typeset -a told; builtin compadd -A told "$@"; builtin compadd "$@"
    print -l "<"\${^told}">" >>${told}
  }
  bindkey "^I" complete-word; unsetopt list_beep; zstyle ":completion:*" list-prompt ""; : >${told}; print REA""DY'
zpty -r inner text '*READY*'
zpty -w -n inner '${line}'$'\\t'
for try in {1..200}; do [[ -s ${told} ]] && break; sleep 0.05; done
sleep 0.2
zpty -d inner
cat ${told}`
  // Of a list zsh tells the last part, without what stands before it.
  const before = /[^ ]*,|$/.exec(line)?.[0] ?? ''
  return (await run('zsh', ['-f', '-c', script])).map((text) => before + (/^<(.*)>$/.exec(text)?.[1] ?? ''))
}

async function run(shell: string, args: string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)(shell, args, { env, cwd: folder, timeout: 60_000 })
  return stdout.trim().split('\n')
}

test('listNames() leaves out what cannot be a name, lest a shell take it for a command', async () => {
  const file = join(folder, 'hostile.yml')
  writeFileSync(file, 'probes:\n  "$(touch pwned)": {}\n  "a b": {}\n  elastic: {}\n')
  const around = { env: {}, cwd: folder, home: folder }
  assert.deepEqual(await listNames({ config: file, folder: undefined }, around), ['elastic'])
})
