/** Policies and caps: how they combine with what a topic was declared with, when they count, and that they survive. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, publish, spaceOf } from '../../test/support/machine.ts'
import { type ExchangeInfo, type Policy, PublishItem, type Space, type TopicConfig, topicDefaults } from './face.ts'
import { combined, effectiveConfig, ungoverned } from './policy.ts'

const policy = (over: Partial<Policy>): Policy => ({
  namespace: 'default',
  name: 'p',
  pattern: '',
  cap: false,
  topicKinds: ['work'],
  exchanges: false,
  priority: 0,
  settings: {},
  declaration: {},
  ...over,
})
const work: Partial<TopicConfig> = { retention: 'acknowledged', kind: 'work', unasked: ['overflow', 'deliveryLimit'] }
const declared = (over: Partial<TopicConfig>): TopicConfig => ({ ...topicDefaults, ...work, ...over })
const governed = (own: Partial<TopicConfig>, settings: Policy['settings'], cap: Policy['settings'] = {}): TopicConfig =>
  effectiveConfig(declared(own), { policy: policy({ settings }), cap: policy({ cap: true, settings: cap }) })

const put = (space: Space, topic: string, ...texts: string[]) =>
  publish(space, ...texts.map((text) => new PublishItem(null, topic, 1, Buffer.from(text))))
const ready = (space: Space, topic: string): number | undefined => space.status(topic)?.subscriptions[0]?.ready
async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1000 && !holds(); turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(holds())
}

test('of limits the smallest of declaration, policy and cap counts', () => {
  assert.equal(governed({ recordsMax: 5 }, { recordsMax: 3 }).recordsMax, 3)
  assert.equal(governed({ recordsMax: 2 }, { recordsMax: 3 }).recordsMax, 2)
  assert.equal(governed({}, { recordsMax: 3 }, { recordsMax: 1 }).recordsMax, 1)
  assert.equal(governed({}, { recordsMax: 3 }, { recordsMax: 9 }).recordsMax, 3)
  assert.equal(governed({}, { recordTtlMs: 0 }).recordTtlMs, 0)
  assert.equal(governed({ deliveryLimit: 20 }, { deliveryLimit: 50 }).deliveryLimit, 50, 'nobody asked for the 20')
  assert.equal(governed({ deliveryLimit: 20, unasked: [] }, { deliveryLimit: 50 }).deliveryLimit, 20)
  assert.equal(governed({}, { retentionMs: 5 }).retentionMs, topicDefaults.retentionMs, 'not kept by time')
  assert.equal(governed({ retention: 'time' }, { retentionMs: 5 }).retentionMs, 5)
  assert.equal(governed({ retention: 'time' }, { recordsMax: 5 }).recordsMax, -1, 'kept by time')
})

test('of everything else the declaration counts, then the cap, then the policy', () => {
  assert.equal(governed({}, { overflow: 'refuse' }).overflow, 'refuse')
  assert.equal(governed({ unasked: [] }, { overflow: 'refuse' }).overflow, 'dropOldest')
  assert.equal(governed({}, { overflow: 'refuse' }, { overflow: 'refuseDeadLetter' }).overflow, 'refuseDeadLetter')
  const settings = { deadLetterExchange: 'x', deadLetterRoutingKey: 'k' }
  assert.deepEqual(governed({}, settings).deadLetter, { exchange: 'x', routingKey: 'k' })
  const own = { deadLetter: { exchange: 'own', routingKey: null } }
  assert.deepEqual(governed(own, settings).deadLetter, { exchange: 'own', routingKey: 'k' })
  assert.equal(governed({}, { deadLetterRoutingKey: 'k' }).deadLetter, null)
  assert.equal(effectiveConfig(declared({}), ungoverned).deadLetter, null)
  const careful = { deadLetterExchange: 'x', deadLetterUntilStored: true }
  assert.equal(governed({}, careful).deadLetter?.untilStored, undefined, 'what is too much is not refused')
  assert.equal(governed({}, { ...careful, overflow: 'refuse' }).deadLetter?.untilStored, true)
  const retryDelay = { minMs: 1, maxMs: 2, on: 'all' } as const
  assert.deepEqual(governed({}, { retryDelay }).retryDelay, retryDelay)
  assert.deepEqual(governed({ retryDelay: { ...retryDelay, minMs: 0 } }, { retryDelay }).retryDelay?.minMs, 0)
  const fixed = declared({ fixed: ['retryDelay', 'deliveryLimit'] })
  const settings2 = { retryDelay, deliveryLimit: 1, recordsMax: 5 }
  const left = effectiveConfig(fixed, { policy: policy({ settings: settings2 }), cap: null })
  assert.deepEqual([left.retryDelay, left.deliveryLimit, left.recordsMax], [null, -1, 5])
  assert.deepEqual(combined({ policy: policy({ settings: { recordsMax: 2, overflow: 'refuse' } }), cap: null }), {
    recordsMax: 2,
    overflow: 'refuse',
  })
})

test('one policy counts: the highest that matches name and kind', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const space = spaceOf(broker)
  const of = (name: string) => {
    const { config, policy: by, cap } = space.topic(name) ?? assert.fail()
    return [config.recordsMax, config.expiresMs, by, cap]
  }
  await space.createTopic('orders', work, 'test')
  await space.createTopic('stranger', { retention: 'acknowledged' }, 'test')
  await broker.policies.put(policy({ name: 'low', pattern: 'o', settings: { recordsMax: 1, expiresMs: 1e6 } }))
  await broker.policies.put(policy({ name: 'high', pattern: '^ord', priority: 2, settings: { recordsMax: 7 } }))
  await broker.policies.put(policy({ name: 'kind', priority: 9, topicKinds: ['other'], settings: { recordsMax: 3 } }))
  await broker.policies.put(policy({ name: 'cap', cap: true, settings: { expiresMs: 5e6 } }))
  assert.deepEqual(of('orders'), [7, 5e6, 'high', 'cap'])
  assert.deepEqual(of('stranger'), [-1, -1, null, null], 'a topic without a kind is left alone')
  await space.createTopic('ordered', { ...work, recordsMax: 2 }, 'test')
  assert.deepEqual(of('ordered'), [2, 5e6, 'high', 'cap'], 'made afterwards')
  await broker.policies.delete({ namespace: 'default', name: 'high', cap: false })
  assert.deepEqual(of('orders'), [1, 1e6, 'low', 'cap'])
  assert.equal(await broker.policies.delete({ namespace: 'default', name: 'low', cap: true }), false)
  await broker.policies.delete({ namespace: 'default', name: 'low', cap: false })
  await broker.policies.delete({ namespace: 'default', name: 'cap', cap: true })
  assert.deepEqual(of('orders'), [-1, -1, null, null], 'what was declared is as it was')
  await machine.stop()
})

test('a limit on length counts at once, and for what comes', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const space = spaceOf(broker)
  await space.createTopic('orders', work, 'test')
  await put(space, 'orders', 'a', 'b', 'c')
  await broker.policies.put(policy({ settings: { recordsMax: 2 } }))
  await until(() => ready(space, 'orders') === 2)
  await put(space, 'orders', 'd')
  await until(() => ready(space, 'orders') === 2)
  await broker.policies.put(policy({ settings: { recordsMax: 2, overflow: 'refuse' } }))
  await assert.rejects(put(space, 'orders', 'e'), /Full/)
  await broker.policies.delete(policy({}))
  await put(space, 'orders', 'f')
  await until(() => ready(space, 'orders') === 3)
  await machine.stop()
})

test('times and dead letters of a policy hold', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const space = spaceOf(broker)
  await space.createTopic('dead', { retention: 'acknowledged' }, 'test')
  const settings = { recordTtlMs: 1000, deadLetterExchange: '', deadLetterRoutingKey: 'dead' }
  await broker.policies.put(policy({ pattern: '^orders$', settings }))
  await broker.policies.put(policy({ pattern: '^short$', name: 'short', settings: { expiresMs: 1000 } }))
  await space.createTopic('orders', work, 'test')
  await space.createTopic('short', work, 'test')
  await put(space, 'orders', 'a')
  assert.equal(ready(space, 'orders'), 1)
  for (let second = 0; second < 5; second++) {
    await machine.clock.advance(1000)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await until(() => ready(space, 'dead') === 1 && ready(space, 'orders') === 0)
  assert.equal(space.topic('short'), undefined)
  await machine.stop()
})

test('an alternate exchange of a policy takes what no binding wants, until the policy goes', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const space = spaceOf(broker)
  await space.createTopic('q', work, 'test')
  await space.bind({ source: 'amq.fanout', destination: 'q', destinationKind: 'topic', key: '', arguments: {} })
  const exchange: ExchangeInfo = {
    name: 'x',
    kind: 'direct',
    durable: true,
    autoDelete: false,
    internal: false,
    alternate: null,
    declaration: {},
  }
  const send = () => publish(space, new PublishItem('x', 'k', 1, Buffer.from('m')))
  await space.declareExchange(exchange)
  await assert.rejects(send(), /not routed/)
  await broker.policies.put(policy({ pattern: 'x', exchanges: true, topicKinds: [], settings: { alternate: 'amq.fanout' } }))
  await send()
  assert.deepEqual(broker.policies.ofExchange('default', 'x'), { policy: 'p', cap: null })
  const again = await machine.restart()
  await publish(spaceOf(again), new PublishItem('x', 'k', 1, Buffer.from('m')))
  await again.policies.delete(policy({}))
  await assert.rejects(publish(spaceOf(again), new PublishItem('x', 'k', 1, Buffer.from('m'))), /not routed/)
  await machine.stop()
})

test('policies survive a crash, also for topics declared before them, and a later change keeps what was declared', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  await spaceOf(broker).createTopic('orders', { ...work, recordsMax: 9 }, 'test')
  await broker.policies.put(policy({ settings: { recordsMax: 4 } }))
  const again = await machine.crash()
  const space = spaceOf(again)
  assert.deepEqual(again.policies.list(), [policy({ settings: { recordsMax: 4 } })])
  assert.equal(space.topic('orders')?.config.recordsMax, 4)
  await space.alterTopic('orders', { segmentBytes: 2 * 1024 * 1024 })
  assert.equal(space.topic('orders')?.config.recordsMax, 4)
  await again.policies.delete(policy({}))
  assert.equal(space.topic('orders')?.config.recordsMax, 9)
  await machine.stop()
})

test('a policy that says nothing sensible is refused, and a namespace takes its policies along', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  await assert.rejects(broker.policies.put(policy({ pattern: '(' })), { code: 'Invalid' })
  await assert.rejects(broker.policies.put(policy({ settings: { recordsMax: -1 } })), { code: 'Invalid' })
  await assert.rejects(broker.policies.put(policy({ namespace: 'none' })), { code: 'NotFound' })
  await broker.createNamespace(broker.anonymous, 'other')
  await broker.policies.put(policy({ namespace: 'other' }))
  await broker.deleteNamespace(broker.anonymous, 'other')
  assert.deepEqual(broker.policies.list(), [])
  await machine.stop()
})
