/** Thrown for a command line that cannot be understood; the message says what is allowed. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** What `deadpool --help` prints. */
export const HELP = `DeadPool watches the components of a data centre and tells Cloudflare whether it is alive.

Usage:
  deadpool [run] [-c FILE]           watch the components and answer, until stopped
  deadpool check-config [-c FILE]    validate the configuration and its modules, without listening
  deadpool modules [-c FILE]         list the modules and where each comes from
  deadpool modules --eject NAME      write the source of a stock module here, as a starting point
  deadpool modules --types           print the types of the virtual module "deadpool" (a .d.ts)

Options:
  -c, --config FILE    the configuration; without it $DEADPOOL_CONFIG, then deadpool.yml here,
                       beside the binary, and in /etc/deadpool
      --check-config   the same as the command check-config
  -V, --version        print the version, the commit and the version of Node
  -h, --help           print this

Exit codes: 0 done or stopped on request; 1 failed; 2 wrong usage or configuration.
`
