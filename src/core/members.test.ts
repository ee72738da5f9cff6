/** Which consumer is the active one where only one may be, seen from the broker's face. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { Machine, publish, spaceOf } from '../../test/support/machine.ts'
import { plainFormat } from '../../test/support/plain-format.ts'
import { accept, type Consumer, PublishItem, type Space, type TopicConfig } from '../broker/face.ts'

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Consumers with room for one at a time, and what happens to them, in its order. */
async function start(config: Partial<TopicConfig>) {
  const machine = new Machine()
  const space: Space = spaceOf(await machine.start())
  await space.createTopic('q', { retention: 'acknowledged', singleActiveConsumer: true, ...config }, 'test')
  const told: string[] = []
  const join = (name: string, priority = 0): { consumer: Consumer; settle: () => void } => {
    let last = 0
    const consumer = space.subscribe(
      { topic: 'q', subscription: '', autoSettle: false, name, priority },
      {
        onDeliveries: (_, batch) => {
          for (let index = 0; index < batch.length; index++) {
            last = batch.id[index] ?? 0
            told.push(`${name} ${batch.buffer[index]?.subarray(batch.start[index], batch.end[index])}`)
          }
        },
        onActive: (_, active) => told.push(`${name} is ${active ? 'active' : 'not active'}`),
        onConsumerClosed: () => undefined,
      },
    )
    consumer.credit(1)
    return {
      consumer,
      settle: () => {
        consumer.settle([last], accept)
        consumer.credit(1)
      },
    }
  }
  const put = (...texts: string[]): Promise<unknown> =>
    publish(space, ...texts.map((text) => new PublishItem(null, 'q', plainFormat.id, Buffer.from(text))))
  return { machine, told, join, put }
}

test('the active consumer stays so, whatever the priority of those that come later', async () => {
  const { machine, told, join, put } = await start({})
  const first = join('first')
  const second = join('second', 5)
  await put('1', '2')
  await turns()
  first.settle()
  await turns()
  assert.deepEqual(told, ['first is active', 'first 1', 'first 2'])
  assert.deepEqual([first.consumer.active, second.consumer.active], [true, false])
  await machine.stop()
})

test('one that yields gets nothing more, and the next is active when all that it had is settled', async () => {
  const { machine, told, join, put } = await start({ activeConsumerYields: true })
  const first = join('first')
  await put('1', '2')
  await turns()
  const low = join('low', -1)
  const high = join('high', 5)
  first.consumer.credit(1)
  await turns()
  assert.deepEqual(told, ['first is active', 'first 1'])
  first.settle()
  await turns()
  assert.deepEqual(told.slice(2), ['first is not active', 'high is active', 'high 2'])
  assert.deepEqual([first.consumer.active, low.consumer.active, high.consumer.active], [false, false, true])
  await machine.stop()
})

test('one that yields and goes makes way at once, and what it had goes to the next', async () => {
  const { machine, told, join, put } = await start({ activeConsumerYields: true })
  const first = join('first')
  await put('1')
  await turns()
  join('high', 5)
  first.consumer.close()
  await turns()
  assert.deepEqual(told.slice(0, 2), ['first is active', 'first 1'])
  assert.deepEqual(told.slice(2).sort(), ['high 1', 'high is active'])
  await machine.stop()
})
