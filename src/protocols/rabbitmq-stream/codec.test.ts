// Frames: bytes of real clients read, every split of a stream, publishes taken apart, and no bytes that do more than end their connection.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import { filtersOf, openBatch, readBatch, readSingle } from './batch.ts'
import {
  consumerUpdateFrame,
  FrameDecoder,
  FrameTooLarge,
  heartbeatFrame,
  isRequest,
  Key,
  metadataUpdateFrame,
  readConsumerUpdateAnswer,
  readCredit,
  readRequest,
  readStoreOffset,
  readTune,
  tuneFrame,
} from './commands.ts'
import { MalformedFrame } from './errors.ts'
import { confirmFrame, Ids, publishErrorFrame, publishingIds, readPublished } from './publish.ts'
import { Reader } from './wire.ts'

const hex = (text: string): Buffer => Buffer.from(text, 'hex')
/** A frame's content behind key, version and correlation id. */
const content = (frame: string, head = 8): Reader => new Reader(hex(frame), head)

test('requests of the Go and Java clients are read', () => {
  const create =
    '000d0001000000070016676f2d73747265616d2e32373535322e31303134333700000002001471756575652d6c65616465722d6c6f6361746f72000d6c656173742d6c65616465727300106d61782d6c656e6774682d6279746573000a31303030303030303030'
  assert.deepEqual(readRequest(Key.Create, content(create)), {
    stream: 'go-stream.27552.101437',
    arguments: new Map([
      ['queue-leader-locator', 'least-leaders'],
      ['max-length-bytes', '1000000000'],
    ]),
  })
  assert.deepEqual(
    readRequest(Key.DeclarePublisher, content('00010001000000070000000016676f2d73747265616d2e32373535322e313031343337')),
    { publisherId: 0, reference: '', stream: 'go-stream.27552.101437' },
  )
  // Properties may be left out.
  assert.deepEqual(
    readRequest(Key.Subscribe, content('0007000100000007000016676f2d73747265616d2e32373535322e3130313433370001000a')),
    {
      subscriptionId: 0,
      stream: 'go-stream.27552.101437',
      offset: { type: 'first' },
      credit: 10,
      properties: new Map(),
    },
  )
  const named = '0007000100000007000016676f2d73747265616d2e32373536302e3333353530320001000a0000000100046e616d650006726561646572'
  assert.deepEqual(readRequest(Key.Subscribe, content(named)).properties, new Map([['name', 'reader']]))
  assert.deepEqual(readRequest(Key.Open, content('001500010000000500012f')), { virtualHost: '/' })
  assert.deepEqual(readRequest(Key.SaslAuthenticate, content('00130001000000030005504c41494e0000000c006775657374006775657374')), {
    mechanism: 'PLAIN',
    data: Buffer.from('\0guest\0guest'),
  })
  assert.deepEqual(readRequest(Key.ExchangeCommandVersions, content('001b00010000000600000001000200010002')).versions, [
    { key: Key.Publish, from: 1, to: 2 },
  ])
  assert.deepEqual(readCredit(content('00090001000001', 4)), { subscriptionId: 0, credit: 1 })
  assert.deepEqual(readTune(content('80140001001000000000003c', 4)), { frameMax: 1048576, heartbeat: 60 })
  assert.deepEqual(
    readStoreOffset(content('000a000100067265616465720016676f2d73747265616d2e32373536302e3333353530320000000000000007', 4)),
    {
      reference: 'reader',
      stream: 'go-stream.27560.335502',
      offset: 7,
    },
  )
  assert.deepEqual(readConsumerUpdateAnswer(content('801a00010000000000010004000000000000000f', 4)), {
    correlationId: 0,
    code: 1,
    offset: { type: 'offset', offset: 15 },
  })
})

test('what the server says stands as PROTOCOL.adoc has it', () => {
  assert.equal(tuneFrame(1048576, 60).toString('hex'), '0000000c00140001001000000000003c')
  assert.equal(heartbeatFrame.toString('hex'), '0000000400170001')
  assert.equal(metadataUpdateFrame(6, 's').toString('hex'), '00000009001000010006000173')
  assert.equal(consumerUpdateFrame(3, 9, true).toString('hex'), '0000000a001a0001000000030901')
  const ids = new Ids(2)
  ids.add(hex('00000000000000010000000000000002'), 0)
  ids.add(hex('00000000000000010000000000000002'), 8)
  assert.equal(confirmFrame(7, [ids]).toString('hex'), `000000190003000107${'00000002'}00000000000000010000000000000002`)
  assert.equal(
    publishErrorFrame(7, ids, 17).toString('hex'),
    `0000001d0004000107${'00000002'}0000000000000001001100000000000000020011`,
  )
})

const frames = [hex('00150001000000050001' + '2f'), hex('00170001'), hex(`00020001${'ab'.repeat(300)}`)]
const stream = Buffer.concat(
  frames.flatMap((frame) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(frame.length)
    return [length, frame]
  }),
)

function decodeAll(chunks: readonly Buffer[]): Buffer[] {
  const decoder = new FrameDecoder(1000)
  const found: Buffer[] = []
  for (const chunk of chunks) {
    decoder.push(chunk)
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) found.push(Buffer.from(frame))
  }
  return found
}

test('a stream gives the same frames however it is split', () => {
  assert.deepEqual(decodeAll([stream]), frames)
  assert.deepEqual(decodeAll([...stream].map((byte) => Buffer.from([byte]))), frames)
  for (let at = 0; at <= stream.length; at++) assert.deepEqual(decodeAll([stream.subarray(0, at), stream.subarray(at)]), frames)
})

test('a frame beyond the limit is refused by its length, before its bytes are there', () => {
  const decoder = new FrameDecoder(1000)
  decoder.push(hex('000003e9'))
  assert.throws(() => decoder.next(), FrameTooLarge)
  const short = new FrameDecoder(1000)
  short.push(hex('00000003'))
  assert.throws(() => short.next(), MalformedFrame)
})

// ------------------------------------------------------------------------------------------------------------------- publishes

const u64 = (id: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(id))
  return bytes
}
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const simple = (text: string): Buffer => Buffer.concat([u32(text.length), Buffer.from(text)])
const published = (...entries: Buffer[]): Reader => new Reader(Buffer.concat([u32(entries.length), ...entries]))
const idsOf = (ids: Ids): number[] =>
  Array.from({ length: ids.count }, (_, index) => Number(ids.bytes.readBigUInt64BE(index * 8)))
const bodies = (payload: Buffer): string[] =>
  openBatch(payload).map((envelope) => (envelope === null ? 'null' : readSingle(envelope).message.toString()))

function subBatch(records: number, inside: Buffer, { compression = 0, opened = inside.length } = {}): Buffer {
  const head = Buffer.alloc(11)
  head[0] = 0x80 | (compression << 4)
  head.writeUInt16BE(records, 1)
  head.writeUInt32BE(opened, 3)
  head.writeUInt32BE(inside.length, 7)
  return Buffer.concat([head, inside])
}

test('a publish becomes one batch whose data is the entries as they came', () => {
  const reader = published(u64(1), simple('a'), u64(2), subBatch(2, Buffer.concat([simple('b'), simple('c')])))
  reader.buffer.writeUInt32BE(2)
  const { groups, repeated, refused } = readPublished(reader, 1, null, 1000)
  assert.equal(groups.length, 1)
  assert.equal(groups[0]?.records, 3)
  assert.deepEqual(idsOf(groups[0]?.ids ?? new Ids(0)), [1, 2])
  const batch = readBatch(groups[0]?.payload ?? Buffer.alloc(0))
  assert.equal(batch?.entries, 2)
  assert.deepEqual(batch?.data, Buffer.concat([simple('a'), subBatch(2, Buffer.concat([simple('b'), simple('c')]))]))
  assert.deepEqual(bodies(groups[0]?.payload ?? Buffer.alloc(0)), ['a', 'b', 'c'])
  assert.equal(repeated.count + refused.count, 0)
})

test('a named publisher: ids at or below the last are repetitions, also within a frame', () => {
  const entries = [5, 7, 7, 6, 9].map((id) => Buffer.concat([u64(id), simple(`m${id}`)]))
  const { groups, repeated } = readPublished(published(...entries), 1, 5, 1000)
  assert.deepEqual(
    groups.map(({ ids, lastId }) => [idsOf(ids), lastId]),
    [[[7, 9], 9]],
  )
  assert.deepEqual(idsOf(repeated), [5, 7, 6])
  // Numbers that are no longer exact can not be compared.
  const huge = readPublished(published(Buffer.concat([hex('0020000000000001'), simple('x')])), 1, 5, 1000)
  assert.equal(huge.refused.count, 1)
})

test('entries are stored together up to the limit of a record', () => {
  const entries = [1, 2, 3, 4].map((id) => Buffer.concat([u64(id), simple('x'.repeat(40))]))
  const { groups } = readPublished(published(...entries), 1, null, 100)
  assert.deepEqual(
    groups.map(({ ids }) => idsOf(ids)),
    [
      [1, 2],
      [3, 4],
    ],
  )
})

test('records are stored together up to a number that can be opened at once', () => {
  const entry = (id: number) => Buffer.concat([u64(id), subBatch(40_000, Buffer.alloc(0), { opened: 160_000 })])
  const { groups } = readPublished(published(entry(1), entry(2), entry(3)), 1, null, 1e6)
  assert.deepEqual(
    groups.map(({ records }) => records),
    [40_000, 40_000, 40_000],
  )
})

test('filter values stand beside the entries they came with', () => {
  const withFilter = (id: number, filter: string | null, text: string): Buffer =>
    Buffer.concat([
      u64(id),
      filter === null ? hex('ffff') : Buffer.concat([u32(filter.length).subarray(2), Buffer.from(filter)]),
      simple(text),
    ])
  const reader = published(withFilter(1, null, 'a'), withFilter(2, 'red', 'b'), withFilter(3, '', 'c'))
  const { groups } = readPublished(reader, 2, null, 1000)
  const batch = readBatch(groups[0]?.payload ?? Buffer.alloc(0))
  assert.deepEqual(
    [...filtersOf(batch?.filters ?? Buffer.alloc(0))].map((filter) => filter?.toString()),
    [undefined, 'red', ''],
  )
  assert.deepEqual(
    openBatch(groups[0]?.payload ?? Buffer.alloc(0)).map((envelope) => readSingle(envelope as Buffer).filter?.toString()),
    [undefined, 'red', ''],
  )
})

test('a sub-batch that no consumer could open is refused, with all that follows it', () => {
  const good = Buffer.concat([u64(1), simple('a')])
  const after = Buffer.concat([u64(3), simple('b')])
  const wrong = [
    subBatch(0, simple('x')),
    subBatch(9, simple('x')),
    subBatch(1, simple('x'), { compression: 5 }),
    subBatch(1, Buffer.alloc(0), { compression: 1, opened: 10 }),
    subBatch(1, simple('x'), { opened: 65 * 1024 * 1024 }),
  ]
  for (const each of wrong) {
    const { groups, refused } = readPublished(published(good, Buffer.concat([u64(2), each]), after), 1, null, 1000)
    assert.deepEqual(idsOf(refused), [2, 3])
    assert.equal(groups.length, 1)
  }
})

test('any bytes are a request or malformed, never another error', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 31 }), fc.uint8Array({ maxLength: 60 }), (key, bytes) => {
      for (const read of [
        () => (isRequest(key) ? readRequest(key, new Reader(Buffer.from(bytes))) : null),
        () => readPublished(new Reader(Buffer.from(bytes)), 1 + (key % 2), null, 100),
        () => publishingIds(new Reader(Buffer.from(bytes)), 1 + (key % 2)),
        () => readConsumerUpdateAnswer(new Reader(Buffer.from(bytes))),
      ]) {
        try {
          read()
        } catch (cause) {
          assert.ok(cause instanceof MalformedFrame, String(cause))
        }
      }
    }),
    { numRuns: 3000 },
  )
})
