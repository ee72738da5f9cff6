/** The rules of a transactional id, as a broker of Apache Kafka 4.3 answers them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { placesMax, Transaction, TransactionState } from './transaction.ts'

const fenced = 90
const unmapped = 49
const spare = 500
const order = { topic: 'orders', partition: 0 }

function started(epoch = 0): Transaction {
  const transaction = new Transaction('id', 7)
  transaction.init(60_000, null, spare, 1000)
  transaction.epoch = epoch
  return transaction
}

const who = (transaction: Transaction): object => ({ producerId: transaction.producerId, epoch: transaction.epoch })

test('the first producer has epoch 0, each that takes over has the next and fences the one before', () => {
  const transaction = started()
  assert.deepEqual(who(transaction), { producerId: 7, epoch: 0 })
  transaction.init(60_000, null, spare, 1001)
  assert.deepEqual(who(transaction), { producerId: 7, epoch: 1 })
  assert.equal(transaction.check({ producerId: 7, epoch: 0 }), fenced)
  assert.equal(transaction.check({ producerId: 7, epoch: 2 }), fenced)
  assert.equal(transaction.check({ producerId: 8, epoch: 1 }), unmapped)
  assert.equal(transaction.check({ producerId: 7, epoch: 1 }), 0)
})

test('a producer that names what it has gets the next epoch, and the same again when it asks again (KIP-360)', () => {
  const transaction = started(4)
  const expected = { producerId: 7, epoch: 4 }
  for (let times = 0; times < 2; times++) {
    assert.equal(transaction.checkInit(expected), 0)
    transaction.init(60_000, expected, spare, 1001)
    assert.deepEqual(who(transaction), { producerId: 7, epoch: 5 })
  }
  assert.equal(transaction.checkInit({ producerId: 7, epoch: 3 }), fenced)
  assert.equal(transaction.checkInit({ producerId: 9, epoch: 5 }), fenced)
  // Another producer came: the repetition is of one that is fenced.
  transaction.init(60_000, null, spare, 1002)
  assert.equal(transaction.checkInit({ producerId: 7, epoch: 5 }), fenced)
})

test('a producer whose transaction is open does not repeat what came before it', () => {
  const transaction = started(4)
  transaction.init(60_000, { producerId: 7, epoch: 4 }, spare, 1001)
  transaction.add([order], null, 1002)
  assert.equal(transaction.checkInit({ producerId: 7, epoch: 4 }), fenced)
  assert.equal(transaction.checkInit({ producerId: 7, epoch: 5 }), 0)
})

test('when the epochs are used up the next producer id takes over, and the repetition finds it', () => {
  const transaction = started(32766)
  const expected = { producerId: 7, epoch: 32766 }
  transaction.init(60_000, expected, spare, 1001)
  assert.deepEqual(who(transaction), { producerId: spare, epoch: 0 })
  assert.equal(transaction.checkInit(expected), 0)
  transaction.init(60_000, expected, spare + 1, 1002)
  assert.deepEqual(who(transaction), { producerId: spare, epoch: 0 })
})

test('an end that raises the epoch is repeated by who had the one before; also when the epochs are used up', () => {
  for (const [before, after] of [
    [3, { producerId: 7, epoch: 4 }],
    [32766, { producerId: spare, epoch: 0 }],
  ] as const) {
    const transaction = started(before)
    transaction.add([order], null, 1001)
    assert.equal(transaction.repeatsEnd({ producerId: 7, epoch: before }), false)
    assert.equal(transaction.fencingEpoch, before + 1)
    transaction.end(true, spare, 1002)
    assert.deepEqual(who(transaction), after)
    assert.equal(transaction.repeatsEnd({ producerId: 7, epoch: before }), true)
    assert.equal(transaction.repeatsEnd(after), false)
  }
})

test('an end that leaves the epoch has no repetition of an older one', () => {
  const transaction = started(3)
  transaction.init(60_000, { producerId: 7, epoch: 3 }, spare, 1001)
  transaction.add([order], null, 1001)
  transaction.end(true, null, 1002)
  assert.deepEqual(who(transaction), { producerId: 7, epoch: 4 })
  assert.equal(transaction.repeatsEnd({ producerId: 7, epoch: 3 }), false)
})

test('a transaction that timed out fences its producer, who may go on from there', () => {
  const transaction = started(3)
  transaction.add([order], 'group', 1001)
  transaction.expire(9000)
  assert.equal(transaction.state, TransactionState.CompleteAbort)
  assert.equal(transaction.check({ producerId: 7, epoch: 3 }), fenced)
  assert.equal(transaction.checkInit({ producerId: 7, epoch: 3 }), 0)
  assert.deepEqual([transaction.partitions, transaction.groups.size, transaction.startedAt], [[], 0, 1001])
})

test('the highest epoch fences and is never given away', () => {
  const transaction = started(32766)
  transaction.add([order], null, 1001)
  transaction.expire(9000)
  assert.equal(transaction.epoch, 32767)
  assert.equal(transaction.checkInit({ producerId: 7, epoch: 32766 }), fenced)
  assert.equal(transaction.repeatsEnd({ producerId: 7, epoch: 32766 }), false)
  transaction.init(60_000, null, spare, 9001)
  assert.deepEqual(who(transaction), { producerId: spare, epoch: 0 })
})

test('partitions and groups are kept until the end, and say when nothing changed', () => {
  const transaction = started()
  assert.equal(transaction.add([order], null, 1001), true)
  assert.equal(transaction.add([order], null, 1002), false)
  assert.equal(transaction.add([], 'group', 1003), true)
  assert.equal(transaction.add([], 'group', 1004), false)
  assert.deepEqual([transaction.startedAt, transaction.updatedAt], [1001, 1003])
  assert.deepEqual([transaction.has('orders', 0), transaction.has('orders', 1)], [true, false])
  const restored = Transaction.fromRow('id', transaction.toRow())
  assert.equal(restored.toRow(), transaction.toRow())
  assert.deepEqual([restored.has('orders', 0), restored.groups.has('group')], [true, true])
  restored.end(false, null, 1005)
  assert.equal(restored.has('orders', 0), false)
})

test('a transaction holds so many partitions and groups, and no more', () => {
  const transaction = started()
  const many = Array.from({ length: placesMax - 1 }, (_, partition) => ({ topic: 'orders', partition }))
  assert.equal(transaction.hasRoomFor(many, 'group'), true)
  transaction.add(many, 'group', 1001)
  for (const each of [transaction, Transaction.fromRow('id', transaction.toRow())]) {
    assert.equal(each.hasRoomFor([{ topic: 'other', partition: 0 }], null), false)
    assert.equal(each.hasRoomFor([], 'other'), false)
    assert.equal(each.hasRoomFor(many, 'group'), true, 'those that are in')
  }
  transaction.end(true, null, 1002)
  assert.equal(transaction.hasRoomFor([{ topic: 'other', partition: 0 }], null), true)
})
