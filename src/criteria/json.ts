import { type CompileCriterion, CriterionError, type CriterionType, type Judge } from './criterion-type.ts'
import { explainMismatch, typeOf } from './fact-type.ts'
import { runBounded, spendOn } from './json-path/budget.ts'
import { compilePath, explainFailure, PathError, type Select } from './json-path/json-path.ts'
import { refuseUnknownKeys } from './known-keys.ts'
import { quote, shorten } from './quote.ts'
import { compileSelection, QUANTIFIERS, type Selected } from './selection.ts'

const MAX_PLACE = 120

/** Holds when a JSONPath selects something from a fact, or what it selects is as `any`, `all` or `count` has it. */
export function createJsonType(compileCriterion: CompileCriterion): CriterionType {
  const compileWeighed = createWeighing(compileCriterion)
  return {
    name: 'json',
    summary: 'A JSONPath (RFC 9535) selects something, or any or all of it, or its count, fits a criterion.',
    judges: ['text', 'list', 'record'],
    compile(query) {
      const { path, ...rest } = readQuery(query)
      const select = compile(path)
      const name = shorten(path)
      const judge = compileSelection(rest, { name, absent: `${name} selects nothing` }, compileWeighed)
      return createJudge((value) => judge(locate(select(value))), name)
    },
  }
}

function createJudge(judge: Judge, name: string): Judge {
  return (value) => {
    const document = readDocument(value)
    if (document === undefined) return explainDocument(value)
    try {
      return runBounded(() => judge(document))
    } catch (error) {
      return `${name} ${explainFailure(error)}`
    }
  }
}

/** Each value is paid for before it is judged, as its criterion may look at all of it. */
function createWeighing(compileCriterion: CompileCriterion): CompileCriterion {
  return (spec, factType) => {
    const judge = compileCriterion(spec, factType)
    return (value) => {
      spendOn(value)
      return judge(value)
    }
  }
}

function* locate(nodes: ReturnType<Select>): Generator<Selected> {
  for (const node of nodes) yield { value: node.value, where: () => shorten(node.getPath(), MAX_PLACE) }
}

/** The value to select from: a text is parsed, a list or a record is taken as it is. */
function readDocument(value: unknown): unknown {
  const type = typeOf(value)
  if (type === 'list' || type === 'record') return value
  if (typeof value !== 'string') return undefined
  try {
    return JSON.parse(value)
  } catch {
    // Not JSON, which the reason will say.
    return undefined
  }
}

function explainDocument(value: unknown): string {
  return typeof value === 'string' ? `${quote(value)} is not JSON` : explainMismatch(value, ['text', 'list', 'record'])
}

function readQuery(query: unknown): { path: string } {
  if (typeof query !== 'object' || query === null || Array.isArray(query)) {
    throw new CriterionError(`${quote(query)} is not a mapping; write the "path", and any, all or count`)
  }
  refuseUnknownKeys(query, ['path', ...QUANTIFIERS])
  const { path } = query as { path?: unknown }
  if (path === undefined) throw new CriterionError('has no "path"; write a JSONPath, such as $.status')
  if (typeof path !== 'string') {
    throw new CriterionError(`${quote(path)} is not a JSONPath; write a text, such as $.status`, ['path'])
  }
  return { ...query, path }
}

function compile(path: string): Select {
  try {
    return compilePath(path)
  } catch (error) {
    if (!(error instanceof PathError)) throw error
    throw new CriterionError(`${quote(path)} ${error.message}`, ['path'], { cause: error })
  }
}
