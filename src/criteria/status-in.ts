import { CriterionError, type CriterionType, type Judge } from './criterion-type.ts'
import { quote, shorten } from './quote.ts'

/** Holds when an HTTP status is one of those listed. */
export const statusIn: CriterionType = {
  name: 'status_in',
  summary: 'The status is one of a list of statuses (200), classes ("2xx") and ranges ("200-299").',
  judges: ['number', 'text'],
  compile(query) {
    const list = Array.isArray(query) ? query : [query]
    if (list.length === 0) throw new CriterionError('the list is empty; name at least one status')
    const ranges = list.map((item, index) => readStatuses(item, Array.isArray(query) ? [index] : []))
    return createJudge(ranges, shorten(list.join(', ')))
  },
}

interface Statuses {
  from: number
  to: number
}

function createJudge(ranges: Statuses[], written: string): Judge {
  return (value) => {
    const status = readNumber(value)
    if (!Number.isInteger(status)) return `${quote(value)} is not a status`
    if (ranges.some(({ from, to }) => from <= status && status <= to)) return undefined
    return `${status} is not one of ${written}`
  }
}

function readNumber(value: unknown): number {
  if (typeof value === 'number') return value
  return typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : Number.NaN
}

function readStatuses(item: unknown, path: number[]): Statuses {
  const statuses = parseStatuses(item)
  if (!statuses) {
    throw new CriterionError(`${quote(item)} is not a status; write 200, "2xx" or "200-299"`, path)
  }
  const { from, to } = statuses
  if (from < 100 || to > 599) {
    throw new CriterionError(`${quote(item)} is out of range; statuses from 100 to 599 are allowed`, path)
  }
  if (from > to) throw new CriterionError(`${quote(item)} ends before it begins; write the lower status first`, path)
  return statuses
}

function parseStatuses(item: unknown): Statuses | undefined {
  if (typeof item === 'number') return Number.isInteger(item) ? { from: item, to: item } : undefined
  if (typeof item !== 'string') return undefined
  const match = /^\s*(?:(?<whole>\d+)|(?<first>\d)xx|(?<from>\d+)\s*-\s*(?<to>\d+))\s*$/i.exec(item)
  const { whole, first, from, to } = match?.groups ?? {}
  if (whole) return { from: Number(whole), to: Number(whole) }
  if (first) return { from: Number(first) * 100, to: Number(first) * 100 + 99 }
  return from && to ? { from: Number(from), to: Number(to) } : undefined
}
