// Which topic a stream is, what its arguments mean, and topics of several partitions as super streams.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, spaceOf } from '../../../test/support/machine.ts'
import { Refusal } from './errors.ts'
import { declared, findStream, isEquivalent, isSame, orderArgument, partitionIndex, partitionsOf, route } from './streams.ts'

test('a topic of several partitions is a super stream, and its partitions are streams unless a topic has their name', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('parts', { partitions: 3 }, 'test')
  await space.createTopic('one', {}, 'test')
  await space.createTopic('parts-1', {}, 'test')
  const found = (name: string) => {
    const stream = findStream(space, name)
    return stream === undefined ? undefined : [stream.topic.name, stream.partition]
  }
  assert.deepEqual(found('one'), ['one', 0])
  assert.deepEqual(found('parts-0'), ['parts', 0])
  assert.deepEqual(found('parts-2'), ['parts', 2])
  assert.deepEqual(found('parts-1'), ['parts-1', 0])
  for (const none of ['parts', 'parts-3', 'parts-02', 'parts-', 'one-0', '-0', 'none-0'])
    assert.equal(found(none), undefined, none)
  assert.deepEqual(partitionsOf(space, 'parts'), ['parts-0', 'parts-1', 'parts-2'])
  assert.equal(partitionsOf(space, 'one'), undefined)
  assert.deepEqual(route(space, 'parts', '2'), ['parts-2'])
  await machine.stop()
})

test('the streams of an exchange stand in the order of their bindings', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  const exchange = {
    kind: 'direct',
    durable: true,
    autoDelete: false,
    internal: false,
    alternate: null,
    declaration: {},
  } as const
  await space.declareExchange({ name: 'super', ...exchange })
  for (const [name, order] of [
    ['c', null],
    ['b', 1],
    ['a', 0],
  ] as const) {
    await space.createTopic(name, {}, 'test')
    const binding = { source: 'super', destination: name, destinationKind: 'topic', key: name.toUpperCase() } as const
    await space.bind({ ...binding, arguments: order === null ? {} : { [orderArgument]: order } })
  }
  assert.deepEqual(partitionsOf(space, 'super'), ['a', 'b', 'c'])
  assert.deepEqual(route(space, 'super', 'B'), ['b'])
  assert.equal(partitionIndex(space, 'super', 'b'), 1)
  assert.equal(partitionIndex(space, 'super', 'x'), -1)
  await machine.stop()
})

test('a stream that is made again is another', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('s', {}, 'test')
  const stream = findStream(space, 's')
  assert.ok(stream && isSame(space, stream))
  await space.deleteTopic('s')
  assert.equal(isSame(space, stream), false)
  await space.createTopic('s', {}, 'test')
  assert.equal(isSame(space, stream), false)
  await machine.stop()
})

test('arguments become retention, and the declaration of an AMQP stream queue', () => {
  const { config, declaration } = declared(
    new Map([
      ['max-age', '2h'],
      ['max-length-bytes', '1000000'],
      ['stream-max-segment-size-bytes', '100000'],
      ['queue-leader-locator', 'balanced'],
    ]),
  )
  assert.deepEqual(config, {
    partitions: 1,
    retention: 'time',
    retentionMs: 7_200_000,
    retentionBytes: 1_000_000,
    segmentBytes: 100_000,
  })
  assert.deepEqual(declaration, {
    durable: true,
    autoDelete: false,
    exclusive: false,
    arguments: {
      'x-queue-type': ['longstr', 'stream'],
      'x-max-length-bytes': ['long', '1000000'],
      'x-stream-max-segment-size-bytes': ['long', '100000'],
      'x-queue-leader-locator': ['longstr', 'balanced'],
      'x-max-age': ['longstr', '2h'],
    },
  })
  assert.deepEqual(declared(new Map()).config, {
    partitions: 1,
    retention: 'time',
    retentionMs: -1,
    retentionBytes: -1,
  })
  for (const [unit, ms] of [
    ['Y', 31_536_000_000],
    ['M', 2_592_000_000],
    ['D', 86_400_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const)
    assert.equal(declared(new Map([['max-age', `1${unit}`]])).config.retentionMs, ms)
  assert.throws(() => declared(new Map([['max-age', '1']])), Refusal)
})

test('a redeclaration is compared in whatever order its arguments stand, and only with what was declared so', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  const first = declared(
    new Map([
      ['max-age', '2h'],
      ['max-length-bytes', '5'],
    ]),
  )
  const topic = await space.createTopic('s', first.config, 'amqp', first.declaration)
  assert.ok(
    isEquivalent(
      topic,
      declared(
        new Map([
          ['max-length-bytes', '5'],
          ['max-age', '2h'],
        ]),
      ).declaration,
    ),
  )
  assert.equal(isEquivalent(topic, declared(new Map([['max-age', '2h']])).declaration), false)
  assert.ok(isEquivalent(await space.createTopic('k', {}, 'kafka'), declared(new Map()).declaration))
  await machine.stop()
})
