import { CriterionError, type CriterionType, type FactType } from './criterion-type.ts'
import { explainMismatch } from './fact-type.ts'
import { quote } from './quote.ts'
import { readScalar, type Scalar } from './scalar.ts'

/** Holds when a text has another in it, in the same case, or a list has a member. */
export const contains: CriterionType = {
  name: 'contains',
  summary: 'The text has this text in it, or the list has this text, number, boolean or null as a member.',
  judges: ['text', 'list'],
  compile(query, factType) {
    const wanted = readWanted(query, factType)
    return (value) => {
      const isFound = find(value, wanted)
      if (isFound === undefined) return explainMismatch(value, typeof wanted === 'string' ? ['text', 'list'] : ['list'])
      return isFound ? undefined : `${quote(value)} does not contain ${quote(wanted)}`
    }
  },
}

function find(value: unknown, wanted: Scalar): boolean | undefined {
  if (Array.isArray(value)) return value.includes(wanted)
  return typeof value === 'string' && typeof wanted === 'string' ? value.includes(wanted) : undefined
}

function readWanted(query: unknown, factType: FactType | undefined): Scalar {
  const wanted = readScalar(query, factType === 'text' ? 'text' : undefined)
  if (wanted === null && factType === 'text') throw new CriterionError('null is in no text; write a text')
  if (wanted === '' && factType !== 'list') {
    throw new CriterionError('"" is in every text; write what is to be in it')
  }
  return wanted
}
