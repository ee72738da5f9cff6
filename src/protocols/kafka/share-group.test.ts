// Share groups (KIP-932) over real sockets: membership, sessions, acquiring and acknowledging, locks, limits, dead letters, restart.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startBroker } from '../../index.ts'
import { openBatch } from './batch.ts'
import { createTopic, startForTests } from './broker.testing.ts'
import { ApiKey } from './codec.ts'
import type { Message } from './schema.ts'
import { TestClient } from './test-client.ts'

// One test puts another broker in their place for a while.
const main = await startForTests()
let { broker } = main
let to = main.client()

async function fill(topic: string, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await broker.publish(topic, `v${index}`)
}

async function configure(group: string, configs: Record<string, string>): Promise<number> {
  const list = Object.entries(configs).map(([name, value]) => ({ name, configOperation: 0, value }))
  const resources = [{ resourceType: 32, resourceName: group, configs: list }]
  return (await to.ask(ApiKey.IncrementalAlterConfigs, 1, { resources }))['responses'][0].errorCode
}

/** A member of a share group by hand, of one topic with one partition. */
class Member {
  epoch = 0
  memberEpoch = 0
  readonly client = new TestClient(broker.port('kafka'))
  readonly group: string
  readonly id: string
  readonly topicId: string
  constructor(group: string, id: string, topicId: string) {
    this.group = group
    this.id = id
    this.topicId = topicId
  }
  async heartbeat(topic: string, more: Message = {}): Promise<Message> {
    const body = { groupId: this.group, memberId: this.id, memberEpoch: this.memberEpoch, subscribedTopicNames: [topic], ...more }
    const answer = await this.client.ask(ApiKey.ShareGroupHeartbeat, 1, body)
    if (answer['errorCode'] === 0) this.memberEpoch = answer['memberEpoch']
    return answer
  }
  async ask(key: number, acknowledgementBatches: Message[], more: Message): Promise<Message> {
    const topics = [{ topicId: this.topicId, partitions: [{ partitionIndex: 0, acknowledgementBatches }] }]
    const answer = await this.client.ask(key, 2, {
      groupId: this.group,
      memberId: this.id,
      shareSessionEpoch: this.epoch,
      topics,
      ...more,
    })
    if (answer['errorCode'] === 0) this.epoch++
    return answer
  }
  /** The offsets and delivery counts that it got. */
  async fetch(acknowledgementBatches: Message[] = [], more: Message = {}): Promise<[number, number][]> {
    const limits = { maxWaitMs: 5000, minBytes: 1, maxBytes: 1 << 20, maxRecords: 500, batchSize: 500 }
    const answer = await this.ask(ApiKey.ShareFetch, acknowledgementBatches, { ...limits, ...more })
    assert.equal(answer['errorCode'], 0, answer['errorMessage'])
    const part = answer['responses'][0]?.partitions[0]
    if (part === undefined) return []
    assert.deepEqual([part.errorCode, part.acknowledgeErrorCode], [0, 0])
    const acquired = (part.acquiredRecords as Message[]).flatMap(({ firstOffset, lastOffset, deliveryCount }) =>
      Array.from({ length: lastOffset - firstOffset + 1 }, (_, index): [number, number] => [firstOffset + index, deliveryCount]),
    )
    if (acquired.length > 0) {
      const base = part.records.readInt32BE(4)
      const records = openBatch(part.records).map(({ offsetDelta }) => base + offsetDelta)
      assert.deepEqual(
        records,
        acquired.map(([offset]) => offset),
      )
    }
    return acquired
  }
  /** The error code of the partition. */
  async acknowledge(batches: Message[]): Promise<number> {
    const answer = await this.ask(ApiKey.ShareAcknowledge, batches, {})
    return answer['errorCode'] || answer['responses'][0].partitions[0].errorCode
  }
}

const ack = (firstOffset: number, lastOffset: number, ...acknowledgeTypes: number[]): Message => ({
  firstOffset,
  lastOffset,
  acknowledgeTypes,
})

async function joined(topic: string, topicId: string, group: string, id = 'm'): Promise<Member> {
  const member = new Member(group, id, topicId)
  assert.equal((await member.heartbeat(topic))['errorCode'], 0)
  return member
}

test('members are assigned partitions, all of them if there are more members, and are fenced by their epoch', async () => {
  const topicId = await createTopic(to, 'members', 2)
  const partitions = (answer: Message) => answer['assignment']?.topicPartitions[0]?.partitions
  const [a, b, c] = ['a', 'b', 'c'].map((id) => new Member('g1', id, topicId))
  assert.ok(a && b && c)
  assert.deepEqual(partitions(await a.heartbeat('members')), [0, 1])
  assert.deepEqual(partitions(await b.heartbeat('members')), [1])
  assert.deepEqual(partitions(await a.heartbeat('members', { subscribedTopicNames: null })), [0])
  assert.deepEqual(partitions(await c.heartbeat('members')), [0])
  assert.equal((await a.heartbeat('members', { memberEpoch: 9 }))['errorCode'], 110)
  assert.equal((await a.heartbeat('members', { memberId: 'nobody', memberEpoch: 1 }))['errorCode'], 25)
  const { groups } = await to.ask(ApiKey.ShareGroupDescribe, 1, { groupIds: ['g1', 'nowhere'] })
  assert.deepEqual([groups[0].groupState, groups[0].members.length, groups[1].errorCode], ['Stable', 3, 69])
  assert.equal((await a.heartbeat('members', { memberEpoch: -1 }))['memberEpoch'], -1)
  await broker.clock.advance('46s')
  const later = await to.ask(ApiKey.ShareGroupDescribe, 1, { groupIds: ['g1'] })
  assert.equal(later['groups'][0].groupState, 'Empty')
  for (const member of [a, b, c]) member.client.close()
})

test('accepted and rejected records are gone, released ones come again; a lock that ends is a delivery', async () => {
  const topicId = await createTopic(to, 'acks')
  await fill('acks', 0)
  assert.equal(await configure('g2', { 'share.auto.offset.reset': 'earliest' }), 0)
  await fill('acks', 6)
  const member = await joined('acks', topicId, 'g2')
  assert.deepEqual(
    await member.fetch(),
    [0, 1, 2, 3, 4, 5].map((offset) => [offset, 1]),
  )
  // One by one in a batch, and in a batch with one type.
  assert.equal(await member.acknowledge([ack(0, 2, 1, 2, 3), ack(3, 4, 1)]), 0)
  assert.deepEqual(await member.fetch([], { maxRecords: 1 }), [[1, 2]])
  await broker.clock.advance('31s')
  await member.heartbeat('acks')
  assert.equal(await member.acknowledge([ack(1, 1, 1)]), 121)
  assert.deepEqual(await member.fetch(), [
    [1, 3],
    [5, 2],
  ])
  assert.equal(await member.acknowledge([ack(1, 1, 1), ack(5, 5, 4)]), 0)
  await broker.clock.advance('29s')
  assert.equal(await member.acknowledge([ack(5, 5, 4)]), 0)
  await broker.clock.advance('29s')
  assert.equal(await member.acknowledge([ack(5, 5, 1)]), 0)
  const groups = [{ groupId: 'g2', topics: [{ topicName: 'acks', partitions: [0] }] }]
  const place = (await to.ask(ApiKey.DescribeShareGroupOffsets, 1, { groups }))['groups'][0].topics[0].partitions[0]
  assert.deepEqual([place.startOffset, place.lag], [6, 0])
  member.client.close()
})

test('what is not one’s own, not in order or no type is refused, and nothing of the partition happens', async () => {
  const topicId = await createTopic(to, 'refused')
  await configure('g3', { 'share.auto.offset.reset': 'earliest' })
  await fill('refused', 3)
  const member = await joined('refused', topicId, 'g3')
  const other = await joined('refused', topicId, 'g3', 'other')
  await member.fetch([], { maxRecords: 2 })
  await other.fetch()
  assert.equal(await member.acknowledge([ack(0, 2, 1)]), 121)
  assert.equal(await member.acknowledge([ack(1, 1, 1), ack(0, 0, 1)]), 42)
  assert.equal(await member.acknowledge([ack(0, 1, 1, 1, 1)]), 42)
  assert.equal(await member.acknowledge([ack(0, 0, 9)]), 42)
  assert.equal(await member.acknowledge([ack(0, 2 ** 40, 0)]), 121)
  assert.equal(await member.acknowledge([ack(0, 1, 1)]), 0)
  member.epoch = 77
  assert.equal(await member.acknowledge([]), 123)
  const nobody = new Member('g3', 'nobody', topicId)
  nobody.epoch = 1
  assert.equal((await nobody.ask(ApiKey.ShareFetch, [], { maxWaitMs: 0 }))['errorCode'], 122)
  nobody.epoch = 0
  assert.equal((await nobody.ask(ApiKey.ShareFetch, [ack(0, 0, 1)], { maxWaitMs: 0 }))['errorCode'], 42)
  for (const each of [member, other, nobody]) each.client.close()
})

test('what a member has goes back when its session or its connection ends, and does not count as delivered', async () => {
  const topicId = await createTopic(to, 'ends')
  await configure('g4', { 'share.auto.offset.reset': 'earliest' })
  await fill('ends', 2)
  const first = await joined('ends', topicId, 'g4', 'first')
  const second = await joined('ends', topicId, 'g4', 'second')
  assert.equal((await first.fetch()).length, 2)
  const waiting = second.fetch([], { maxWaitMs: 20_000 })
  first.client.close()
  assert.deepEqual(await waiting, [
    [0, 1],
    [1, 1],
  ])
  second.epoch = -1
  assert.deepEqual(await second.fetch([ack(0, 0, 1)]), [])
  second.epoch = 0
  assert.deepEqual(await second.fetch(), [[1, 1]])
  second.client.close()
})

test('as many records as the group may lock, as often as its limit says, then to the topic’s dead letters', async () => {
  await broker.publish('limited.dead', 'first')
  const topicId = await createTopic(to, 'limited')
  const response = await fetch(`${broker.url('http')}/v1/topics/limited`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ config: { deadLetter: { exchange: '', routingKey: 'limited.dead' } } }),
  }).catch(() => undefined)
  assert.equal(response?.status, 200, await response?.text())
  assert.equal(await configure('g5', { 'share.auto.offset.reset': 'earliest', 'share.delivery.count.limit': '2' }), 0)
  assert.equal(await configure('g5', { 'share.partition.max.record.locks': '100' }), 0)
  assert.equal(await configure('g5', { 'share.partition.max.record.locks': '99' }), 40)
  await fill('limited', 101)
  const member = await joined('limited', topicId, 'g5')
  assert.equal((await member.fetch()).length, 100)
  assert.equal(await member.acknowledge([ack(0, 0, 2), ack(1, 99, 1)]), 0)
  assert.deepEqual(await member.fetch(), [
    [0, 2],
    [100, 1],
  ])
  assert.equal(await member.acknowledge([ack(0, 0, 2), ack(100, 100, 1)]), 0)
  assert.deepEqual(await member.fetch([], { maxWaitMs: 0 }), [])
  const dead = await broker.messages('limited.dead')
  assert.deepEqual(
    dead.map(({ text }) => text),
    ['first', 'v0'],
  )
  member.client.close()
})

test('a new group begins at the end unless it is told otherwise, and is moved while it is empty', async () => {
  const topicId = await createTopic(to, 'moved')
  await fill('moved', 3)
  const member = await joined('moved', topicId, 'g6')
  assert.deepEqual(await member.fetch([], { maxWaitMs: 0 }), [])
  const alter = async (): Promise<number> => {
    const topics = [{ topicName: 'moved', partitions: [{ partitionIndex: 0, startOffset: 1 }] }]
    const answer = await to.ask(ApiKey.AlterShareGroupOffsets, 0, { groupId: 'g6', topics })
    return answer['errorCode'] || answer['responses'][0].partitions[0].errorCode
  }
  assert.equal(await alter(), 68)
  await member.heartbeat('moved', { memberEpoch: -1 })
  assert.equal(await alter(), 0)
  member.memberEpoch = 0
  await member.heartbeat('moved')
  assert.deepEqual(await member.fetch(), [
    [1, 1],
    [2, 1],
  ])
  assert.equal((await to.ask(ApiKey.DeleteGroups, 2, { groupsNames: ['g6'] }))['results'][0].errorCode, 68)
  await member.heartbeat('moved', { memberEpoch: -1 })
  assert.equal((await to.ask(ApiKey.DeleteGroups, 2, { groupsNames: ['g6'] }))['results'][0].errorCode, 0)
  assert.equal((await to.ask(ApiKey.ShareGroupDescribe, 1, { groupIds: ['g6'] }))['groups'][0].errorCode, 69)
  const status = await fetch(`${broker.url('http')}/v1/topics/moved`)
  assert.equal(status.status, 200)
  assert.ok(!(await status.text()).includes('g6'), 'its subscription is gone')
  member.client.close()
})

test('a group is of one kind; its feature can be taken back', async () => {
  const topicId = await createTopic(to, 'kinds')
  const member = await joined('kinds', topicId, 'g7')
  const consumer = {
    groupId: 'g7',
    memberId: 'c',
    memberEpoch: 0,
    rebalanceTimeoutMs: 1000,
    subscribedTopicNames: ['kinds'],
    topicPartitions: [],
  }
  assert.equal((await to.ask(ApiKey.ConsumerGroupHeartbeat, 1, consumer))['errorCode'], 69)
  const listed = (await to.ask(ApiKey.ListGroups, 5, { typesFilter: ['share'] }))['groups']
  assert.ok(listed.some((group: Message) => group['groupId'] === 'g7' && group['protocolType'] === 'share'))
  const level = (maxVersionLevel: number, upgradeType: number) =>
    to.ask(ApiKey.UpdateFeatures, 1, {
      timeoutMs: 1000,
      featureUpdates: [{ feature: 'share.version', maxVersionLevel, upgradeType }],
    })
  assert.equal((await level(0, 2))['errorCode'], 0)
  assert.equal((await member.heartbeat('kinds'))['errorCode'], 35)
  assert.equal((await level(1, 1))['errorCode'], 0)
  assert.equal((await member.heartbeat('kinds'))['errorCode'], 0)
  member.client.close()
})

test('members, what is done and how often the rest was delivered outlive a restart', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'anymq-kafka-share-group-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const [mainBroker, mainClient] = [broker, to]
  try {
    broker = await startBroker({ protocols: ['kafka'], storage: { folder } })
    to = new TestClient(broker.port('kafka'))
    const topicId = await createTopic(to, 'kept')
    await configure('g8', { 'share.auto.offset.reset': 'earliest' })
    await fill('kept', 3)
    const member = await joined('kept', topicId, 'g8')
    await member.fetch()
    assert.equal(await member.acknowledge([ack(0, 0, 1), ack(1, 2, 2)]), 0)
    member.client.close()
    to.close()
    await broker.close()
    broker = await startBroker({ protocols: ['kafka'], storage: { folder } })
    to = new TestClient(broker.port('kafka'))
    const again = new Member('g8', 'm', topicId)
    again.memberEpoch = member.memberEpoch
    assert.equal((await again.heartbeat('kept'))['errorCode'], 0)
    assert.deepEqual(await again.fetch(), [
      [1, 2],
      [2, 2],
    ])
    again.client.close()
  } finally {
    to.close()
    await broker.close()
    ;[broker, to] = [mainBroker, mainClient]
  }
})
