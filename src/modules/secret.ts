import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type * as z from 'zod'
import { learnSecret, locateSecret, readSecret, type SecretSpec, secretSpec } from '../config/secrets.ts'
import { describeFileError } from '../config/source.ts'
import { Unknown } from './errors.ts'

/** A secret of a query, which never shows itself: `String(secret)` and JSON give `***`. */
export interface Secret {
  /**
   * The secret as it is now: a file is read again for each check, so that it can be changed without a reload.
   *
   * @throws Unknown when the file cannot be read, or is empty
   */
  read(signal?: AbortSignal): Promise<string>
}

/**
 * The schema of a secret in a module's query: a text, `{env: NAME}`, `{file: PATH}` or `{credential: NAME}`. A file
 * loses its last newline.
 */
export function secret(): z.ZodType<Secret, SecretSpec> {
  return secretSpec
    .superRefine((spec, context) => {
      const found = readSecret(spec, '.', process.env)
      const fault = 'fault' in found ? found.fault : found.secret === '' ? 'the secret is empty' : undefined
      if (fault !== undefined) context.addIssue({ code: 'custom', message: `cannot be used: ${fault}` })
    })
    .transform((spec): Secret => {
      if (typeof spec === 'object' && !('env' in spec)) {
        const place = locateSecret(spec, '.', process.env)
        if ('path' in place) return createFileSecret(place.path)
      }
      const found = readSecret(spec, '.', process.env)
      return createFixedSecret('secret' in found ? found.secret : '')
    })
    .meta({ title: 'secret' })
}

const HIDDEN = { toString: () => '***', toJSON: () => '***' }

function createFixedSecret(text: string): Secret {
  learnSecret(text)
  return { ...HIDDEN, read: async () => text } as Secret
}

function createFileSecret(path: string): Secret {
  learnSecret(trim(readFileSync(path, 'utf8')))
  return {
    ...HIDDEN,
    async read(signal) {
      const text = await readFile(path, { encoding: 'utf8', signal }).catch((error: NodeJS.ErrnoException) => {
        if (signal?.aborted) throw signal.reason
        throw new Unknown(`${path} cannot be read: ${describeFileError(error)}`, { cause: error })
      })
      const secret = trim(text)
      // Cut off by whoever writes it anew: to ask with that would make the target refuse.
      if (secret === '') throw new Unknown(`${path} is empty`)
      learnSecret(secret)
      return secret
    },
  } as Secret
}

function trim(text: string): string {
  return text.replace(/\r?\n$/, '')
}
