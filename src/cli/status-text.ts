import { formatDuration } from '../config/duration.ts'
import type { ShadowRecord } from '../status/state-file.ts'
import { describeNotice, toTime } from '../verdict/notice.ts'
import type { Decision } from '../verdict/verdict.ts'
import { isOld, type Present } from './present.ts'
import { makeRows, type StatusRow } from './status-rows.ts'
import { type Cell, type Look, writeLine, writeTable } from './table.ts'
import { count, lasted, nameAll, roughly, toClock } from './words.ts'

/** What the table shows beside the rest: in a narrow terminal the reasons are worth more. */
interface Detail {
  counts?: boolean
  clock?: boolean
  took?: boolean
  lastCheck?: boolean
}

const DETAILS: Detail[] = [
  { counts: true, lastCheck: true, took: true, clock: true },
  { counts: true, lastCheck: true, took: true },
  { counts: true, lastCheck: true },
  { counts: true },
  {},
]

/** As long as less than this is left for the reasons, the table does with less detail. */
const MIN_REASON = 40

/** Writes the status for people: the verdict in words, the table, and what else they should know. */
export function writeStatus(decision: Decision, present: Present, look: Look): string[] {
  const isDead = decision.status === 'DEAD'
  const rows = makeRows(decision, present)
  const names = decision.dead.map(({ name }) => name)
  const verdict = present.hasEnded
    ? describeEnd(present)
    : isDead
      ? `DEAD: the answer is 503 for ${nameAll(names)}`
      : 'OK: the answer is 200'
  const { drain } = decision
  return [
    writeLine(verdict, look, isDead ? 'red' : 'green'),
    ...(isOld(present) && !present.hasEnded ? [writeLine(describeAge(present), look, 'yellow')] : []),
    ...(drain ? [writeLine(`drained ${describeNotice(drain)}: ${drain.reason}`, look, 'yellow')] : []),
    writeLine(describePlace(present), look),
    writeLine(describePace(present), look),
    '',
    ...writeRows(rows, present, look),
    ...spaced(describeShadows(present).map((line) => writeLine(line, look))),
    ...spaced(decision.warnings.map((warning) => writeLine(`warning: ${warning}`, look, 'yellow'))),
  ]
}

function spaced(lines: string[]): string[] {
  return lines.length === 0 ? [] : ['', ...lines]
}

function describeEnd({ spiderman, ageMs }: Present): string {
  return `NOT RUNNING: process ${spiderman?.pid} has ended, and nobody answers; how things were ${roughly(ageMs)} ago:`
}

function describeAge(present: Present): string {
  const { written } = present.notes
  return `THESE FIGURES ARE ${roughly(present.ageMs)} OLD, of ${toTime(written.wallMs)}: does DeadPool run, and can it write there?`
}

function describePlace({ notes, spiderman, ageMs }: Present): string {
  const { probes, groups } = notes.rules
  const where = `${notes.name}${spiderman ? ` at ${spiderman.url}` : ''}`
  const size = `${count(probes.length, 'probe')}${groups.length > 0 ? ` and ${count(groups.length, 'group')}` : ''}`
  return `${where}, ${size}; figures of ${roughly(ageMs)} ago`
}

function describePace({ notes: { pace } }: Present): string {
  const { checksPerSecond, lateP99Ms, skipped } = pace
  const rate = checksPerSecond === undefined ? 'just started' : `${checksPerSecond} checks per second`
  const late = `99% start at most ${formatDuration(lateP99Ms)} late`
  return `${rate}, ${late}, ${skipped === 0 ? 'none' : skipped} skipped`
}

function writeRows(rows: readonly StatusRow[], present: Present, look: Look): string[] {
  let lines: string[] = []
  for (const detail of DETAILS) {
    const { headings, cells } = layOut(rows, present, look, detail)
    const table = [headings.map((text): Cell => ({ text, color: 'bold' })), ...cells]
    lines = writeTable(table, look)
    if (look.width === undefined || look.width - widthOf(table) >= MIN_REASON) break
  }
  return lines
}

/** The width of everything before the reasons. */
function widthOf(table: Cell[][]): number {
  const plain = writeTable(
    table.map((cells) => [...cells.slice(0, -1), { text: '|' }]),
    { width: undefined, color: false },
  )
  return Math.max(...plain.map((line) => line.length)) - 1
}

type Column = [string, (row: StatusRow) => Cell]

function layOut(rows: readonly StatusRow[], present: Present, look: Look, detail: Detail) {
  const columns: (Column | false)[] = [
    ['NAME', ({ name }) => ({ text: name })],
    ['STATE', ({ state, color }) => ({ text: state, color })],
    detail.counts === true && ['COUNTS AS', ({ counts }) => ({ text: counts })],
    ['SINCE', ({ since }) => ({ text: describeSince(since, present, look, detail) })],
    detail.lastCheck === true && ['LAST CHECK', (row) => ({ text: describeLast(row, detail) })],
    ['NEXT CHANGE', ({ nextChange }) => ({ text: nextChange })],
    ['REASON', ({ reason }) => ({ text: reason })],
  ]
  const shown = columns.filter((column) => column !== false)
  const show = ({ text, color }: Cell) => ({ text: text === '' ? '-' : text, color })
  return {
    headings: shown.map(([heading]) => heading),
    cells: rows.map((row) => shown.map(([, toCell]) => show(toCell(row)))),
  }
}

function describeSince(since: StatusRow['since'], { now }: Present, { width }: Look, { clock }: Detail): string {
  if (!since) return ''
  const ago = `${roughly(since.lastedMs)} ago`
  if (!clock) return ago
  return `${ago} (${width === undefined ? toTime(since.wallMs) : toClock(since.wallMs, now.wallMs)})`
}

function describeLast({ lastCheck }: StatusRow, { took }: Detail): string {
  if (!lastCheck) return ''
  const ago = `${roughly(lastCheck.agoMs)} ago`
  return took ? `${ago}, took ${formatDuration(lastCheck.tookMs)}` : ago
}

function describeShadows({ notes, now }: Present): string[] {
  return Object.entries(notes.shadows).map(([name, { count: times, totalMs, since }]: [string, ShadowRecord]) => {
    const counted = `(counted since ${toTime(notes.countedSinceMs)})`
    if (times === 0) return `shadow ${name} would never have answered 503 ${counted}`
    const presentMs = since ? lasted(since, now) : 0
    const present = since ? `, and would now for ${roughly(presentMs)}` : ''
    const all = `${count(times, 'time')}, for ${formatDuration(totalMs + presentMs)} in all`
    return `shadow ${name} would have answered 503 ${all}${present} ${counted}`
  })
}
