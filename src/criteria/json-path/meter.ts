import { type JSONPathNode, JSONPathNodeList, type JSONPathQuery, JSONPathTypeError, jsonpath } from 'json-p3'
import { PatternError } from '../python/cursor.ts'
import { quote } from '../quote.ts'
import { spend, spendOn } from './budget.ts'
import { compileIRegexp } from './i-regexp.ts'

const { selectors, expressions } = jsonpath
type Token = jsonpath.Token
type Selector = jsonpath.JSONPathSelector
type Expression = jsonpath.expressions.FilterExpression

/**
 * Makes each step of a parsed query count, in its filters too, since the library has no limit of its own: wherever a
 * query goes, it asks a selector for each node that it comes to.
 *
 * @throws JSONPathTypeError when `match()` or `search()` has a pattern that cannot be used
 */
export function meterQuery({ segments }: JSONPathQuery): void {
  for (const segment of segments) segment.selectors.forEach(meterSelector)
}

function meterSelector(selector: Selector): void {
  const isOfOne = selector instanceof selectors.NameSelector || selector instanceof selectors.IndexSelector
  const resolve = selector.resolve.bind(selector)
  selector.resolve = (node: JSONPathNode) => {
    spend(isOfOne ? 1 : 1 + countMembers(node.value))
    return resolve(node)
  }
  if (selector instanceof selectors.FilterSelector) meterExpression(selector.expression)
}

function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return Array.isArray(value) ? value.length : Object.keys(value).length
}

function meterExpression(expression: Expression): void {
  if (expression instanceof expressions.LogicalExpression) meterExpression(expression.expression)
  if (expression instanceof expressions.PrefixExpression) meterExpression(expression.right)
  if (expression instanceof expressions.FilterQuery) meterQuery(expression.path)
  if (expression instanceof expressions.FunctionExtension) meterFunction(expression)
  if (!(expression instanceof expressions.InfixExpression)) return
  for (const operand of [expression.left, expression.right]) {
    meterExpression(operand)
    if (!expression.logical) meterOperand(operand)
  }
}

function meterFunction({ name, args, token }: jsonpath.expressions.FunctionExtension): void {
  for (const argument of args) meterExpression(argument)
  const [first, pattern] = args
  if (name === 'length' && first) meterOperand(first)
  if (name === 'match' || name === 'search') checkPattern(name, pattern, token)
}

/** What is compared, or counted, costs as much as it is large. */
function meterOperand(operand: Expression): void {
  const evaluate = operand.evaluate.bind(operand)
  operand.evaluate = (context) => {
    const value = evaluate(context)
    spendOn(value instanceof JSONPathNodeList ? value.values() : value)
    return value
  }
}

/** A pattern that comes from the component could let anything match, or take as long as it likes. */
function checkPattern(name: 'match' | 'search', pattern: Expression | undefined, token: Token): void {
  if (!(pattern instanceof expressions.StringLiteral)) {
    throw new JSONPathTypeError(`${name}() needs its pattern as a text in quotes`, token)
  }
  try {
    compileIRegexp(pattern.value, name === 'match')
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    throw new JSONPathTypeError(`the pattern ${quote(pattern.value)} ${error.message}`, pattern.token)
  }
}
