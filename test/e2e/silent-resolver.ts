import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { finallyDo, makeFolder, skip } from './binary.ts'

/** A resolver that takes every question and answers none, until the test lets it. */
export interface SilentResolver {
  /** The command through which a program has this resolver and no other; see `StartOptions.through`. */
  through: string[]
  /** How many questions came so far. */
  questions(): number
  /** From now on every name has the address 127.0.0.1. */
  answer(): void
}

/** Runs the resolver on a loopback address of its own; without one, the host cannot and the test was skipped. */
export async function startSilentResolver(context: TestContext): Promise<SilentResolver | undefined> {
  if (process.getuid?.() !== 0) return void skip(context, 'needs root, to listen on port 53 and to mount resolv.conf')
  if (spawnSync('unshare', ['--mount', 'true']).status !== 0) {
    return void skip(context, 'this host lets no program have mounts of its own')
  }
  let questions = 0
  let isAnswering = false
  const socket = createSocket('udp4', (question, { port, address }) => {
    questions++
    if (isAnswering) socket.send(replyTo(question), port, address)
  })
  const address = `127.53.${(process.pid >> 8) & 255}.${process.pid & 255}`
  await new Promise<void>((resolve, reject) => socket.once('error', reject).bind(53, address, resolve))
  finallyDo(context, () => socket.close())

  const folder = makeFolder(context)
  writeFileSync(join(folder, 'resolv.conf'), `nameserver ${address}\n`)
  writeFileSync(join(folder, 'nsswitch.conf'), 'hosts: files dns\n')
  const script = `mount --bind ${folder}/resolv.conf /etc/resolv.conf &&
    mount --bind ${folder}/nsswitch.conf /etc/nsswitch.conf && exec "$@"`
  return {
    through: ['unshare', '--mount', 'sh', '-c', script, 'sh'],
    questions: () => questions,
    answer: () => (isAnswering = true),
  }
}

/** The reply to a DNS question (RFC 1035, section 4.1): 127.0.0.1 for an A, nothing for any other type. */
function replyTo(question: Buffer): Buffer {
  const end = question.indexOf(0, 12) + 5
  const isForA = question.readUInt16BE(end - 4) === 1
  const head = Buffer.from(question.subarray(0, end))
  head.writeUInt16BE(0x8180, 2)
  head.writeUInt16BE(isForA ? 1 : 0, 6)
  head.fill(0, 8, 12)
  const address = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1])
  return isForA ? Buffer.concat([head, address]) : head
}
