import { CriterionError, type FactType } from './criterion-type.ts'
import { typeOf, withArticle } from './fact-type.ts'
import { quote } from './quote.ts'

/** What a fact can be compared with. */
export type Scalar = string | number | boolean | null

/**
 * Reads one operand of a comparison.
 *
 * @throws CriterionError when it is no scalar, or one that a fact of this type can never be
 */
export function readScalar(operand: unknown, factType?: FactType, path: number[] = []): Scalar {
  if (!isScalar(operand)) {
    throw new CriterionError(`${quote(operand)} is not a text, a number, true, false or null`, path)
  }
  const type = typeOf(operand)
  if (type === 'null' || factType === undefined || type === factType) return operand
  const hint = spell(operand, factType)
  const found = `${quote(operand)} is ${withArticle(type as FactType)}, and this fact is ${withArticle(factType)}`
  throw new CriterionError(hint === undefined ? found : `${found}; write ${hint}`, path)
}

/**
 * Reads a number to compare with.
 *
 * @throws CriterionError when it is anything else
 */
export function readNumber(operand: unknown, path: number[] = []): number {
  if (typeof operand === 'number' && Number.isFinite(operand)) return operand
  if (typeof operand === 'number') throw new CriterionError(`${operand} cannot be compared with; write a number`, path)
  const hint = spell(operand, 'number')
  const fix = hint === undefined ? 'write a number, such as 10' : `write ${hint}`
  throw new CriterionError(`${quote(operand)} is not a number; ${fix}`, path)
}

function isScalar(operand: unknown): operand is Scalar {
  if (typeof operand === 'number') return Number.isFinite(operand)
  return operand === null || typeof operand === 'string' || typeof operand === 'boolean'
}

/** How the operand is written as the other type, if it was only quoted, or not quoted, by mistake. */
function spell(operand: unknown, type: FactType): string | undefined {
  if (type === 'text' && typeof operand !== 'object') return `"${operand}"`
  if (typeof operand !== 'string') return undefined
  const text = operand.trim()
  const isOther = type === 'number' ? isNumeric(text) : type === 'boolean' && /^(true|false)$/i.test(text)
  return isOther ? `${text} without quotes` : undefined
}

function isNumeric(text: string): boolean {
  return /^[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?$/i.test(text)
}
