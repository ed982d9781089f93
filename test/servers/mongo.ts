import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Certificate } from './certificates.ts'
import type { Order } from './mongo-member.ts'

/**
 * A small server that speaks MongoDB's wire protocol, for hosts that have no MongoDB (Debian has none): a standalone, a
 * mongos or a member of a replica set, each a process of its own.
 */
export interface MemberState {
  role: 'standalone' | 'mongos' | 'primary' | 'secondary' | 'arbiter' | 'recovering' | 'uninitialized'
  /** The newest protocol it speaks: 9 is MongoDB 4.4, 25 is 8.0. */
  wire: number
  version: string
  set?: string
  me?: string
  hosts?: string[]
  arbiters?: string[]
  primary?: string | undefined
  user?: { name: string; password: string; mechanisms: string[]; iterations?: number }
  /** What `replSetGetStatus` tells; without it nobody may ask. */
  status?: { members: { name: string; state: string; lag?: number }[]; voting?: number } | undefined
  write?: 'ok' | 'late' | 'forbidden'
  tls?: Certificate
  /** The command that it never answers, or closes the connection instead. */
  hangsAt?: string
  closesAt?: string
  /** By command: ms that it waits, fields that go over those of its reply, or bytes (base64) instead of a reply. */
  delays?: Record<string, number>
  replies?: Record<string, object>
  raw?: Record<string, string>
  /** Sent before anything was asked. */
  greets?: string
}

export interface Member {
  port: number
  address: string
  pid: number
  /** Changes what it is, from the next question on. */
  become(state: Partial<MemberState>): Promise<void>
  /** Makes it anew, as if it had just been started. */
  restart(state?: Partial<MemberState>): Promise<void>
  /** How often each command was asked, and `connections` that are open now, of those `opened`. */
  count(): Promise<Record<string, number>>
  pause(): void
  resume(): void
  isRunning(): boolean
  stop(): Promise<void>
}

const FRESH = { role: 'standalone', wire: 25, version: '8.0.4' } as const

/** Starts one; whoever does stops it. */
export async function startMember(state: Partial<MemberState> = {}): Promise<Member> {
  const child = fork(join(import.meta.dirname, 'mongo-member.ts'), { execArgv: [], serialization: 'advanced' })
  const closed = once(child, 'close')
  child.send({ start: { ...FRESH, ...state } } satisfies Order)
  const { port } = (await reply(child)) as { port: number }
  async function tell(message: Order): Promise<Record<string, number>> {
    const replied = reply(child)
    child.send(message)
    return ((await replied) as { counts: Record<string, number> }).counts
  }
  return {
    port,
    address: `127.0.0.1:${port}`,
    pid: child.pid as number,
    become: async (next) => void (await tell({ become: next })),
    restart: async (next) => void (await tell({ start: { ...FRESH, ...next } })),
    count: () => tell({ count: true }),
    isRunning: () => child.exitCode === null && child.signalCode === null,
    pause: () => process.kill(child.pid as number, 'SIGSTOP'),
    resume: () => process.kill(child.pid as number, 'SIGCONT'),
    async stop() {
      child.kill('SIGKILL')
      await closed
    },
  }
}

async function reply(child: ChildProcess): Promise<unknown> {
  const ending = new AbortController()
  const end = () => ending.abort(new Error('the member ended'))
  child.once('exit', end)
  try {
    return (await once(child, 'message', { signal: ending.signal }))[0]
  } finally {
    child.off('exit', end)
  }
}

/** A replica set of three, the first of them the primary. */
export interface ReplicaSet {
  members: [Member, Member, Member]
  /** As a URL has them. */
  hosts: string
  become(state: Partial<MemberState>): Promise<void>
  /** Makes one of them the primary, or none. */
  elect(index: number | undefined): Promise<void>
  stop(): Promise<void>
}

export async function startReplicaSet(state: Partial<MemberState> = {}, start = startMember): Promise<ReplicaSet> {
  const members = (await Promise.all([0, 1, 2].map(() => start(state)))) as ReplicaSet['members']
  const addresses = members.map(({ address }) => address)
  const become: ReplicaSet['become'] = async (next) =>
    void (await Promise.all(members.map((each) => each.become(next))))

  async function elect(primary: number | undefined): Promise<void> {
    const states = addresses.map((name, index) => ({ name, state: index === primary ? 'PRIMARY' : 'SECONDARY' }))
    await Promise.all(
      members.map((member, index) =>
        member.become({
          role: index === primary ? 'primary' : 'secondary',
          set: 'rs0',
          me: member.address,
          hosts: addresses,
          primary: primary === undefined ? undefined : addresses[primary],
          status: { members: states },
        }),
      ),
    )
  }
  await elect(0)
  return {
    members,
    hosts: addresses.join(),
    become,
    elect,
    stop: async () => void (await Promise.all(members.map((member) => member.stop()))),
  }
}
