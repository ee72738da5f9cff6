/** The coordinator on a machine whose power goes: what is open stays open, what ended has ended whole, and time ends what nobody ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, publish, spaceOf, textsRead } from '../../../test/support/machine.ts'
import type { OwnedBroker } from '../../broker/broker.ts'
import { PublishItem, type Space } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { batchFormat, recordFormat } from './mapping.ts'
import type { ProducerIdentity } from './transaction.ts'
import { idExpirationMs, TransactionCoordinator, transactionTimeoutMaxMs } from './transaction-coordinator.ts'

formats.register(batchFormat)
formats.register(recordFormat)

const ok = 0
const orders = { topic: 'orders', partition: 0 }

async function newMachine(): Promise<{ machine: Machine; broker: OwnedBroker }> {
  const machine = new Machine()
  const broker = await machine.start()
  await spaceOf(broker).createTopic('orders', {}, 'test')
  return { machine, broker }
}

async function write(space: Space, text: string, by: ProducerIdentity, sequence: number): Promise<void> {
  const item = new PublishItem(null, 'orders', 1, Buffer.from(text))
  item.producerId = by.producerId
  item.producerEpoch = by.epoch
  item.producerSequence = sequence
  item.undecided = true
  await publish(space, item)
}

const position = (offset: number) => ({ ...orders, offset, metadata: 'm', leaderEpoch: -1 })
/** What a group has committed: topic and offset. */
const committed = (space: Space, group: string): [string, number][] =>
  space.cursors(group).map(({ topic, offset }) => [topic, offset])
const peeked = async (space: Space): Promise<string[]> => textsRead(await space.peek('orders', { limit: 100 }))

test('a transaction that is open when the power goes is still open afterwards, its offsets pending', async () => {
  const { machine, broker } = await newMachine()
  const first = TransactionCoordinator.of(broker)
  const by = await first.init('id', 60_000, null)
  assert.equal(first.add('id', by, [orders]), ok)
  assert.equal(first.add('id', by, [], 'group'), ok)
  await write(spaceOf(broker), 'a', by, 0)
  first.addOffsets('id', 'group', [position(5)])
  assert.equal(await first.durable(), ok)

  const again = await machine.crash()
  const second = TransactionCoordinator.of(again)
  assert.equal(second.verify('id', by, orders), ok)
  assert.equal(second.verifyGroup('id', by, 'group'), ok)
  assert.equal(second.pendingOf('group')('orders', 0), true)
  assert.deepEqual(committed(spaceOf(again), 'group'), [])
  const ended = await second.end('id', by, true, true)
  assert.deepEqual(ended, { errorCode: ok, producerId: by.producerId, epoch: by.epoch + 1 })
  assert.deepEqual(await peeked(spaceOf(again)), ['a'])

  const last = await machine.crash()
  assert.deepEqual(committed(spaceOf(last), 'group'), [['orders', 5]])
  assert.equal(TransactionCoordinator.of(last).pendingOf('group')('orders', 0), false)
  assert.deepEqual(await TransactionCoordinator.of(last).end('id', by, true, true), ended, 'asked again after a crash')
  await machine.stop()
})

test('an end whose answer nobody saw has happened whole or not at all', async () => {
  const outcomes = new Set<boolean>()
  for (let seed = 1; seed <= 20; seed++) {
    const machine = new Machine(seed)
    const broker = await machine.start()
    await spaceOf(broker).createTopic('orders', {}, 'test')
    const by = await TransactionCoordinator.of(broker).init('id', 60_000, null)
    const coordinator = TransactionCoordinator.of(broker)
    coordinator.add('id', by, [orders], 'group')
    await write(spaceOf(broker), 'a', by, 0)
    coordinator.addOffsets('id', 'group', [position(1)])
    await coordinator.durable()
    void coordinator.end('id', by, true, true)
    for (let turns = 0; turns < seed % 5; turns++) await new Promise((resolve) => setImmediate(resolve))
    const again = await machine.crash()
    const ended = TransactionCoordinator.of(again).get('id')?.isOpen === false
    outcomes.add(ended)
    assert.deepEqual(await peeked(spaceOf(again)), ended ? ['a'] : [], `seed ${seed}`)
    assert.equal(spaceOf(again).cursors('group').length, ended ? 1 : 0, `seed ${seed}`)
    await machine.stop()
  }
  assert.equal(outcomes.size, 2, 'both were seen')
})

test('time over: aborted, the producer fenced on the partition too; also when it ran out while the power was off', async () => {
  for (const crash of [false, true]) {
    const { machine, broker } = await newMachine()
    let current = broker
    const by = await TransactionCoordinator.of(broker).init('id', 5_000, null)
    TransactionCoordinator.of(broker).add('id', by, [orders], 'group')
    await write(spaceOf(broker), 'never', by, 0)
    TransactionCoordinator.of(broker).addOffsets('id', 'group', [position(5)])
    await publish(spaceOf(broker), new PublishItem(null, 'orders', 1, Buffer.from('after')))
    if (crash) current = await machine.crash()
    const coordinator = TransactionCoordinator.of(current)
    machine.clock.advance(4_000)
    assert.equal(coordinator.get('id')?.isOpen, true)
    machine.clock.advance(2_000)
    assert.equal(await coordinator.durable(), ok)
    assert.equal(coordinator.get('id')?.isOpen, false)
    assert.deepEqual(await peeked(spaceOf(current)), ['after'])
    assert.deepEqual(committed(spaceOf(current), 'group'), [])
    assert.equal(coordinator.verify('id', by, orders), 90)
    await assert.rejects(write(spaceOf(current), 'late', by, 1), /Fenced/)
    await machine.stop()
  }
})

test('a producer that takes the id over aborts what is open, and what it was told is its own', async () => {
  const { machine, broker } = await newMachine()
  const coordinator = TransactionCoordinator.of(broker)
  const by = await coordinator.init('id', 60_000, null)
  coordinator.add('id', by, [orders])
  await write(spaceOf(broker), 'never', by, 0)
  const answers = await Promise.all([coordinator.init('id', 60_000, null), coordinator.init('id', 60_000, null)])
  assert.deepEqual(
    answers.map(({ epoch }) => epoch),
    [1, 2],
  )
  assert.deepEqual(await peeked(spaceOf(broker)), [])
  assert.equal((await coordinator.end('id', by, true, false)).errorCode, 90)
  await machine.stop()
})

test('epochs used up at an end: the next transaction has another producer id', async () => {
  const { machine, broker } = await newMachine()
  const coordinator = TransactionCoordinator.of(broker)
  const by = await coordinator.init('id', 60_000, null)
  const transaction = coordinator.get('id')
  assert.ok(transaction)
  transaction.epoch = 32766
  const last = { ...by, epoch: 32766 }
  coordinator.add('id', last, [orders])
  await write(spaceOf(broker), 'a', last, 0)
  const ended = await coordinator.end('id', last, true, true)
  assert.equal(ended.epoch, 0)
  assert.notEqual(ended.producerId, by.producerId)
  assert.deepEqual(await peeked(spaceOf(broker)), ['a'])
  assert.equal(coordinator.ofProducer(by.producerId), undefined)
  assert.equal(coordinator.ofProducer(ended.producerId), transaction)
  await machine.stop()
})

test('ids are forgotten when unused for long, and the one unused for longest when there are too many; never an open one', async () => {
  const { machine, broker } = await newMachine()
  const coordinator = new TransactionCoordinator(broker, 3)
  const open = await coordinator.init('open', transactionTimeoutMaxMs, null)
  coordinator.add('open', open, [orders])
  for (const id of ['a', 'b', 'c']) await coordinator.init(id, 1000, null)
  assert.deepEqual(
    coordinator.all().map(({ id }) => id),
    ['open', 'b', 'c'],
  )
  await coordinator.end('open', open, false, false)
  machine.clock.advance(idExpirationMs / 2)
  await coordinator.init('c', 1000, null)
  machine.clock.advance(idExpirationMs / 2 + 3600_000)
  assert.deepEqual(
    coordinator.all().map(({ id }) => id),
    ['c'],
  )
  await coordinator.durable()
  assert.deepEqual([...broker.rows('kafka.transactions').entries()].map(([id]) => id).sort(), ['c'])
  await machine.stop()
})

test('offsets of a group that was deleted, or of a topic that is gone, are not committed', async () => {
  const { machine, broker } = await newMachine()
  await spaceOf(broker).createTopic('gone', {}, 'test')
  const coordinator = TransactionCoordinator.of(broker)
  const by = await coordinator.init('id', 60_000, null)
  for (const group of ['kept', 'deleted']) {
    coordinator.add('id', by, [], group)
    coordinator.addOffsets('id', group, [position(3), { ...position(4), topic: 'gone' }])
  }
  coordinator.dropPending('deleted')
  await spaceOf(broker).deleteTopic('gone')
  await coordinator.end('id', by, true, true)
  assert.deepEqual(committed(spaceOf(broker), 'kept'), [['orders', 3]])
  assert.deepEqual(committed(spaceOf(broker), 'deleted'), [])
  assert.equal(broker.rows('kafka.pending-offsets').size, 0)
  await machine.stop()
})
