/** Further copies of what passes an exchange: whoever published it, all of them or none after a crash, and none kept back by others. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, spaceOf } from '../../test/support/machine.ts'
import { plainFormat, plainItem, publish } from '../../test/support/records.ts'
import { PublishItem, PublishStatus, type Space } from './face.ts'

const fanout = { kind: 'fanout', durable: true, autoDelete: false, internal: false, alternate: null, declaration: {} } as const
const through = (exchange: string, value: string): PublishItem => Object.assign(plainItem('', { value }), { exchange })
const ready = (space: Space, topic: string): number | undefined => space.status(topic)?.subscriptions[0]?.ready

async function prepared(space: Space): Promise<void> {
  for (const name of ['one', 'two', 'bound']) await space.createTopic(name, { retention: 'acknowledged' }, 'test')
  await space.declareExchange({ name: 'x', ...fanout })
  await space.declareExchange({ name: 'before', ...fanout })
  await space.bind({ source: 'before', destination: 'x', destinationKind: 'exchange', key: '', arguments: {} })
}

const copy = (topic: string, payload: Buffer): PublishItem => new PublishItem('', topic, plainFormat.id, payload)

test('copies are made of what passes the exchange, also through another one, and count as routed', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const space = spaceOf(broker)
  await prepared(space)
  broker.copyOnPassage('default', 'x', ({ payload }) => [copy('one', payload), copy('two', payload)])
  const [direct] = await publish(space, through('x', 'a'))
  assert.deepEqual([direct?.status, direct?.routedTo], [PublishStatus.Stored, 2])
  await publish(space, through('before', 'b'))
  assert.deepEqual([ready(space, 'one'), ready(space, 'two')], [2, 2])
  const transaction = space.begin()
  transaction.publish([through('x', 'c')])
  await new Promise<void>((resolve, reject) => transaction.commit((error) => (error === null ? resolve() : reject(error))))
  assert.equal(ready(space, 'one'), 3)
  broker.copyOnPassage('default', 'x', null)
  const [unrouted] = await publish(space, through('x', 'd'))
  assert.equal(unrouted?.status, PublishStatus.Unrouted)
  await machine.stop()
})

test('after a crash there are all copies of a record, or none', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const machine = new Machine(seed)
    let broker = await machine.start()
    let space = spaceOf(broker)
    await prepared(space)
    await space.bind({ source: 'x', destination: 'bound', destinationKind: 'topic', key: '', arguments: {} })
    broker.copyOnPassage('default', 'x', ({ payload }) => [copy('one', payload), copy('two', payload)])
    await publish(space, through('x', 'kept'))
    for (let turn = 0; turn < seed; turn++) {
      space.publish([through('x', 'perhaps')], () => undefined)
      await new Promise((resolve) => setImmediate(resolve))
    }
    broker = await machine.crash()
    space = spaceOf(broker)
    const counts = ['one', 'two', 'bound'].map((topic) => ready(space, topic))
    assert.ok((counts[0] ?? 0) >= 1)
    assert.deepEqual(new Set(counts).size, 1, `seed ${seed}: ${counts.join()}`)
    await machine.stop()
  }
})

test('a target that is full, or not there, keeps a record from nobody else', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const space = spaceOf(broker)
  await prepared(space)
  await space.createTopic('full', { retention: 'acknowledged', recordsMax: 0, overflow: 'refuse' }, 'test')
  await space.bind({ source: 'x', destination: 'full', destinationKind: 'topic', key: '', arguments: {} })
  broker.copyOnPassage('default', 'x', ({ payload }) => [copy('nobody', payload), copy('two', payload)])
  const [item] = await publish(space, through('x', 'a'))
  assert.equal(item?.errorCode, 'Full')
  assert.equal(ready(space, 'two'), 1)
  await machine.stop()
})
