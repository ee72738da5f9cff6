// Groups over real sockets: what outlives a restart, what expires, who is refused.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type EmbeddedBroker, type StartBrokerOptions, startBroker } from '../../index.ts'
import { ApiKey } from './codec.ts'
import type { Message } from './schema.ts'
import { TestClient } from './test-client.ts'

async function started(t: TestContext, options: StartBrokerOptions = {}): Promise<{ broker: EmbeddedBroker; to: TestClient }> {
  const broker = await startBroker({ protocols: ['kafka'], ...options })
  const to = new TestClient(broker.port('kafka'))
  t.after(async () => {
    to.close()
    await broker.close()
  })
  return { broker, to }
}

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'anymq-kafka-groups-'))
  t.after(() => rm(made, { recursive: true, force: true }))
  return made
}

const joinBody = (groupId: string, memberId = ''): Message => ({
  groupId,
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 30_000,
  memberId,
  protocolType: 'consumer',
  protocols: [{ name: 'range', metadata: Buffer.from('opaque') }],
})

/** One member, alone and stable. */
async function member(to: TestClient, groupId: string): Promise<{ memberId: string; generationId: number }> {
  const first = await to.ask(ApiKey.JoinGroup, 9, joinBody(groupId))
  assert.equal(first['errorCode'], 79)
  const { memberId, generationId } = await to.ask(ApiKey.JoinGroup, 9, joinBody(groupId, first['memberId']))
  const assignments = [{ memberId, assignment: Buffer.from('mine') }]
  const sync = await to.ask(ApiKey.SyncGroup, 5, {
    groupId,
    generationId,
    memberId,
    protocolType: 'consumer',
    protocolName: 'range',
    assignments,
  })
  assert.deepEqual([sync['errorCode'], sync['assignment'].toString()], [0, 'mine'])
  return { memberId, generationId }
}

const commit = (to: TestClient, groupId: string, topic: string, more: Message = {}): Promise<Message> =>
  to.ask(ApiKey.OffsetCommit, 9, {
    groupId,
    topics: [{ name: topic, partitions: [{ partitionIndex: 0, committedOffset: 0 }] }],
    ...more,
  })

const createTopic = (to: TestClient, name: string): Promise<Message> =>
  to.ask(ApiKey.CreateTopics, 7, { topics: [{ name, numPartitions: 1, replicationFactor: 1 }], timeoutMs: 1000 })

test('members and their assignments outlive a restart: nobody has to join again', async (t) => {
  const storage = { folder: await folder(t) }
  const before = await startBroker({ protocols: ['kafka'], storage })
  const to = new TestClient(before.port('kafka'))
  const { memberId, generationId } = await member(to, 'kept')
  to.close()
  await before.close()
  const after = await started(t, { storage })
  const beat = await after.to.ask(ApiKey.Heartbeat, 4, { groupId: 'kept', generationId, memberId })
  assert.equal(beat['errorCode'], 0)
  const { groups } = await after.to.ask(ApiKey.DescribeGroups, 6, { groups: ['kept'] })
  assert.deepEqual(
    [groups[0].groupState, groups[0].members.map((each: Message) => each['memberAssignment'].toString())],
    ['Stable', ['mine']],
  )
})

test('offsets of a group without members expire after a week, and the group with them; others stay', async (t) => {
  const { broker, to } = await started(t)
  await createTopic(to, 'read')
  const { memberId, generationId } = await member(to, 'left')
  const own = { generationIdOrMemberEpoch: generationId, memberId }
  assert.equal((await commit(to, 'left', 'read', own))['topics'][0].partitions[0].errorCode, 0)
  await commit(to, 'simple', 'read')
  await to.ask(ApiKey.LeaveGroup, 5, { groupId: 'left', members: [{ memberId, groupInstanceId: null }] })
  const groups = async () => (await to.ask(ApiKey.ListGroups, 5, {}))['groups'].map((group: Message) => group['groupId']).sort()
  await broker.clock.advance('6d')
  assert.deepEqual(await groups(), ['left', 'simple'])
  await commit(to, 'simple', 'read')
  await broker.clock.advance('25h')
  for (let round = 0; round < 1000 && (await groups()).length > 1; round++);
  assert.deepEqual(await groups(), ['simple'])
})

test('a rebalance hides what members say and have; a dead group is none from version 6', async (t) => {
  const { broker, to } = await started(t)
  const { memberId } = await member(to, 'described')
  const leaving = new TestClient(broker.port('kafka'))
  t.after(() => leaving.close())
  const second = await leaving.ask(ApiKey.JoinGroup, 9, joinBody('described'))
  const joining = leaving.ask(ApiKey.JoinGroup, 9, joinBody('described', second['memberId'])).catch(() => undefined)
  let group: Message | undefined
  for (let round = 0; round < 1000 && group?.['groupState'] !== 'PreparingRebalance'; round++)
    group = (await to.ask(ApiKey.DescribeGroups, 6, { groups: ['described'] }))['groups'][0]
  const first = group?.['members'].find((each: Message) => each['memberId'] === memberId)
  assert.deepEqual([first.memberAssignment.length, group?.['protocolData']], [0, ''])
  const dead = async (version: number) => (await to.ask(ApiKey.DescribeGroups, version, { groups: ['nobody'] }))['groups'][0]
  assert.deepEqual([(await dead(5))['errorCode'], (await dead(6))['errorCode']], [0, 69])
  leaving.close()
  await joining
})
