/** Deadlines of deliveries, seen from the broker's face: whoever keeps a record too long loses it, at its own time. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { Machine, publish, spaceOf } from '../../test/support/machine.ts'
import { plainFormat } from '../../test/support/plain-format.ts'
import { type Consumer, PublishItem, type Space, type Taken } from '../broker/face.ts'

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

async function queueOf(machine: Machine, count: number): Promise<Space> {
  const space = spaceOf(await machine.start())
  await space.createTopic('q', { retention: 'acknowledged' }, 'test')
  const items = Array.from({ length: count }, (_, index) => new PublishItem(null, 'q', plainFormat.id, Buffer.from(`${index}`)))
  await publish(space, ...items)
  return space
}

function consume(space: Space, deadlineMs: number, got: string[]): Consumer {
  return space.subscribe(
    { topic: 'q', subscription: '', autoSettle: false, deadlineMs, name: '' },
    {
      onDeliveries: (_consumer, batch) => {
        for (let index = 0; index < batch.length; index++)
          got.push(String(batch.buffer[index]?.subarray(batch.start[index], batch.end[index])))
      },
      onConsumerClosed: () => undefined,
    },
  )
}

test('a short deadline is kept though one that is longer was there before it', async () => {
  const machine = new Machine()
  const space = await queueOf(machine, 2)
  const slow: string[] = []
  const quick: string[] = []
  consume(space, 60_000, slow).credit(1)
  await turns()
  consume(space, 1_000, quick).credit(1)
  await turns()
  assert.deepEqual([slow, quick], [['0'], ['1']])
  machine.clock.advance(999)
  assert.equal(space.status('q')?.subscriptions[0]?.inFlight, 2)
  machine.clock.advance(1)
  assert.equal(space.status('q')?.subscriptions[0]?.inFlight, 1)
  machine.clock.advance(59_000)
  assert.equal(space.status('q')?.subscriptions[0]?.inFlight, 0)
  await machine.stop()
})

test('a record taken by itself comes back after the deadline that an extension set, and can be settled no more', async () => {
  const machine = new Machine()
  const space = await queueOf(machine, 1)
  const take = (): Promise<Taken | null> => new Promise((resolve) => space.take('q', false, resolve))
  const first = await take()
  first?.settle({ kind: 'extend', deadlineMs: 5_000 })
  machine.clock.advance(4_999)
  assert.equal(await take(), null)
  machine.clock.advance(1)
  const second = await take()
  assert.equal(second?.attempt, 2)
  first?.settle({ kind: 'accept' })
  assert.equal(space.status('q')?.subscriptions[0]?.inFlight, 1)
  second?.settle({ kind: 'accept' })
  assert.equal(space.status('q')?.subscriptions[0]?.inFlight, 0)
  await machine.stop()
})

test('nothing is handed out any more once the broker closes', async () => {
  const machine = new Machine()
  const space = await queueOf(machine, 1)
  const got: string[] = []
  const consumer = consume(space, -1, got)
  const stopping = machine.stop()
  consumer.credit(1)
  await stopping
  assert.deepEqual(got, [])
})

test('a subscription that is moved back has everything ready, also what was waiting for its delay', async () => {
  const machine = new Machine()
  const space = await queueOf(machine, 2)
  const take = (): Promise<Taken | null> => new Promise((resolve) => space.take('q', false, resolve))
  const first = await take()
  first?.settle({ kind: 'release', countsAsAttempt: true, delayMs: 60_000 })
  const ready = (): number | undefined => space.status('q')?.subscriptions[0]?.ready
  assert.equal(ready(), 1)
  await space.seek('q', '', 'oldest')
  assert.equal(ready(), 2)
  machine.clock.advance(120_000)
  assert.equal(ready(), 2)
  await machine.stop()
})
