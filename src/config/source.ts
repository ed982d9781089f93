import { isUtf8 } from 'node:buffer'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  visit,
} from 'yaml'
import { ConfigError, formatProblem, type Path, type Place, type Problem } from './problem.ts'

/** A configuration file larger than this is refused unread; 10,000 probes take about 3 MB. */
const MAX_BYTES = 16 * 1024 * 1024

/**
 * How often anchors may be used, weighted by the anchors inside them. Thousands of probes can share one anchor, while
 * an alias bomb passes this at its fourth level.
 */
const MAX_ALIASES = 20_000

/** A parsed file: its plain value, and where each part of it stands. */
export interface Source {
  value: unknown
  /** The place of the value (or of its key) at `path`, or of the nearest part above it that exists. */
  locate(path: Path, isKey?: boolean): Place | undefined
  /** The keys of the mapping at `path`, in the order of the file. */
  keysAt(path: Path): string[]
}

/**
 * Reads a configuration file.
 *
 * @throws ConfigError when it cannot be read, is too large, or is not UTF-8
 */
export function readSource(file: string): string {
  const bytes = readBytes(file)
  if (isUtf8(bytes)) return bytes.toString('utf8').replace(/^\uFEFF/, '')
  const isUtf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
  const hint = isUtf16 ? 'is UTF-16' : 'is not UTF-8'
  const line =
    1 +
    bytes
      .toString('latin1')
      .split('\n')
      .findIndex((text) => !isUtf8(Buffer.from(text, 'latin1')))
  throw new ConfigError([`${file}:${line}: the file ${hint}; save it as UTF-8`])
}

function readBytes(file: string): Buffer {
  try {
    const descriptor = openSync(file, 'r')
    try {
      const { size } = fstatSync(descriptor)
      if (size > MAX_BYTES) {
        const megabytes = (size / 1048576).toFixed(1)
        throw new ConfigError([`${file}: the file has ${megabytes} MiB; a configuration of up to 16 MiB is read`])
      }
      return readFileSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw new ConfigError([`${file}: cannot be read: ${describeFileError(error as NodeJS.ErrnoException)}`])
  }
}

/** Says why a file cannot be read or written, without Node's own codes. */
export function describeFileError(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOENT':
      return 'there is no such file'
    case 'EACCES':
    case 'EPERM':
      return 'permission denied'
    case 'EISDIR':
      return 'it is a folder'
    case 'ENOTDIR':
      return 'a part of its path is not a folder'
    case 'ENOSPC':
      return 'the disk is full'
    case 'EROFS':
      return 'the file system is read-only'
    default:
      return error.message
  }
}

/**
 * Parses YAML text into a plain value that knows where each part stands.
 *
 * @throws ConfigError with every syntax error in the text; none quotes the text, which may hold secrets
 */
export function parseSource(file: string, text: string): Source {
  const lineCounter = new LineCounter()
  const documents = parseAllDocuments(text, {
    lineCounter,
    prettyErrors: false,
    merge: true,
    logLevel: 'silent',
    uniqueKeys: false, // its own check compares every key with every other; see findTwins
  })
  const [document, second] = Array.isArray(documents) ? documents : []
  const fail = (message: string, offset?: number): never => {
    const place = offset === undefined ? undefined : toPlace(lineCounter, offset)
    throw new ConfigError([formatProblem(file, { kind: 'mistake', path: [], message }, place)])
  }
  if (!document || document.contents === null) return fail('the file is empty; a configuration needs WEB and probes')
  const faults = [...document.errors, ...document.warnings, ...findTwins(document)]
  if (faults.length > 0) {
    const lines = faults.map((fault) => {
      const problem: Problem = { kind: 'mistake', path: [], message: YAML_FAULTS[fault.code] ?? 'is not valid YAML' }
      return formatProblem(file, problem, toPlace(lineCounter, fault.pos[0]))
    })
    throw new ConfigError([...new Set(lines)].slice(0, 20))
  }
  if (second) fail('a second YAML document begins here; a configuration is one document', second.range[0])
  if (!isMap(document.contents)) fail('is not a mapping; a configuration has keys such as WEB and probes', 0)
  return {
    value: toValue(document, fail),
    locate: (path, isKey = false) => locate(document, lineCounter, path, isKey),
    keysAt: (path) => {
      const node = walk(document, path)
      return isMap(node) ? node.items.map((pair) => keyText(pair.key)) : []
    },
  }
}

function toValue(document: Document.Parsed, fail: (message: string, offset?: number) => never): unknown {
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES })
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error
    const dangling = findDanglingAlias(document)
    if (dangling) return fail(YAML_FAULTS.BAD_ALIAS as string, dangling.range?.[0])
    return fail('its aliases expand to too much; write repeated parts out, or use fewer anchors inside anchors')
  }
}

function findDanglingAlias(document: Document.Parsed): Alias | undefined {
  let found: Alias | undefined
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) !== undefined) return undefined
      found = alias
      return visit.BREAK
    },
  })
  return found
}

/** Keys that stand in one mapping twice. Merge keys (<<) may. */
function findTwins(document: Document.Parsed): { code: string; pos: [number] }[] {
  const twins: { code: string; pos: [number] }[] = []
  visit(document, {
    Map(_, map) {
      const seen = new Set<string>()
      for (const { key } of map.items) {
        const text = keyText(key)
        const offset = isScalar(key) ? key.range?.[0] : undefined
        if (seen.has(text) && text !== '<<' && offset !== undefined)
          twins.push({ code: 'DUPLICATE_KEY', pos: [offset] })
        seen.add(text)
      }
    },
  })
  return twins
}

/** What the parser's error codes mean, in our words: its own messages quote the text around the error. */
const YAML_FAULTS: Record<string, string> = {
  ALIAS_PROPS: 'an alias (*) cannot have an anchor or a tag',
  BAD_ALIAS: 'an alias (*) names an anchor (&) that is not set above it; a text that starts with * needs quotes',
  BAD_COLLECTION_TYPE: 'a tag does not fit the value',
  BAD_DIRECTIVE: 'a line that starts with % is not a YAML directive',
  BAD_DQ_ESCAPE: 'an escape in double quotes is not known; write \\\\ for a backslash, or use single quotes',
  BAD_INDENT: 'the indentation does not fit; keys of one mapping stand in the same column',
  BAD_PROP_ORDER: 'anchors and tags stand before the value',
  BAD_SCALAR_START: 'a text cannot start with this character; put it in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a mapping or list cannot stand on the line of its key',
  BLOCK_IN_FLOW: 'an indented mapping or list cannot stand inside { } or [ ]',
  DUPLICATE_KEY: 'this key is there twice in the same mapping; keep one',
  IMPOSSIBLE: 'is not valid YAML',
  KEY_OVER_1024_CHARS: 'a key is longer than 1,024 characters',
  MISSING_CHAR: 'a closing quote, bracket, comma, colon or space is missing',
  MULTILINE_IMPLICIT_KEY:
    'a key stands on more than one line; a colon or a closing quote is missing, or the indentation is wrong',
  MULTIPLE_ANCHORS: 'a value has more than one anchor',
  MULTIPLE_DOCS: 'there is more than one YAML document; a configuration is one',
  MULTIPLE_TAGS: 'a value has more than one tag',
  NON_STRING_KEY: 'a key is not a text',
  RESOURCE_EXHAUSTION: 'is nested too deeply',
  TAB_AS_INDENT: 'a tab is used as indentation; use spaces',
  TAG_RESOLVE_FAILED: 'a tag (!) is not known; a text that starts with ! needs quotes',
  UNEXPECTED_TOKEN: 'is not valid YAML here; check the indentation, quotes and brackets',
}

function toPlace(lineCounter: LineCounter, offset: number): Place {
  const { line, col } = lineCounter.linePos(offset)
  return { line: Math.max(1, line), column: Math.max(1, col) }
}

function locate(document: Document.Parsed, lineCounter: LineCounter, path: Path, isKey: boolean): Place | undefined {
  for (let length = path.length; length >= 0; length--) {
    const parent = walk(document, path.slice(0, length - 1))
    const key = length === 0 ? undefined : findKey(parent, path[length - 1])
    const value = walk(document, path.slice(0, length))
    // Above the wanted depth the key is shown: the place where the missing part belongs.
    const node = (isKey || length < path.length) && key ? key : (value ?? key)
    if (node?.range) return toPlace(lineCounter, node.range[0])
  }
  return undefined
}

function walk(document: Document.Parsed, path: Path): Node | undefined {
  let node: unknown = document.contents
  for (const key of path) {
    if (isMap(node)) node = node.items.find((pair) => keyText(pair.key) === String(key))?.value
    else if (isSeq(node)) node = node.items[Number(key)]
    else return undefined
    if (isAlias(node)) node = node.resolve(document)
  }
  return (node ?? undefined) as Node | undefined
}

function findKey(parent: Node | undefined, key: string | number | undefined): Node | undefined {
  if (!isMap(parent)) return undefined
  return parent.items.find((pair) => keyText(pair.key) === String(key))?.key as Node | undefined
}

function keyText(key: unknown): string {
  return isScalar(key) ? String(key.value ?? '') : String(key)
}
