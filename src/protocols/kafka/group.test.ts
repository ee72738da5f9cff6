import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../../lib/timers.ts'
import { ClassicGroup, type GroupOptions, GroupState } from './group.ts'
import type { JoinAnswer, JoinAsk, SyncAnswer, SyncAsk } from './group-member.ts'
import { Writer } from './wire.ts'

const ask = (more: Partial<JoinAsk> = {}): JoinAsk => ({
  memberId: '',
  instanceId: null,
  clientId: 'c',
  clientHost: '/h',
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 30_000,
  protocolType: 'consumer',
  protocols: [{ name: 'range', metadata: Buffer.from('m') }],
  needsMemberId: false,
  canSkipAssignment: false,
  ...more,
})

function makeGroup(clock = new VirtualClock(0), more: Partial<GroupOptions> = {}): ClassicGroup {
  return new ClassicGroup('g', { clock, store: (_group, done) => done(null), ...more })
}

class Joined {
  answers: JoinAnswer[] = []
  syncs: SyncAnswer[] = []
  readonly group: ClassicGroup
  constructor(group: ClassicGroup, more: Partial<JoinAsk> = {}) {
    this.group = group
    this.join(more)
  }
  join(more: Partial<JoinAsk> = {}): this {
    this.group.join(ask(more), (answer) => this.answers.push(answer))
    return this
  }
  get last(): JoinAnswer {
    const last = this.answers.at(-1)
    assert.ok(last, 'no answer yet')
    return last
  }
  sync(assignments: { memberId: string; assignment: Buffer }[] = []): this {
    this.group.sync(syncAsk(this.last.memberId, null, this.last.generationId, assignments), (answer) => this.syncs.push(answer))
    return this
  }
}

const syncAsk = (
  memberId: string,
  instanceId: string | null,
  generation: number,
  assignments: SyncAsk['assignments'] = [],
): SyncAsk => ({
  memberId,
  instanceId,
  generation,
  protocolType: null,
  protocolName: null,
  assignments,
})

function stableGroup(count: number): { clock: VirtualClock; group: ClassicGroup; members: Joined[] } {
  const clock = new VirtualClock(0)
  const group = makeGroup(clock)
  const members = [new Joined(group)]
  while (members.length < count) {
    const before = [...members]
    const added = new Joined(group)
    members.push(added)
    for (const member of before) member.join({ memberId: member.last.memberId })
  }
  for (const member of members)
    member.sync(members.map((each) => ({ memberId: each.last.memberId, assignment: Buffer.from(each.last.memberId) })))
  assert.equal(group.state, GroupState.Stable)
  return { clock, group, members }
}

test('a lone member leads at once', () => {
  const member = new Joined(makeGroup())
  assert.deepEqual([member.last.errorCode, member.last.generationId, member.last.leader], [0, 1, member.last.memberId])
  assert.equal(member.last.members.length, 1)
})

test('from version 4 a new member is told its id first, and an id that never came back is not waited for', () => {
  const clock = new VirtualClock(0)
  const group = makeGroup(clock)
  const first = new Joined(group, { needsMemberId: true })
  assert.equal(first.last.errorCode, 79)
  first.join({ memberId: first.last.memberId })
  assert.equal(first.last.errorCode, 0)
  const lost = new Joined(group, { needsMemberId: true })
  first.join({ memberId: first.last.memberId, protocols: [{ name: 'range', metadata: Buffer.from('more') }] })
  assert.equal(first.answers.length, 2)
  clock.advance(10_001)
  assert.equal(first.answers.length, 3)
  lost.join({ memberId: lost.last.memberId })
  assert.equal(lost.last.errorCode, 25)
})

test('all joined means rebalanced at once; the leader knows all, the others nothing', () => {
  const { members, group } = stableGroup(3)
  assert.equal(group.generation, 3)
  const [leader, ...others] = members
  assert.equal(leader?.last.members.length, 3)
  assert.ok(others.every((member) => member.last.members.length === 0))
  assert.ok(members.every((member) => member.syncs.at(-1)?.assignment.toString() === member.last.memberId))
})

test('a rebalance is told by heartbeats, and who does not rejoin in time is out', () => {
  const { clock, group, members } = stableGroup(2)
  const [a, b] = members
  assert.ok(a && b)
  const c = new Joined(group)
  assert.equal(group.heartbeat(b.last.memberId, null, group.generation), 27)
  a.join({ memberId: a.last.memberId })
  for (let at = 0; at < 31_000; at += 1000) {
    group.heartbeat(b.last.memberId, null, group.generation)
    clock.advance(1000)
  }
  assert.deepEqual([c.last.errorCode, group.members.size], [0, 2])
  assert.equal(group.heartbeat(b.last.memberId, null, 2), 25)
})

test('a silent member expires, a beating one stays', () => {
  const { clock, group, members } = stableGroup(2)
  const [a] = members
  assert.ok(a)
  for (let at = 0; at < 12_000; at += 2000) {
    group.heartbeat(a.last.memberId, null, group.generation)
    clock.advance(2000)
  }
  assert.deepEqual([...group.members.keys()], [a.last.memberId])
  assert.equal(group.state, GroupState.Preparing)
})

test('a leader that leaves hands over, the last one leaves the group empty', () => {
  const { group, members } = stableGroup(2)
  const [a, b] = members
  assert.ok(a && b)
  assert.equal(group.leave(a.last.memberId, null), 0)
  b.join({ memberId: b.last.memberId })
  assert.equal(b.last.leader, b.last.memberId)
  assert.equal(group.leave(b.last.memberId, null), 0)
  assert.equal(group.state, GroupState.Empty)
  assert.equal(group.leave(b.last.memberId, null), 25)
})

/** The consumer's own subscription, version 1: topics, user data, owned partitions. */
function subscription(topic: string, ...owned: number[]): Buffer {
  const writer = new Writer()
  writer.int16(1)
  writer.int32(1)
  writer.int16(topic.length)
  writer.text(topic, topic.length)
  writer.int32(-1)
  writer.int32(owned.length > 0 ? 1 : 0)
  if (owned.length > 0) {
    writer.int16(topic.length)
    writer.text(topic, topic.length)
    writer.int32(owned.length)
    for (const partition of owned) writer.int32(partition)
  }
  return Buffer.concat(writer.finish())
}

function staticMember(more: Partial<JoinAsk> = {}): { group: ClassicGroup; id: string; ask: Partial<JoinAsk> } {
  const group = makeGroup()
  const ask = { instanceId: 'i1', protocols: [{ name: 'range', metadata: subscription('t', 0, 1) }], ...more }
  const id = new Joined(group, ask).last.memberId
  group.sync(syncAsk(id, 'i1', 1, [{ memberId: id, assignment: Buffer.from('p0') }]), () => {})
  return { group, id, ask }
}

test('a static member that restarts takes its place without a rebalance and fences its former self', () => {
  const { group, id, ask } = staticMember()
  // What it owned before is not what it owns now; that is no news to the others.
  const protocols = [{ name: 'range', metadata: subscription('t') }]
  const again = new Joined(group, { ...ask, protocols, canSkipAssignment: true })
  assert.deepEqual([again.last.errorCode, again.last.generationId, again.last.skipAssignment], [0, 1, true])
  const syncs: SyncAnswer[] = []
  group.sync(syncAsk(again.last.memberId, 'i1', 1), (answer) => syncs.push(answer))
  assert.equal(syncs[0]?.assignment.toString(), 'p0')
  assert.equal(group.heartbeat(id, 'i1', 1), 82)
  assert.equal(group.mayCommit(id, 'i1', 1), 82)
  assert.equal(new Joined(group, { ...ask, memberId: id }).last.errorCode, 82)
})

test('a static member that restarts with other topics has the group rebalanced', () => {
  const { group, ask } = staticMember()
  const again = new Joined(group, { ...ask, protocols: [{ name: 'range', metadata: subscription('other') }] })
  assert.deepEqual([again.last.errorCode, again.last.generationId, group.state], [0, 2, GroupState.Completing])
})

test('static members that are away hold a rebalance up until their sessions end', () => {
  const clock = new VirtualClock(0)
  const group = makeGroup(clock)
  const a = new Joined(group, { instanceId: 'a', rebalanceTimeoutMs: 5000 })
  a.sync()
  const b = new Joined(group, { instanceId: 'b', rebalanceTimeoutMs: 5000 })
  assert.equal(group.leave('', 'b'), 0)
  clock.advance(6000)
  assert.deepEqual([group.state, group.members.size, b.last.errorCode], [GroupState.Preparing, 1, 25])
  clock.advance(5000)
  assert.deepEqual([group.state, group.members.size], [GroupState.Empty, 0])
})

test('a stored group is taken up where it was, and members that are silent expire', () => {
  const { group, members } = stableGroup(2)
  const clock = new VirtualClock(0)
  const again = makeGroup(clock)
  again.restore(group.snapshot)
  const [a, b] = members
  assert.ok(a && b)
  assert.deepEqual([again.state, again.generation, again.leader], [GroupState.Stable, 2, a.last.memberId])
  assert.equal(again.heartbeat(b.last.memberId, null, 2), 0)
  clock.advance(6000)
  assert.equal(again.heartbeat(b.last.memberId, null, 2), 0)
  clock.advance(6000)
  assert.deepEqual([...again.members.keys()], [b.last.memberId])
})

test('assignments are told when they are kept; when they can not be, nobody is told any', () => {
  let kept: ((error: Error | null) => void) | undefined
  const group = makeGroup(undefined, { store: (_group, done) => (kept = done) })
  const member = new Joined(group).sync()
  assert.equal(member.syncs.length, 0)
  kept?.(null)
  assert.equal(member.syncs[0]?.errorCode, 0)
  const other = new Joined(makeGroup(undefined, { store: (_group, done) => done(new Error('disk full')) })).sync()
  assert.equal(other.syncs[0]?.errorCode, 15)
})

test('protocols without a common one, another type, an old generation are refused', () => {
  const { group, members } = stableGroup(1)
  assert.equal(new Joined(group, { protocols: [{ name: 'other', metadata: Buffer.alloc(0) }] }).last.errorCode, 23)
  assert.equal(new Joined(group, { protocolType: 'connect' }).last.errorCode, 23)
  assert.equal(new Joined(group, { protocols: [] }).last.errorCode, 23)
  assert.equal(group.heartbeat(members[0]?.last.memberId ?? '', null, 99), 22)
  assert.equal(group.heartbeat('nobody', null, 1), 25)
})
