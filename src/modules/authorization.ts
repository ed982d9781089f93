import { learnSecret } from '../config/secrets.ts'
import { Unknown } from './errors.ts'
import type { Secret } from './secret.ts'

/** What a query may hold of who asks over HTTP. */
export interface Credentials {
  user?: string | undefined
  password?: Secret | undefined
  bearer?: Secret | undefined
}

/**
 * Makes the header Authorization (RFC 7617, RFC 6750) of the credentials as they are now; undefined when there are none.
 *
 * @throws Unknown when a file cannot be read, or holds what no header can
 */
export async function readAuthorization(
  { user, password, bearer }: Credentials,
  signal?: AbortSignal,
): Promise<string | undefined> {
  if (bearer) return formatBearer(await bearer.read(signal))
  if (user === undefined && !password) return undefined
  return formatBasic(user ?? '', (await password?.read(signal)) ?? '')
}

function formatBearer(token: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return `Bearer ${token}`
  throw new Unknown('bearer has a blank, a line break or another character that no header can hold')
}

/** Basic authorization, whose encoded form is as secret as the password: a target may echo it. */
export function formatBasic(user: string, password: string): string {
  const encoded = Buffer.from(`${user}:${password}`).toString('base64')
  learnSecret(encoded)
  return `Basic ${encoded}`
}
