import { type CompileCriterion, CriterionError, type CriterionType } from './criterion-type.ts'
import { explainMismatch, typeOf } from './fact-type.ts'
import { refuseUnknownKeys } from './known-keys.ts'
import { quote } from './quote.ts'
import { compileSelection, QUANTIFIERS, type Selected } from './selection.ts'

/** What HTTP takes as a header's name (RFC 9110, 5.6.2). */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** Holds when a header of an answer is there, or its values are as `any`, `all` or `count` has it. */
export function createHeaderType(compileCriterion: CompileCriterion): CriterionType {
  return {
    name: 'header',
    summary: 'The header is there, or any or all of its values, or their count, fit a criterion.',
    judges: ['record'],
    compile(query) {
      const { name, ...rest } = readQuery(query)
      const subject = { name, absent: `has no header ${name}`, type: 'text' } as const
      const judge = compileSelection(rest, subject, compileCriterion)
      return (value) => {
        if (typeOf(value) !== 'record') return explainMismatch(value, ['record'])
        return judge(select(value as Record<string, unknown>, name))
      }
    },
  }
}

/** All values of a header, whatever the case of its name; one that was sent several times is a list of them. */
function select(headers: Record<string, unknown>, name: string): Selected[] {
  const wanted = name.toLowerCase()
  return Object.entries(headers)
    .filter(([key]) => key.toLowerCase() === wanted)
    .flatMap(([, values]) => values)
    .filter((value) => value !== undefined)
    .map((value) => ({ value, where: () => name }))
}

function readQuery(query: unknown): { name: string } {
  if (typeof query !== 'object' || query === null || Array.isArray(query)) {
    throw new CriterionError(`${quote(query)} is not a mapping; write the header's "name", and any, all or count`)
  }
  refuseUnknownKeys(query, ['name', ...QUANTIFIERS])
  const { name } = query as { name?: unknown }
  if (name === undefined) throw new CriterionError('has no "name"; write the name of a header')
  if (typeof name !== 'string' || !TOKEN.test(name)) {
    throw new CriterionError(`${quote(name)} is not the name of a header; write letters, digits and "-"`, ['name'])
  }
  return { ...query, name }
}
