/** Records of open transactions: kept back, then seen whole or never, also across crashes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, publish, spaceOf, textsRead } from '../../test/support/machine.ts'
import type { OwnedBroker } from './broker.ts'
import { PublishItem, type ReadResult, type Space } from './face.ts'

const marker = { format: 1, payload: Buffer.from('marker') }

async function undecided(space: Space, text: string, sequence: number): Promise<void> {
  const item = new PublishItem(null, 'orders', 1, Buffer.from(text))
  item.producerId = 5
  item.producerEpoch = 0
  item.producerSequence = sequence
  item.undecided = true
  await publish(space, item)
}

function plain(space: Space, text: string): Promise<void> {
  return publish(space, new PublishItem(null, 'orders', 1, Buffer.from(text)))
}

function decide(broker: OwnedBroker, commit: boolean): Promise<void> {
  const partitions = [{ topic: 'orders', partition: 0 }]
  const decision = { producerId: 5, producerEpoch: 0, commit, partitions, marker }
  return new Promise((resolve, reject) => {
    broker.atomically(
      () => spaceOf(broker).decide(decision),
      (error) => (error === null ? resolve() : reject(error)),
    )
  })
}

function read(space: Space): Promise<ReadResult> {
  return new Promise((resolve) => space.read('orders', 0, 0, 1e6, resolve))
}

const peeked = async (space: Space): Promise<string[]> => textsRead(await space.peek('orders', { limit: 100 }))

test('undecided records hold back what follows them until the decision is durable', async () => {
  const machine = new Machine()
  let broker = await machine.start()
  let space = spaceOf(broker)
  await space.createTopic('orders', { retention: 'acknowledged' }, 'test')
  await plain(space, 'before')
  await undecided(space, 'a', 0)
  await plain(space, 'between')
  await undecided(space, 'b', 1)
  assert.deepEqual(await peeked(space), ['before'])
  const first = await read(space)
  assert.deepEqual([first.entries.length, first.nextOffset, first.stableOffset], [4, 4, 1])
  assert.equal(space.producers('orders', 0)[0]?.openSince, 1)

  broker = await machine.crash()
  space = spaceOf(broker)
  assert.deepEqual(await peeked(space), ['before'], 'still undecided after a crash')
  let woken = false
  space.whenReadable(
    'orders',
    0,
    1,
    () => {
      woken = true
    },
    true,
  )
  await decide(broker, true)
  assert(woken)
  assert.deepEqual(await peeked(space), ['before', 'a', 'between', 'b'])

  space = spaceOf(await machine.crash())
  assert.deepEqual(await peeked(space), ['before', 'a', 'between', 'b'])
  await machine.stop()
})

for (const ending of ['crash', 'restart'] as const) {
  test(`aborted records are never delivered, also after a ${ending}`, async () => {
    const machine = new Machine()
    const broker = await machine.start()
    let space = spaceOf(broker)
    await space.createTopic('orders', { retention: 'acknowledged' }, 'test')
    await undecided(space, 'a', 0)
    await plain(space, 'kept')
    await undecided(space, 'b', 1)
    await decide(broker, false)
    await plain(space, 'after')
    space = spaceOf(await machine[ending]())
    assert.deepEqual(await peeked(space), ['kept', 'after'])
    assert.deepEqual((await read(space)).aborted, [{ producerId: 5, first: 0, last: 3 }])
    const taken: string[] = []
    for (;;) {
      const one = await new Promise<string | null>((resolve) =>
        space.take('orders', true, (record) => resolve(record === null ? null : String(record.bytes))),
      )
      if (one === null) break
      taken.push(one)
    }
    assert.deepEqual(taken, ['kept', 'after'])
    assert.equal(space.status('orders')?.subscriptions[0]?.ready, 0)
    await machine.stop()
  })
}
