/** nats.js: streams, publishes with an answer, pull, push and ordered consumers, key-value buckets and object stores. */
import assert from 'node:assert/strict'
import { AckPolicy, DeliverPolicy, JetStreamApiError, jetstream, jetstreamManager, RetentionPolicy } from '@nats-io/jetstream'
import { startFastIngest } from '@nats-io/jetstream/internal'
import { Kvm } from '@nats-io/kv'
import { Objm } from '@nats-io/obj'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { runCases, setting, unique, until } from '../cases/cases.ts'

const servers = setting('NATS')
const name = (): string => unique('JS').replaceAll('.', '_')
const seconds = (count: number): number => count * 1_000_000_000

interface World {
  readonly connection: NatsConnection
  readonly js: ReturnType<typeof jetstream>
  readonly manager: Awaited<ReturnType<typeof jetstreamManager>>
}

const withJetStream = (body: (world: World) => Promise<void>) => async (): Promise<void> => {
  const connection = await connect({ servers })
  try {
    await body({ connection, js: jetstream(connection), manager: await jetstreamManager(connection) })
  } finally {
    await connection.close()
  }
}

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = []
  for await (const item of items) found.push(item)
  return found
}

await runCases({
  'a stream, and what is published to it': withJetStream(async ({ js, manager }) => {
    const stream = name()
    await manager.streams.add({ name: stream, subjects: [`${stream}.>`], max_msgs_per_subject: 2 })
    assert.deepEqual(await js.publish(`${stream}.a`, 'one'), { stream, seq: 1, duplicate: false })
    assert.equal((await js.publish(`${stream}.a`, 'two', { msgID: 'x' })).duplicate, false)
    assert.deepEqual(await js.publish(`${stream}.a`, 'two', { msgID: 'x' }), { stream, seq: 2, duplicate: true })
    await assert.rejects(js.publish(`${stream}.a`, 'no', { expect: { lastSequence: 1 } }), /wrong last sequence: 2/)
    await assert.rejects(js.publish(`${stream}.a`, 'no', { expect: { streamName: 'other' } }), /expected stream does not match/)
    await js.publish(`${stream}.a`, 'three', { expect: { lastSubjectSequence: 2 } })
    const { state } = await manager.streams.info(stream, { subjects_filter: '>' })
    assert.deepEqual([state.messages, state.first_seq, state.last_seq, state.subjects], [2, 2, 3, { [`${stream}.a`]: 2 }])
    const last = await manager.streams.getMessage(stream, { last_by_subj: `${stream}.a` })
    assert.deepEqual([last?.seq, last?.string()], [3, 'three'])
    assert.equal(await manager.streams.deleteMessage(stream, 2), true)
    assert.equal(await manager.streams.getMessage(stream, { seq: 2 }), null)
    assert.ok((await all(manager.streams.names(`${stream}.a`))).includes(stream))
    assert.equal((await manager.streams.purge(stream)).purged, 1)
    assert.equal(await manager.streams.delete(stream), true)
    await assert.rejects(manager.streams.info(stream), (cause) => cause instanceof JetStreamApiError && cause.code === 10059)
  }),

  'a fast batch: all of it is stored, in its order': withJetStream(async ({ connection, manager }) => {
    const stream = name()
    await manager.streams.add({ name: stream, subjects: [stream], allow_batched: true })
    const batch = await startFastIngest(connection, stream, '1', { allowGaps: false, ackInterval: 100 })
    for (let i = 2; i < 5000; i++) await batch.add(stream, String(i))
    assert.ok((await batch.ping()).ackSeq > 0)
    const { seq, count } = await batch.last(stream, '5000')
    assert.deepEqual([seq, count], [5000, 5000])
    for (const place of [1, 2500, 5000])
      assert.equal((await manager.streams.getMessage(stream, { seq: place }))?.string(), String(place))
    await manager.streams.delete(stream)
  }),

  'a pull consumer: fetch, consume, every kind of acknowledgement': withJetStream(async ({ js, manager }) => {
    const stream = name()
    await manager.streams.add({ name: stream, subjects: [stream] })
    await manager.consumers.add(stream, {
      durable_name: 'd',
      ack_policy: AckPolicy.Explicit,
      ack_wait: seconds(10),
      max_deliver: 3,
    })
    for (let i = 0; i < 100; i++) await js.publish(stream, String(i))
    const consumer = await js.consumers.get(stream, 'd')
    const first = await all(await consumer.fetch({ max_messages: 10, expires: 1000 }))
    assert.deepEqual(
      first.map((message) => [message.string(), message.seq, message.info.pending]),
      Array.from({ length: 10 }, (_, i) => [String(i), i + 1, 99 - i]),
    )
    for (const message of first.slice(0, 8)) message.ack()
    first[8]?.nak()
    first[9]?.term('of no use')
    const again = await consumer.next({ expires: 1000 })
    assert.deepEqual([again?.string(), again?.redelivered, again?.info.deliveryCount], ['8', true, 2])
    assert.equal(await again?.ackAck(), true)
    const texts: string[] = []
    const messages = await consumer.consume({ max_messages: 20 })
    for await (const message of messages) {
      texts.push(message.string())
      message.ack()
      if (texts.length === 90) break
    }
    assert.deepEqual(
      texts,
      Array.from({ length: 90 }, (_, i) => String(i + 10)),
    )
    await until('all is acknowledged', async () => (await consumer.info()).num_ack_pending === 0)
    assert.equal((await consumer.info()).ack_floor.stream_seq, 100)
    assert.equal(await consumer.next({ expires: 1000 }).then((message) => message?.string()), undefined)
  }),

  'what is not acknowledged comes again, delayed or after its wait': withJetStream(async ({ js, manager }) => {
    const stream = name()
    await manager.streams.add({ name: stream, subjects: [stream] })
    await manager.consumers.add(stream, {
      durable_name: 'd',
      ack_policy: AckPolicy.Explicit,
      ack_wait: seconds(0.2),
      max_deliver: 2,
    })
    await js.publish(stream, 'x')
    const consumer = await js.consumers.get(stream, 'd')
    assert.equal((await consumer.next({ expires: 2000 }))?.info.deliveryCount, 1)
    const second = await consumer.next({ expires: 5000 })
    assert.equal(second?.info.deliveryCount, 2)
    second?.nak(100)
    assert.equal(await consumer.next({ expires: 1000 }), null)
  }),

  'ordered consumers, from several places': withJetStream(async ({ js, manager }) => {
    const stream = name()
    await manager.streams.add({ name: stream, subjects: [`${stream}.>`] })
    for (const word of ['a', 'b', 'a', 'c', 'a']) await js.publish(`${stream}.${word}`, word)
    const texts = async (options: object): Promise<string[]> => {
      const consumer = await js.consumers.get(stream, options)
      return (await all(await consumer.fetch({ max_messages: 5, expires: 1000 }))).map((message) => message.string())
    }
    assert.deepEqual(await texts({}), ['a', 'b', 'a', 'c', 'a'])
    assert.deepEqual(await texts({ deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: 4 }), ['c', 'a'])
    assert.deepEqual(await texts({ deliver_policy: DeliverPolicy.LastPerSubject, filter_subjects: [`${stream}.>`] }), [
      'b',
      'c',
      'a',
    ])
    assert.deepEqual(await texts({ filter_subjects: [`${stream}.b`, `${stream}.c`] }), ['b', 'c'])
  }),

  'push consumers, with flow control and heartbeats': withJetStream(async ({ js, manager, connection }) => {
    const stream = name()
    await manager.streams.add({ name: stream, subjects: [stream] })
    await manager.consumers.add(stream, {
      durable_name: 'p',
      deliver_subject: `push.${stream}`,
      ack_policy: AckPolicy.Explicit,
      idle_heartbeat: seconds(1),
      flow_control: true,
    })
    const payload = 'x'.repeat(64 * 1024)
    const count = 200
    const acknowledged = Array.from({ length: count }, () => js.publish(stream, payload))
    const consumer = await js.consumers.getPushConsumer(stream, 'p')
    const messages = await consumer.consume()
    let sequence = 0
    for await (const message of messages) {
      assert.equal(message.seq, ++sequence)
      message.ack()
      if (sequence === count) break
    }
    await Promise.all(acknowledged)
    await connection.flush()
    await until('all is acknowledged', async () => (await manager.consumers.info(stream, 'p')).num_ack_pending === 0)
  }),

  'work queues lose what was acknowledged': withJetStream(async ({ js, manager }) => {
    const stream = name()
    await manager.streams.add({ name: stream, subjects: [stream], retention: RetentionPolicy.Workqueue })
    await manager.consumers.add(stream, { durable_name: 'w', ack_policy: AckPolicy.Explicit })
    for (let i = 0; i < 20; i++) await js.publish(stream, String(i))
    const workers = await Promise.all([js.consumers.get(stream, 'w'), js.consumers.get(stream, 'w')])
    const done = await Promise.all(workers.map(async (worker) => all(await worker.fetch({ max_messages: 10, expires: 3000 }))))
    for (const message of done.flat()) assert.equal(await message.ackAck(), true)
    assert.equal(new Set(done.flat().map((message) => message.string())).size, 20)
    await until('the stream is empty', async () => (await manager.streams.info(stream)).state.messages === 0)
  }),

  'a key-value bucket: put, update, history, watch, delete, purge': withJetStream(async ({ js }) => {
    const bucket = await new Kvm(js).create(name(), { history: 3 })
    const first = await bucket.put('key', '1')
    const second = await bucket.update('key', '2', first)
    await assert.rejects(bucket.update('key', 'x', first), /wrong last sequence/)
    await assert.rejects(bucket.create('key', 'x'), /wrong last sequence/)
    assert.equal((await bucket.get('key'))?.string(), '2')
    assert.equal((await bucket.get('key', { revision: first }))?.string(), '1')
    assert.equal(await bucket.get('not there'.replace(' ', '.')), null)
    await bucket.put('other.key', 'o')
    assert.deepEqual((await all(await bucket.keys())).sort(), ['key', 'other.key'])
    const watched: string[] = []
    const watch = await bucket.watch()
    const watching = (async () => {
      for await (const { key, operation } of watch) if (watched.push(`${operation} ${key}`) === 4) return
    })()
    await until('what is there', () => watched.length === 2)
    await bucket.delete('other.key')
    assert.equal((await bucket.get('other.key'))?.operation, 'DEL')
    await bucket.create('other.key', 'again')
    await watching
    assert.deepEqual(watched, ['PUT key', 'PUT other.key', 'DEL other.key', 'PUT other.key'])
    const history = await all(await bucket.history({ key: 'key' }))
    assert.deepEqual(
      history.map(({ revision, string }) => [revision, string.call(history.find((each) => each.revision === revision))]),
      [
        [first, '1'],
        [second, '2'],
      ],
    )
    await bucket.purge('key')
    assert.deepEqual(
      (await all(await bucket.history({ key: 'key' }))).map(({ operation }) => operation),
      ['PURGE'],
    )
    assert.equal((await bucket.status()).history, 3)
    await bucket.destroy()
  }),

  'a key-value bucket forgets what is too old': withJetStream(async ({ js }) => {
    const bucket = await new Kvm(js).create(name(), { ttl: 1000 })
    await bucket.put('key', 'x')
    assert.equal((await bucket.get('key'))?.string(), 'x')
    await until('it is forgotten', async () => (await bucket.get('key')) === null, 10_000)
  }),

  'an object store: put, get, list, watch, delete': withJetStream(async ({ js }) => {
    const store = await new Objm(js).create(name())
    const bytes = new Uint8Array(500_000).map((_, at) => at % 251)
    const info = await store.putBlob({ name: 'object', description: 'some bytes' }, bytes)
    assert.deepEqual([info.size, info.chunks], [bytes.length, 4])
    const blob = await store.getBlob('object')
    assert.ok(bytes.every((byte, at) => blob?.[at] === byte) && blob?.length === bytes.length)
    await store.putBlob({ name: 'object' }, new Uint8Array([1]))
    assert.deepEqual([...((await store.getBlob('object')) ?? [])], [1])
    assert.deepEqual(
      (await store.list()).map((each) => each.name),
      ['object'],
    )
    assert.equal((await store.delete('object')).success, true)
    assert.equal(await store.getBlob('object'), null)
    await store.destroy()
  }),
})
