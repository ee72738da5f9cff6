// cleanup.policy=compact as a Kafka client sees it: configs that are enforced, keyless records refused, batches rewritten with their offsets.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { buildBatch, openBatch, retainRecords, validateBatch } from './batch.ts'
import { ApiKey } from './codec.ts'
import { Codec, compress } from './compression.ts'
import { recordFormat } from './mapping.ts'
import type { Message } from './schema.ts'
import { TestClient } from './test-client.ts'
import { Reader } from './wire.ts'

let folder: string
let broker: EmbeddedBroker
let to: TestClient

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'anymq-compaction-'))
  broker = await startBroker({ protocols: ['kafka'], storage: { folder } })
  to = new TestClient(broker.port('kafka'))
})
after(async () => {
  to.close()
  await broker.close()
  rmSync(folder, { recursive: true })
})

type Pair = readonly [key: string | null, value: string | null]

const bytesOf = (text: string | null): Buffer | null => (text === null ? null : Buffer.from(text))

function batchOf(pairs: readonly Pair[], codec: number = Codec.None): Buffer {
  const timestamp = broker.clock.now()
  const records = pairs.map(([key, value], index) => ({
    offset: index,
    timestamp,
    body: recordFormat.fromAttributes({ key: bytesOf(key), value: bytesOf(value), headers: [] }).subarray(9),
  }))
  const plain = buildBatch(records, 0, pairs.length)
  return codec === Codec.None ? plain : (compressed(plain, codec) as Buffer) // something is kept, so it is not null
}

/** A producer's compressed batch: all that retainRecords keeps, with the codec in place. */
function compressed(plain: Buffer, codec: number): Buffer | null {
  const batch = Buffer.concat([plain.subarray(0, 61), compress(codec, plain.subarray(61))])
  batch.writeInt16BE(codec, 21)
  batch.writeInt32BE(batch.length - 12, 8)
  return retainRecords(batch, () => true)
}

async function produce(topic: string, batch: Buffer): Promise<Message> {
  const topicData = [{ name: topic, partitionData: [{ index: 0, records: batch }] }]
  const { responses } = await to.ask(ApiKey.Produce, 9, { acks: -1, timeoutMs: 1000, topicData })
  return responses[0].partitionResponses[0]
}

/** Offset, key and value of everything from the start on. */
async function fetchAll(topic: string): Promise<[number, string | null, string | null][]> {
  const found: [number, string | null, string | null][] = []
  for (let offset = 0; ; ) {
    const topics = [{ topic, partitions: [{ partition: 0, fetchOffset: offset, partitionMaxBytes: 1 << 20 }] }]
    const { responses } = await to.ask(ApiKey.Fetch, 12, { maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 20, topics })
    const records: Buffer = responses[0].partitions[0]['records']
    if (records.length === 0) return found
    for (let at = 0; at < records.length; ) {
      const end = at + 12 + records.readInt32BE(at + 8)
      const batch = records.subarray(at, end)
      const base = Number(batch.readBigInt64BE(0))
      for (const record of openBatch(batch)) {
        if (base + record.offsetDelta < offset) continue
        const reader = new Reader(record.buffer)
        reader.position = record.start
        found.push([base + record.offsetDelta, text(reader), text(reader)])
      }
      offset = base + batch.readInt32BE(23) + 1
      at = end
    }
  }
}

function text(reader: Reader): string | null {
  const length = reader.varint()
  return length < 0 ? null : reader.bytes(length).toString()
}

async function create(name: string, configs: Record<string, string>): Promise<Message> {
  const topics = [
    {
      name,
      numPartitions: 1,
      replicationFactor: 1,
      configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
    },
  ]
  return (await to.ask(ApiKey.CreateTopics, 7, { topics, timeoutMs: 1000 }))['topics'][0]
}

/** Moves the clock until the topic reads as expected. */
async function becomes(topic: string, expected: [number, string | null, string | null][]): Promise<void> {
  let found: [number, string | null, string | null][] = []
  for (let second = 0; second < 1000; second++) {
    found = await fetchAll(topic)
    if (JSON.stringify(found) === JSON.stringify(expected)) return
    await broker.clock.advance(1000)
  }
  assert.deepEqual(found, expected)
}

async function segmentBytes(): Promise<number> {
  const overview = (await (await fetch(`${broker.url('http')}/v1/overview`)).json()) as { stats: { segmentBytes: number } } // the API's shape
  return overview.stats.segmentBytes
}

/** Moves the clock until what was produced stands in a segment, which is closed then: what comes next stands in another, and lets it be cleaned. */
async function brought(before: number): Promise<void> {
  for (let second = 0; second < 1000; second++) {
    await broker.clock.advance(1000)
    if ((await segmentBytes()) !== before) return
  }
  assert.fail('nothing was brought to a segment')
}

const compactConfigs = {
  'cleanup.policy': 'compact',
  'segment.ms': '1000',
  'min.cleanable.dirty.ratio': '0.01',
  'delete.retention.ms': '3600000',
}

for (const [name, codec] of Object.entries(Codec)) {
  test(`each key keeps its newest record, offsets stay, tombstones go: ${name}`, async () => {
    const topic = `compact-${name}`
    const before = await segmentBytes()
    assert.equal((await create(topic, compactConfigs))['errorCode'], 0)
    await produce(
      topic,
      batchOf(
        [
          ['a', '1'],
          ['b', '1'],
          ['a', '2'],
          ['c', '1'],
        ],
        codec,
      ),
    ) // 0-3
    await produce(
      topic,
      batchOf(
        [
          ['b', '2'],
          ['c', null],
        ],
        codec,
      ),
    ) // 4, 5
    await brought(before)
    await produce(topic, batchOf([['end', '1']], codec)) // 6
    await becomes(topic, [
      [2, 'a', '2'],
      [4, 'b', '2'],
      [5, 'c', null],
      [6, 'end', '1'],
    ])
    await broker.clock.advance(3_700_000)
    await becomes(topic, [
      [2, 'a', '2'],
      [4, 'b', '2'],
      [6, 'end', '1'],
    ])
  })
}

test('a batch written anew is whole: checksum, offsets, compression and producer stay', async () => {
  for (const codec of Object.values(Codec)) {
    const value = 'x'.repeat(500)
    const batch = batchOf(
      [
        ['a', value],
        ['b', value],
        ['c', value],
      ],
      codec,
    )
    const kept = retainRecords(batch, (index) => index !== 1)
    assert(kept !== null)
    assert.equal(kept.readInt16BE(21) & 7, codec)
    assert(codec === Codec.None || kept.length < 500, `${kept.length} bytes`)
    assert.deepEqual(
      openBatch(kept).map(({ offsetDelta }) => offsetDelta),
      [0, 2],
    )
    // Kafka's own check, but for the count: a cleaned batch spans more offsets than it has records.
    kept.writeInt32BE(3, 57)
    assert.equal(kept.readInt32BE(23), 2)
    assert.equal(validateBatch(kept, 0, kept.length, 9), 2, 'the checksum covers the count')
  }
})

test('records without a key are refused with INVALID_RECORD', async () => {
  await create('keyed', compactConfigs)
  const refused = await produce(
    'keyed',
    batchOf([
      ['a', '1'],
      [null, '2'],
    ]),
  )
  assert.equal(refused['errorCode'], 87)
  assert.match(refused['errorMessage'], /key/)
  assert.equal((await produce('keyed', batchOf([['a', '1']])))['baseOffset'], 0)
})

test('the configs are checked, stored and shown', async () => {
  for (const [config, value] of [
    ['min.cleanable.dirty.ratio', '1.1'],
    ['delete.retention.ms', '-1'],
    ['segment.ms', '0'],
    ['min.compaction.lag.ms', 'soon'],
  ] as const) {
    assert.equal((await create('wrong', { [config]: value }))['errorCode'], 40, config)
  }
  const configs = { ...compactConfigs, 'min.compaction.lag.ms': '1000', 'segment.bytes': '1048576' }
  assert.equal((await create('configured', configs))['errorCode'], 0)
  const resources = [{ resourceType: 2, resourceName: 'configured', configurationKeys: Object.keys(configs) }]
  const { results } = await to.ask(ApiKey.DescribeConfigs, 4, { resources })
  const shown = Object.fromEntries(results[0].configs.map((config: Message) => [config['name'], config['value']]))
  assert.deepEqual(shown, configs)
})

test('what was cleaned is the same after a restart', async () => {
  const topic = 'restarted'
  const before = await segmentBytes()
  await create(topic, compactConfigs)
  await produce(
    topic,
    batchOf(
      [
        ['a', '1'],
        ['b', '1'],
        ['a', '2'],
      ],
      Codec.Zstd,
    ),
  ) // 0-2
  await brought(before)
  await produce(topic, batchOf([['end', '1']])) // 3
  const left: [number, string | null, string | null][] = [
    [1, 'b', '1'],
    [2, 'a', '2'],
    [3, 'end', '1'],
  ]
  await becomes(topic, left)
  to.close()
  await broker.close()
  broker = await startBroker({ protocols: ['kafka'], storage: { folder } })
  to = new TestClient(broker.port('kafka'))
  assert.deepEqual(await fetchAll(topic), left)
})
