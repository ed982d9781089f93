import type { CriterionSpec, FactSpec } from './define-probe.ts'
import type { Description } from './module.ts'

/** The comment that a module's file opens with. */
export interface HeadComment {
  /** What the module asks, in paragraphs; without the module's name. */
  intro: string
  /** A probe as it stands under `probes:`; undefined where the comment has none. */
  example: string | undefined
}

/** Reads the opening comment of a module's source: the indented part of it is YAML. */
export function readHeadComment(source: string): HeadComment {
  const comment = /^\s*\/\*\*(.*?)\*\//s.exec(source)?.[1] ?? ''
  const lines = comment.split('\n').map((line) => line.replace(/^\s*\* ?/, '').trimEnd())
  const isYaml = (line: string) => line.startsWith('  ')
  const [first, last] = [lines.findIndex(isYaml), lines.findLastIndex(isYaml)]
  const example = lines.slice(first, last + 1).map((line) => line.slice(2))
  const words = first === -1 ? lines : [...lines.slice(0, first), '', ...lines.slice(last + 1)]
  return {
    intro: words
      .join('\n')
      .trim()
      .replace(/^\w+: /, '')
      .replace(/^./, (letter) => letter.toUpperCase()),
    example: first === -1 ? undefined : example.join('\n'),
  }
}

/** The rows of a reference, each with as many cells as its heads. */
export interface Section {
  heads: string[]
  rows: string[][]
}

/** The keys of the query: key, what it takes, default, meaning. */
export function listQuery({ query }: Description): Section {
  const rows = query.map(({ key, takes, isRequired, default: value, about }) => [
    key,
    takes,
    isRequired ? 'required' : (value ?? ''),
    about,
  ])
  return { heads: ['query', 'takes', 'default', 'meaning'], rows }
}

/** The facts: name, type with unit, meaning. */
export function listFacts({ facts }: Description): Section {
  const rows = Object.entries(facts).map(([name, fact]) => [name, describeType(fact), fact.about])
  return { heads: ['fact', 'type', 'meaning'], rows }
}

function describeType({ type, unit }: FactSpec): string {
  if (type === undefined) return 'any'
  return unit === undefined ? type : `${type}, ${unit}`
}

/** The criteria of a probe that has none of its own, as text: `status: status_in ["2xx"]`. */
export function listCriteria({ criteria }: Description): string[] {
  return Object.entries(criteria).flatMap(([fact, specs]) => [specs].flat().map((spec) => `${fact}: ${write(spec)}`))
}

function write({ type, query }: CriterionSpec): string {
  return `${type} ${JSON.stringify(query)}`
}
