import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../../lib/timers.ts'
import { buildBatch } from './batch.ts'
import { createTopic, startForTests } from './broker.testing.ts'
import { ApiKey } from './codec.ts'
import { FetchSession, FetchSessions, type PartAsk } from './fetch-session.ts'
import { recordFormat } from './mapping.ts'
import type { Message } from './schema.ts'
import type { TestClient } from './test-client.ts'

const { client } = await startForTests()

async function produce(to: TestClient, name: string, index: number, value: Buffer | string): Promise<void> {
  const body = recordFormat.fromAttributes({ key: null, value: Buffer.from(value), headers: [] }).subarray(9)
  const records = buildBatch([{ offset: 0, timestamp: 1_700_000_000_000, body }], 0, 1)
  const topicData = [{ name, partitionData: [{ index, records }] }]
  const { responses } = await to.ask(ApiKey.Produce, 9, { acks: -1, timeoutMs: 1000, topicData })
  assert.equal(responses[0].partitionResponses[0].errorCode, 0)
}

const asks = (count: number, fetchOffset = 0, partitionMaxBytes = 1 << 20): Message[] =>
  Array.from({ length: count }, (_, partition) => ({ partition, fetchOffset, partitionMaxBytes }))

const fetch = (to: TestClient, more: Message, version = 12): Promise<Message> =>
  to.ask(ApiKey.Fetch, version, { maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 20, topics: [], ...more })

const named = (answer: Message): [number, number][] =>
  (answer['responses'] as Message[]).flatMap((topic) =>
    (topic['partitions'] as Message[]).map((part): [number, number] => [part['partitionIndex'], part['errorCode']]),
  )

test('a full request names all, an incremental one is told only what changed', async () => {
  const to = client()
  await createTopic(to, 'changing', 3)
  const full = await fetch(to, { sessionEpoch: 0, topics: [{ topic: 'changing', partitions: asks(3) }] })
  assert.notEqual(full['sessionId'], 0)
  assert.equal(named(full).length, 3)
  const { sessionId } = full
  assert.deepEqual(named(await fetch(to, { sessionId, sessionEpoch: 1 })), [])
  await produce(to, 'changing', 1, 'x')
  const news = await fetch(to, { sessionId, sessionEpoch: 2, maxWaitMs: 5000 })
  assert.deepEqual(named(news), [[1, 0]])
  assert.equal(news['sessionId'], sessionId)
  assert.ok(news['responses'][0].partitions[0].records.length > 0)
  // Not moved on, so it is still there; moved on, there is nothing to say.
  assert.deepEqual(named(await fetch(to, { sessionId, sessionEpoch: 3 })), [[1, 0]])
  const moved = [{ topic: 'changing', partitions: [{ partition: 1, fetchOffset: 1, partitionMaxBytes: 1000 }] }]
  assert.deepEqual(named(await fetch(to, { sessionId, sessionEpoch: 4, topics: moved })), [])
})

test('a waiting incremental fetch is woken by any partition of its session, once for one write', async () => {
  const to = client()
  const other = client()
  const topicId = await createTopic(to, 'many', 200)
  const topics = [{ topicId, partitions: asks(200) }]
  const { sessionId } = await fetch(to, { sessionEpoch: 0, topics }, 17)
  const waiting = fetch(to, { sessionId, sessionEpoch: 1, maxWaitMs: 10_000 }, 17)
  await produce(other, 'many', 150, 'x')
  const answer = await waiting
  assert.equal(answer['responses'][0].topicId, topicId)
  assert.deepEqual(named(answer), [[150, 0]])
})

test('an epoch out of turn and an unknown session are refused; the session goes on where it was', async () => {
  const to = client()
  await createTopic(to, 'epochs', 1)
  const topics = [{ topic: 'epochs', partitions: asks(1) }]
  const { sessionId } = await fetch(to, { sessionEpoch: 0, topics })
  assert.equal((await fetch(to, { sessionId, sessionEpoch: 7 }))['errorCode'], 71)
  assert.equal((await fetch(to, { sessionId: sessionId + 1, sessionEpoch: 1 }))['errorCode'], 70)
  assert.equal((await fetch(to, { sessionId, sessionEpoch: 1 }, 17))['errorCode'], 106)
  assert.equal((await fetch(to, { sessionId, sessionEpoch: 1 }))['errorCode'], 0)
})

test('forgotten partitions are not told of; a session of none, or one ended with epoch -1, is gone', async () => {
  const to = client()
  await createTopic(to, 'forgotten', 2)
  const topics = [{ topic: 'forgotten', partitions: asks(2) }]
  const { sessionId } = await fetch(to, { sessionEpoch: 0, topics })
  await produce(to, 'forgotten', 0, 'x')
  const forgottenTopicsData = [{ topic: 'forgotten', partitions: [0] }]
  assert.deepEqual(named(await fetch(to, { sessionId, sessionEpoch: 1, forgottenTopicsData })), [])
  const rest = [{ topic: 'forgotten', partitions: [1] }]
  const last = await fetch(to, { sessionId, sessionEpoch: 2, forgottenTopicsData: rest, maxWaitMs: 10_000 })
  assert.deepEqual([last['sessionId'], named(last)], [0, []])
  assert.equal((await fetch(to, { sessionId, sessionEpoch: 3 }))['errorCode'], 70)
  const again = await fetch(to, { sessionEpoch: 0, topics })
  const ended = await fetch(to, { sessionId: again['sessionId'], sessionEpoch: -1, topics })
  assert.deepEqual([ended['sessionId'], named(ended).length], [0, 2])
  assert.equal((await fetch(to, { sessionId: again['sessionId'], sessionEpoch: 1 }))['errorCode'], 70)
})

test('a partition in error is told each time, and once more when it is mended', async () => {
  const to = client()
  const topics = [{ topic: 'not-yet', partitions: asks(1) }]
  const { sessionId } = await fetch(to, { sessionEpoch: 0, topics })
  assert.deepEqual(named(await fetch(to, { sessionId, sessionEpoch: 1 })), [[0, 3]])
  await createTopic(to, 'not-yet', 1)
  assert.deepEqual(named(await fetch(to, { sessionId, sessionEpoch: 2 })), [[0, 0]])
  assert.deepEqual(named(await fetch(to, { sessionId, sessionEpoch: 3 })), [])
})

test('a deleted topic wakes the session; its id is unknown from then on, also when the name lives again', async () => {
  const to = client()
  const topicId = await createTopic(to, 'deleted', 1)
  const { sessionId } = await fetch(to, { sessionEpoch: 0, topics: [{ topicId, partitions: asks(1) }] }, 17)
  const waiting = fetch(to, { sessionId, sessionEpoch: 1, maxWaitMs: 10_000 }, 17)
  await client().ask(ApiKey.DeleteTopics, 5, { topicNames: ['deleted'], timeoutMs: 1000 })
  assert.deepEqual(named(await waiting), [[0, 100]])
  await createTopic(client(), 'deleted', 1)
  assert.deepEqual(named(await fetch(to, { sessionId, sessionEpoch: 2 }, 17)), [[0, 100]])
})

test('a fetch waits until min bytes are there, from all its partitions together', async () => {
  const to = client()
  const other = client()
  await createTopic(to, 'enough', 2)
  const topics = [{ topic: 'enough', partitions: asks(2) }]
  const waiting = fetch(to, { sessionEpoch: 0, topics, minBytes: 2000, maxWaitMs: 20_000 })
  await produce(other, 'enough', 0, Buffer.alloc(1500))
  await produce(other, 'enough', 1, Buffer.alloc(1500))
  const answer = await waiting
  const sizes = answer['responses'][0].partitions.map((part: Message) => part['records'].length > 1500)
  assert.deepEqual(sizes, [true, true])
})

test('byte limits: the first partition gives one batch however big, the others what fits, and all have a turn', async () => {
  const to = client()
  await createTopic(to, 'limits', 3)
  for (const partition of [0, 1, 2]) await produce(to, 'limits', partition, Buffer.alloc(1500))
  const topics = [{ topic: 'limits', partitions: asks(3, 0, 100) }]
  const full = await fetch(to, { sessionEpoch: 0, topics })
  const lengths = (answer: Message) => answer['responses'][0].partitions.map((part: Message) => part['records'].length > 0)
  assert.deepEqual(lengths(full), [true, false, false])
  const { sessionId } = full
  const turns: number[] = []
  for (const sessionEpoch of [1, 2, 3]) turns.push(named(await fetch(to, { sessionId, sessionEpoch }))[0]?.[0] ?? -1)
  assert.deepEqual(turns, [1, 2, 0])
})

test('a later request of the same session has the waiting one answered', async () => {
  const to = client()
  await createTopic(to, 'overtaken', 1)
  const topics = [{ topic: 'overtaken', partitions: asks(1) }]
  const { sessionId } = await fetch(to, { sessionEpoch: 0, topics })
  const first = fetch(to, { sessionId, sessionEpoch: 1, maxWaitMs: 20_000 })
  const other = client()
  let second = await fetch(other, { sessionId, sessionEpoch: 2 })
  // Too early as long as the first has not arrived on its own connection.
  for (let round = 0; round < 1000 && second['errorCode'] === 71; round++)
    second = await fetch(other, { sessionId, sessionEpoch: 2 })
  assert.deepEqual([named(await first), second['errorCode'], named(second)], [[], 0, []])
})

const ask = (partition: number): PartAsk => ({ topic: 't', topicId: '', partition, offset: 0, maxBytes: 1, requestError: 0 })

test('the cache gives way to the newcomer only by age of use or by size, and is bounded', () => {
  const clock = new VirtualClock(0)
  const sessions = new FetchSessions(clock, 2)
  const small = sessions.open([ask(0)], false, true)
  const large = sessions.open([ask(0), ask(1)], false, true)
  assert.ok(sessions.isKept(small) && sessions.isKept(large))
  assert.equal(sessions.open([ask(0)], false, true).id, 0)
  clock.advance(100_000)
  assert.ok(sessions.continue(large.id, 1, false) instanceof FetchSession)
  assert.ok(sessions.continue(small.id, 1, false) instanceof FetchSession)
  clock.advance(100_000)
  // Both are in use and old enough; only a larger newcomer takes the place, of the smallest.
  assert.equal(sessions.open([ask(0)], false, true).id, 0)
  assert.ok(sessions.isKept(sessions.open([ask(0), ask(1)], false, true)))
  assert.deepEqual([sessions.isKept(small), sessions.isKept(large), sessions.size], [false, true, 2])
  clock.advance(121_000)
  assert.ok(sessions.isKept(sessions.open([ask(0)], false, true)))
  assert.equal(sessions.isKept(large), false)
})
