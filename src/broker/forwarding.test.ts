// Topics that hand on their records: with a delay, with a count, to dead letters in the end; over crashes and refusals.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, spaceOf } from '../../test/support/machine.ts'
import { plainFormat, plainItem } from '../../test/support/records.ts'
import { PublishStatus, type Space } from './face.ts'

function publish(space: Space, topic: string, value: string, headers: Record<string, string> = {}): Promise<void> {
  const item = plainItem(topic, { key: 'k', value, headers })
  return new Promise((resolve, reject) =>
    space.publish([item], () => (item.status === PublishStatus.Stored ? resolve() : reject(new Error(item.errorMessage)))),
  )
}

const settled = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
}

async function valuesOf(space: Space, topic: string): Promise<string[]> {
  return (await space.peek(topic, { limit: 10_000 })).map(({ bytes, partition }) => {
    const { value, headers } = plainFormat.toAttributes(bytes)
    const attempts = headers.find(({ name }) => name === 'anymq.attempts')?.value.value ?? '-'
    return `${partition} ${String(value)} ${String(attempts)}`
  })
}

test('records move when they can be seen, are counted, and become dead letters after that many times', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  for (const name of ['orders', 'dead']) await space.createTopic(name, {}, 'test')
  const deadLetter = { exchange: '', routingKey: 'dead' }
  await space.createTopic('retry', { delayMs: 1000, forwardTo: 'orders', deliveryLimit: 2, deadLetter }, 'test')
  await settled()
  await publish(space, 'retry', 'a')
  await settled()
  assert.deepEqual(await valuesOf(space, 'orders'), [])
  machine.clock.advance(1001)
  await settled()
  assert.deepEqual(await valuesOf(space, 'orders'), ['0 a 1'])
  await publish(space, 'retry', 'b', { 'anymq.attempts': '1' })
  await publish(space, 'retry', 'c', { 'anymq.attempts': '2' })
  machine.clock.advance(1002)
  await settled()
  assert.deepEqual(await valuesOf(space, 'orders'), ['0 a 1', '0 b 2'])
  assert.deepEqual(await valuesOf(space, 'dead'), ['0 c 2'])
  await machine.stop()
})

test('each record moves once, over crashes, and to the partition that it has', async () => {
  const machine = new Machine(3)
  let space = spaceOf(await machine.start())
  await space.createTopic('orders', { partitions: 3 }, 'test')
  await space.createTopic('retry', { partitions: 3, forwardTo: 'orders', delayMs: 100 }, 'test')
  await settled()
  const expected: string[] = []
  for (let index = 0; index < 60; index++) {
    const item = plainItem('retry', { value: `v${index}` })
    item.partition = index % 3
    expected.push(`${index % 3} v${index} 1`)
    await new Promise<void>((resolve) => space.publish([item], resolve))
    machine.clock.advance(7)
    if (index % 20 === 19) {
      space = spaceOf(await machine.crash())
      await settled()
    }
  }
  machine.clock.advance(1000)
  await settled()
  assert.deepEqual((await valuesOf(space, 'orders')).sort(), expected.sort())
  await machine.stop()
})

test('what the other topic refuses for now waits, what it refuses for ever is a dead letter', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('dead', {}, 'test')
  await space.createTopic('retry', { forwardTo: 'orders', deadLetter: { exchange: '', routingKey: 'dead' } }, 'test')
  await settled()
  await publish(space, 'retry', 'small')
  await publish(space, 'retry', 'x'.repeat(500))
  await settled()
  await space.createTopic('orders', { recordBytesMax: 200 }, 'test')
  for (let i = 0; i < 3; i++) {
    machine.clock.advance(1001)
    await settled()
  }
  assert.deepEqual(await valuesOf(space, 'orders'), ['0 small 1'])
  assert.deepEqual(await valuesOf(space, 'dead'), [`0 ${'x'.repeat(500)} -`])
  await machine.stop()
})

test('it begins and ends with the setting, and never goes to itself', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  for (const name of ['a', 'b']) await space.createTopic(name, {}, 'test')
  await publish(space, 'a', 'before')
  await space.alterTopic('a', { forwardTo: 'b' })
  await settled()
  await publish(space, 'a', 'during')
  await settled()
  await space.alterTopic('a', { forwardTo: null })
  await settled()
  await publish(space, 'a', 'after')
  await settled()
  assert.deepEqual(await valuesOf(space, 'b'), ['0 during 1'])
  assert.deepEqual(space.status('a')?.subscriptions, [])
  await assert.rejects(space.alterTopic('a', { forwardTo: 'a' }), { code: 'Invalid' })
  await assert.rejects(space.createTopic('c', { forwardTo: 'c' }, 'test'), { code: 'Invalid' })
  await machine.stop()
})
