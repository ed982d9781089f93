import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ConfigError } from './problem.ts'

/** Where a configuration can come from. */
export interface FindOptions {
  /** What `--config` named. */
  option: string | undefined
  env: NodeJS.ProcessEnv
  cwd: string
  /** The folder of the binary. */
  home: string
}

/**
 * Finds the configuration file: `--config`, `$DEADPOOL_CONFIG`, then `deadpool.yml` in the working directory, beside
 * the binary and in `/etc/deadpool`.
 *
 * @throws ConfigError when there is none, naming the places that were looked at
 */
export function findConfig({ option, env, cwd, home }: FindOptions): string {
  if (option !== undefined) return resolve(cwd, option)
  if (env.DEADPOOL_CONFIG) return resolve(cwd, env.DEADPOOL_CONFIG)
  const places = placesOf({ cwd, home })
  const found = places.find((place) => existsSync(place))
  if (found) return found
  throw new ConfigError([
    `there is no configuration; give one with --config FILE, or put it at ${places.join(' or ')}; "deadpool init" writes one`,
  ])
}

/** Tells whether there is a configuration to be found, for commands that can do without. */
export function isConfigThere({ env, cwd, home }: FindOptions): boolean {
  return Boolean(env.DEADPOOL_CONFIG) || placesOf({ cwd, home }).some((place) => existsSync(place))
}

function placesOf({ cwd, home }: Pick<FindOptions, 'cwd' | 'home'>): string[] {
  return [...new Set([join(cwd, 'deadpool.yml'), join(home, 'deadpool.yml'), '/etc/deadpool/deadpool.yml'])]
}
