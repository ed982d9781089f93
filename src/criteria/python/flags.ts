import { type Cursor, PatternError } from './cursor.ts'

/** The flags that a part of a pattern stands under. */
export interface Flags {
  ignoreCase: boolean
  multiLine: boolean
  dotAll: boolean
  verbose: boolean
  ascii: boolean
}

const FLAGS: Record<string, keyof Flags> = { i: 'ignoreCase', m: 'multiLine', s: 'dotAll', x: 'verbose', a: 'ascii' }

/** Reads `(?im)`, which may stand only at the start and sets the flags of the whole pattern. */
export function readGlobalFlags(cursor: Cursor, flags: Flags, isAtStart: boolean): void {
  const written = cursor.take(/\(\?[A-Za-z]+\)/y)
  if (!isAtStart) {
    const scoped = written.replace(')', ':…)')
    throw new PatternError(`has "${written}" after its start; write it first, or "${scoped}" around a part`)
  }
  for (const letter of written.slice(2, -1)) setFlag(flags, letter, true)
}

/** Reads the rest of an opening such as `(?i-s:` and returns the flags inside of that group. */
export function readGroupFlags(cursor: Cursor, flags: Flags): Flags {
  const written = cursor.take(/\?[A-Za-z]*(?:-[A-Za-z]+)?:/y)
  if (written === '') throw new PatternError(`is not a pattern: unknown group "(${cursor.peek(/\?.{0,2}/uy)}"`)
  const [on = '', off = ''] = written.slice(1, -1).split('-')
  // Word boundaries are either ASCII's or Unicode's for the whole of a pattern.
  if (/[au]/.test(on + off)) throw new PatternError(`has "(${written}"; write "(?a)" at the start for the whole of it`)
  const inner = { ...flags }
  for (const letter of on) setFlag(inner, letter, true)
  for (const letter of off) setFlag(inner, letter, false)
  return inner
}

function setFlag(flags: Flags, letter: string, value: boolean): void {
  const flag = FLAGS[letter]
  if (flag) flags[flag] = value
  else if (letter === 'L') throw new PatternError('has the flag "L", which is for bytes; leave it out')
  else if (letter !== 'u') throw new PatternError(`is not a pattern: unknown flag "${letter}"`)
}
