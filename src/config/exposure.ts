import { realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { LoadedConfig } from './load.ts'
import type { Path, Problem } from './problem.ts'
import { collectSecrets } from './secrets.ts'
import { parseSource } from './source.ts'

const OTHERS_READ = 0o004
const OTHERS_ENTER = 0o001

/** Warns of a configuration with a secret in clear that every user of this host can read. */
export function findExposure({ config, text }: LoadedConfig): Problem[] {
  const path = findSecretInClear(parseSource(config.file, text).value)
  if (path === undefined || !isReadableByOthers(config.file)) return []
  const message = `a secret stands here in clear, and every user of this host can read the file; mend it: chmod o-rwx ${quoteForShell(config.file)}`
  return [{ kind: 'warning', path, message }]
}

/** Where the first secret stands: the token, or a part of the configuration that holds one somewhere. */
function findSecretInClear(value: unknown): Path | undefined {
  const sections = value as Record<string, Record<string, unknown> | null>
  const { access_token: token } = sections.WEB ?? {}
  const [inList] = Array.isArray(token) ? [token.findIndex((each) => typeof each === 'string')] : []
  if (typeof token === 'string') return ['WEB', 'access_token']
  if (inList !== undefined && inList >= 0) return ['WEB', 'access_token', inList]
  for (const [key, section] of Object.entries(sections)) {
    for (const [name, part] of Object.entries(section ?? {})) {
      if (collectSecrets({ [name]: part }).size > 0) return [key, name]
    }
  }
  return undefined
}

/** A file is closed to others by its own mode, or by that of a folder above it. */
function isReadableByOthers(file: string): boolean {
  try {
    const path = realpathSync(file)
    if ((statSync(path).mode & OTHERS_READ) === 0) return false
    for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
      if ((statSync(folder).mode & OTHERS_ENTER) === 0) return false
    }
    return true
  } catch {
    return false // gone, or out of this user's own sight: then there is nothing to be sure of
  }
}

/** Writes a path as a shell takes it. */
export function quoteForShell(path: string): string {
  return /^[\w./:@%+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}
