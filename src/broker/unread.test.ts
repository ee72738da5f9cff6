/** A topic kept until acknowledged that nobody reads yet: it keeps everything, and its queue is there when somebody asks for it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, spaceOf } from '../../test/support/machine.ts'
import { type Consumer, PublishItem, type Sink, type Space } from './face.ts'

const sink: Sink = { onDeliveries: () => undefined, onConsumerClosed: () => undefined }

async function publish(space: Space, records: number): Promise<void> {
  const items = Array.from({ length: records }, (_, index) => new PublishItem(null, 't', 1, Buffer.from(`${index}`)))
  await new Promise<void>((resolve) => space.publish(items, resolve))
}

const subscriptionsOf = (space: Space): string[] => space.status('t')?.subscriptions.map(({ name }) => name) ?? []
const keptOf = (space: Space): number => space.status('t')?.partitions[0]?.records ?? -1

/** Acknowledges so many records. */
async function acknowledge(space: Space, subscription: string, records: number): Promise<Consumer> {
  const consumer = await new Promise<Consumer>((resolve) => {
    let left = records
    const made = space.subscribe(
      { topic: 't', subscription, autoSettle: false, name: subscription },
      {
        ...sink,
        onDeliveries: (of, batch) => {
          of.settle(batch.id.slice(0, batch.length), { kind: 'accept' })
          left -= batch.length
          if (left === 0) resolve(made)
        },
      },
    )
    made.credit(records)
  })
  return consumer
}

test('it is kept whole until somebody reads, over a restart and a change of its settings', async () => {
  const machine = new Machine()
  const first = spaceOf(await machine.start())
  await first.createTopic('t', { retention: 'acknowledged' }, 'test', {}, null)
  await publish(first, 10)
  await first.alterTopic('t', { paused: true })
  await first.alterTopic('t', { paused: false })
  machine.clock.advance(60_000)
  assert.deepEqual(subscriptionsOf(first), [])
  assert.equal(keptOf(first), 10)
  const second = spaceOf(await machine.restart())
  machine.clock.advance(60_000)
  assert.deepEqual(subscriptionsOf(second), [])
  assert.equal(keptOf(second), 10)
  await machine.stop()
})

test('named subscriptions alone decide what goes; the queue begins with what is left, and counts from then on', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('t', { retention: 'acknowledged' }, 'test', {}, null)
  await publish(space, 10)
  await acknowledge(space, 'named', 10)
  machine.clock.advance(60_000)
  await publish(space, 5)
  assert.equal(keptOf(space), 5)
  // Whoever asks for the queue makes it.
  assert.equal(space.ready('t').count, 5)
  assert.deepEqual(subscriptionsOf(space), ['named', ''])
  await machine.stop()
})

test('one that becomes kept until acknowledged has its queue at once', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('t', {}, 'test')
  await space.alterTopic('t', { retention: 'acknowledged' })
  assert.deepEqual(subscriptionsOf(space), [''])
  await machine.stop()
})
