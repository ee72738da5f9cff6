// Consumer groups (KIP-848) over real sockets: heartbeats, epochs, reconciliation, static members, patterns, fencing, restart, migration.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startBroker } from '../../index.ts'
import { createTopic, startForTests } from './broker.testing.ts'
import { ApiKey } from './codec.ts'
import type { Message } from './schema.ts'
import { TestClient } from './test-client.ts'
import { Writer } from './wire.ts'

// One test puts another broker in their place for a while.
const main = await startForTests()
let { broker } = main
let to = main.client()

/** A client of the consumer protocol by hand: joins, acknowledges what it is told, leaves. */
class Consumer {
  epoch = 0
  owned = new Map<string, number[]>()
  last: Message = {}
  readonly group: string
  readonly id: string
  readonly more: Message
  constructor(group: string, id: string, more: Message) {
    this.group = group
    this.id = id
    this.more = more
  }
  async beat(more: Message = {}): Promise<Message> {
    const topicPartitions = [...this.owned].map(([topicId, partitions]) => ({ topicId, partitions }))
    const joining = this.epoch === 0
    this.last = await to.ask(ApiKey.ConsumerGroupHeartbeat, 1, {
      groupId: this.group,
      memberId: this.id,
      memberEpoch: this.epoch,
      rebalanceTimeoutMs: joining ? 5000 : -1,
      topicPartitions: joining ? [] : topicPartitions,
      ...(joining ? this.more : {}),
      ...more,
    })
    if (this.last['errorCode'] === 0) this.epoch = this.last['memberEpoch']
    return this.last
  }
  /** Beats, and takes over what it is told to have. */
  async follow(): Promise<this> {
    const { errorCode, errorMessage, assignment } = await this.beat()
    assert.equal(errorCode, 0, errorMessage)
    if (assignment !== null)
      this.owned = new Map(assignment.topicPartitions.map((topic: Message) => [topic['topicId'], topic['partitions']]))
    return this
  }
  get count(): number {
    return [...this.owned.values()].flat().length
  }
}

const describe = async (group: string): Promise<Message> =>
  (await to.ask(ApiKey.ConsumerGroupDescribe, 1, { groupIds: [group] }))['groups'][0]

test('two members share; who had all gives up first, then the other takes', async () => {
  const topicId = await createTopic(to, 'shared', 4)
  const topics = { subscribedTopicNames: ['shared'] }
  const a = await new Consumer('g1', 'a', topics).follow()
  assert.deepEqual([a.epoch, a.owned.get(topicId)], [1, [0, 1, 2, 3]])
  const b = await new Consumer('g1', 'b', topics).follow()
  assert.deepEqual([b.epoch, b.count], [2, 0])
  assert.equal((await describe('g1'))['groupState'], 'Reconciling')
  await a.follow()
  assert.deepEqual([a.epoch, a.count], [1, 2])
  assert.equal((await b.follow()).count, 0)
  await a.follow()
  assert.equal(a.epoch, 2)
  assert.equal((await b.follow()).count, 2)
  assert.deepEqual([...(a.owned.get(topicId) ?? []), ...(b.owned.get(topicId) ?? [])].sort(), [0, 1, 2, 3])
  const group = await describe('g1')
  assert.deepEqual([group['groupState'], group['assignorName'], group['members'].length], ['Stable', 'uniform', 2])
  // Nothing is told twice.
  assert.equal((await b.beat())['assignment'], null)
  assert.equal((await b.beat({ memberEpoch: -1 }))['memberEpoch'], -1)
  await a.follow()
  assert.deepEqual([a.epoch, a.count], [3, 4])
})

test('an epoch that is not the member’s is fenced, the one before is not when only its answer was lost', async () => {
  await createTopic(to, 'fenced', 1)
  const a = await new Consumer('g2', 'a', { subscribedTopicNames: ['fenced'] }).follow()
  assert.equal((await a.beat({ memberEpoch: 9 }))['errorCode'], 110)
  assert.equal(
    (await a.beat({ memberEpoch: 0, rebalanceTimeoutMs: 1000, subscribedTopicNames: ['fenced'], topicPartitions: [] }))[
      'errorCode'
    ],
    0,
  )
  await a.beat({ subscribedTopicNames: ['fenced', 'more'] })
  assert.equal(a.epoch, 2)
  assert.equal((await a.beat({ memberEpoch: 1 }))['errorCode'], 0)
  assert.equal((await a.beat({ memberEpoch: 1, topicPartitions: null }))['errorCode'], 110)
  assert.equal((await new Consumer('g2', 'nobody', {}).beat({ memberEpoch: 1 }))['errorCode'], 25)
  assert.equal((await new Consumer('nowhere', 'nobody', {}).beat({ memberEpoch: 1 }))['errorCode'], 69)
})

test('what the protocol does not allow is refused with its reason', async () => {
  const beat = async (more: Message): Promise<[number, string]> => {
    const { errorCode, errorMessage } = await new Consumer('g3', 'a', { subscribedTopicNames: ['x'] }).beat(more)
    return [errorCode, errorMessage]
  }
  assert.deepEqual(await beat({ memberId: '' }), [42, "MemberId can't be empty."])
  assert.deepEqual(await beat({ memberEpoch: -2 }), [42, "InstanceId can't be null."])
  assert.equal((await beat({ rebalanceTimeoutMs: -1 }))[0], 42)
  assert.equal((await beat({ subscribedTopicNames: null }))[0], 42)
  assert.equal((await beat({ topicPartitions: null }))[0], 42)
  assert.equal((await beat({ serverAssignor: 'mine' }))[0], 112)
  assert.equal((await beat({ subscribedTopicRegex: '(?=a)' }))[0], 128)
  assert.equal((await beat({ subscribedTopicRegex: '((a{0,100}){0,100}){0,100}' }))[0], 128)
})

test('a pattern follows topics that come and go, and partitions that are added', async () => {
  const first = await createTopic(to, 'logs.a', 1)
  const a = await new Consumer('g4', 'a', { subscribedTopicRegex: 'logs\\..*' }).follow()
  assert.deepEqual([...a.owned.keys()], [first])
  const second = await createTopic(to, 'logs.b', 2)
  await createTopic(to, 'other', 1)
  await broker.clock.advance(1000)
  await a.follow()
  assert.deepEqual([...a.owned.keys()].sort(), [first, second].sort())
  await to.ask(ApiKey.CreatePartitions, 3, { topics: [{ name: 'logs.a', count: 3, assignments: null }], timeoutMs: 1000 })
  await broker.clock.advance(1000)
  assert.equal((await a.follow()).count, 5)
  await to.ask(ApiKey.DeleteTopics, 5, { topicNames: ['logs.b'], timeoutMs: 1000 })
  await broker.clock.advance(1000)
  assert.equal((await a.follow()).count, 3)
})

test('a static member that comes back has what it had; another may take its place only when it has left', async () => {
  await createTopic(to, 'static', 2)
  const topics = { subscribedTopicNames: ['static'], instanceId: 'i' }
  const a = await new Consumer('g5', 'a', topics).follow()
  assert.equal((await new Consumer('g5', 'b', topics).beat())['errorCode'], 111)
  assert.equal((await a.beat({ memberEpoch: -2, instanceId: 'i' }))['memberEpoch'], -2)
  const b = await new Consumer('g5', 'b', topics).follow()
  assert.deepEqual([b.count, (await describe('g5'))['groupEpoch']], [2, 1])
  assert.equal((await a.beat({ memberEpoch: 1, instanceId: 'i' }))['errorCode'], 82)
})

test('a silent member goes after its session, one that does not give up after its rebalance timeout', async () => {
  await createTopic(to, 'timed', 2)
  const topics = { subscribedTopicNames: ['timed'] }
  const a = await new Consumer('g6', 'a', topics).follow()
  const b = await new Consumer('g6', 'b', topics).follow()
  await a.beat()
  await broker.clock.advance(5100)
  assert.equal((await a.beat())['errorCode'], 25)
  assert.equal((await b.follow()).count, 2)
  await broker.clock.advance('45s')
  assert.deepEqual([(await describe('g6'))['groupState'], (await describe('g6'))['members'].length], ['Empty', 0])
})

test('offsets are committed and fetched by members of the epoch alone, and by anybody in an empty group', async () => {
  await createTopic(to, 'offsets', 1)
  const a = await new Consumer('g7', 'a', { subscribedTopicNames: ['offsets'] }).follow()
  const commit = async (memberId: string, generationIdOrMemberEpoch: number): Promise<number> => {
    const topics = [{ name: 'offsets', partitions: [{ partitionIndex: 0, committedOffset: 0 }] }]
    const answer = await to.ask(ApiKey.OffsetCommit, 9, { groupId: 'g7', memberId, generationIdOrMemberEpoch, topics })
    return answer['topics'][0].partitions[0].errorCode
  }
  assert.deepEqual([await commit('a', 1), await commit('a', 0), await commit('b', 1), await commit('', -1)], [0, 113, 25, 25])
  const fetch = async (memberId: string | null, memberEpoch: number): Promise<number> =>
    (await to.ask(ApiKey.OffsetFetch, 9, { groups: [{ groupId: 'g7', memberId, memberEpoch, topics: null }] }))['groups'][0]
      .errorCode
  assert.deepEqual([await fetch('a', 1), await fetch('a', 7), await fetch('b', 1), await fetch(null, -1)], [0, 113, 25, 0])
  await a.beat({ memberEpoch: -1 })
  assert.equal(await commit('', -1), 0)
})

test('a member that has not learned of the newest epoch commits to what it kept, not to what it gave up (KIP-1251)', async () => {
  const topicId = await createTopic(to, 'late', 2)
  const a = await new Consumer('g9', 'a', { subscribedTopicNames: ['late'] }).follow()
  const b = await new Consumer('g9', 'b', { subscribedTopicNames: ['late'] }).follow()
  await a.follow()
  await a.follow()
  await b.follow()
  const [kept = -1] = a.owned.get(topicId) ?? []
  assert.deepEqual([a.epoch, a.count, b.count], [2, 1, 1])
  const commit = async (partitionIndex: number, generationIdOrMemberEpoch: number): Promise<number> => {
    const topics = [{ name: 'late', partitions: [{ partitionIndex, committedOffset: 0 }] }]
    const answer = await to.ask(ApiKey.OffsetCommit, 9, { groupId: 'g9', memberId: 'a', generationIdOrMemberEpoch, topics })
    return answer['topics'][0].partitions[0].errorCode
  }
  assert.deepEqual([await commit(kept, 1), await commit(1 - kept, 1), await commit(kept, 3)], [0, 113, 113])
})

test('listings know the kind of a group, and each describe call its own', async () => {
  await createTopic(to, 'listed', 1)
  await new Consumer('g8', 'a', { subscribedTopicNames: ['listed'] }).follow()
  const list = async (more: Message) =>
    (await to.ask(ApiKey.ListGroups, 5, more))['groups'].filter((group: Message) => group['groupId'] === 'g8')
  const [listed] = await list({})
  assert.deepEqual([listed.groupType, listed.protocolType, listed.groupState], ['consumer', 'consumer', 'Stable'])
  assert.equal((await list({ typesFilter: ['classic'] })).length, 0)
  assert.equal((await list({ statesFilter: ['Empty'] })).length, 0)
  const { groups } = await to.ask(ApiKey.DescribeGroups, 6, { groups: ['g8'] })
  assert.equal(groups[0].errorCode, 69)
  assert.equal((await to.ask(ApiKey.DeleteGroups, 2, { groupsNames: ['g8'] }))['results'][0].errorCode, 68)
})

test('members, epochs and assignments outlive a restart', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'anymq-kafka-consumer-group-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const [mainBroker, mainClient] = [broker, to]
  try {
    broker = await startBroker({ protocols: ['kafka'], storage: { folder } })
    to = new TestClient(broker.port('kafka'))
    await createTopic(to, 'kept', 2)
    const a = await new Consumer('kept', 'a', { subscribedTopicNames: ['kept'] }).follow()
    const b = await new Consumer('kept', 'b', { subscribedTopicNames: ['kept'] }).follow()
    await a.follow()
    to.close()
    await broker.close()
    broker = await startBroker({ protocols: ['kafka'], storage: { folder } })
    to = new TestClient(broker.port('kafka'))
    // In the middle of the rebalance: a has still to say that it gave one partition up.
    assert.equal((await b.follow()).count, 0)
    await a.follow()
    assert.deepEqual([a.epoch, a.count, (await b.follow()).count], [2, 1, 1])
    const [, , member] = [0, 0, (await describe('kept'))['members'][0]]
    assert.deepEqual(member.subscribedTopicNames, ['kept'])
  } finally {
    to.close()
    await broker.close()
    ;[broker, to] = [mainBroker, mainClient]
  }
})

// ------------------------------------------------------------------------------------------------------------------------ migration

/** The consumer's own subscription, version 1. */
function subscription(topic: string, owned: readonly number[]): Buffer {
  const writer = new Writer()
  const text = (value: string): void => {
    writer.int16(value.length)
    writer.text(value, value.length)
  }
  writer.int16(1)
  writer.int32(1)
  text(topic)
  writer.int32(-1)
  writer.int32(owned.length > 0 ? 1 : 0)
  if (owned.length > 0) {
    text(topic)
    writer.int32(owned.length)
    for (const partition of owned) writer.int32(partition)
  }
  return Buffer.concat(writer.finish())
}

function partitionsIn(assignment: Buffer): number[] {
  // version, topics, name, partitions
  if (assignment.readInt32BE(2) === 0) return []
  const at = 8 + assignment.readInt16BE(6)
  return Array.from({ length: assignment.readInt32BE(at) }, (_, index) => assignment.readInt32BE(at + 4 + 4 * index))
}

/** A classic cooperative client by hand. */
class Classic {
  id = ''
  generation = -1
  owned: number[] = []
  readonly client = new TestClient(broker.port('kafka'))
  readonly group: string
  readonly topic: string
  constructor(group: string, topic: string) {
    this.group = group
    this.topic = topic
  }
  async join(): Promise<Message> {
    const body = (): Message => ({
      groupId: this.group,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
      memberId: this.id,
      protocolType: 'consumer',
      protocols: [{ name: 'cooperative-sticky', metadata: subscription(this.topic, this.owned) }],
    })
    if (this.id === '') this.id = (await this.client.ask(ApiKey.JoinGroup, 9, body()))['memberId']
    const joined = await this.client.ask(ApiKey.JoinGroup, 9, body())
    this.generation = joined['generationId']
    return joined
  }
  async sync(assignments: Message[] = []): Promise<number> {
    const own = { groupId: this.group, generationId: this.generation, memberId: this.id }
    const names = { protocolType: 'consumer', protocolName: 'cooperative-sticky' }
    const answer = await this.client.ask(ApiKey.SyncGroup, 5, { ...own, ...names, assignments })
    if (answer['errorCode'] === 0) this.owned = partitionsIn(answer['assignment'])
    return answer['errorCode']
  }
  async beat(): Promise<number> {
    const own = { groupId: this.group, generationId: this.generation, memberId: this.id }
    return (await this.client.ask(ApiKey.Heartbeat, 4, own))['errorCode']
  }
}

function assignment(topic: string, partitions: readonly number[]): Buffer {
  const writer = new Writer()
  writer.int16(1)
  writer.int32(1)
  writer.int16(topic.length)
  writer.text(topic, topic.length)
  writer.int32(partitions.length)
  for (const partition of partitions) writer.int32(partition)
  writer.int32(-1)
  return Buffer.concat(writer.finish())
}

test('a classic group becomes a consumer group when a member of that protocol joins, and a classic one when the last of them leaves', async (t) => {
  const topicId = await createTopic(to, 'migrated', 4)
  const old = new Classic('m1', 'migrated')
  t.after(() => old.client.close())
  await old.join()
  assert.equal(await old.sync([{ memberId: old.id, assignment: assignment('migrated', [0, 1, 2, 3]) }]), 0)
  assert.deepEqual(old.owned, [0, 1, 2, 3])

  const fresh = await new Consumer('m1', 'new', { subscribedTopicNames: ['migrated'] }).follow()
  assert.deepEqual([fresh.count, fresh.epoch], [0, 2])
  const members = (await describe('m1'))['members'].map((member: Message) => member['memberType'])
  assert.deepEqual(members.sort(), [0, 1])
  // The classic member is told to join; it keeps two, gives two up, and says so with another join.
  assert.equal(await old.beat(), 27)
  await old.join()
  assert.equal(await old.sync(), 0)
  assert.equal(old.owned.length, 2)
  assert.equal((await fresh.follow()).count, 0)
  assert.equal(await old.beat(), 27)
  await old.join()
  assert.equal(await old.sync(), 0)
  assert.deepEqual([old.generation, await old.beat()], [2, 0])
  await fresh.follow()
  assert.deepEqual([...(fresh.owned.get(topicId) ?? []), ...old.owned].sort(), [0, 1, 2, 3])

  await fresh.beat({ memberEpoch: -1 })
  const { groups } = await to.ask(ApiKey.DescribeGroups, 6, { groups: ['m1'] })
  assert.deepEqual([groups[0].errorCode, groups[0].members.length], [0, 1])
  assert.equal(await old.beat(), 27)
  const joined = await old.join()
  assert.deepEqual([joined['leader'], joined['members'].length], [old.id, 1])
  assert.equal(await old.sync([{ memberId: old.id, assignment: assignment('migrated', [0, 1, 2, 3]) }]), 0)
  assert.equal(await old.beat(), 0)
})

test('a classic member joins a consumer group; a classic group of other words can not become one', async (t) => {
  await createTopic(to, 'joined', 2)
  const first = await new Consumer('m2', 'a', { subscribedTopicNames: ['joined'] }).follow()
  const second = new Classic('m2', 'joined')
  t.after(() => second.client.close())
  await second.join()
  assert.equal(await second.sync(), 0)
  assert.deepEqual(second.owned, [])
  await first.follow()
  await first.follow()
  assert.equal(await second.beat(), 27)
  await second.join()
  assert.equal(await second.sync(), 0)
  assert.deepEqual([first.count, second.owned.length], [1, 1])
  const body = { groupId: 'connect', sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, memberId: '', protocolType: 'connect' }
  const alien = await second.client.ask(ApiKey.JoinGroup, 9, { ...body, protocols: [{ name: 'v1', metadata: Buffer.alloc(4) }] })
  assert.equal(alien['errorCode'], 79)
})
