import { CriterionError, type CriterionType, type FactType, type Judge } from './criterion-type.ts'
import { explainMismatch, typeOf } from './fact-type.ts'
import { quote, shorten } from './quote.ts'
import { readScalar, type Scalar } from './scalar.ts'

const judges = ['text', 'number', 'boolean'] as const

/** Holds when the fact is the operand, of the same type. */
export const equals: CriterionType = {
  name: 'equals',
  summary: 'The fact is this text, number, boolean or null, or a list of just these.',
  judges: [...judges, 'list'],
  compile: (query, factType) =>
    Array.isArray(query) && (factType ?? 'list') === 'list'
      ? createListJudge(query.map((member, index) => readScalar(member, undefined, [index])))
      : createAllowing([readScalar(query, factType)]),
}

/** Holds when the fact is of the operand's type and differs from it. */
export const notEquals: CriterionType = {
  name: 'not_equals',
  summary: 'The fact is of the same type as this text, number, boolean or null, and differs from it.',
  judges,
  compile: (query, factType) => createForbidding([readScalar(query, factType)]),
}

/** Holds when the fact is one of the operands. */
export const isIn: CriterionType = {
  name: 'in',
  summary: 'The fact is one of a list of texts, numbers, booleans and nulls.',
  judges,
  compile: (query, factType) => createAllowing(readList(query, factType)),
}

/** Holds when the fact is of the type of an operand and is none of them. */
export const notIn: CriterionType = {
  name: 'not_in',
  summary: 'The fact is of a type that the list has, and is none of its texts, numbers, booleans and nulls.',
  judges,
  compile: (query, factType) => createForbidding(readList(query, factType)),
}

/** The members count, and their order: `[]` is how a list says that there is none of something. */
function createListJudge(members: Scalar[]): Judge {
  return (value) => {
    if (!Array.isArray(value)) return explainMismatch(value, ['list'])
    const isSame = value.length === members.length && members.every((member, index) => member === value[index])
    return isSame ? undefined : `${quote(value)} is not ${quote(members)}`
  }
}

function createAllowing(operands: Scalar[]): Judge {
  const findMismatch = createTypeCheck(operands)
  const written = operands.map((operand) => quote(operand)).join(', ')
  const rule = operands.length === 1 ? `is not ${written}` : `is none of ${shorten(written, 200)}`
  return (value) => {
    if (operands.includes(value as Scalar)) return undefined
    return findMismatch(value) ?? `${quote(value)} ${rule}`
  }
}

function createForbidding(operands: Scalar[]): Judge {
  const findMismatch = createTypeCheck(operands)
  return (value) => (operands.includes(value as Scalar) ? `must not be ${quote(value)}` : findMismatch(value))
}

/** Says of a value that it has a type that none of the operands has. Against null alone, a value of any type will do. */
function createTypeCheck(operands: Scalar[]): Judge {
  const types = [...new Set(operands.map((operand) => typeOf(operand) as FactType | 'null'))]
  const isNullAlone = types.every((type) => type === 'null')
  return (value) => {
    const type = typeOf(value)
    const isUsable = type !== undefined && (isNullAlone || types.includes(type))
    return isUsable ? undefined : explainMismatch(value, isNullAlone ? ANY : types)
  }
}

const ANY = ['text', 'number', 'boolean', 'list', 'record', 'null'] as const

function readList(query: unknown, factType: FactType | undefined): Scalar[] {
  if (!Array.isArray(query)) {
    throw new CriterionError(`${quote(query)} is not a list; write [${quote(query)}]`)
  }
  if (query.length === 0) throw new CriterionError('the list is empty; name at least one value')
  return query.map((operand, index) => readScalar(operand, factType, [index]))
}
