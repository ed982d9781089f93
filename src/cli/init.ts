import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, fchmodSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, resolve } from 'node:path'
import { quoteForShell } from '../config/exposure.ts'
import { describeFileError } from '../config/source.ts'
import { UsageError } from './usage.ts'

/** Where a starter configuration says that things are; relative paths are relative to it. */
export interface StarterPlaces {
  statusFolder: string
  /** Without it, `mod` beside the binary. */
  moduleFolder: string | undefined
}

/**
 * Writes a configuration to start from, with a token of its own that only the owner can read, and says what comes next:
 * how `program`, as it is called here, checks it, and what Cloudflare has to know.
 *
 * @throws UsageError when the file is there already, or cannot be written
 */
export function init(file: string, cwd: string, program = 'deadpool'): string {
  if (file === '-')
    throw new UsageError('a token is not written to the screen; name a file, as in "deadpool init deadpool.yml"')
  const path = resolve(cwd, file)
  if (!existsSync(`${dirname(path)}/`)) throw new UsageError(`there is no folder ${dirname(path)}; make it first`)
  if (!writeNew(path, writeStarter({ statusFolder: 'probe', moduleFolder: undefined })))
    throw new UsageError(`${path} is there already and stays as it is; name another file`)
  return [`${path}: written, with a random token; only its owner can read it`, ...nextSteps(path, program)].join('\n')
}

/** Writes a file for its owner alone; false when there is one, be it a link that leads nowhere. */
function writeNew(path: string, text: string): boolean {
  try {
    const descriptor = openSync(path, 'wx', 0o600)
    try {
      fchmodSync(descriptor, 0o600) // whatever the umask
      writeFileSync(descriptor, text)
    } catch (error) {
      // Half a file, as of a full disk, would keep the next try from writing a whole one.
      rmSync(path)
      throw error
    } finally {
      closeSync(descriptor)
    }
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return false
    throw new UsageError(`${path} cannot be written: ${describeFileError(error as NodeJS.ErrnoException)}`)
  }
}

/**
 * What is left to do: the check, by a command that can be copied, and what Cloudflare has to know. The token itself is not
 * shown.
 */
export function nextSteps(path: string, program = 'deadpool'): string[] {
  const shown = quoteForShell(path)
  return [
    'next:',
    `1. name your components under "probes" in it, and have it checked: ${quoteForShell(program)} check-config -c ${shown}`,
    '2. make a monitor at Cloudflare: type HTTP, method GET, path /, port 9001, expected codes 200, expected body OK,',
    '   header "Authorization: Bearer TOKEN", where TOKEN is the access_token in that file',
    '',
  ]
}

/** A whole configuration, commented, that has no mistake as it stands. */
export function writeStarter({ statusFolder, moduleFolder }: StarterPlaces): string {
  const ownModules =
    moduleFolder === undefined
      ? '  # module_folder: mod # modules of your own; without it mod beside the binary'
      : `  module_folder: ${moduleFolder} # modules of your own; the stock modules are inside the binary`
  return `# DeadPool's configuration. After a change: deadpool check-config, then deadpool reload.
# Durations are seconds, or text such as 500ms, 2m. Relative paths are relative to this file.
# All about it: man deadpool.yml

# SpiderMan, who answers Cloudflare
WEB:
  port: 9001
  host: 0.0.0.0 # every address of this host; let only Cloudflare's addresses reach the port
  base_url: /
  # The Bearer token that a monitor has to send, made at random for this file. It may also be {file: PATH}, {env: NAME},
  # {credential: NAME} of systemd, or a list of these while it is being changed.
  access_token: '${randomBytes(32).toString('hex')}'
  # The server's own name, given in each answer
  name: ${JSON.stringify(hostname())}

# WatchMan, who runs the probes
WatchMan:
  probe_status_folder: ${statusFolder} # the flags: <probe>.dead for each dead probe
${ownModules}

# The log goes to the journal or the local syslog, unless something else is said here.
# Generic:
#   log:
#     - { type: gelf, server: graylog.example.org, level: info }
#     - { type: console }

# The components to watch. "deadpool modules" lists what can be asked, "deadpool modules url_probe" tells all about one.
probes:
  # To be replaced by yours. This one asks DeadPool itself, which answers 511 to whoever has no token.
  deadpool:
    module: url_probe
    period: 3 # from the start of a check to the start of the next
    query:
      url: http://127.0.0.1:9001/
      timeout: 2 # the longest wait
    success_criteria: # how the answer is judged; all must hold
      status: { type: status_in, query: [511] }

  # elastic:
  #   module: url_probe
  #   period: 3
  #   fall: 2 # so many failures in a row make it dead
  #   query:
  #     url: http://localhost:9200/_cat/health
  #     timeout: 2
  #   success_criteria:
  #     status: { type: status_in, query: [200] }
  #     body: { type: re_search, query: 'elasticsearch+ green+' }

  # database:
  #   module: postgres_probe
  #   query: { host: localhost, user: deadpool, password: { file: database.password } }
  #   severity: warning # listed, never 503

# Probes of which some are enough
# groups:
#   web:
#     members: [web1, web2]
#     min_alive: 1 # or a percentage: "50%"
`
}
