/** Records of one partition for who asks for some, and limits that belong to a consumer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, spaceOf } from '../../test/support/machine.ts'
import { plainItem, publish, RememberingSink, until } from '../../test/support/records.ts'
import { accept, type Consumer, type PublishItem, type PullLimits, type Space } from './face.ts'

const limits: PullLimits = { messages: 100, bytes: 1 << 20, inFlightMax: 100 }
const at = (partition: number, value: string): PublishItem => Object.assign(plainItem('pulled', { value }), { partition })

interface Pulled {
  readonly id: number
  readonly offset: number
  readonly attempt: number
}

function pull(consumer: Consumer, partition: number, more: Partial<PullLimits> = {}): Promise<Pulled[]> {
  return new Promise((resolve) => {
    consumer.pull(partition, { ...limits, ...more }, (batch) =>
      resolve(
        Array.from({ length: batch.length }, (_, index) => ({
          id: batch.id[index] ?? -1,
          offset: batch.offset[index] ?? -1,
          attempt: batch.attempt[index] ?? -1,
        })),
      ),
    )
  })
}

const subscribe = (space: Space, more: object = {}): Consumer =>
  space.subscribe({ topic: 'pulled', subscription: 's', autoSettle: false, name: 'c', ...more }, new RememberingSink())

test('a pull takes from its partition alone, within its limits, and waits when there is nothing', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('pulled', { partitions: 2 }, 'test')
  await publish(space, at(0, 'a'), at(0, 'b'), at(0, 'c'), at(1, 'x'))
  const consumer = subscribe(space)
  const other = subscribe(space)
  assert.deepEqual(
    (await pull(consumer, 0, { messages: 2 })).map(({ offset }) => offset),
    [0, 1],
  )
  // One is larger than the limit on bytes: it comes alone.
  const [last] = await pull(other, 0, { bytes: 1 })
  assert.deepEqual([last?.offset, last?.attempt], [2, 1])
  assert.deepEqual(
    (await pull(consumer, 1)).map(({ offset }) => offset),
    [0],
  )
  const waiting = pull(consumer, 1)
  const givenUp = consumer.pull(1, limits, () => assert.fail('it was given up'))
  givenUp()
  await publish(space, at(1, 'y'))
  assert.deepEqual(
    (await waiting).map(({ offset }) => offset),
    [1],
  )
  await machine.stop()
})

test('nothing is pulled while as many are unsettled as may be, at whichever consumer', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('pulled', {}, 'test')
  await publish(space, at(0, 'a'), at(0, 'b'), at(0, 'c'))
  const consumer = subscribe(space)
  const held = await pull(consumer, 0, { inFlightMax: 2 })
  assert.equal(held.length, 2)
  const more: Pulled[] = []
  void pull(subscribe(space), 0, { inFlightMax: 2 }).then((pulled) => more.push(...pulled))
  await publish(space, at(0, 'd'))
  assert.equal(more.length, 0)
  consumer.settle([held[0]?.id ?? -1], accept)
  await until(() => more.length > 0)
  assert.deepEqual(
    more.map(({ offset }) => offset),
    [2],
  )
  await machine.stop()
})

test('a consumer’s own delivery limit counts before the topic’s, and outlives a restart', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  await space.createTopic('pulled', {}, 'test')
  await publish(space, at(0, 'a'), at(0, 'b'))
  const back = { kind: 'release', countsAsAttempt: true } as const
  let consumer = subscribe(space, { deliveryLimit: 1 })
  const [first] = await pull(consumer, 0, { messages: 1 })
  assert.equal(consumer.settle([first?.id ?? -1], back), 1)
  await publish(space, at(0, 'c'))
  space = spaceOf(await machine.crash())
  consumer = subscribe(space, { deliveryLimit: 1 })
  const [again] = await pull(consumer, 0, { messages: 1 })
  assert.deepEqual([again?.offset, again?.attempt], [0, 2])
  consumer.settle([again?.id ?? -1], back)
  assert.deepEqual(
    (await pull(consumer, 0)).map(({ offset }) => offset),
    [1, 2],
  )
  await machine.stop()
})

test('one partition of a subscription is moved by itself', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('pulled', { partitions: 2 }, 'test')
  await publish(space, at(0, 'a'), at(0, 'b'), at(1, 'x'))
  const consumer = subscribe(space)
  await space.seek('pulled', 's', { offset: 1 }, 0)
  assert.deepEqual(
    (await pull(consumer, 0)).map(({ offset }) => offset),
    [1],
  )
  assert.deepEqual(
    (await pull(consumer, 1)).map(({ offset }) => offset),
    [0],
  )
  await machine.stop()
})

test('a pull of any partition takes from all, and one that does not wait says at once that there is nothing', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('pulled', { partitions: 3 }, 'test')
  const consumer = subscribe(space)
  assert.deepEqual(await pull(consumer, -1, { wait: false }), [])
  await publish(space, at(0, 'a'), at(2, 'x'), at(1, 'y'), at(2, 'z'))
  assert.equal((await pull(consumer, -1, { wait: false, messages: 3 })).length, 3)
  assert.equal((await pull(consumer, -1, { wait: false })).length, 1)
  assert.deepEqual(await pull(consumer, -1, { wait: false }), [])
  const waiting = pull(consumer, -1)
  await publish(space, at(1, 'late'))
  assert.equal((await waiting).length, 1)
  await space.pauseSubscription('pulled', 's', true)
  await publish(space, at(1, 'paused'))
  assert.deepEqual(await pull(consumer, -1, { wait: false }), [])
  await machine.stop()
})

const keyed = (key: string, value: string): PublishItem => plainItem('pulled', { groupKey: key, value })
const back = { kind: 'release', countsAsAttempt: true } as const

test('one pull brings several records of an exclusive key, and nobody else any before all of them are back or done', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('pulled', { retention: 'acknowledged' }, 'test', {}, { keyExclusive: 'group' })
  const consumer = space.subscribe({ topic: 'pulled', subscription: '', autoSettle: false, name: 'c' }, new RememberingSink())
  const offsets = async (messages: number): Promise<Pulled[]> => pull(consumer, -1, { messages, wait: false })
  await publish(space, ...['a', 'b', 'c', 'd', 'e'].map((value) => keyed('k', value)), keyed('other', 'x'))
  const first = await offsets(3)
  assert.deepEqual(
    first.map(({ offset }) => offset),
    [0, 1, 2],
  )
  // The rest of the key is passed over.
  assert.deepEqual(
    (await offsets(10)).map(({ offset }) => offset),
    [5],
  )
  const [a, b, c] = first.map(({ id }) => id) as [number, number, number]
  consumer.settle([b], accept)
  consumer.settle([a], back)
  assert.deepEqual(await offsets(10), [])
  consumer.settle([c], back)
  // In their order, what came back first.
  const second = await offsets(3)
  assert.deepEqual(
    second.map(({ offset, attempt }) => [offset, attempt]),
    [
      [0, 2],
      [2, 2],
      [3, 1],
    ],
  )
  consumer.settle(
    second.map(({ id }) => id),
    accept,
  )
  const [last] = await offsets(1)
  assert.equal(last?.offset, 4)
  consumer.settle([last?.id ?? -1], accept)
  assert.deepEqual(await offsets(1), [])
  await publish(space, keyed('k', 'f'))
  assert.deepEqual(
    (await offsets(1)).map(({ offset }) => offset),
    [6],
  )
  await machine.stop()
})

test('a record that came back with a delay holds up those of its key behind it that came back at once', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('pulled', { retention: 'acknowledged' }, 'test', {}, { keyExclusive: 'group' })
  const consumer = space.subscribe({ topic: 'pulled', subscription: '', autoSettle: false, name: 'c' }, new RememberingSink())
  await publish(space, keyed('k', 'a'), keyed('k', 'b'))
  const [a, b] = (await pull(consumer, -1)).map(({ id }) => id) as [number, number]
  consumer.settle([a], { ...back, delayMs: 1000 })
  consumer.settle([b], back)
  assert.deepEqual(await pull(consumer, -1, { wait: false }), [])
  machine.clock.advance(1000)
  assert.deepEqual(
    (await pull(consumer, -1)).map(({ offset }) => offset),
    [0, 1],
  )
  await machine.stop()
})

test('a record that nobody has is accepted by its place, and comes no more, also after a crash', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  await space.createTopic('pulled', { retention: 'acknowledged' }, 'test')
  await publish(space, ...['a', 'b', 'c', 'd'].map((value) => plainItem('pulled', { value })))
  const consumer = space.subscribe({ topic: 'pulled', subscription: '', autoSettle: false, name: 'c' }, new RememberingSink())
  const [a] = await pull(consumer, -1, { messages: 1 })
  assert.equal(await space.acceptAt('pulled', '', 0, 0), false)
  assert.equal(await space.acceptAt('pulled', '', 0, 2), true)
  assert.equal(await space.acceptAt('pulled', '', 0, 2), false)
  assert.equal(await space.acceptAt('pulled', '', 0, 99), false)
  consumer.settle([a?.id ?? -1], back)
  // It came back and waits, read already.
  assert.equal(await space.acceptAt('pulled', '', 0, 0), true)
  await publish(space, plainItem('pulled', { value: 'e' }))
  machine.clock.advance(1000)
  await publish(space, plainItem('pulled', { value: 'f' }))
  space = spaceOf(await machine.crash())
  const after = space.subscribe({ topic: 'pulled', subscription: '', autoSettle: false, name: 'c' }, new RememberingSink())
  assert.deepEqual(
    (await pull(after, -1)).map(({ offset }) => offset),
    [1, 3, 4, 5],
  )
  await machine.stop()
})

test('dead letters are those that died of the reasons asked for; the others are dropped', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('dead', { retention: 'acknowledged' }, 'test')
  const deadLetter = { exchange: '', routingKey: 'dead', reasons: ['attempts'] } as const
  await space.createTopic('pulled', { retention: 'acknowledged', recordTtlMs: 1000, deliveryLimit: 0, deadLetter }, 'test')
  const consumer = space.subscribe({ topic: 'pulled', subscription: '', autoSettle: false, name: 'c' }, new RememberingSink())
  await publish(space, plainItem('pulled', { value: 'tried' }), plainItem('pulled', { value: 'late' }))
  const [tried] = await pull(consumer, -1, { messages: 1 })
  consumer.settle([tried?.id ?? -1], back)
  machine.clock.advance(1000)
  await until(() => space.status('pulled')?.subscriptions[0]?.ready === 0 && space.status('dead')?.subscriptions[0]?.ready === 1)
  const dead = await space.peek('dead', { limit: 10 })
  assert.deepEqual(
    dead.map(({ annotations }) => annotations?.deaths?.[0]?.reason),
    ['attempts'],
  )
  await machine.stop()
})

test('a repetition of a delayed record is recognised when it is due', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('pulled', { retention: 'acknowledged' }, 'test')
  const delayed = (): PublishItem =>
    Object.assign(plainItem('pulled', { value: 'once' }), { dedupId: 'one', deliverAt: machine.clock.now() + 1000 })
  await publish(space, delayed(), delayed())
  machine.clock.advance(1000)
  await until(() => space.status('pulled')?.subscriptions[0]?.ready === 1)
  machine.clock.advance(1000)
  assert.equal(space.status('pulled')?.subscriptions[0]?.ready, 1)
  await machine.stop()
})
