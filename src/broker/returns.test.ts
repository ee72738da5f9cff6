/** What was delivered and came back: in which order it goes out again, and what is known of it after a crash. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, spaceOf } from '../../test/support/machine.ts'
import { plainItem, publish, RememberingSink, turns, until } from '../../test/support/records.ts'
import type { OwnedBroker } from './broker.ts'
import type { Consumer, PublishItem, Space } from './face.ts'

const failed = { kind: 'release', countsAsAttempt: true } as const
const returned = { kind: 'release', countsAsAttempt: false } as const
const queue = { retention: 'acknowledged' } as const

const ranked = (value: string, priority: number): PublishItem => Object.assign(plainItem('q', { value }), { priority })

function consume(space: Space, credit: number): { sink: RememberingSink; consumer: Consumer; handedOut: number[] } {
  const sink = new RememberingSink()
  const handedOut: number[] = []
  const onDeliveries: RememberingSink['onDeliveries'] = (from, batch) => {
    handedOut.push(...batch.handedOut.slice(0, batch.length))
    RememberingSink.prototype.onDeliveries.call(sink, from, batch)
  }
  const consumer = space.subscribe(
    { topic: 'q', subscription: '', autoSettle: false, name: 'c' },
    { onDeliveries, onConsumerClosed: () => undefined },
  )
  consumer.credit(credit)
  return { sink, consumer, handedOut }
}

const idOf = (sink: RememberingSink, value: string): number => sink.got.find(({ record }) => record.value === value)?.id ?? -1

for (const [returns, expected] of [
  ['place', ['urgent', 'a', 'b', 'c', 'd']],
  ['arrival', ['c', 'a', 'b', 'urgent', 'd']],
] as const) {
  test(`what came back goes out again: ${returns}`, async () => {
    const machine = new Machine()
    const space = spaceOf(await machine.start())
    await space.createTopic('q', { ...queue, returns, priorityLevels: 10 }, 'test')
    await publish(space, ...['a', 'b', 'c', 'd'].map((value) => ranked(value, 1)))
    const first = consume(space, 3)
    await until(() => first.sink.got.length === 3)
    await publish(space, ranked('urgent', 9))
    first.consumer.settle([idOf(first.sink, 'c')], returned)
    first.consumer.settle([idOf(first.sink, 'a'), idOf(first.sink, 'b')], returned)
    first.consumer.close()
    const second = consume(space, 10)
    await until(() => second.sink.got.length === 5)
    assert.deepEqual(second.sink.values, expected)
    await machine.stop()
  })
}

test('in order of return, what is done with meanwhile is passed over', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('q', { ...queue, returns: 'arrival', priorityLevels: 10 }, 'test')
  await publish(space, ranked('low', 0), ranked('high', 9), ranked('low 2', 0))
  const { sink, consumer } = consume(space, 2)
  await until(() => sink.got.length === 2)
  consumer.settle([idOf(sink, 'low')], returned)
  consumer.close()
  const lane = sink.got.find(({ record }) => record.value === 'low')
  await space.removeRecords('q', lane?.partition ?? -1, [lane?.offset ?? -1])
  const after = consume(space, 10)
  await until(() => after.sink.got.length === 2)
  assert.deepEqual(after.sink.values, ['high', 'low 2'])
  await machine.stop()
})

for (const checkpoint of [false, true]) {
  test(`counts and delays hold over a crash${checkpoint ? ', also when a checkpoint came between' : ''}`, async () => {
    const machine = new Machine(1, checkpoint ? { checkpointBytes: 300 } : {})
    const config = { ...queue, deliveryLimit: 20, retryDelay: { minMs: 60_000, maxMs: 600_000, on: 'failed' } } as const
    let space = spaceOf(await machine.start())
    await space.createTopic('q', config, 'test')
    await publish(
      space,
      plainItem('q', { value: 'failed' }),
      plainItem('q', { value: 'returned' }),
      plainItem('q', { value: 'new' }),
    )
    const { sink, consumer } = consume(space, 2)
    await until(() => sink.got.length === 2)
    consumer.settle([idOf(sink, 'failed')], failed)
    consumer.settle([idOf(sink, 'returned')], returned)
    consumer.close()
    await space.createTopic('other', {}, 'test') // the frame that takes the returns along is on the disk
    if (checkpoint) {
      for (let count = 0; count < 20; count++) await publish(space, plainItem('other', { value: 'x'.repeat(100) }))
      await turns(100)
    }

    space = spaceOf(await machine.crash())
    const after = consume(space, 10)
    await until(() => after.sink.got.length === 2)
    await turns()
    assert.deepEqual(
      [after.sink.values, after.handedOut],
      [
        ['returned', 'new'],
        [1, 0],
      ],
    )
    assert.equal(space.status('q')?.subscriptions[0]?.ready, 0)
    machine.clock.advance(60_001)
    await until(() => after.sink.got.length === 3)
    const last = after.sink.got[2]
    assert.deepEqual([last?.record.value, last?.attempt, after.handedOut[2]], ['failed', 2, 1])
    await machine.stop()
  })
}

test('what waits to come back is waited for no longer once it is purged, or accepted in its place', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('q', queue, 'test')
  await publish(space, plainItem('q', { value: 'a' }), plainItem('q', { value: 'b' }))
  const { sink, consumer } = consume(space, 2)
  await until(() => sink.got.length === 2)
  for (const value of ['a', 'b']) consumer.settle([idOf(sink, value)], { ...returned, delayMs: 60_000 })
  assert.equal(await space.acceptAt('q', '', 0, 0), true)
  await space.purge('q')
  await publish(space, plainItem('q', { value: 'c' }))
  const counted = (): number | undefined => space.status('q')?.subscriptions[0]?.ready
  assert.equal(counted(), 1)
  machine.clock.advance(60_000)
  assert.equal(counted(), 1)
  consumer.credit(1)
  await until(() => sink.got.length === 3)
  await machine.stop()
})

test('after a kill all that was there may have been handed out, after a stop what was', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  await space.createTopic('q', queue, 'test')
  await publish(space, ...['a', 'b', 'c'].map((value) => plainItem('q', { value })))
  let consumer: Consumer
  /** As a stop does: sessions end first. */
  const stopped = (): Promise<OwnedBroker> => {
    consumer.close()
    return machine.restart()
  }
  const marked = async (credit: number): Promise<string[]> => {
    const marks: string[] = []
    const sink = new RememberingSink()
    consumer = space.subscribe(
      { topic: 'q', subscription: '', autoSettle: false, name: 'c' },
      {
        onDeliveries: (from, batch) => {
          sink.onDeliveries(from, batch)
          for (let i = 0; i < batch.length; i++)
            marks.push(`${sink.values.at(i - batch.length)}${batch.redelivered[i] === true ? '!' : ''}`)
        },
        onConsumerClosed: () => undefined,
      },
    )
    consumer.credit(credit)
    await until(() => marks.length === credit)
    return marks
  }
  assert.deepEqual(await marked(2), ['a', 'b'])
  space = spaceOf(await stopped())
  assert.deepEqual(await marked(3), ['a!', 'b!', 'c'], 'what was handed out when it was stopped')
  space = spaceOf(await machine.crash())
  await publish(space, plainItem('q', { value: 'd' }))
  assert.deepEqual(await marked(1), ['a!'])
  space = spaceOf(await stopped())
  assert.deepEqual(await marked(4), ['a!', 'b!', 'c!', 'd'], 'known on, through a stop')
  space = spaceOf(await machine.crash())
  await space.seek('q', '', 'oldest')
  assert.deepEqual(await marked(4), ['a', 'b', 'c', 'd'], 'whoever moves back begins anew')
  await machine.stop()
})
