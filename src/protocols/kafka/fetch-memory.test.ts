// Fetch answers from the disk share memory that is used again: whoever takes his time gets his own bytes all the same.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startBroker } from '../../index.ts'
import { buildBatch } from './batch.ts'
import { createTopic } from './broker.testing.ts'
import { ApiKey } from './codec.ts'
import { recordFormat } from './mapping.ts'
import type { Message } from './schema.ts'
import { TestClient } from './test-client.ts'

const batches = 96
const valueBytes = 250_000

function batchOf(index: number): Buffer {
  const body = recordFormat.fromAttributes({ key: null, value: Buffer.alloc(valueBytes, index), headers: [] }).subarray(9)
  return buildBatch([{ offset: 0, timestamp: Date.now(), body }], 0, 1)
}

function fetchOf(offset: number): Message {
  const partition = { partition: 0, currentLeaderEpoch: -1, fetchOffset: offset, lastFetchedEpoch: -1, logStartOffset: -1 }
  const topics = [{ topic: 't', partitions: [{ ...partition, partitionMaxBytes: 1024 * 1024 }] }]
  const limits = { maxWaitMs: 1000, minBytes: 1, maxBytes: 50_000_000, isolationLevel: 0 }
  return { replicaId: -1, ...limits, sessionId: 0, sessionEpoch: -1, topics, forgottenTopicsData: [], rackId: '' }
}

/** Holds that the answer has whole batches from `offset` on, each with its own content; returns the offset behind them. */
function checked(answer: Message, offset: number): number {
  const records: Buffer = answer['responses'][0].partitions[0].records
  let next = offset
  for (let at = 0; at < records.length; at += 12 + records.readInt32BE(at + 8)) {
    assert.equal(Number(records.readBigInt64BE(at)), next)
    const value = records.subarray(
      at + 12 + records.readInt32BE(at + 8) - 1 - valueBytes,
      at + 12 + records.readInt32BE(at + 8) - 1,
    )
    assert(value.equals(Buffer.alloc(valueBytes, next)), `content of ${next}`)
    next++
  }
  assert(next > offset)
  return next
}

test('a client that does not read for a while gets what it asked for, whatever others read meanwhile', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'anymq-fetch-'))
  t.after(() => rm(folder, { recursive: true }))
  const first = await startBroker({ protocols: ['kafka'], storage: { folder } })
  const producer = new TestClient(first.port('kafka'))
  t.after(() => producer.close())
  t.after(() => first.close())
  await createTopic(producer, 't')
  for (let index = 0; index < batches; index++) {
    const topicData = [{ name: 't', partitionData: [{ index: 0, records: batchOf(index) }] }]
    const { responses } = await producer.ask(ApiKey.Produce, 9, { acks: -1, timeoutMs: 1000, topicData })
    assert.equal(responses[0].partitionResponses[0].errorCode, 0)
  }
  await first.close()

  // After a restart all of it is on the disk alone.
  const broker = await startBroker({ protocols: ['kafka'], storage: { folder } })
  t.after(() => broker.close())
  const [slow, quick] = [new TestClient(broker.port('kafka')), new TestClient(broker.port('kafka'))]
  t.after(() => [slow, quick].forEach((client) => void client.close()))
  slow.socket.pause()
  const offsets = Array.from({ length: 30 }, (_, index) => (index * 7) % (batches - 4))
  const waiting = offsets.map((offset) => slow.ask(ApiKey.Fetch, 12, fetchOf(offset)))
  for (let rounds = 0; rounds < 3; rounds++) {
    for (let offset = 0; offset < batches; ) offset = checked(await quick.ask(ApiKey.Fetch, 12, fetchOf(offset)), offset)
  }
  slow.socket.resume()
  for (const [index, answer] of (await Promise.all(waiting)).entries()) checked(answer, offsets[index] as number) // as many
})
