import { readFileSync, readlinkSync } from 'node:fs'
import type { Server } from 'node:net'

/**
 * Where a Unix socket is bound that came from another process, of which Node knows no name: `\0NAME` of an abstract one.
 * Undefined where Linux does not tell (proc(5), `/proc/net/unix`).
 */
export function findUnixPath(server: Server): string | undefined {
  const { fd } = (server as { _handle?: { fd?: number } })._handle ?? {}
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1]
    for (const line of readFileSync('/proc/self/net/unix', 'utf8').split('\n')) {
      const [, found, path] = /^(?:\S+ +){6}(\d+) (.+)$/.exec(line) ?? []
      if (path !== undefined && found === inode) return path.replace(/^@/, '\0')
    }
  } catch {
    // Without /proc it stays without a name.
  }
  return undefined
}
