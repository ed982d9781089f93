import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseDuration } from '../../src/config/duration.ts'
import { type Config, loadConfig, rulesOf } from '../../src/config/load.ts'
import { writePage } from '../../src/spiderman/page.ts'
import type { Notice } from '../../src/verdict/notice.ts'
import type { Evidence, Flag, Report } from '../../src/verdict/standing.ts'
import { advance, initialState, type Outcome, type Policy } from '../../src/verdict/state.ts'
import { decide } from '../../src/verdict/verdict.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/deciding.md'), 'utf8')

/** The rows of the table whose heading row begins so, as their cells without backquotes. */
function rowsOf(heading: string): string[][] {
  const start = page.indexOf(`| ${heading} |`)
  assert.ok(start > 0, `there is no table with ${heading}`)
  const lines = page.slice(start).split('\n')
  const end = lines.findIndex((line) => !line.startsWith('|'))
  const rows = lines.slice(2, end).map((line) => line.split('|').slice(1, -1))
  return rows.map((cells) => cells.map((cell) => cell.replaceAll('`', '').trim()))
}

/** `A D U`: one outcome or state each second. */
const LETTERS: Record<string, Outcome> = {
  A: { kind: 'alive' },
  D: { kind: 'dead', reason: 'refused' },
  U: { kind: 'unknown', reason: 'no resolver' },
}

function policyOf(settings: string): Policy {
  const policy: Policy = { fall: 1, rise: 1, holdMs: 0, staleAfterMs: 30_000 }
  for (const [, key, value] of settings.matchAll(/(\w+): (\w+)/g)) {
    const ms = parseDuration(Number(value)) ?? Number.NaN
    if (key === 'fall' || key === 'rise') policy[key] = Number(value)
    else if (key === 'hold') policy.holdMs = ms
    else if (key === 'stale_after') policy.staleAfterMs = ms
    else assert.fail(`${key} is no setting`)
  }
  return policy
}

const histories = rowsOf('settings')
test('deciding.md has histories', () => assert.ok(histories.length > 5))
for (const [settings = '', outcomes = '', states = ''] of histories) {
  test(`deciding.md: with ${settings}, ${outcomes} makes ${states}`, () => {
    const at = (second: number) => ({ wallMs: second * 1000, monotonicMs: second * 1000 })
    let state = initialState(undefined, at(0))
    const lives = outcomes.split(' ').map((letter, second) => {
      const outcome = LETTERS[letter]
      assert.ok(outcome, letter)
      state = advance(state, outcome, at(second), policyOf(settings))
      return state.life === 'alive' ? 'A' : 'D'
    })
    assert.equal(lives.join(' '), states)
  })
}

const NOW = 1_000_000

function configOf(): Config {
  const yaml = /```yaml\n(WatchMan:.*?)```/s.exec(page)?.[1] ?? ''
  const { config, problems } = loadConfig('/deadpool.yml', { text: `WEB: { access_token: abcdefgh }\n${yaml}` })
  assert.deepEqual(problems, [])
  return config
}

/** Makes the evidence of a situation that the table words as `mongo dead, mute web`. */
function evidenceOf(situation: string): Evidence {
  const rules = rulesOf(configOf())
  const reports = new Map<string, Report>()
  const flags = new Map<string, Flag>()
  const mutes = new Map<string, Notice>()
  const stale = new Map<string, number>()
  const evidence: Evidence = {
    rules,
    folder: { flags, mutes, drain: undefined, fault: undefined, beganMs: NOW },
    reports,
    stale,
    watcherSilentSinceMs: undefined,
    nowMs: NOW,
  }
  for (const { name } of rules.probes) {
    reports.set(name, { life: 'alive', reason: '', sinceMs: 0, isFlagged: true, arrivedMs: 1 })
  }
  const change = (name: string, part: Partial<Report>) => {
    const report = reports.get(name)
    assert.ok(report, `${name} is no probe`)
    reports.set(name, { ...report, ...part })
  }
  const die = (name: string, part: Partial<Report> = {}) => {
    change(name, { life: 'dead', reason: 'refused', ...part })
    flags.set(name, { reason: 'refused', sinceMs: 0 })
  }
  const noticeUntil = (expiresMs: number): Notice => ({
    reason: 'racks',
    by: 'alice',
    sinceMs: 0,
    untilMs: 5,
    expiresMs,
  })
  const apply = (phrase: string): void => {
    const [, name = '', what = ''] = /^(\S+) ?(.*)$/.exec(phrase) ?? []
    const notice = noticeUntil(what.startsWith('over') ? NOW : NOW + 1)
    if (name === 'nothing') return
    if (name === 'drain') evidence.folder.drain = notice
    else if (name === 'mute') mutes.set(what.replace(/^over /, ''), notice)
    else if (name === 'WatchMan') evidence.watcherSilentSinceMs = 0
    else if (name === 'folder') evidence.folder.fault = 'it is gone'
    else if (name === 'on_stale') evidence.rules = { ...evidence.rules, onStale: 'last_known' }
    else if (what === 'dead') die(name)
    else if (what === 'timeout') die(name, { reason: 'timed out after 5 s', cause: 'timeout' })
    else if (what === 'unknown') change(name, { unknown: { reason: 'no resolver', sinceMs: 0 } })
    else if (what === 'unknown too long') die(name, { reason: 'cannot check: no resolver', cause: 'unknown' })
    else if (what === 'unchecked') reports.delete(name)
    else if (what === 'stale') stale.set(name, 0)
    else if (what === 'dead without flag')
      change(name, { life: 'dead', reason: 'refused', isFlagged: false, fault: 'no space left' })
    else if (what === 'flag by hand') flags.set(name, { reason: 'by hand', sinceMs: 0 })
    else if (what === 'flag removed by hand') flags.delete(name)
    else assert.fail(`the table says "${phrase}", which this test does not know`)
  }
  for (const phrase of situation.split(', ')) apply(phrase)
  return evidence
}

function escapeText(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/** A cell in which `…` stands for anything. */
function toPattern(cell: string): RegExp {
  return new RegExp(`^${cell.split('…').map(escapeText).join('.*')}`)
}

const situations = rowsOf('situation')
test('deciding.md has situations', () => assert.ok(situations.length > 25))
for (const [situation = '', status = '', firstLine = '', warning = ''] of situations) {
  test(`deciding.md: ${situation} is answered ${status} ${firstLine}`, () => {
    const evidence = evidenceOf(situation)
    const verdict = decide(evidence)
    const answer = writePage(verdict, 'dc1')
    assert.equal(String(answer.status), status)
    assert.equal(answer.text.split('\n')[0], firstLine)
    if (warning === '') assert.deepEqual(verdict.warnings, [])
    else {
      assert.equal(verdict.warnings.length, 1, verdict.warnings.join('\n'))
      assert.match(verdict.warnings[0] ?? '', toPattern(warning))
    }
  })
}
