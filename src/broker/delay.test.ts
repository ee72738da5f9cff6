// Topics with delayMs: records are stored at once, keep their place, and are seen when they are old enough; also across crashes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, publish, spaceOf, textsRead } from '../../test/support/machine.ts'
import { plainFormat } from '../../test/support/plain-format.ts'
import { PublishItem, PublishStatus, type ReadResult, type Sink, type Space } from './face.ts'

const item = (text: string): PublishItem => new PublishItem(null, 't', plainFormat.id, Buffer.from(text))

function read(space: Space, offset: number): Promise<{ texts: string[]; result: ReadResult }> {
  return new Promise((resolve) =>
    space.read('t', 0, offset, 1e6, (result) =>
      resolve({ texts: result.entries.map(({ buffer, start, end }) => buffer.toString('utf8', start, end)), result }),
    ),
  )
}

function consume(space: Space): string[] {
  const got: string[] = []
  const sink: Sink = {
    onDeliveries: (_, batch) => {
      for (let i = 0; i < batch.length; i++) got.push((batch.buffer[i] as Buffer).toString('utf8', batch.start[i], batch.end[i]))
    },
    onConsumerClosed: () => undefined,
  }
  space.subscribe({ topic: 't', subscription: 's', autoSettle: true, name: 'c' }, sink).credit(100)
  return got
}

const turn = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
}

test('records are seen when they are old enough, by readers and by consumers, in order', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('t', { delayMs: 1000 }, 'test')
  const got = consume(space)
  const first = item('a')
  await publish(space, first)
  assert.equal(first.baseOffset, 0)
  machine.clock.advance(500)
  await publish(space, item('b'))
  assert.deepEqual((await read(space, 0)).texts, [])
  assert.equal((await read(space, 0)).result.nextOffset, 0)
  // A reader that has read on before is not told that its place is out of range.
  assert.equal((await read(space, 2)).result.error, null)
  let woken = 0
  space.whenReadable('t', 0, 0, () => woken++)
  space.whenReadable('t', 0, 1, () => woken++, true)
  await turn()
  assert.deepEqual([woken, got], [0, []])
  machine.clock.advance(499)
  await turn()
  assert.deepEqual([woken, got], [0, []])
  machine.clock.advance(2)
  await turn()
  assert.deepEqual([woken, got, (await read(space, 0)).texts], [1, ['a'], ['a']])
  machine.clock.advance(500)
  await turn()
  assert.deepEqual([woken, got, (await read(space, 0)).texts], [2, ['a', 'b'], ['a', 'b']])
  await machine.stop()
})

test('how long is still to wait is known after the power went', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  await space.createTopic('t', { delayMs: 60_000 }, 'test')
  for (const text of ['a', 'b']) {
    await publish(space, item(text))
    machine.clock.advance(30_000)
  }
  await publish(space, item('c'))
  machine.clock.advance(1)
  space = spaceOf(await machine.crash())
  assert.deepEqual((await read(space, 0)).texts, ['a'])
  const got = consume(space)
  machine.clock.advance(30_000)
  await turn()
  assert.deepEqual(got, ['a', 'b'])
  space = spaceOf(await machine.restart())
  assert.deepEqual((await read(space, 0)).texts, ['a', 'b'])
  machine.clock.advance(31_000)
  await turn()
  assert.deepEqual((await read(space, 0)).texts, ['a', 'b', 'c'])
  assert.deepEqual(textsRead(await space.peek('t', { limit: 10 })), ['a', 'b', 'c'])
  await machine.stop()
})

test('a delay can be taken away, and a topic deleted, while records wait', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('t', { delayMs: 60_000 }, 'test')
  await publish(space, item('a'))
  const got = consume(space)
  await space.alterTopic('t', { delayMs: 0 })
  await turn()
  assert.deepEqual(got, ['a'])
  await space.alterTopic('t', { delayMs: 60_000 })
  await publish(space, item('b'))
  assert.deepEqual((await read(space, 0)).texts, ['a'])
  await space.deleteTopic('t')
  machine.clock.advance(120_000)
  await turn()
  await assert.rejects(space.createTopic('u', { delayMs: -1 }, 'test'), { code: 'Invalid' })
  await machine.stop()
})

test('a delayed record keeps its partition', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('t', { partitions: 3 }, 'test')
  const later = item('later')
  later.partition = 2
  later.deliverAt = machine.clock.now() + 1000
  await publish(space, later)
  machine.clock.advance(1000)
  await turn()
  assert.deepEqual(
    (await space.peek('t', { limit: 10 })).map(({ partition }) => partition),
    [2],
  )
  await machine.stop()
})

test('records for later are scheduled with the entry they came in, or not at all', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  await space.createTopic('t', { recordBytesMax: 10 }, 'test')
  const split = (text: string): PublishItem => {
    const made = item(text)
    made.later = [{ deliverAt: machine.clock.now() + 1000, payload: Buffer.from('later'), indexes: [0] }]
    return made
  }
  await publish(space, split('now'))
  await assert.rejects(publish(space, split('much too large for it')), /TooLarge/)
  space = spaceOf(await machine.crash())
  assert.equal((await space.scheduled(10)).length, 1)
  machine.clock.advance(1000)
  await turn()
  assert.deepEqual(textsRead(await space.peek('t', { limit: 10 })), ['now', 'later'])
  await machine.stop()
})

test('an entry that comes again schedules nothing again', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('t', {}, 'test')
  const again = (): PublishItem =>
    Object.assign(item('now'), {
      partition: 0,
      producerId: 7,
      producerEpoch: 0,
      producerSequence: 0,
      later: [{ deliverAt: machine.clock.now() + 1000, payload: Buffer.from('later'), indexes: [0] }],
    })
  await publish(space, again())
  const repeated = again()
  await publish(space, repeated)
  assert.equal(repeated.status, PublishStatus.Duplicate)
  assert.equal((await space.scheduled(10)).length, 1)
  await machine.stop()
})
