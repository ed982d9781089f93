import { distance } from 'fastest-levenshtein'

/**
 * Finds the candidate that `word` was probably meant to be: the closest one, whatever its case, within two edits or
 * 40% of the word's length, and else the shortest one that begins with `word`. Undefined when nothing comes near.
 */
export function suggest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase()
  if (wanted === '') return undefined
  const ranked = [...candidates]
    .map((candidate) => ({ candidate, edits: distance(wanted, candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits)
  const [closest] = ranked
  if (closest && isNear(closest.edits, wanted, closest.candidate)) return closest.candidate
  return ranked.find(({ candidate }) => candidate.toLowerCase().startsWith(wanted))?.candidate
}

function isNear(edits: number, word: string, candidate: string): boolean {
  // As many edits as there are letters make any word out of any other.
  return edits <= Math.max(2, word.length * 0.4) && edits < Math.max(word.length, candidate.length)
}
