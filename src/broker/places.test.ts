/** Readers of indexed topics: what is counted before them, places of their own, another filter; and publishers one topic decides for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Machine, publish, spaceOf, textsRead } from '../../test/support/machine.ts'
import {
  accept,
  type Consumer,
  type CoreError,
  type DeliveryBatch,
  PublishItem,
  PublishStatus,
  type Sink,
  type Space,
} from './face.ts'

const to = (address: string, text: string, more: Partial<PublishItem> = {}): PublishItem =>
  Object.assign(new PublishItem(null, address, 1, Buffer.from(text)), more)
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const settled = async (): Promise<void> => {
  for (let turns = 0; turns < 10; turns++) await turn()
}

class Texts implements Sink {
  readonly got: { readonly id: number; readonly offset: number; readonly attempt: number; readonly text: string }[] = []
  readonly givenUp: string[] = []
  overdue = 0
  onDeliveries(_: Consumer, batch: DeliveryBatch): void {
    for (let at = 0; at < batch.length; at++) {
      const text = batch.buffer[at]?.toString('utf8', batch.start[at], batch.end[at]) ?? ''
      this.got.push({ id: batch.id[at] ?? -1, offset: batch.offset[at] ?? -1, attempt: batch.attempt[at] ?? -1, text })
    }
  }
  onConsumerClosed(): void {}
  onOverdue(): void {
    this.overdue++
  }
  onGivenUp(_: Consumer, __: number, offset: number, attempts: number): void {
    this.givenUp.push(`${offset} ${attempts}`)
  }
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('publish' as const), address: fc.constantFrom('s.a', 's.b', 's.b.c') }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('remove' as const), offset: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), offset: fc.nat(10) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('read' as const) }) },
)

test('a tally is what a plain list says, whatever is added, passed and taken away', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 50 }), fc.boolean(), async (steps, newestOfEach) => {
      const machine = new Machine()
      const space = spaceOf(await machine.start())
      await space.createTopic('s', { captures: ['s.#'], indexed: true }, 'test')
      await publish(space, to('s.a', '0'), to('s.b', '1'), to('s.b', '2'), to('s.b.c', '3'))
      const wanted = (address: string): boolean => address.startsWith('s.b')
      // What the reader has before it.
      let model = newestOfEach ? [2, 3] : [1, 2, 3]
      const tally = space.tally('s', ['s.b.#'], newestOfEach ? { records: model } : 'oldest')
      let next = 4
      for (const each of steps) {
        if (each.kind === 'publish') {
          await publish(space, to(each.address, String(next)))
          if (wanted(each.address)) model.push(next)
          next++
        } else if (each.kind === 'remove') {
          await space.removeRecords('s', 0, [each.offset])
          model = model.filter((offset) => offset !== each.offset)
        } else if (each.kind === 'truncate' && each.offset <= next) {
          await space.deleteRecordsBefore('s', 0, each.offset)
          model = model.filter((offset) => offset >= each.offset)
        } else if (each.kind === 'read') {
          const [first] = model
          if (first !== undefined) tally.passed(first)
          model = model.slice(1)
        }
        assert.equal(tally.count, model.length)
      }
      tally.close()
      await machine.stop()
    }),
    { numRuns: 60 },
  )
})

async function open(space: Space, more: object = {}): Promise<{ consumer: Consumer; sink: Texts }> {
  const sink = new Texts()
  const consumer = space.subscribe({ topic: 's', subscription: 'r', autoSettle: false, name: 'r', ...more }, sink)
  consumer.credit(100)
  await settled()
  return { consumer, sink }
}

test('a subscription begins with single records and goes on with all that comes, over a restart', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  await space.createTopic('s', { captures: ['s.*'], indexed: true }, 'test')
  await publish(space, ...['a', 'b', 'c', 'd'].map((text) => to(`s.${text}`, text)))
  await space.createSubscription('s', 'r', { startAt: { records: [1, 3] } })
  await publish(space, to('s.e', 'e'))
  space = spaceOf(await machine.restart())
  const { sink } = await open(space)
  assert.deepEqual(
    sink.got.map(({ text }) => text),
    ['b', 'd', 'e'],
  )
  await space.createSubscription('s', 'none', { startAt: { records: [] } })
  assert.equal(space.status('s')?.subscriptions.find(({ name }) => name === 'none')?.ready, 0)
  await machine.stop()
})

test('a consumer hears of what came back too often', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('s', { indexed: true }, 'test')
  await publish(space, to('s', 'a'))
  const { consumer, sink } = await open(space, { deliveryLimit: 1 })
  for (const attempt of [1, 2]) {
    assert.equal(sink.got.length, attempt)
    consumer.settle([sink.got.at(-1)?.id ?? -1], { kind: 'release', countsAsAttempt: true })
    await settled()
  }
  assert.deepEqual(sink.givenUp, ['0 2'])
  assert.equal(space.isDone('s', 'r', 0, 0), true)
  await machine.stop()
})

test('a consumer hears once of all that ran out of time at once, and limits that change count from then on', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('s', { indexed: true }, 'test')
  await publish(space, to('s', 'a'), to('s', 'b'))
  const { consumer, sink } = await open(space, { deadlineMs: 1000 })
  consumer.change({ deadlineMs: 5000, deliveryLimit: -1 })
  await machine.clock.advance(1001)
  await settled()
  assert.deepEqual([sink.overdue, sink.got.length, consumer.unsettled], [1, 4, 2])
  await machine.clock.advance(4000)
  await settled()
  assert.equal(sink.got.length, 4)
  await machine.stop()
})

test('another filter counts for what has not been met, also after a restart', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  await space.createTopic('s', { captures: ['s.*'], indexed: true }, 'test')
  await space.createSubscription('s', 'r', { filter: { kind: 'subject', patterns: ['s.a'] } })
  await space.refilterSubscription('s', 'r', { kind: 'subject', patterns: ['s.b'] })
  space = spaceOf(await machine.restart())
  await publish(space, to('s.a', 'a'), to('s.b', 'b'))
  const { consumer, sink } = await open(space)
  assert.deepEqual(
    sink.got.map(({ text }) => text),
    ['b'],
  )
  consumer.settle([sink.got[0]?.id ?? -1], accept)
  await space.refilterSubscription('s', 'r', undefined)
  await publish(space, to('s.a', 'again'))
  await settled()
  assert.equal(sink.got.at(-1)?.text, 'again')
  await machine.stop()
})

test('who waits for a listener hears of the next one, once', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  let heard = 0
  const cancel = space.whenHeard('never.b', () => heard++)
  space.whenHeard('a.b', () => heard++)
  const listen = (pattern: string): unknown => space.listen({ pattern }, { onRecords: () => undefined })
  listen('b.*')
  cancel()
  await settled()
  assert.equal(heard, 0)
  listen('a.*')
  listen('a.b')
  listen('never.b')
  await settled()
  assert.equal(heard, 1)
  await machine.stop()
})

test('one topic decides for all that a record would reach', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('a.b', {}, 'test')
  await space.createTopic(
    's',
    { captures: ['a.*'], indexed: true, dedupWindowMs: 1000, recordsMax: 2, overflow: 'refuse' },
    'test',
  )
  await publish(space, to('a.c', '0'))
  const outcome = async (item: PublishItem): Promise<unknown[]> => {
    await new Promise<void>((resolve) => space.publish([item], resolve))
    return [item.status, item.errorCode ?? item.baseOffset]
  }
  const decided = (more: Partial<PublishItem>): PublishItem => to('a.b', 'x', { decidedBy: 's', ...more })
  const early = decided({ expectedNext: 5 })
  assert.deepEqual([...(await outcome(early)), early.baseOffset], [PublishStatus.Failed, 'Mismatch', 1])
  assert.deepEqual(await outcome(decided({ expectedNext: 1, dedupId: 'i' })), [PublishStatus.Stored, 1])
  assert.deepEqual(await outcome(decided({})), [PublishStatus.Failed, 'Full'])
  // In this order: what is expected, whether it is there already, whether there is room.
  assert.deepEqual(await outcome(decided({ dedupId: 'i', expectedNext: 9 })), [PublishStatus.Failed, 'Mismatch'])
  assert.deepEqual(await outcome(decided({ dedupId: 'i', expectedNext: 2 })), [PublishStatus.Duplicate, 1])
  await space.alterTopic('s', { recordsMax: 3 })
  await machine.clock.advance(1001)
  assert.deepEqual(await outcome(decided({ dedupId: 'i' })), [PublishStatus.Stored, 2])
  assert.equal((await space.peek('a.b', { limit: 9 })).length, 2)
  await machine.stop()
})

test('what a transaction expects was there before it, or nothing of it happens', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('s', { captures: ['a.*'], indexed: true }, 'test')
  await publish(space, to('a.b', '0', { decidedBy: 's', dedupId: 'known' }))
  const commit = async (...items: PublishItem[]): Promise<string> => {
    const transaction = space.begin()
    transaction.publish(items.map((item) => Object.assign(item, { decidedBy: 's' })))
    const error = await new Promise<Error | null>((resolve) => transaction.commit(resolve))
    return error === null ? 'done' : (error as CoreError).code
  }
  const last = { offset: 0 }
  assert.equal(
    await commit(to('a.b', '1', { expectedNext: 1, expectedLast: last }), to('a.b', '2', { expectedLast: last })),
    'done',
  )
  assert.equal(await commit(to('a.c', 'x'), to('a.b', 'x', { expectedLast: last })), 'Mismatch')
  assert.equal(await commit(to('a.c', 'x'), to('a.b', 'x', { dedupId: 'known' })), 'AlreadyExists')
  assert.deepEqual(textsRead(await space.peek('s', { limit: 9 })), ['0', '1', '2'])
  await machine.stop()
})

test('a record takes the place of earlier ones of its address, or of all, in one with it', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  await space.createTopic('s', { captures: ['s.*'], indexed: true }, 'test')
  await publish(space, to('s.a', '1'), to('s.b', '2'), to('s.a', '3'), to('s.a', '4', { replaces: 'address' }))
  space = spaceOf(await machine.crash())
  assert.deepEqual(textsRead(await space.peek('s', { limit: 9 })), ['2', '4'])
  await publish(space, to('s.c', '5', { replaces: 'all' }))
  space = spaceOf(await machine.crash())
  assert.deepEqual(textsRead(await space.peek('s', { limit: 9 })), ['5'])
  assert.equal(space.status('s')?.partitions[0]?.records, 1)
  await machine.stop()
})
