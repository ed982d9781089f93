import { CriterionError, type CriterionType } from './criterion-type.ts'
import { explainMismatch, typeOf } from './fact-type.ts'
import { quote } from './quote.ts'
import { readNumber } from './scalar.ts'

/** Holds when a number is less than the operand. */
export const lt = createComparison({
  name: 'lt',
  summary: 'The number is less than this one.',
  holds: (value, bound) => value < bound,
  fault: 'is not less than',
})

/** Holds when a number is less than the operand or equal to it. */
export const lte = createComparison({
  name: 'lte',
  summary: 'The number is at most this one.',
  holds: (value, bound) => value <= bound,
  fault: 'is more than',
})

/** Holds when a number is more than the operand. */
export const gt = createComparison({
  name: 'gt',
  summary: 'The number is more than this one.',
  holds: (value, bound) => value > bound,
  fault: 'is not more than',
})

/** Holds when a number is more than the operand or equal to it. */
export const gte = createComparison({
  name: 'gte',
  summary: 'The number is at least this one.',
  holds: (value, bound) => value >= bound,
  fault: 'is less than',
})

/** Holds when a number lies between two others or is one of them. */
export const between: CriterionType = {
  name: 'between',
  summary: 'The number lies between two others, or is one of them.',
  judges: ['number'],
  compile(query) {
    const [low, high] = readBounds(query)
    return (value) => {
      if (!isNumber(value)) return explainMismatch(value, ['number'])
      return low <= value && value <= high ? undefined : `${value} is not between ${low} and ${high}`
    }
  },
}

interface Comparison {
  name: string
  summary: string
  holds: (value: number, bound: number) => boolean
  /** Joins the number and the bound when it does not hold. */
  fault: string
}

function createComparison({ name, summary, holds, fault }: Comparison): CriterionType {
  return {
    name,
    summary,
    judges: ['number'],
    compile(query) {
      const bound = readNumber(query)
      return (value) => {
        if (!isNumber(value)) return explainMismatch(value, ['number'])
        return holds(value, bound) ? undefined : `${value} ${fault} ${bound}`
      }
    },
  }
}

function isNumber(value: unknown): value is number {
  return typeOf(value) === 'number'
}

function readBounds(query: unknown): [number, number] {
  if (!Array.isArray(query) || query.length !== 2) {
    throw new CriterionError(`${quote(query)} is not two numbers; write the lower and the higher, such as [1, 10]`)
  }
  const [low, high] = [readNumber(query[0], [0]), readNumber(query[1], [1])]
  if (low > high) throw new CriterionError(`${quote(query)} ends before it begins; write [${high}, ${low}]`)
  return [low, high]
}
