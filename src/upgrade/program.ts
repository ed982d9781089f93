import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

const OWN_PROGRAM = '/proc/self/exe'
const ELF = '\x7fELF'
const HEAD_BYTES = 64

/**
 * What is wrong with a file that is to be run; undefined when nothing is, or when running it will tell. Whatever the kernel
 * does not take, such as a file that was copied in part, the C library gives to the shell (execvp(3)), which must not
 * happen to 100 MB of anything.
 */
export function findProgramFault(file: string): string | undefined {
  const program = readHead(file)
  if (!program || program.head.toString('latin1', 0, 2) === '#!') return undefined
  if (program.head.toString('latin1', 0, 4) !== ELF) return `${file} is not a program`
  // Class, byte order and machine; then where the table of sections ends, which is the end of the file (elf(5)).
  const kindOf = ({ head }: Head) => head.toString('latin1', 4, 6) + head.toString('latin1', 18, 20)
  const own = readHead(OWN_PROGRAM)
  const isWholeHead = program.size >= HEAD_BYTES
  if (own && isWholeHead && kindOf(own) !== kindOf(program)) return `${file} is a program for another kind of machine`
  const { head, size } = program
  const end = isWholeHead
    ? Number(head.readBigUInt64LE(40)) + head.readUInt16LE(58) * head.readUInt16LE(60)
    : HEAD_BYTES
  return size < end ? `${file} is cut off: it has ${size} bytes of at least ${end}; copy it again` : undefined
}

interface Head {
  head: Buffer
  size: number
}

function readHead(file: string): Head | undefined {
  let fd: number
  try {
    fd = openSync(file, 'r')
  } catch {
    return undefined // whoever may not read it may run it all the same; otherwise that will tell
  }
  try {
    const head = Buffer.alloc(HEAD_BYTES)
    readSync(fd, head, 0, head.length, 0)
    return { head, size: fstatSync(fd).size }
  } catch {
    return undefined // a folder, or a fault of the disk
  } finally {
    closeSync(fd)
  }
}
