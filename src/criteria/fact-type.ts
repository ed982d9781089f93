import type { FactType } from './criterion-type.ts'
import { quote } from './quote.ts'

/** The type of a value, `null` being one of its own. None for what no criterion can judge, such as NaN or a date. */
export function typeOf(value: unknown): FactType | 'null' | undefined {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'list'
  switch (typeof value) {
    case 'string':
      return 'text'
    case 'number':
      return Number.isNaN(value) ? undefined : 'number'
    case 'boolean':
      return 'boolean'
    case 'object':
      // A Map or a Buffer would look like an empty or a strange record.
      return Object.prototype.toString.call(value) === '[object Object]' ? 'record' : undefined
    default:
      return undefined
  }
}

/** The reason of a value that is not of a type that can be judged: `"12" is a text, not a number`. */
export function explainMismatch(value: unknown, wanted: readonly (FactType | 'null')[]): string {
  const type = typeOf(value)
  const allowed = wanted.map(withArticle).join(' or ')
  if (type === 'null' || type === undefined) return `${quote(value)} is not ${describeAllowed(value, allowed)}`
  return `${quote(value)} is ${withArticle(type)}, not ${allowed}`
}

/** A type with its article, for messages. */
export function withArticle(type: FactType | 'null'): string {
  return type === 'null' ? 'null' : `a ${type}`
}

function describeAllowed(value: unknown, allowed: string): string {
  return typeof value === 'number' ? 'a usable number' : allowed
}
