// Groups as rows of the broker's table `kafka.groups`. A classic group is one row; a consumer or share group is one row and one more for each member,
// so that a heartbeat that changes a member writes that member.
import type { Rows } from '../../broker/face.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import { ConsumerMember, type MemberPhase, type MemberProfile } from './consumer-group-member.ts'
import type { ClassicGroup, GroupSnapshot } from './group.ts'
import { type AssignedTopic, assignmentOf, topicsOf } from './group-assignment.ts'
import { type ShareGroup, ShareMember, type ShareProfile } from './share-group.ts'

interface ClassicRow extends GroupSnapshot {
  readonly kind: 'classic'
  readonly name: string
  readonly emptySince: number
}

interface ConsumerRow {
  readonly kind: 'consumer'
  readonly name: string
  readonly epoch: number
  readonly targetEpoch: number
  readonly emptySince: number
}

interface ConsumerMemberRow {
  readonly kind: 'consumer member'
  readonly name: string
  readonly id: string
  readonly profile: MemberProfile
  readonly epoch: number
  readonly previousEpoch: number
  readonly phase: MemberPhase
  readonly assigned: readonly AssignedTopic[]
  readonly revoking: readonly AssignedTopic[]
  readonly target: readonly AssignedTopic[]
  readonly matched: readonly string[]
}

interface ShareRow {
  readonly kind: 'share'
  readonly name: string
  readonly epoch: number
  readonly emptySince: number
  readonly topics: readonly string[]
}

interface ShareMemberRow {
  readonly kind: 'share member'
  readonly name: string
  readonly id: string
  readonly profile: ShareProfile
  readonly epoch: number
  readonly previousEpoch: number
  readonly assigned: readonly AssignedTopic[]
}

type Row = ClassicRow | ConsumerRow | ConsumerMemberRow | ShareRow | ShareMemberRow

export interface StoredGroups {
  readonly classic: readonly ClassicRow[]
  readonly consumer: readonly (ConsumerRow & { readonly members: readonly ConsumerMember[] })[]
  readonly share: readonly (ShareRow & { readonly members: readonly ShareMember[] })[]
}

export class GroupStore {
  readonly #rows: Rows
  /** Grows with each change: whoever confirms one waits until it is durable. */
  changes = 0

  constructor(rows: Rows) {
    this.#rows = rows
  }

  /** All there is, for the start. */
  load(): StoredGroups {
    const rows = [...this.#rows.entries()].map(([, text]) => JSON.parse(text, revive) as Row) // our own rows
    const members = Map.groupBy(
      rows.filter((row) => row.kind === 'consumer member'),
      (row) => row.name,
    )
    const shareMembers = Map.groupBy(
      rows.filter((row) => row.kind === 'share member'),
      (row) => row.name,
    )
    return {
      classic: rows.filter((row) => row.kind === 'classic'),
      consumer: rows
        .filter((row) => row.kind === 'consumer')
        .map((row) => ({ ...row, members: (members.get(row.name) ?? []).map(memberFrom) })),
      share: rows
        .filter((row) => row.kind === 'share')
        .map((row) => ({ ...row, members: (shareMembers.get(row.name) ?? []).map(shareMemberFrom) })),
    }
  }

  putClassic(group: ClassicGroup): void {
    this.#put(groupKey(group.name), { kind: 'classic', name: group.name, emptySince: group.emptySince, ...group.snapshot })
  }

  /** The group, and the members that changed; null is one that is gone. */
  putConsumer(group: ConsumerGroup, members: Iterable<readonly [string, ConsumerMember | null]>): void {
    const { name, epoch, targetEpoch, emptySince } = group
    this.#put(groupKey(name), { kind: 'consumer', name, epoch, targetEpoch, emptySince })
    for (const [id, member] of members) {
      if (member === null) this.#delete(memberKey(name, id))
      else this.#put(memberKey(name, id), rowOf(name, member))
    }
  }

  putShare(group: ShareGroup, members: Iterable<readonly [string, ShareMember | null]>): void {
    const { name, epoch, emptySince } = group
    this.#put(groupKey(name), { kind: 'share', name, epoch, emptySince, topics: [...group.topics] })
    for (const [id, member] of members) {
      if (member === null) this.#delete(memberKey(name, id))
      else {
        const { profile, previousEpoch, assigned } = member
        const row = { name, id, profile, epoch: member.epoch, previousEpoch, assigned: topicsOf(assigned) }
        this.#put(memberKey(name, id), { kind: 'share member', ...row })
      }
    }
  }

  deleteClassic(name: string): void {
    this.#delete(groupKey(name))
  }

  /** Of a consumer or a share group. */
  deleteWithMembers(name: string, memberIds: Iterable<string>): void {
    this.#delete(groupKey(name))
    for (const id of memberIds) this.#delete(memberKey(name, id))
  }

  durable(done: (error: Error | null) => void): void {
    this.#rows.durable().then(
      () => done(null),
      (cause: Error) => done(cause),
    )
  }

  #put(key: string, row: Row): void {
    this.changes++
    this.#rows.put(key, JSON.stringify(row, replace))
  }

  #delete(key: string): void {
    this.changes++
    this.#rows.delete(key)
  }
}

const groupKey = (name: string): string => `group/${name}`
/** With a length in front, since names may hold anything. */
const memberKey = (name: string, id: string): string => `member/${name.length}/${name}/${id}`

function rowOf(name: string, member: ConsumerMember): ConsumerMemberRow {
  const { id, profile, epoch, previousEpoch, phase, matched } = member
  const [assigned, revoking, target] = [topicsOf(member.assigned), topicsOf(member.revoking), topicsOf(member.target)]
  return { kind: 'consumer member', name, id, profile, epoch, previousEpoch, phase, assigned, revoking, target, matched }
}

function memberFrom(row: ConsumerMemberRow): ConsumerMember {
  const member = new ConsumerMember(row.id, row.profile)
  member.epoch = row.epoch
  member.previousEpoch = row.previousEpoch
  member.phase = row.phase
  member.assigned = assignmentOf(row.assigned)
  member.revoking = assignmentOf(row.revoking)
  member.target = assignmentOf(row.target)
  member.matched = row.matched
  return member
}

function shareMemberFrom(row: ShareMemberRow): ShareMember {
  const member = new ShareMember(row.id, row.profile)
  member.epoch = row.epoch
  member.previousEpoch = row.previousEpoch
  member.assigned = assignmentOf(row.assigned)
  return member
}

const bytesFields: ReadonlySet<string> = new Set(['metadata', 'assignment'])

// JSON turns a Buffer into `{ type, data }` before the replacer sees it.
function replace(key: string, value: unknown): unknown {
  if (!bytesFields.has(key)) return value
  return Buffer.from((value as { data: number[] }).data).toString('base64')
}

function revive(key: string, value: unknown): unknown {
  return bytesFields.has(key) && typeof value === 'string' ? Buffer.from(value, 'base64') : value
}
