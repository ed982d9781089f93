import { suggest } from '../suggest.ts'
import { CriterionError } from './criterion-type.ts'

/**
 * Refuses a mapping that has a key which is not among those known.
 *
 * @throws CriterionError at the first such key
 */
export function refuseUnknownKeys(mapping: object, known: readonly string[]): void {
  const stranger = Object.keys(mapping).find((key) => !known.includes(key))
  if (stranger === undefined) return
  throw new CriterionError(`is unknown; ${known.join(', ')} are allowed${hintAt(stranger, known)}`, [stranger])
}

/** The end of a message that names what was probably meant, or nothing. */
export function hintAt(word: string, candidates: readonly string[]): string {
  const meant = suggest(word, candidates)
  return meant === undefined ? '' : `; did you mean "${meant}"?`
}
