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
