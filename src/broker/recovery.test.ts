/** What exists by name is what was confirmed to, however often it was deleted and made again around a checkpoint, and whatever failed. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { Machine, publish, spaceOf } from '../../test/support/machine.ts'
import { plainFormat } from '../../test/support/plain-format.ts'
import { PublishItem, type Space } from './face.ts'

const sink = { onDeliveries: () => undefined, onConsumerClosed: () => undefined }
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** The names of topics, and of each its partitions, subscriptions and number of records. */
function seen(space: Space): Map<string, { partitions: number; subscriptions: string[]; records: number }> {
  return new Map(
    space.topics().map(({ name, config }) => {
      const status = space.status(name)
      const records = (status?.partitions ?? []).reduce((sum, { startOffset, nextOffset }) => sum + nextOffset - startOffset, 0)
      return [
        name,
        { partitions: config.partitions, subscriptions: status?.subscriptions.map((each) => each.name).sort() ?? [], records },
      ]
    }),
  )
}

test('topics and subscriptions survive crashes as they were confirmed, with a checkpoint between any two frames', async () => {
  const step = fc.record({
    kind: fc.constantFrom('create', 'create', 'delete', 'grow', 'subscribe', 'unsubscribe', 'publish', 'crash', 'fail'),
    topic: fc.constantFrom('a', 'b'),
    subscription: fc.constantFrom('x', 'y'),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), fc.nat(10_000), async (steps, seed) => {
      const machine = new Machine(seed, { checkpointBytes: 300 })
      const { metadata } = machine
      const store = metadata.checkpoint.bind(metadata)
      let failing = false
      metadata.checkpoint = async (position, changes) => {
        if (failing) throw new Error('the disk is full')
        await store(position, changes)
      }
      let space = spaceOf(await machine.start())
      const expected = new Map<string, { partitions: number; subscriptions: Set<string>; records: number }>()
      for (const { kind, topic, subscription } of [...steps, { kind: 'crash', topic: 'a', subscription: 'x' }]) {
        const there = expected.get(topic)
        if (kind === 'create' && there === undefined) {
          await space.createTopic(topic, { retention: 'time' }, 'test')
          expected.set(topic, { partitions: 1, subscriptions: new Set(), records: 0 })
        }
        if (kind === 'delete' && there !== undefined) {
          await space.deleteTopic(topic)
          expected.delete(topic)
        }
        if (kind === 'grow' && there !== undefined) {
          await space.alterTopic(topic, { partitions: ++there.partitions })
        }
        if (kind === 'subscribe' && there !== undefined) {
          space.subscribe({ topic, subscription, autoSettle: false, name: '' }, sink).close()
          there.subscriptions.add(subscription)
        }
        if (kind === 'unsubscribe' && there?.subscriptions.delete(subscription) === true)
          await space.deleteSubscription(topic, subscription)
        if (kind === 'publish' && there !== undefined) {
          await publish(space, new PublishItem(null, topic, plainFormat.id, Buffer.alloc(200)))
          there.records++
        }
        if (kind === 'fail') failing = !failing
        if (kind !== 'crash') continue
        // A subscription is confirmed with the next frame.
        await space.nextProducerId()
        for (let count = seed % 7; count > 0; count--) await turn()
        space = spaceOf(await machine.crash())
        const wanted = [...expected].map(
          ([name, each]) => [name, { ...each, subscriptions: [...each.subscriptions].sort() }] as const,
        )
        // deepEqual compares maps whatever their order.
        assert.deepEqual(seen(space), new Map(wanted))
      }
      await machine.stop()
    }),
    { numRuns: 80 },
  )
})

test('what expired while the broker was down dies once the log is read to its end, and overwrites nothing', async () => {
  // A clock whose timers fire only when they are due already: what expired is found so at the start.
  let now = 1_000_000
  const after = (delayMs: number, run: () => void) => {
    if (delayMs <= 0) setImmediate(run)
    return { cancel: () => undefined }
  }
  const clock = { now: () => now, after }
  const machine = new Machine(3, { clock })
  let space = spaceOf(await machine.start())
  await space.createTopic('dead', { retention: 'acknowledged' }, 'test')
  await space.createTopic(
    'q',
    { retention: 'acknowledged', recordTtlMs: 1_000, deadLetter: { exchange: '', routingKey: 'dead' } },
    'test',
  )
  const items = ['a', 'b', 'c'].map((text) => new PublishItem(null, 'q', plainFormat.id, Buffer.from(text)))
  await publish(space, ...items)
  now += 5_000
  for (let crashes = 0; crashes < 3; crashes++) {
    space = spaceOf(await machine.crash())
    await turn()
    await space.nextProducerId()
    const dead = await space.peek('dead', { limit: 10 })
    assert.deepEqual(
      dead.map(({ bytes }) => String(bytes)),
      ['a', 'b', 'c'],
    )
    assert.equal(space.status('q')?.subscriptions[0]?.ready, 0)
  }
  await machine.stop()
})

test('a topic comes into being with its default subscription, and goes with its cursors, in one frame', async () => {
  for (let seed = 0; seed < 60; seed++) {
    // Each group of operations is a frame of its own.
    const machine = new Machine(seed, { frameBytes: 1 })
    const before = spaceOf(await machine.start())
    await before.createTopic('old', {}, 'test')
    await new Promise<void>((resolve) => {
      before.commitCursors('g', [{ topic: 'old', partition: 0, offset: 7, metadata: '', leaderEpoch: 0 }], () => resolve())
    })
    void before.createTopic('new', { retention: 'acknowledged' }, 'test')
    void before.deleteTopic('old')
    for (let count = seed % 12; count > 0; count--) await turn()
    const space = spaceOf(await machine.crash())
    if (space.topic('new') !== undefined) assert.equal(space.status('new')?.subscriptions.length, 1, `seed ${seed}`)
    if (space.topic('old') === undefined) assert.deepEqual(space.cursors('g'), [], `seed ${seed}`)
    await machine.stop()
  }
})

test('a checkpoint writes of the logs that changed alone', async () => {
  const machine = new Machine(3, { checkpointBytes: 300 })
  const written: string[][] = []
  const store = machine.metadata.checkpoint.bind(machine.metadata)
  machine.metadata.checkpoint = async (position, changes) => {
    written.push(changes.filter(({ table }) => table === 'log').map(({ key }) => key))
    await store(position, changes)
  }
  const broker = await machine.start()
  const space = spaceOf(broker)
  const names = Array.from({ length: 20 }, (_, index) => `topic${index}`)
  for (const name of names) await space.createTopic(name, {}, 'test')
  for (const name of names) await publish(space, new PublishItem('', name, plainFormat.id, Buffer.alloc(100)))
  await broker.close()
  const second = await machine.start()
  const begun = written.length
  const again = spaceOf(second)
  for (let count = 0; count < 20; count++) {
    await publish(again, new PublishItem('', 'topic7', plainFormat.id, Buffer.alloc(100)))
    await turn()
  }
  await second.close()
  const [first, ...later] = written.slice(begun)
  assert.equal(first?.length, 20, 'after a start it is not known what the last one said')
  assert.ok(later.length >= 3, `${later.length} more`)
  for (const keys of later) assert.ok(keys.length <= 1, `rows of ${keys.length} logs`)
  assert.equal(seen(spaceOf(await machine.start())).get('topic7')?.records, 21)
})
