import { statSync } from 'node:fs'

/** A user that reads files, and its groups, the main one first. */
export interface Reader {
  uid: number | undefined
  gids: number[]
}

/** Whether a user other than root has a right (4: to read, 1: to enter) by the mode of a file. Throws as the file system does. */
export function may({ uid, gids }: Reader, path: string, right: 4 | 1): boolean {
  const found = statSync(path)
  const shift = found.uid === uid ? 6 : gids.includes(found.gid) ? 3 : 0
  return ((found.mode >> shift) & right) !== 0
}
