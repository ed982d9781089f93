import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { ConnectionOptions, SecureContext, SecureContextOptions, SecureVersion } from 'node:tls'
import * as z from 'zod'
import { describeFileError } from '../config/source.ts'
import { Unknown } from './errors.ts'
import { type Secret, secret } from './secret.ts'

/** The TLS settings of a query, the same for every module. */
export interface TlsSettings {
  ca_file?: string | undefined
  cert_file?: string | undefined
  key_file?: string | undefined
  key_password?: Secret | undefined
  server_name?: string | undefined
  min_version: SecureVersion
  insecure: boolean
}

/** What `tls.connect` needs of the settings, in the parts that drivers ask for as well. */
export type TlsOptions = ConnectionOptions & {
  servername: string
  rejectUnauthorized: boolean
  secureContext: SecureContext
}

/** The settings of a query that says nothing of TLS where the protocol asks for it. */
export const DEFAULT_TLS: TlsSettings = { min_version: 'TLSv1.2', insecure: false }

/** The schema of the mapping that TLS settings may be. */
export function tlsMapping(): z.ZodType<TlsSettings> {
  return z
    .strictObject({
      ca_file: pemFile('CERTIFICATE', 'certificate')
        .optional()
        .describe('trust these authorities instead of the built-in ones'),
      cert_file: pemFile('CERTIFICATE', 'certificate')
        .optional()
        .describe('the certificate to show the server, with its chain'),
      key_file: pemFile('PRIVATE KEY', 'private key').optional().describe('the private key of cert_file'),
      key_password: secret().optional().describe('the passphrase of key_file'),
      server_name: z
        .string()
        .min(1)
        .optional()
        .describe('the name to ask for (SNI) and to find in the certificate, instead of the host'),
      min_version: z
        .enum(['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'])
        .default('TLSv1.2')
        .describe('the oldest version to accept'),
      insecure: z.boolean().default(false).describe('accept any certificate'),
    })
    .superRefine(({ cert_file, key_file }, context) => {
      if ((cert_file === undefined) === (key_file === undefined)) return
      const [has, lacks] = cert_file === undefined ? ['key_file', 'cert_file'] : ['cert_file', 'key_file']
      context.addIssue({ code: 'custom', path: [lacks], message: `is needed beside ${has}` })
    })
}

/**
 * The schema of TLS settings in a module's query: `true`, or a mapping of what differs from the defaults. Its output is
 * `undefined` without TLS.
 */
export function tlsSettings(): z.ZodType<TlsSettings | undefined> {
  const settings = tlsMapping()
  return z
    .union([z.boolean(), settings], { error: 'is not true, false or a mapping such as {ca_file: ca.pem}' })
    .transform((given): TlsSettings | undefined => {
      if (given === false) return undefined
      return given === true ? settings.parse({}) : given
    })
    .meta({ title: 'TLS settings' })
}

function pemFile(label: string, name: string) {
  return z
    .string()
    .superRefine((path, context) => {
      const fault = findPemFault(path, label, name)
      if (fault !== undefined) context.addIssue({ code: 'custom', message: fault })
    })
    .meta({ title: 'file' })
}

function findPemFault(path: string, label: string, name: string): string | undefined {
  try {
    return isPem(readFileSync(path, 'utf8'), label) ? undefined : `holds no ${name} in PEM form`
  } catch (error) {
    return `cannot be read: ${describeFileError(error as NodeJS.ErrnoException)}`
  }
}

function isPem(text: string, label: string): boolean {
  return text.includes('-----BEGIN ') && text.includes(`${label}-----`)
}

/**
 * Makes the options of a TLS connection to `host`. Files are read for each check, and parsed again when they changed.
 *
 * @throws Unknown when a file cannot be read or used
 */
export async function createTlsOptions(settings: TlsSettings, host: string, signal?: AbortSignal): Promise<TlsOptions> {
  const { server_name, insecure } = settings
  const parts = await readParts(settings, signal)
  const servername = server_name ?? (isIP(host) ? '' : host)
  return {
    ...parts,
    servername,
    rejectUnauthorized: !insecure,
    secureContext: findContext(settings, parts),
    // Without a name to ask for, the certificate is judged by the host all the same.
    ...(servername === '' ? { host } : {}),
  }
}

async function readParts(settings: TlsSettings, signal?: AbortSignal): Promise<SecureContextOptions> {
  const { ca_file, cert_file, key_file, key_password, min_version } = settings
  const [ca, cert, key, passphrase] = await Promise.all([
    read('ca_file', ca_file, signal),
    read('cert_file', cert_file, signal),
    read('key_file', key_file, signal),
    key_password?.read(signal),
  ])
  const parts = { ca, cert, key, passphrase, minVersion: min_version }
  return Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined))
}

async function read(key: string, path: string | undefined, signal?: AbortSignal): Promise<string | undefined> {
  if (path === undefined) return undefined
  return readFile(path, { encoding: 'utf8', signal }).catch((error: NodeJS.ErrnoException) => {
    if (signal?.aborted) throw signal.reason
    throw new Unknown(`${key} ${path} cannot be read: ${describeFileError(error)}`, { cause: error })
  })
}

const contexts = new WeakMap<TlsSettings, { parts: SecureContextOptions; context: SecureContext }>()
let plainContext: SecureContext | undefined

/** To parse a bundle of authorities takes 5 ms, and even a context of none 0.2 ms. */
function findContext(settings: TlsSettings, parts: SecureContextOptions): SecureContext {
  const known = contexts.get(settings)
  if (known && isSame(known.parts, parts)) return known.context
  const context = createContext(parts)
  contexts.set(settings, { parts, context })
  return context
}

/** All queries that set nothing share one context. */
function createContext(parts: SecureContextOptions): SecureContext {
  const { createSecureContext } = process.getBuiltinModule('node:tls')
  const isPlain = isSame(parts, { minVersion: 'TLSv1.2' })
  if (isPlain && plainContext) return plainContext
  try {
    checkAuthorities(parts.ca)
    const context = createSecureContext(parts)
    if (isPlain) plainContext = context
    return context
  } catch (error) {
    throw new Unknown(`the TLS files cannot be used: ${(error as Error).message}`, { cause: error })
  }
}

/** OpenSSL passes over an authority that it cannot read, and would then blame the target. */
function checkAuthorities(ca: SecureContextOptions['ca']): void {
  if (typeof ca !== 'string') return
  const certificates = ca.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? []
  if (certificates.length === 0) throw new Error('ca_file holds no whole certificate')
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  for (const certificate of certificates) new X509Certificate(certificate)
}

function isSame(one: SecureContextOptions, other: SecureContextOptions): boolean {
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]) as Set<keyof SecureContextOptions>
  return [...keys].every((key) => one[key] === other[key])
}
