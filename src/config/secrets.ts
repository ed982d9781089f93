import { readFileSync, type Stats, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import * as z from 'zod'
import { describeFileError } from './source.ts'

/** A secret as the configuration gives it: the text itself, or where it is to be read. */
export type SecretSpec = string | { env: string } | { file: string } | { credential: string }

/** What systemd takes for the name of a credential: one file name. */
const CREDENTIAL = /^(?!\.{1,2}$)[^/\0]{1,255}$/

export const secretSpec = z
  .union(
    [
      z.string(),
      z.strictObject({ env: z.string().min(1) }),
      z.strictObject({ file: z.string().min(1) }),
      z.strictObject({ credential: z.string().regex(CREDENTIAL, 'is not the name of a credential; it has no "/"') }),
    ],
    { error: 'is not a text, {env: NAME}, {file: PATH} or {credential: NAME}; write a text in quotes' },
  )
  .meta({ title: 'secret' })

/** A secret that was read, or the phrase that says why it could not be. */
export type ReadSecret = { secret: string } | { fault: string }

const MAX_SECRET_BYTES = 64 * 1024

function describeKind(found: Stats): string {
  if (found.isDirectory()) return 'it is a folder'
  return `it is a ${found.isFIFO() ? 'pipe' : found.isSocket() ? 'socket' : 'device'}, and no file`
}

/** Reads a secret from where its `spec` says; a relative file is looked up from `folder`, and its last newline dropped. */
export function readSecret(spec: SecretSpec, folder: string, env: NodeJS.ProcessEnv): ReadSecret {
  if (typeof spec === 'string') return { secret: spec }
  if ('env' in spec) {
    const secret = env[spec.env]
    return secret === undefined ? { fault: `the environment variable ${spec.env} is not set` } : { secret }
  }
  const place = locateSecret(spec, folder, env)
  if ('fault' in place) return place
  try {
    // A device or a pipe may never end, or give nothing the next time.
    const found = statSync(place.path)
    if (!found.isFile()) return { fault: `${place.path} cannot be read: ${describeKind(found)}` }
    if (found.size > MAX_SECRET_BYTES) return { fault: `${place.path} is larger than 64 KiB, and no secret` }
    return { secret: readFileSync(place.path, 'utf8').replace(/\r?\n$/, '') }
  } catch (error) {
    return { fault: `${place.path} cannot be read: ${describeFileError(error as NodeJS.ErrnoException)}` }
  }
}

/**
 * The file that holds a secret. That of a credential is in the folder that systemd names in `$CREDENTIALS_DIRECTORY`
 * (systemd.exec(5), LoadCredential=).
 */
export function locateSecret(
  spec: { file: string } | { credential: string },
  folder: string,
  env: NodeJS.ProcessEnv,
): { path: string } | { fault: string } {
  if ('file' in spec) return { path: resolve(folder, spec.file) }
  const { CREDENTIALS_DIRECTORY: credentials } = env
  if (credentials) return { path: join(credentials, spec.credential) }
  const hint = `systemd sets it for a service with "LoadCredential=${spec.credential}:PATH"`
  return { fault: `the credential "${spec.credential}" cannot be read: CREDENTIALS_DIRECTORY is not set; ${hint}` }
}

const SECRET_KEY = /token|bearer|passw|passphrase|secret|authorization|cookie|credential|api[-_]?key|private[-_]?key/i

/** Tells whether the value under such a key is likely a secret, and must not be shown. */
export function isSecretKey(key: string | number): boolean {
  return typeof key === 'string' && SECRET_KEY.test(key)
}

/** Replaces the user and password of every URL in a text. */
export function maskUrls(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/?#"']*@/gi, '$1***@')
}

/** Under these keys stand names that people chose. */
const NAMING_KEYS = ['probes', 'groups']

/** Collects the secrets that a configuration holds: texts under secret keys, and what stands before the @ of URLs. */
export function collectSecrets(value: unknown, isSecret = false): Set<string> {
  const found = new Set<string>()
  const visit = (part: unknown, secret: boolean, hasNames = false): void => {
    if (typeof part === 'string') {
      if (secret) addHeaderSecret(found, part)
      for (const [, userinfo] of part.matchAll(/:\/\/([^\s/?#"']*)@/g)) addUserinfo(found, userinfo ?? '')
    } else if (Array.isArray(part)) {
      for (const item of part) visit(item, secret)
    } else if (typeof part === 'object' && part !== null) {
      // {env: NAME} and its like say where a secret is; they are none themselves.
      const isReference = secret && /^(?:env|file|credential)$/.test(Object.keys(part).join())
      if (isReference) return
      for (const [key, item] of Object.entries(part)) {
        // A probe may be called `cookies`, and is no secret for that.
        visit(item, secret || (!hasNames && isSecretKey(key)), !hasNames && NAMING_KEYS.includes(key))
      }
    }
  }
  visit(value, isSecret)
  return found
}

/** `Bearer abc` hides `abc` too, since a target may echo only that. */
function addHeaderSecret(found: Set<string>, text: string): void {
  found.add(text)
  const credentials = /^\w+ (\S+)$/.exec(text)?.[1]
  if (credentials) found.add(credentials)
}

function addUserinfo(found: Set<string>, userinfo: string): void {
  const [, password] = /^[^:]*:(.*)$/.exec(userinfo) ?? []
  found.add(userinfo)
  found.add(Buffer.from(decode(userinfo)).toString('base64'))
  if (password) found.add(password).add(decode(password))
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // not percent-encoded: the text stands for itself
  }
}

const learned = new Set<string>()
let onLearned: ((secret: string) => void) | undefined

/** Takes note of a secret that stands outside the configuration: every redactor of this thread hides it from now on. */
export function learnSecret(secret: string): void {
  if (secret === '' || learned.has(secret)) return
  learned.add(secret)
  onLearned?.(secret)
  // It may stand for a whole header; of other texts of two words the second alone is no secret.
  const [, credentials] = /^(?:apikey|basic|bearer|token) (\S+)$/i.exec(secret) ?? []
  if (credentials) learnSecret(credentials)
}

/** Hands on what this thread has learned and will learn, to one who redacts elsewhere. */
export function shareSecrets(listener: (secret: string) => void): void {
  onLearned = listener
  for (const secret of learned) listener(secret)
}

/** Secrets of fewer characters are left: replacing those would garble every text and hide nothing. */
const MIN_LENGTH = 4

/**
 * Creates the function that takes all secrets out of a text before it is logged, flagged or answered: as they are, as JSON
 * has them, and what a shortened text has of them before its `…`. Those that modules learn later are taken out too.
 */
export function createRedactor(secrets: Iterable<string>): (text: string) => string {
  const given = [...secrets]
  let known = learned.size
  let sorted = sortSecrets([...given, ...learned])
  return (text) => {
    if (known !== learned.size) {
      known = learned.size
      sorted = sortSecrets([...given, ...learned])
    }
    let clean = maskUrls(text)
    for (const secret of sorted) if (clean.includes(secret)) clean = clean.replaceAll(secret, '***')
    const [last = '', ...cut] = clean.split('…').reverse()
    return [...cut.reverse().map((part) => hideBeginning(part, sorted)), last].join('…')
  }
}

/** Takes out the beginning of a secret that a text ends with. */
function hideBeginning(text: string, secrets: readonly string[]): string {
  for (const secret of secrets) {
    const head = secret.slice(0, MIN_LENGTH)
    let at = text.indexOf(head, text.length - secret.length + 1)
    while (at !== -1 && !secret.startsWith(text.slice(at))) at = text.indexOf(head, at + 1)
    if (at !== -1) return `${text.slice(0, at)}***`
  }
  return text
}

/** The longest first: one secret may be a part of another. */
function sortSecrets(secrets: string[]): string[] {
  const written = secrets.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)])
  return [...new Set(written)].filter((secret) => secret.length >= MIN_LENGTH).sort((a, b) => b.length - a.length)
}
