/** What the broker counts and measures: by namespace and protocol, and how long publishing and delivering take. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, spaceOf } from '../../test/support/machine.ts'
import { plainBatchItem, plainItem, publish, RememberingSink, turns, until } from '../../test/support/records.ts'
import { LatencyHistogram } from '../core/latency.ts'
import type { OwnedBroker } from './broker.ts'
import { PublishItem, type TrafficStats } from './face.ts'

const trafficOf = (broker: OwnedBroker, protocol: string, namespace = 'default'): Partial<TrafficStats> =>
  broker.stats().traffic.find((row) => row.namespace === namespace && row.protocol === protocol) ?? {}

test('what goes in and out is counted by namespace and protocol, whichever way it takes', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  await broker.createNamespace(broker.anonymous, 'other')
  const [a, b] = [
    broker.space(broker.anonymous, 'default', { protocol: 'a' }),
    broker.space(broker.anonymous, 'default', { protocol: 'b' }),
  ]
  const other = broker.space(broker.anonymous, 'other', { protocol: 'a' })
  await a.createTopic('t', {}, 'test')
  const item = plainItem('t', { value: 'one' })
  const batch = plainBatchItem('t', [{ value: 'two' }, { value: 'three' }])
  await publish(a, item, batch)
  const bytes = item.payload.length + batch.payload.length
  const wrong = plainItem('none', { value: 'x' })
  await publish(a, wrong)
  assert.deepEqual(trafficOf(broker, 'a'), {
    namespace: 'default',
    protocol: 'a',
    recordsIn: 3,
    bytesIn: bytes,
    recordsOut: 0,
    bytesOut: 0,
  })

  const sink = new RememberingSink()
  b.subscribe({ topic: 't', subscription: 's', autoSettle: true, name: 'c' }, sink).credit(10)
  await until(() => sink.got.length === 3)
  const delivered = sink.got.reduce((sum, got) => sum + got.bytes, 0)
  assert.deepEqual(trafficOf(broker, 'b'), {
    namespace: 'default',
    protocol: 'b',
    recordsIn: 0,
    bytesIn: 0,
    recordsOut: 3,
    bytesOut: delivered,
  })
  await new Promise((resolve) => b.read('t', 0, 0, 1_000_000, resolve))
  assert.equal(trafficOf(broker, 'b').recordsOut, 6)
  assert.equal(trafficOf(broker, 'b').bytesOut, delivered + bytes)
  await new Promise((resolve) => b.take('t', true, resolve))
  assert.equal(trafficOf(broker, 'b').recordsOut, 7)

  const transaction = b.begin()
  transaction.publish([plainItem('t', { value: 'x' })])
  await new Promise((resolve) => transaction.commit(resolve))
  assert.equal(trafficOf(broker, 'b').recordsIn, 1)

  other.listen({ pattern: 'live.*' }, { onRecords: () => undefined })
  await publish(other, new PublishItem(null, 'live.x', item.format, item.payload))
  await turns()
  assert.deepEqual(
    [trafficOf(broker, 'a', 'other').recordsIn, trafficOf(broker, 'a', 'other').recordsOut],
    [1, 1],
    'live subscribers are counted',
  )
  await broker.deleteNamespace(broker.anonymous, 'other')
  assert.deepEqual(trafficOf(broker, 'a', 'other'), {})
  await machine.stop()
})

test('publishing and delivering are measured in samples, waiting in the log included', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const space = spaceOf(broker)
  await space.createTopic('t', {}, 'test')
  await space.createSubscription('t', 's', {})
  assert.deepEqual([broker.stats().publishLatency.count, broker.stats().deliverLatency.count], [0, 0])
  await publish(space, ...Array.from({ length: 100 }, (_, index) => plainItem('t', { value: String(index) })))
  assert.equal(broker.stats().publishLatency.count, 1, 'one for the whole batch')
  await publish(space, plainItem('t', { value: 'x' }))
  assert.equal(broker.stats().publishLatency.count, 2)
  assert(broker.stats().publishLatency.sumSeconds > 0)

  const waited = 30
  await new Promise((resolve) => setTimeout(resolve, waited))
  const sink = new RememberingSink()
  space.subscribe({ topic: 't', subscription: 's', autoSettle: true, name: 'c' }, sink).credit(1000)
  await until(() => sink.got.length === 101)
  const { deliverLatency } = broker.stats()
  assert.equal(deliverLatency.count, 1, 'the first record of the log was the sample')
  assert(deliverLatency.sumSeconds >= (waited - 2) / 1000, `${deliverLatency.sumSeconds} s`)
  await publish(space, plainItem('t', { value: 'y' }))
  await until(() => sink.got.length === 102)
  assert.equal(broker.stats().deliverLatency.count, 2)
  await publish(space, plainItem('t', { value: 'z' }))
  await turns()
  await new Promise((resolve) => space.read('t', 0, 0, 1_000_000, resolve))
  assert.equal(broker.stats().deliverLatency.count, 3, 'who hands it over first ends the measurement')
  await machine.stop()
})

test('a histogram counts what took up to each bound', () => {
  const histogram = new LatencyHistogram()
  for (const ms of [0, 0.1, 0.2, 1, 1.5, 999, 1e9]) histogram.observe(ms)
  const { count, buckets } = histogram.stats()
  const upTo = (seconds: number): number | undefined => buckets.find((bucket) => bucket.upTo === seconds)?.count
  assert.equal(count, 7)
  assert.deepEqual([upTo(0.0001), upTo(0.00025), upTo(0.001), upTo(0.0025), upTo(1), upTo(3600)], [2, 3, 4, 5, 6, 6])
})

test('what is gone from the beginning of a topic does not count in its bytes, wherever it stood', async () => {
  for (const cacheBytes of [64 * 1024 * 1024, 4 * 1024]) {
    const machine = new Machine(1, { cacheBytes })
    const space = spaceOf(await machine.start())
    await space.createTopic('t', { retention: 'time' }, 'test')
    for (let index = 0; index < 40; index++) await publish(space, plainItem('t', { value: 'x'.repeat(1000) }))
    const bytes = (): number => space.status('t')?.partitions[0]?.bytes ?? Number.NaN
    const all = bytes()
    assert(all >= 40_000)
    await space.deleteRecordsBefore('t', 0, 30)
    assert(bytes() >= 10_000)
    assert(bytes() < all / 2, `${bytes()} of ${all}`)
    await space.deleteRecordsBefore('t', 0, 40)
    assert.equal(bytes(), 0)
    await machine.stop()
  }
})
