/** A producer known by its name numbers what it sends; what it sends again is recognised, through crashes and checkpoints. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, spaceOf } from '../../test/support/machine.ts'
import { PublishItem, PublishStatus, type Space } from './face.ts'

function publish(space: Space, topic: string, producerName: string | null, sequence: number, count = 1): Promise<PublishItem> {
  const item = new PublishItem(null, topic, 1, Buffer.from(`number ${sequence}`))
  item.producerName = producerName
  item.producerSequence = sequence
  item.count = count
  return new Promise((resolve) => space.publish([item], () => resolve(item)))
}

const end = (space: Space): number | undefined => space.status('t')?.partitions[0]?.nextOffset

test('numbers grow with gaps; what is at or below the last one is a repetition, by topic and name', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('t', {}, 'test')
  await space.createTopic('u', {}, 'test')
  assert.equal(space.lastSequence('t', 0, 'a'), -1)
  assert.equal((await publish(space, 't', 'a', 5)).status, PublishStatus.Stored)
  assert.equal((await publish(space, 't', 'a', 90)).baseOffset, 1)
  const again = await publish(space, 't', 'a', 90)
  assert.equal(again.status, PublishStatus.Duplicate)
  assert.equal(again.baseOffset, 1)
  assert.equal((await publish(space, 't', 'a', 6)).status, PublishStatus.Duplicate)
  assert.equal((await publish(space, 't', 'b', 6)).status, PublishStatus.Stored)
  assert.equal((await publish(space, 'u', 'a', 6)).status, PublishStatus.Stored)
  assert.equal((await publish(space, 't', null, 6)).status, PublishStatus.Stored)
  assert.equal(space.lastSequence('t', 0, 'a'), 90)
  assert.equal(end(space), 4)
  await machine.stop()
})

test('the last number of each name survives a crash, a clean stop, and both in turn', async () => {
  const machine = new Machine()
  const first = spaceOf(await machine.start())
  await first.createTopic('t', {}, 'test')
  await publish(first, 't', 'a', 2 ** 40, 3)
  const second = spaceOf(await machine.crash())
  assert.equal(second.lastSequence('t', 0, 'a'), 2 ** 40)
  assert.equal((await publish(second, 't', 'a', 2 ** 40)).status, PublishStatus.Duplicate)
  await publish(second, 't', 'é', 7)
  const third = spaceOf(await machine.restart())
  assert.equal(third.lastSequence('t', 0, 'é'), 7)
  await publish(third, 't', 'a', 2 ** 40 + 1)
  const fourth = spaceOf(await machine.crash())
  assert.equal(fourth.lastSequence('t', 0, 'a'), 2 ** 40 + 1)
  assert.equal(fourth.lastSequence('t', 0, 'é'), 7)
  assert.equal(end(fourth), 5)
  await machine.stop()
})
