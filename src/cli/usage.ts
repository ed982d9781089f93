/** Thrown for a command line that cannot be understood; the message says what is allowed. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** What `deadpool --help` prints. */
export const HELP = `DeadPool watches the components of a data centre and tells Cloudflare whether it is alive.

Usage:
  deadpool [run] [-c FILE]           watch the components and answer, until stopped
  deadpool check-config [-c FILE]    validate the configuration and its modules, without listening
  deadpool check [NAME...] [--json]  check these probes, or all, once and now, and show what was found
  deadpool modules [-c FILE]         list the modules and where each comes from
  deadpool modules NAME              tell all about one: an example, its query, its facts, when it is alive
  deadpool modules --eject NAME      write the source of a stock module here, as a starting point
  deadpool modules --types           print the types of the virtual module "deadpool" (a .d.ts)
  deadpool licenses                  print the licences of everything inside the binary

  deadpool status [--json] [--watch]                how things are; with --watch every second
  deadpool drain [--for 30m] [--reason TEXT]        answer 503 until then, or until "resume"
  deadpool resume                                   end the drain
  deadpool mute NAME --for 1h [--reason TEXT]       let the death of a probe or group not count
  deadpool unmute NAME                              end the mute
  deadpool simulate --dead A,B [--unknown C] [--json]
                                                    the answer if these were dead, or could not be checked
  deadpool check-config --against OLD.yml           check, and tell what changes from that file
  deadpool reload                                   let the running DeadPool load its configuration again

Options:
  -c, --config FILE    the configuration; without it $DEADPOOL_CONFIG, then deadpool.yml here,
                       beside the binary, and in /etc/deadpool
  -f, --folder DIR     the status folder, for status, drain, resume, mute, unmute and reload; without
                       it the one of the configuration
      --check-config   the same as the command check-config
  -V, --version        print the version, the commit and the version of Node
  -h, --help           print this

Exit codes: 0 done or stopped on request; 1 failed; 2 wrong usage or configuration.
Of status and simulate: 0 the answer is 200; 1 it is 503; 2 it cannot be told.
Of check: 0 all are alive; 1 one is dead; 2 one could not be checked.
`
