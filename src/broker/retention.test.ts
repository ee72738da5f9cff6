/** Topics kept by size: what is too much goes, oldest first, also while it stands in memory alone. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, spaceOf } from '../../test/support/machine.ts'
import { PublishItem, type Space } from './face.ts'

const record = Buffer.alloc(10_000, 'x')

async function fill(space: Space, topic: string, records: number): Promise<void> {
  for (let count = 0; count < records; count += 10) {
    const items = Array.from({ length: 10 }, () => new PublishItem(null, topic, 1, record))
    await new Promise<void>((resolve) => space.publish(items, resolve))
  }
}

async function kept(machine: Machine, space: Space, topic: string) {
  machine.clock.advance(5_000)
  const status = space.status(topic)?.partitions[0]
  assert.ok(status)
  return status
}

test('a topic keeps about retentionBytes, and its newest records whatever the limit', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('sized', { retentionBytes: 1_000_000 }, 'test')
  await space.createTopic('tiny', { retentionBytes: 1 }, 'test')
  await space.createTopic('free', {}, 'test')
  for (const topic of ['sized', 'tiny', 'free']) await fill(space, topic, 400)
  const sized = await kept(machine, space, 'sized')
  assert.equal(sized.nextOffset, 400)
  // A block of memory goes whole, so that a little more than the limit may stay, and never less.
  assert.ok(1_000_000 <= sized.bytes && sized.bytes <= 1_400_000, `${sized.bytes} bytes are kept`)
  assert.ok(250 < sized.startOffset, `kept from ${sized.startOffset} on`)
  const tiny = await kept(machine, space, 'tiny')
  assert.ok(300 < tiny.startOffset && tiny.startOffset < 400)
  assert.equal((await kept(machine, space, 'free')).startOffset, 0)
  await machine.stop()
})

test('the limit holds over a restart, with segments in front of what stands in memory', async () => {
  const machine = new Machine()
  const first = spaceOf(await machine.start())
  await first.createTopic('sized', { retentionBytes: 1_000_000, segmentBytes: 300_000 }, 'test')
  await fill(first, 'sized', 200)
  const space = spaceOf(await machine.restart())
  await fill(space, 'sized', 200)
  const { startOffset, nextOffset, bytes } = await kept(machine, space, 'sized')
  assert.equal(nextOffset, 400)
  assert.ok(200 < startOffset && 1_000_000 <= bytes && bytes <= 1_400_000, `${bytes} bytes from ${startOffset} on`)
  const again = await kept(machine, spaceOf(await machine.crash()), 'sized')
  assert.equal(again.nextOffset, 400)
  assert.ok(200 < again.startOffset && 1_000_000 <= again.bytes && again.bytes <= 1_400_000, `${again.bytes} bytes after a crash`)
  await machine.stop()
})
