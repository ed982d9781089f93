import type { Path, Problem } from './problem.ts'
import { readSecret, type SecretSpec } from './secrets.ts'

/** Reads the tokens that `WEB.access_token` gives or points to; those that cannot be used are problems. */
export function readTokens(
  given: SecretSpec | SecretSpec[],
  folder: string,
  env: NodeJS.ProcessEnv,
): { tokens: string[]; problems: Problem[] } {
  const base: Path = ['WEB', 'access_token']
  const specs = Array.isArray(given) ? given : [given]
  const tokens: string[] = []
  const problems: Problem[] = []
  for (const [index, spec] of specs.entries()) {
    const read = readSecret(spec, folder, env)
    const message = 'fault' in read ? read.fault : findTokenFault(read.secret)
    if (message) problems.push({ kind: 'mistake', path: Array.isArray(given) ? [...base, index] : base, message })
    else if ('secret' in read) tokens.push(read.secret)
  }
  return { tokens, problems }
}

function findTokenFault(token: string): string | undefined {
  if (token === '') return 'the token is empty; without one everybody could read the answers'
  if (/^[\x21-\x7e]+$/.test(token)) return undefined
  return 'the token has a character that cannot stand in a header; letters, digits and signs without spaces are allowed'
}
