import { hash, timingSafeEqual } from 'node:crypto'

/**
 * Creates the check of an `Authorization` header against the allowed Bearer tokens: it gives the place of the token in the
 * list, from 1 on, or 0 for none of them. It takes the same time whether the first or the last character differs, and
 * whichever of the tokens is meant.
 */
export function createTokenCheck(tokens: readonly string[]): (authorization: string | undefined) => number {
  const allowed = tokens.map(digest)
  return (authorization) => {
    const given = digest(bearerOf(authorization ?? ''))
    const isMeant = allowed.map((token) => timingSafeEqual(token, given))
    return isMeant.indexOf(true) + 1
  }
}

/** The token of `Bearer TOKEN`; the scheme is case-insensitive (RFC 9110, section 11.1). */
function bearerOf(authorization: string): string {
  return /^bearer +(\S+) *$/i.exec(authorization)?.[1] ?? ''
}

/** Digests have one length, which a comparison in constant time needs. */
function digest(token: string): Buffer {
  return hash('sha256', token, 'buffer')
}
