import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../../lib/timers.ts'
import { Group, GroupState, type JoinAnswer, type JoinAsk, type SyncAnswer } from './group.ts'

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

class Joined {
  answers: JoinAnswer[] = []
  syncs: SyncAnswer[] = []
  readonly group: Group
  constructor(group: Group, more: Partial<JoinAsk> = {}) {
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
    this.group.sync(this.last.memberId, null, this.last.generationId, { type: null, name: null }, assignments, (answer) =>
      this.syncs.push(answer),
    )
    return this
  }
}

function stableGroup(count: number): { clock: VirtualClock; group: Group; members: Joined[] } {
  const clock = new VirtualClock(0)
  const group = new Group('g', clock)
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
  const member = new Joined(new Group('g', new VirtualClock(0)))
  assert.deepEqual([member.last.errorCode, member.last.generationId, member.last.leader], [0, 1, member.last.memberId])
  assert.equal(member.last.members.length, 1)
})

test('from version 4 a new member is told its id first, and an id that never came back is not waited for', () => {
  const clock = new VirtualClock(0)
  const group = new Group('g', clock)
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

test('a static member that restarts takes its place without a rebalance and fences its former self', () => {
  const group = new Group('g', new VirtualClock(0))
  const first = new Joined(group, { instanceId: 'i1' })
  const firstId = first.last.memberId
  group.sync(firstId, 'i1', 1, { type: null, name: null }, [{ memberId: firstId, assignment: Buffer.from('p0') }], () => {})
  const again = new Joined(group, { instanceId: 'i1', canSkipAssignment: true })
  assert.deepEqual([again.last.errorCode, again.last.generationId, again.last.skipAssignment], [0, 1, true])
  let assignment = ''
  group.sync(
    again.last.memberId,
    'i1',
    1,
    { type: null, name: null },
    [],
    (answer) => (assignment = answer.assignment.toString()),
  )
  assert.equal(assignment, 'p0')
  assert.equal(group.heartbeat(firstId, 'i1', 1), 82)
})

test('protocols without a common one, another type, an old generation are refused', () => {
  const { group, members } = stableGroup(1)
  assert.equal(new Joined(group, { protocols: [{ name: 'other', metadata: Buffer.alloc(0) }] }).last.errorCode, 23)
  assert.equal(new Joined(group, { protocolType: 'connect' }).last.errorCode, 23)
  assert.equal(new Joined(group, { protocols: [] }).last.errorCode, 23)
  assert.equal(group.heartbeat(members[0]?.last.memberId ?? '', null, 99), 22)
  assert.equal(group.heartbeat('nobody', null, 1), 25)
})
